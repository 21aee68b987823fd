//! Who may log in, and what is kept for them.
//!
//! An account is a localpart at the one domain. All that outlives a session hangs on it, and changes only by a
//! [`AccountChange`] ([`super::Tables::change`]), so that whoever records the changes has recorded all. Questions about
//! passwords are answered with the same work for a name that nobody has, so that nobody learns which names are taken.
//! Left out on purpose: who may make, change or end an account.

use std::cell::Cell;
use std::collections::HashMap;

use super::blocklist::Blocklist;
use super::credential::{Credential, PasswordRules, SALT_BYTES};
use super::offline::Offline;
use super::roster::Roster;
use super::{AccountChange, Contact, LastSeen, StoredXml, User};
use crate::crypto::codec::{legacy_digest, same_secret, Hmac};
use crate::crypto::scram::Keys;
use crate::xml::Element;
use crate::xmpp::jid::Jid;

/// What is kept for an account.
#[derive(Debug)]
pub(crate) struct Account {
    credential: Credential,
    roster: Roster,
    offline: Offline,
    vcard: Option<StoredXml>,
    private: Box<[StoredXml]>,
    blocklist: Blocklist,
    last_seen: Option<LastSeen>,
}

impl Account {
    fn new(credential: Credential) -> Self {
        Self {
            credential,
            roster: Roster::default(),
            offline: Offline::default(),
            vcard: None,
            private: Box::default(),
            blocklist: Blocklist::default(),
            last_seen: None,
        }
    }

    /// What its owner is known by.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The messages that wait for it.
    pub(crate) fn offline(&self) -> &Offline {
        &self.offline
    }

    /// Whom it knows.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What it says of itself.
    pub(crate) fn vcard(&self) -> Option<&StoredXml> {
        self.vcard.as_ref()
    }

    /// What its clients keep here (XEP-0049).
    pub(crate) fn private(&self) -> &[StoredXml] {
        &self.private
    }

    /// Whom it has blocked.
    pub(crate) fn blocklist(&self) -> &Blocklist {
        &self.blocklist
    }

    /// When it was last here, if it ever was.
    pub(crate) fn last_seen(&self) -> Option<&LastSeen> {
        self.last_seen.as_ref()
    }

    fn set_private(&mut self, element: &Element) {
        let mut private = std::mem::take(&mut self.private).into_vec();
        private.retain(|kept| !kept.is(element.name(), element.ns()));
        private.extend(StoredXml::of(element));
        self.private = private.into_boxed_slice();
    }
}

/// All accounts, by localpart.
pub(crate) struct Accounts {
    by_name: HashMap<Box<str>, Account>,
    pub(super) rules: PasswordRules,
    /// How many accounts have keys and no password: those that came from elsewhere, where passwords are kept.
    keys_only: usize,
    derivations: Cell<usize>,
    /// Makes the salts of names that nobody has: always the same for the same name.
    decoy: Hmac,
}

impl Accounts {
    /// No accounts. `decoy` is a secret of this server.
    pub(crate) fn new(rules: PasswordRules, decoy: &[u8]) -> Self {
        Self {
            by_name: HashMap::new(),
            rules,
            keys_only: 0,
            derivations: Cell::new(0),
            decoy: Hmac::new(decoy),
        }
    }

    pub(crate) fn exists(&self, user: User<'_>) -> bool {
        self.by_name.contains_key(user.as_str())
    }

    /// All names, in no order.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        self.by_name.keys().cloned().collect()
    }

    /// The names, in order, of those who have an address among their contacts.
    pub(crate) fn who_know(&self, contact: &str) -> Vec<User<'_>> {
        let knows = |(_, account): &(_, &Account)| account.roster.contact(contact).is_some();
        let mut names: Vec<User<'_>> =
            self.by_name.iter().filter(knows).map(|(name, _)| User::named(name)).collect();
        names.sort_unstable();
        names
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How often keys were derived, which is slow.
    pub(crate) fn derivations(&self) -> usize {
        self.derivations.get()
    }

    pub(super) fn note_derivation(&self) {
        self.derivations.set(self.derivations.get().wrapping_add(1));
    }

    /// How passwords rest.
    pub(crate) fn rules(&self) -> PasswordRules {
        self.rules
    }

    /// How passwords that are set from now on rest.
    pub(crate) fn set_rules(&mut self, rules: PasswordRules) {
        self.rules = rules;
    }

    pub(crate) fn get(&self, user: User<'_>) -> Option<&Account> {
        self.named(user.as_str())
    }

    /// An account by its name, for who walks through [`Accounts::names`].
    pub(crate) fn named(&self, name: &str) -> Option<&Account> {
        self.by_name.get(name)
    }

    /// The roster of an account.
    pub(crate) fn roster(&self, user: User<'_>) -> Option<&Roster> {
        self.get(user).map(Account::roster)
    }

    /// The contacts of an account in the order of their addresses; none for a name that nobody has.
    pub(crate) fn contacts(&self, user: User<'_>) -> impl Iterator<Item = (&Jid, &Contact)> {
        self.get(user).into_iter().flat_map(|account| account.roster.contacts())
    }

    /// One contact of an account.
    pub(crate) fn contact(&self, user: User<'_>, contact: &str) -> Option<&Contact> {
        self.get(user)?.roster.contact(contact)
    }

    /// Whether an account lets an address see its presence; nobody's name lets nobody (RFC 6121 3.1).
    pub(crate) fn is_seen_by(&self, user: User<'_>, watcher: &Jid) -> bool {
        self.contact(user, watcher.bare_str()).is_some_and(|contact| contact.subscription.is_from())
    }

    /// Whether an account has blocked an address, which is written as a [`Jid`] is.
    pub(crate) fn blocks(&self, user: User<'_>, address: &str) -> bool {
        self.get(user).is_some_and(|account| account.blocklist.means(address))
    }

    /// The messages that wait for an account; `None` for a name that nobody has.
    pub(crate) fn offline(&self, user: User<'_>) -> Option<&Offline> {
        self.get(user).map(|account| &account.offline)
    }

    /// Does what a change says. What is for an account that is not there is for nobody.
    pub(crate) fn apply(&mut self, name: &str, change: AccountChange) {
        self.keys_only -= usize::from(self.has_only_keys(name));
        self.apply_to(name, change);
        self.keys_only += usize::from(self.has_only_keys(name));
    }

    fn has_only_keys(&self, name: &str) -> bool {
        self.named(name).is_some_and(|account| account.credential.password.is_none())
    }

    fn apply_to(&mut self, name: &str, change: AccountChange) {
        match (self.by_name.get_mut(name), change) {
            (Some(account), AccountChange::Credential(credential)) => account.credential = credential,
            (None, AccountChange::Credential(credential)) => {
                self.by_name.insert(name.into(), Account::new(credential));
            }
            (_, AccountChange::Removed) => {
                self.by_name.remove(name);
            }
            (Some(account), AccountChange::Contact(address, contact)) => account.roster.set(address, contact),
            (Some(account), AccountChange::Subscription(address, state)) => {
                account.roster.set_subscription(address, state);
            }
            (Some(account), AccountChange::Offline(message)) => account.offline.add(message),
            (Some(account), AccountChange::OfflineSent(number)) => account.offline.remove_through(number),
            (Some(account), AccountChange::OfflineRemoved(numbers)) => {
                numbers.iter().for_each(|number| account.offline.remove(*number));
            }
            (Some(account), AccountChange::VCard(vcard)) => account.vcard = vcard,
            (Some(account), AccountChange::Private(element)) => account.set_private(&element),
            (Some(account), AccountChange::Blocked(address, blocked)) => {
                account.blocklist.set(address, blocked)
            }
            (Some(account), AccountChange::LastSeen(seen)) => account.last_seen = Some(seen),
            (None, _) => (),
        }
    }

    /// The keys of an account; of nobody's name, keys that nothing fits.
    pub(crate) fn keys(&self, user: User<'_>) -> Keys {
        self.get(user).map_or_else(|| self.decoy_keys(user), |account| account.credential.keys.clone())
    }

    /// Whether this is the account's password. Deriving keys is slow, so it is done for all names or for none.
    pub(crate) fn has_password(&self, user: User<'_>, given: &str) -> bool {
        if self.rules.keeps_passwords && self.keys_only == 0 {
            self.matches(user, given.as_bytes(), str::to_owned)
        } else {
            self.note_derivation();
            self.keys(user).fit(given)
        }
    }

    /// Whether this is the digest of the account's password for a stream (XEP-0078). Never, if passwords are not kept.
    pub(crate) fn has_digest(&self, user: User<'_>, stream_id: &str, given: &str) -> bool {
        self.matches(user, given.as_bytes(), |password| legacy_digest(stream_id, password))
    }

    fn matches(&self, user: User<'_>, given: &[u8], wanted: impl FnOnce(&str) -> String) -> bool {
        let known = self.get(user).and_then(|account| account.credential.password.as_ref());
        let wanted = wanted(known.map_or("nobody has this password", |password| password));
        same_secret(given, wanted.as_bytes()) & known.is_some()
    }

    fn decoy_keys(&self, user: User<'_>) -> Keys {
        let digest = self.decoy.of(user.as_str().as_bytes());
        Keys::of_nobody(digest.get(..SALT_BYTES).unwrap_or(&digest), self.rules.iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(keeps_passwords: bool) -> Accounts {
        let mut accounts = Accounts::new(PasswordRules { iterations: 2, keeps_passwords }, b"decoy");
        set(&mut accounts, "secret");
        accounts
    }

    fn set(accounts: &mut Accounts, password: &str) {
        let credential = Credential::new(password, b"salt", accounts.rules).unwrap();
        accounts.apply("a", AccountChange::Credential(credential));
    }

    #[test]
    fn passwords() {
        for keeps_passwords in [true, false] {
            let mut accounts = accounts(keeps_passwords);
            assert!(accounts.has_password(User::named("a"), "secret"));
            assert!(
                !accounts.has_password(User::named("a"), "Secret")
                    && !accounts.has_password(User::named("b"), "secret")
            );
            assert!(!accounts.has_password(User::named("b"), "nobody has this password"));
            set(&mut accounts, "other");
            assert!(
                accounts.has_password(User::named("a"), "other")
                    && !accounts.has_password(User::named("a"), "secret")
            );
            accounts.apply("a", AccountChange::Removed);
            assert!(!accounts.has_password(User::named("a"), "other"));
        }
    }

    #[test]
    fn passwords_from_when_the_rules_were_others() {
        for keeps_passwords in [true, false] {
            let mut accounts = accounts(keeps_passwords);
            accounts.rules.keeps_passwords = !keeps_passwords;
            assert!(
                accounts.has_password(User::named("a"), "secret")
                    && !accounts.has_password(User::named("a"), "Secret")
            );
        }
    }

    #[test]
    fn accounts_from_elsewhere_may_have_keys_only() {
        let mut accounts = accounts(true);
        let rules = PasswordRules { keeps_passwords: false, ..accounts.rules };
        for name in ["a", "b"] {
            let keys = Credential::new("other", b"salt", rules).unwrap();
            accounts.apply(name, AccountChange::Credential(keys));
            assert!(
                accounts.has_password(User::named(name), "other")
                    && !accounts.has_password(User::named(name), "secret")
            );
        }
        set(&mut accounts, "secret");
        assert!(
            accounts.has_password(User::named("a"), "secret")
                && accounts.has_password(User::named("b"), "other")
        );
        assert_eq!(accounts.keys_only, 1);
        accounts.apply("b", AccountChange::Removed);
        accounts.apply("b", AccountChange::Removed);
        assert!(accounts.has_password(User::named("a"), "secret") && accounts.keys_only == 0);
    }

    #[test]
    fn a_digest_needs_the_password_itself() {
        let digest = legacy_digest("id", "secret");
        assert!(accounts(true).has_digest(User::named("a"), "id", &digest));
        assert!(!accounts(false).has_digest(User::named("a"), "id", &digest));
    }

    #[test]
    fn a_name_that_nobody_has_always_has_the_same_salt() {
        let accounts = accounts(false);
        assert_eq!(accounts.keys(User::named("b")).salt, accounts.keys(User::named("b")).salt);
        assert_ne!(accounts.keys(User::named("b")).salt, accounts.keys(User::named("c")).salt);
        assert_eq!(accounts.keys(User::named("b")).salt.len(), SALT_BYTES);
    }
}
