//! Addresses: `localpart@domain/resource`.
//!
//! Read first: RFC 7622 (the format), RFC 6120 section 2.1 (what an address is for). The localpart and the domain are
//! compared without regard to case, so both are kept in lower case; the resource is kept as it is.
//! Left out on purpose: Unicode normalisation beyond case (NFC, width mapping). Its tables outweigh the server, and two
//! spellings of one name are two addresses here, never one address with two owners.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The longest localpart, domain or resource in bytes (RFC 7622 3.2 to 3.4).
const MAX_PART_BYTES: usize = 1023;

/// An address, valid and in lower case where case means nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jid {
    text: Box<str>,
    /// Where the domain begins: behind the `@`, or at 0.
    domain: u16,
    /// Where the bare address ends: at the `/`, or at the end.
    bare: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JidError {
    /// Nothing before the `@`, no domain, or nothing behind the `/`.
    EmptyPart,
    /// A part of more than 1023 bytes.
    TooLong,
    /// A character that the part must not have.
    BadCharacter,
}

impl fmt::Display for JidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyPart => "a part of the address is empty",
            Self::TooLong => "a part of the address has more than 1023 bytes",
            Self::BadCharacter => "the address has a character that is not allowed there",
        })
    }
}

impl std::error::Error for JidError {}

impl Jid {
    /// Puts an address together.
    pub fn new(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<Self, JidError> {
        let mut text = String::with_capacity(
            local.map_or(0, |l| l.len() + 1) + domain.len() + resource.map_or(0, |r| r.len() + 1),
        );
        if let Some(local) = local {
            push_part(&mut text, local, |c| c.is_whitespace() || "\"&'/:<>@".contains(c))?;
            text.push('@');
        }
        let domain_start = offset(&text)?;
        // One dot at the end says that the name is complete, which ours always are (RFC 7622 3.2).
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if domain.ends_with('.') {
            return Err(JidError::BadCharacter);
        }
        push_part(&mut text, domain, |c| c.is_whitespace() || "\"&'/<>@".contains(c))?;
        let bare = offset(&text)?;
        if let Some(resource) = resource {
            text.push('/');
            check_part(resource, |_| false)?;
            text.push_str(resource);
        }
        Ok(Self { text: text.into_boxed_str(), domain: domain_start, bare })
    }

    /// The part before the `@`: whom at the domain.
    pub fn local(&self) -> Option<&str> {
        self.text.get(..usize::from(self.domain).checked_sub(1)?)
    }

    /// The host.
    pub fn domain(&self) -> &str {
        self.text.get(usize::from(self.domain)..usize::from(self.bare)).unwrap_or_default()
    }

    /// The part behind the `/`: which of the account's connections.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.bare) + 1..)
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address without its resource, as text.
    pub fn bare_str(&self) -> &str {
        self.text.get(..usize::from(self.bare)).unwrap_or_default()
    }

    /// Whether there is no resource.
    pub fn is_bare(&self) -> bool {
        usize::from(self.bare) == self.text.len()
    }

    /// The address without its resource.
    #[must_use]
    pub fn to_bare(&self) -> Self {
        Self { text: self.bare_str().into(), domain: self.domain, bare: self.bare }
    }

    /// The same account or host with this resource.
    pub fn with_resource(&self, resource: &str) -> Result<Self, JidError> {
        Self::new(self.local(), self.domain(), Some(resource))
    }

    /// The same address at another host.
    pub fn at_domain(&self, domain: &str) -> Result<Self, JidError> {
        Self::new(self.local(), domain, self.resource())
    }
}

fn offset(text: &str) -> Result<u16, JidError> {
    u16::try_from(text.len()).map_err(|_| JidError::TooLong)
}

/// Checks a part and appends it in lower case.
fn push_part(text: &mut String, part: &str, forbidden: fn(char) -> bool) -> Result<(), JidError> {
    let start = text.len();
    if part.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        text.extend(part.chars().flat_map(char::to_lowercase));
    } else {
        text.push_str(part);
    }
    check_part(text.get(start..).unwrap_or_default(), forbidden)
}

fn check_part(part: &str, forbidden: fn(char) -> bool) -> Result<(), JidError> {
    match part.len() {
        0 => Err(JidError::EmptyPart),
        1..=MAX_PART_BYTES if part.chars().any(|c| c.is_control() || forbidden(c)) => {
            Err(JidError::BadCharacter)
        }
        1..=MAX_PART_BYTES => Ok(()),
        _ => Err(JidError::TooLong),
    }
}

impl FromStr for Jid {
    type Err = JidError;

    /// The first `/` ends the bare address, and the first `@` before it the localpart (RFC 7622 3.1).
    fn from_str(text: &str) -> Result<Self, JidError> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        match bare.split_once('@') {
            Some((local, domain)) => Self::new(Some(local), domain, resource),
            None => Self::new(None, bare, resource),
        }
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// So that tables keyed by address can be asked with a piece of text.
impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// As the text, which [`Borrow`] asks for.
impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<(Option<String>, String, Option<String>), JidError> {
        let jid: Jid = text.parse()?;
        assert_eq!(jid.as_str().parse::<Jid>(), Ok(jid.clone()), "what an address prints is the address");
        Ok((jid.local().map(Into::into), jid.domain().into(), jid.resource().map(Into::into)))
    }

    #[test]
    fn good_addresses() {
        let table = [
            ("localhost", (None, "localhost", None)),
            ("用户1@127.0.0.1/AndroidPushClient", (Some("用户1"), "127.0.0.1", Some("AndroidPushClient"))),
            ("Juliet@Example.COM/Balcony", (Some("juliet"), "example.com", Some("Balcony"))),
            ("a@b/c@d/e", (Some("a"), "b", Some("c@d/e"))),
            ("b/c@d", (None, "b", Some("c@d"))),
            ("a@[::1]/x", (Some("a"), "[::1]", Some("x"))),
            ("a@example.com.", (Some("a"), "example.com", None)),
            ("ÄÖ@Bücher.example/ 空 ", (Some("äö"), "bücher.example", Some(" 空 "))),
        ];
        for (text, (local, domain, resource)) in table {
            let wanted = (local.map(Into::into), domain.into(), resource.map(Into::into));
            assert_eq!(parts(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn bad_addresses() {
        use JidError::{BadCharacter, EmptyPart};
        let table = [
            ("", EmptyPart),
            ("@b", EmptyPart),
            ("a@", EmptyPart),
            ("a@/c", EmptyPart),
            ("a@b/", EmptyPart),
            (".", EmptyPart),
            ("a b@c", BadCharacter),
            ("a'b@c", BadCharacter),
            ("a:b@c", BadCharacter),
            ("a@b@c", BadCharacter),
            ("a\u{7F}@b", BadCharacter),
            ("a@b c", BadCharacter),
            ("a@b..", BadCharacter),
            ("a@b/\n", BadCharacter),
            ("a\u{3000}@b", BadCharacter),
        ];
        for (text, error) in table {
            assert_eq!(parts(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_part_has_at_most_1023_bytes() {
        let (at, over) = ("x".repeat(1023), "x".repeat(1024));
        assert!(parts(&format!("{at}@{at}/{at}")).is_ok());
        for text in [format!("{over}@b"), format!("a@{over}"), format!("a@b/{over}")] {
            assert_eq!(parts(&text), Err(JidError::TooLong));
        }
        let grows = "\u{130}".repeat(400); // 800 bytes, 1200 in lower case
        assert_eq!(parts(&format!("{grows}@b")), Err(JidError::TooLong));
    }

    #[test]
    fn a_table_is_asked_with_text() {
        let jids = ["a@b/c", "a@b", "b"].map(|text| text.parse::<Jid>().unwrap());
        let hashed: std::collections::HashSet<Jid> = jids.iter().cloned().collect();
        let ordered: std::collections::BTreeSet<Jid> = jids.iter().cloned().collect();
        for jid in &jids {
            assert!(hashed.contains(jid.as_str()) && ordered.contains(jid.as_str()), "{jid}");
        }
    }

    #[test]
    fn bare_and_back() {
        let full: Jid = "a@b/c".parse().unwrap();
        assert_eq!(
            (full.bare_str(), full.to_bare().as_str(), full.to_bare().is_bare()),
            ("a@b", "a@b", true)
        );
        assert_eq!(full.to_bare().with_resource("d").unwrap().as_str(), "a@b/d");
        assert_eq!(full.at_domain("e").unwrap().as_str(), "a@e/c");
        assert_eq!(full.to_bare().resource(), None);
    }
}
