//! What rests of a password.
//!
//! Read first: [`crate::crypto::scram`]. SCRAM's keys always; the password itself only where the old digest login needs
//! it.

use std::fmt;

use super::portable::{Part, SCRAM};
use super::{AccountChange, AccountError};
use crate::crypto::codec::{base64, from_base64, DIGEST_BYTES};
use crate::crypto::scram::Keys;
use crate::xml::writer::can_hold;
use crate::xml::Element;

/// The longest password in bytes (as XEP-0077 says nothing, that of an address's parts).
const MAX_PASSWORD_BYTES: usize = 1023;

/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 16;

/// How passwords rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PasswordRules {
    /// Rounds of SCRAM's key derivation.
    pub(crate) iterations: u32,
    /// Whether the password itself is kept as well.
    pub(crate) keeps_passwords: bool,
}

/// What an account's owner is known by.
pub(crate) struct Credential {
    pub(crate) keys: Keys,
    pub(crate) password: Option<Box<str>>,
}

impl Credential {
    /// What rests of `password`.
    pub(crate) fn new(password: &str, salt: &[u8], rules: PasswordRules) -> Result<Self, AccountError> {
        if password.is_empty()
            || password.len() > MAX_PASSWORD_BYTES
            || password.chars().any(|c| c.is_control() || !can_hold(c))
        {
            return Err(AccountError::BadPassword);
        }
        let keys = Keys::derive(password, salt, rules.iterations);
        Ok(Self { keys, password: rules.keeps_passwords.then(|| password.into()) })
    }
}

/// Kept out of logs.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a credential)")
    }
}

/// XEP-0227 4.2 and 4.3.
pub(super) const PART: Part = Part {
    write: |account, user| write(account.credential(), user),
    read: |user| read(user).map(AccountChange::Credential).into_iter().collect(),
};

/// The keys, and the password where it is kept.
pub(super) fn write(credential: &Credential, mut user: Element) -> Element {
    if let Some(password) = &credential.password {
        user.set_attr("password", password.to_string());
    }
    let field = |name: &'static str, text: String| Element::new(name, SCRAM).with_text(text);
    let keys = &credential.keys;
    user.with(
        Element::new("scram-credentials", SCRAM)
            .with_attr("mechanism", "SCRAM-SHA-1")
            .with(field("iter-count", keys.iterations.to_string()))
            .with(field("salt", base64(&keys.salt)))
            .with(field("server-key", base64(&keys.server_key)))
            .with(field("stored-key", base64(&keys.stored_key))),
    )
}

fn read(user: &Element) -> Option<Credential> {
    let keys = user.children().find_map(read_keys)?;
    Some(Credential { keys, password: read_password(user).map(Into::into) })
}

/// A password that a `<user/>` says, with keys or without.
pub(super) fn read_password(user: &Element) -> Option<&str> {
    user.attr("password").filter(|password| !password.is_empty())
}

fn read_keys(element: &Element) -> Option<Keys> {
    if !element.is("scram-credentials", SCRAM) || element.attr("mechanism") != Some("SCRAM-SHA-1") {
        return None;
    }
    let field = |name| element.child_text(name, SCRAM);
    let once = |name| from_base64(field(name)?.trim());
    // ejabberd (23.01, for one) encodes twice what it exports.
    let is_twice = once("stored-key")?.len() != DIGEST_BYTES;
    let bytes = |name| match once(name)? {
        bytes if is_twice => from_base64(std::str::from_utf8(&bytes).ok()?),
        bytes => Some(bytes),
    };
    Some(Keys {
        salt: bytes("salt")?.into(),
        iterations: field("iter-count")?.trim().parse().ok()?,
        stored_key: bytes("stored-key")?.try_into().ok()?,
        server_key: bytes("server-key")?.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PasswordRules = PasswordRules { iterations: 1, keeps_passwords: true };

    #[test]
    fn what_can_be_a_password() {
        for bad in ["", "a\nb", "a\u{FFFE}", &"x".repeat(1024)] {
            assert_eq!(Credential::new(bad, b"", RULES).err(), Some(AccountError::BadPassword));
        }
        assert!(Credential::new(&"x".repeat(1023), b"", RULES).is_ok());
    }

    #[test]
    fn a_credential_cannot_be_printed() {
        let credential = Credential::new("secret", b"", RULES).unwrap();
        assert_eq!(format!("{credential:?}"), "(a credential)");
    }

    #[test]
    fn keys_that_were_encoded_twice() {
        let keys = Keys::derive("secret", b"some salt", 2);
        let user = write(&Credential { keys, password: None }, Element::new("user", ""));
        let mut twice = Element::new("scram-credentials", SCRAM).with_attr("mechanism", "SCRAM-SHA-1");
        for field in user.children().flat_map(Element::children) {
            let text = match field.name() {
                "iter-count" => field.text().into_owned(),
                _ => base64(field.text().as_bytes()),
            };
            twice = twice.with(Element::new(field.name().to_owned(), SCRAM).with_text(text));
        }
        assert!(read_keys(&twice).is_some_and(|keys| keys.fit("secret")));
    }
}
