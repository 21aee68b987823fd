//! Addresses: `localpart@domain/resource`.
//!
//! Read first: RFC 7622 (the format), RFC 6120 section 2.1 (what an address is for). The localpart and the domain are
//! compared without regard to case, so both are kept in lower case, and full-width ASCII, which East Asian keyboards
//! write, as ASCII; the resource is kept as it is. What nobody can see is no part of a name, lest one look like
//! another. Left out on purpose: Unicode normalisation beyond that (NFC, other widths, scripts and directions within a
//! name). Its tables outweigh the server, and two spellings of one name are two addresses here, never one address with
//! two owners. The two ways to write an international domain, too, are two domains: the host says which is its own, and
//! the other can be its alias. For the same reason no label is measured; how long it is depends on how it is written.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::xml::writer::can_hold;

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
#[non_exhaustive]
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
            push_folded(&mut text, local);
            check_part(&text, |c| is_unfit_for_names(c) || "\"&'/:<>@".contains(c))?;
            text.push('@');
        }
        let domain_start = offset(&text)?;
        push_domain(&mut text, domain)?;
        let bare = offset(&text)?;
        if let Some(resource) = resource {
            text.push('/');
            check_part(resource, is_noncharacter)?;
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

/// RFC 7622 3.2: names with dots between them, or an IP address, of version 6 in brackets.
fn push_domain(text: &mut String, domain: &str) -> Result<(), JidError> {
    if let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| JidError::BadCharacter)?;
        // Written in one of its many ways, the usual one (RFC 5952).
        text.push_str(&format!("[{address}]"));
        return Ok(());
    }
    let start = text.len();
    push_folded(text, domain);
    // One dot at the end says that the name is complete, which ours always are.
    if text.ends_with('.') {
        text.pop();
    }
    let domain = text.get(start..).unwrap_or_default();
    check_part(domain, |c| is_unfit_for_names(c) || "\"&'/:<>@[]".contains(c))?;
    if domain.as_bytes().split(|&byte| byte == b'.').any(<[u8]>::is_empty) {
        return Err(JidError::BadCharacter);
    }
    Ok(())
}

/// Appends a part as it is compared.
fn push_folded(text: &mut String, part: &str) {
    if part.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        text.extend(part.chars().map(narrow).flat_map(char::to_lowercase));
    } else {
        text.push_str(part);
    }
}

/// RFC 7622 3.3.1 (width mapping), as far as ASCII goes.
fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

/// What no name has (RFC 8264 section 9): white space, what nobody can see or is there for layout alone (Unicode's
/// `Default_Ignorable_Code_Point`, U+FFF9 to U+FFFD), and what means nothing to anybody else.
fn is_unfit_for_names(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_whitespace();
    }
    c.is_whitespace()
        || is_noncharacter(c)
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{E000}'..='\u{F8FF}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFD}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
                | '\u{F0000}'..
        )
}

/// Unicode section 23.7: no character, and never one.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE
}

fn check_part(part: &str, forbidden: fn(char) -> bool) -> Result<(), JidError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match part.len() {
        1..=MAX_PART_BYTES if part.bytes().all(is_plain) => Ok(()),
        0 => Err(JidError::EmptyPart),
        1..=MAX_PART_BYTES if part.chars().any(|c| c.is_control() || !can_hold(c) || forbidden(c)) => {
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
            ("ａＺ０！～@Ｃｈａｔ．ｌａｎ．/ａＡ", (Some("az0!~"), "chat.lan", Some("ａＡ"))),
            ("a@xn--Bcher-kva.example", (Some("a"), "xn--bcher-kva.example", None)),
            ("ΣΑΣ@b", (Some("σασ"), "b", None)),
            ("straße@b", (Some("straße"), "b", None)),
            ("😀@💬.example/\u{200D}\u{E000}😀", (Some("😀"), "💬.example", Some("\u{200D}\u{E000}😀"))),
            ("a#$%()*+,-.;=?[\\]^_`{|}~@b", (Some("a#$%()*+,-.;=?[\\]^_`{|}~"), "b", None)),
            ("a@192.0.2.1", (Some("a"), "192.0.2.1", None)),
            ("a@[2001:DB8:0:0::1]", (Some("a"), "[2001:db8::1]", None)),
            ("a@[::FFFF:192.0.2.1]", (Some("a"), "[::ffff:192.0.2.1]", None)),
            ("a@b/\"&'/:<>@", (Some("a"), "b", Some("\"&'/:<>@"))),
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
            ("a\u{A0}b@c", BadCharacter),
            ("a＠b@c", BadCharacter),
            ("a／b@c", BadCharacter),
            ("a@b＠c", BadCharacter),
            ("a@b：c", BadCharacter),
            ("．", EmptyPart),
            ("a@b．．", BadCharacter),
            ("a@.b", BadCharacter),
            ("a@b..c", BadCharacter),
            ("a@b:5222", BadCharacter),
            ("a@::1", BadCharacter),
            ("a@[::1", BadCharacter),
            ("a@::1]", BadCharacter),
            ("a@[]", BadCharacter),
            ("a@[127.0.0.1]", BadCharacter),
            ("a@[::1%eth0]", BadCharacter),
            ("a@[::1].", BadCharacter),
            ("a@[::1]b", BadCharacter),
            ("a@［::1］", BadCharacter),
            ("a@b/\u{85}", BadCharacter),
            ("a@b/\u{FDD0}", BadCharacter),
            ("a@b/\u{10FFFF}", BadCharacter),
            ("a\u{FFFE}@b", BadCharacter),
            ("a@b/\u{FFFF}", BadCharacter),
        ];
        for (text, error) in table {
            assert_eq!(parts(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_see_is_in_no_name() {
        let ranges = [
            ('\u{AD}', '\u{AD}'),
            ('\u{34F}', '\u{34F}'),
            ('\u{61C}', '\u{61C}'),
            ('\u{200B}', '\u{200F}'),
            ('\u{2028}', '\u{202E}'),
            ('\u{2060}', '\u{206F}'),
            ('\u{E000}', '\u{F8FF}'),
            ('\u{FDD0}', '\u{FDEF}'),
            ('\u{FE00}', '\u{FE0F}'),
            ('\u{FEFF}', '\u{FEFF}'),
            ('\u{FFF0}', '\u{FFFF}'),
            ('\u{1FFFE}', '\u{1FFFF}'),
            ('\u{E0000}', '\u{E0FFF}'),
            ('\u{F0000}', '\u{10FFFF}'),
        ];
        for c in ranges.into_iter().flat_map(|(first, last)| first..=last) {
            assert_eq!(Jid::new(Some(&format!("a{c}b")), "c", None), Err(JidError::BadCharacter), "{c:?}");
            assert_eq!(Jid::new(None, &format!("a{c}b"), None), Err(JidError::BadCharacter), "{c:?}");
        }
    }

    #[test]
    fn whatever_can_be_an_address_is_the_same_when_read_again() {
        for c in '\0'..='\u{1FFFF}' {
            let address = Jid::new(Some(c.encode_utf8(&mut [0; 4])), c.encode_utf8(&mut [0; 4]), None);
            if let Ok(address) = address {
                assert_eq!(address.as_str().parse(), Ok(address), "{c:?}");
            }
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
        let shrinks = "Ａ".repeat(1023); // three bytes each, then one
        assert!(parts(&format!("{shrinks}@{shrinks}.")).is_ok());
        assert_eq!(parts(&format!("{shrinks}a@b")), Err(JidError::TooLong));
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
