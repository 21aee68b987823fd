//! Who may log in.
//!
//! An account is a localpart at the one domain, and a password. Left out on purpose: who may make or end one.

use std::collections::HashMap;
use std::fmt;

use crate::codec::same_secret;

/// A password, kept out of logs.
struct Secret(Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why an account cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountError {
    /// The name is no localpart (RFC 7622 3.3).
    BadName,
    /// The password is empty, too long (over 1023 bytes), or has a control character.
    BadPassword,
    /// Somebody has the name.
    Exists,
    /// Nobody has the name.
    Unknown,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "not a user name",
            Self::BadPassword => "a password has 1 to 1023 bytes and no control characters",
            Self::Exists => "the name is taken",
            Self::Unknown => "there is no such account",
        })
    }
}

impl std::error::Error for AccountError {}

/// The longest password in bytes (as XEP-0077 says nothing, that of an address's parts).
const MAX_PASSWORD_BYTES: usize = 1023;

/// All accounts, by localpart.
#[derive(Default)]
pub(crate) struct Accounts {
    passwords: HashMap<Box<str>, Secret>,
}

impl Accounts {
    /// Makes an account. `name` is a localpart as [`crate::Jid`] keeps it.
    pub(crate) fn create(&mut self, name: &str, password: &str) -> Result<(), AccountError> {
        if password.is_empty()
            || password.len() > MAX_PASSWORD_BYTES
            || password.chars().any(char::is_control)
        {
            return Err(AccountError::BadPassword);
        }
        if self.exists(name) {
            return Err(AccountError::Exists);
        }
        self.passwords.insert(name.into(), Secret(password.into()));
        Ok(())
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.passwords.contains_key(name)
    }

    /// Whether `given` is what `expected` makes of the account's password. The work is the same for a name that
    /// nobody has, so that nobody learns which names are taken.
    pub(crate) fn verify<T: AsRef<[u8]>>(
        &self,
        name: &str,
        given: &[u8],
        expected: impl FnOnce(&str) -> T,
    ) -> bool {
        let known = self.passwords.get(name);
        let wanted = expected(known.map_or("nobody has this password", |secret| &secret.0));
        same_secret(given, wanted.as_ref()) & known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        let mut accounts = Accounts::default();
        assert_eq!(accounts.create("a", "secret"), Ok(()));
        assert_eq!(accounts.create("a", "other"), Err(AccountError::Exists));
        for bad in ["", "a\nb", &"x".repeat(1024)] {
            assert_eq!(accounts.create("b", bad), Err(AccountError::BadPassword));
        }
        let check = |name, given: &str| accounts.verify(name, given.as_bytes(), str::to_owned);
        assert!(check("a", "secret"));
        assert!(!check("a", "Secret") && !check("b", "secret") && !check("b", "nobody has this password"));
    }

    #[test]
    fn a_password_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret("x".into())), "(secret)");
    }
}
