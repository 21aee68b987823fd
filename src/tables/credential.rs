//! What rests of a password.
//!
//! Read first: [`crate::crypto::scram`]. SCRAM's keys always; the password itself only where the old digest login needs it.

use std::fmt;

use super::AccountError;
use crate::crypto::scram::Keys;
use crate::xml::writer::can_hold;

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
}
