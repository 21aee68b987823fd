//! Who may log in.
//!
//! Read first: [`crate::scram`]. An account is a localpart at the one domain, and what rests of its password: SCRAM's keys,
//! and the password itself only where the old digest login needs it. Every question is answered with the same work
//! for a name that nobody has, so that nobody learns which names are taken.
//! Left out on purpose: who may make or end an account.

use std::collections::HashMap;
use std::fmt;

use crate::codec::{legacy_digest, same_secret, Hmac};
use crate::scram::Keys;

/// Why an account cannot be made or used.
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
    /// The system gave no random bytes.
    NoRandom,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "not a user name",
            Self::BadPassword => "a password has 1 to 1023 bytes and no control characters",
            Self::Exists => "the name is taken",
            Self::Unknown => "there is no such account",
            Self::NoRandom => "the system gives no random bytes",
        })
    }
}

impl std::error::Error for AccountError {}

/// The longest password in bytes (as XEP-0077 says nothing, that of an address's parts).
const MAX_PASSWORD_BYTES: usize = 1023;

/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 16;

/// A password, kept out of logs.
struct Secret(Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How passwords rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storage {
    /// Rounds of SCRAM's key derivation.
    pub(crate) iterations: u32,
    /// Whether the password itself is kept as well.
    pub(crate) keeps_passwords: bool,
}

struct Account {
    keys: Keys,
    password: Option<Secret>,
}

/// All accounts, by localpart.
pub(crate) struct Accounts {
    by_name: HashMap<Box<str>, Account>,
    storage: Storage,
    /// Makes the salts of names that nobody has: always the same for the same name.
    decoy: Hmac,
}

impl Accounts {
    /// No accounts. `decoy` is a secret of this server.
    pub(crate) fn new(storage: Storage, decoy: &[u8]) -> Self {
        Self { by_name: HashMap::new(), storage, decoy: Hmac::new(decoy) }
    }

    /// Makes an account. `name` is a localpart as [`crate::Jid`] keeps it.
    pub(crate) fn create(&mut self, name: &str, password: &str, salt: &[u8]) -> Result<(), AccountError> {
        check_password(password)?;
        if self.exists(name) {
            return Err(AccountError::Exists);
        }
        self.set(name, password, salt);
        Ok(())
    }

    /// Changes an account's password.
    pub(crate) fn set_password(
        &mut self,
        name: &str,
        password: &str,
        salt: &[u8],
    ) -> Result<(), AccountError> {
        check_password(password)?;
        if !self.exists(name) {
            return Err(AccountError::Unknown);
        }
        self.set(name, password, salt);
        Ok(())
    }

    fn set(&mut self, name: &str, password: &str, salt: &[u8]) {
        let keys = Keys::derive(password, salt, self.storage.iterations);
        let password = self.storage.keeps_passwords.then(|| Secret(password.into()));
        self.by_name.insert(name.into(), Account { keys, password });
    }

    /// Ends an account.
    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The keys of an account; of nobody's name, keys that nothing fits.
    pub(crate) fn keys(&self, name: &str) -> Keys {
        self.by_name.get(name).map_or_else(|| self.decoy_keys(name), |account| account.keys.clone())
    }

    /// Whether this is the account's password.
    pub(crate) fn has_password(&self, name: &str, given: &str) -> bool {
        if self.storage.keeps_passwords {
            self.matches(name, given.as_bytes(), str::to_owned)
        } else {
            self.keys(name).fit(given)
        }
    }

    /// Whether this is the digest of the account's password for a stream (XEP-0078). Never, if passwords are not kept.
    pub(crate) fn has_digest(&self, name: &str, stream_id: &str, given: &str) -> bool {
        self.matches(name, given.as_bytes(), |password| legacy_digest(stream_id, password))
    }

    fn matches(&self, name: &str, given: &[u8], wanted: impl FnOnce(&str) -> String) -> bool {
        let known = self.by_name.get(name).and_then(|account| account.password.as_ref());
        let wanted = wanted(known.map_or("nobody has this password", |secret| &secret.0));
        same_secret(given, wanted.as_bytes()) & known.is_some()
    }

    fn decoy_keys(&self, name: &str) -> Keys {
        let digest = self.decoy.of(name.as_bytes());
        Keys::of_nobody(digest.get(..SALT_BYTES).unwrap_or(&digest), self.storage.iterations)
    }
}

fn check_password(password: &str) -> Result<(), AccountError> {
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES || password.chars().any(char::is_control) {
        return Err(AccountError::BadPassword);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(keeps_passwords: bool) -> Accounts {
        let mut accounts = Accounts::new(Storage { iterations: 2, keeps_passwords }, b"decoy");
        assert_eq!(accounts.create("a", "secret", b"salt"), Ok(()));
        accounts
    }

    #[test]
    fn passwords() {
        for keeps_passwords in [true, false] {
            let mut accounts = accounts(keeps_passwords);
            assert!(accounts.has_password("a", "secret"));
            assert!(!accounts.has_password("a", "Secret") && !accounts.has_password("b", "secret"));
            assert!(!accounts.has_password("b", "nobody has this password"));
            assert_eq!(accounts.set_password("a", "other", b"salt"), Ok(()));
            assert!(accounts.has_password("a", "other") && !accounts.has_password("a", "secret"));
            accounts.remove("a");
            assert!(!accounts.has_password("a", "other"));
        }
    }

    #[test]
    fn bad_accounts() {
        let mut accounts = accounts(true);
        assert_eq!(accounts.create("a", "other", b""), Err(AccountError::Exists));
        assert_eq!(accounts.set_password("b", "other", b""), Err(AccountError::Unknown));
        for bad in ["", "a\nb", &"x".repeat(1024)] {
            assert_eq!(accounts.create("b", bad, b""), Err(AccountError::BadPassword));
        }
        assert_eq!(accounts.create("b", &"x".repeat(1023), b""), Ok(()));
    }

    #[test]
    fn a_digest_needs_the_password_itself() {
        let digest = legacy_digest("id", "secret");
        assert!(accounts(true).has_digest("a", "id", &digest));
        assert!(!accounts(false).has_digest("a", "id", &digest));
    }

    #[test]
    fn a_name_that_nobody_has_always_has_the_same_salt() {
        let accounts = accounts(false);
        assert_eq!(accounts.keys("b").salt, accounts.keys("b").salt);
        assert_ne!(accounts.keys("b").salt, accounts.keys("c").salt);
        assert_eq!(accounts.keys("b").salt.len(), SALT_BYTES);
    }

    #[test]
    fn a_password_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret("x".into())), "(secret)");
    }
}
