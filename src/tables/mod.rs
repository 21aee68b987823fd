//! What the server knows: accounts and what is kept for them, who is connected, who has failed to.
//!
//! Left out on purpose: bytes, streams, rules. A table answers and changes; who may ask is decided above.

mod accounts;
mod blocklist;
mod change;
mod command_sessions;
mod credential;
mod hosts;
mod in_flight;
mod kept;
mod last_seen;
mod login_throttle;
#[cfg(test)]
pub(crate) mod notes;
mod offline;
pub(crate) mod portable;
mod private;
mod rate_limiter;
mod roster;
mod sessions;
mod stored_xml;
mod subscription;
mod vcard;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::xmpp::config::Config;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

pub(crate) use accounts::{Account, Accounts};
pub(crate) use blocklist::{blocklist_element, Blocklist};
pub use change::StorageStatus;
pub(crate) use change::{AccountChange, Change, NotRecorded, Recorder};
pub(crate) use command_sessions::{CommandSessions, NoCommandSession};
pub(crate) use credential::{Credential, PasswordRules, SALT_BYTES};
pub(crate) use hosts::{Destination, Hosts, ServiceKey, User};
pub(crate) use in_flight::InFlight;
use in_flight::Sent;
pub(crate) use kept::{Collection, Kept, KeptTables, Take, COLLECTIONS};
pub(crate) use last_seen::LastSeen;
pub(crate) use login_throttle::LoginThrottle;
pub(crate) use offline::OfflineMessage;
pub(crate) use rate_limiter::RateLimiter;
pub(crate) use roster::{Contact, Item, SubscriptionState};
pub(crate) use sessions::{Resumption, Session, Sessions, Untold};
pub(crate) use stored_xml::StoredXml;
pub(crate) use subscription::{Step, Subscription};

/// All tables.
pub(crate) struct Tables {
    pub(crate) hosts: Hosts,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) registrations: RateLimiter<IpAddr>,
    pub(crate) command_sessions: CommandSessions,
    /// Who writes down what changes; without one it ends with the process.
    pub(crate) recorder: Option<Box<dyn Recorder>>,
    pub(crate) in_flight: InFlight,
}

/// What is said where it cannot be recorded that messages wait no longer.
const COMES_AGAIN: &str =
    "messages were sent that will come again after a restart, for this could not be recorded";

impl Tables {
    /// Changes an account.
    pub(crate) fn change(&mut self, user: User<'_>, change: AccountChange) -> Result<(), NotRecorded> {
        self.change_all(vec![(user, change)])
    }

    /// Changes accounts together.
    pub(crate) fn change_all<'u>(
        &mut self,
        changes: Vec<(User<'u>, AccountChange)>,
    ) -> Result<(), NotRecorded> {
        let change = |(user, change): (User<'u>, _)| Change::Account(user.as_str(), change);
        self.keep(changes.into_iter().map(change).collect())
    }

    /// The one way in which anything changes that outlives a session. It is recorded before it happens: all of it
    /// happens or nothing, whatever becomes of the power.
    pub(crate) fn keep(&mut self, changes: Vec<Change<'_>>) -> Result<(), NotRecorded> {
        self.record(&changes)?;
        changes.into_iter().for_each(|change| self.apply(change));
        Ok(())
    }

    /// Does what a change says.
    pub(crate) fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Account(name, change) => {
                if matches!(change, AccountChange::Removed) {
                    self.in_flight.forget(name);
                }
                self.accounts.apply(name, change);
            }
            #[cfg(test)]
            Change::Note(..) => (),
        }
    }

    /// The session at a full address of ours.
    pub(crate) fn session_mut(&mut self, config: &Config, address: &Jid) -> Option<&mut Session> {
        self.sessions.find_mut(User::at(config, address)?, address.resource()?)
    }

    /// No message of `user` up to this number waits any more, for they are being sent. The one change that is recorded
    /// after it has happened: else whoever is killed before they are sent would never send them.
    pub(crate) fn send_offline(&mut self, user: User<'_>, number: u64) {
        let held = self.in_flight.holds_any(user.as_str());
        let waiting = self.waiting(user).map(|message| message.number).filter(|_| held);
        let numbers = waiting.take_while(|waiting| *waiting <= number).collect();
        let sent = Sent { user: user.as_str().into(), through: number, numbers };
        self.accounts.apply(user.as_str(), sent.change());
        if self.recorder.is_some() {
            self.in_flight.note(sent);
        }
    }

    /// The messages that wait for `user` and are held for nobody.
    pub(crate) fn waiting<'t>(&'t self, user: User<'t>) -> impl Iterator<Item = &'t OfflineMessage> + 't {
        let messages = self.accounts.offline(user).into_iter().flat_map(|offline| offline.messages());
        messages.filter(move |message| !self.in_flight.is_held(user.as_str(), message.number))
    }

    /// Makes what was recorded as safe as was asked for.
    pub(crate) fn commit(&mut self, now: Duration) -> io::Result<()> {
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.commit(now))
    }

    /// Does a little of the recorder's work. `false` if there is more.
    pub(crate) fn maintain(&mut self) -> bool {
        let kept = Kept {
            accounts: &self.accounts,
            #[cfg(test)]
            notes: &notes::Notes::default(),
        };
        self.recorder.as_mut().map_or(true, |recorder| recorder.maintain(kept))
    }

    /// Makes safe all that was recorded.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.sync())
    }

    /// Records which messages were sent, now that they were.
    pub(crate) fn record_sent(&mut self) {
        for sent in self.in_flight.take_sent() {
            if self.record(&[Change::Account(&sent.user, sent.change())]).is_err() {
                log::error!("{}: {COMES_AGAIN}", sent.user);
            }
        }
    }

    /// Records what the caller then makes happen, without asking anything else in between.
    pub(crate) fn record(&mut self, changes: &[Change<'_>]) -> Result<(), NotRecorded> {
        match &mut self.recorder {
            Some(recorder) => recorder.record_all(changes).map_err(|_| NotRecorded),
            None => Ok(()),
        }
    }

    /// Whether an account of this name could be made: nobody has it, and no service has its address.
    pub(crate) fn check_free(&self, user: User<'_>) -> Result<(), AccountError> {
        let is_free = !self.accounts.exists(user) && !self.hosts.has(user);
        is_free.then_some(()).ok_or(AccountError::Exists)
    }

    /// Makes an account. An address that a service has is nobody's to have.
    pub(crate) fn create_account(
        &mut self,
        user: User<'_>,
        password: &str,
        salt: &[u8],
    ) -> Result<(), AccountError> {
        self.check_free(user)?;
        self.accounts.note_derivation();
        let credential = Credential::new(password, salt, self.accounts.rules)?;
        self.change(user, AccountChange::Credential(credential)).map_err(|_| AccountError::NotRecorded)
    }

    /// Changes an account's password.
    pub(crate) fn set_password(
        &mut self,
        user: User<'_>,
        password: &str,
        salt: &[u8],
    ) -> Result<(), AccountError> {
        if !self.accounts.exists(user) {
            return Err(AccountError::Unknown);
        }
        self.accounts.note_derivation();
        let credential = Credential::new(password, salt, self.accounts.rules)?;
        self.change(user, AccountChange::Credential(credential)).map_err(|_| AccountError::NotRecorded)
    }
}

/// XEP-0198: messages that wait until they are acknowledged.
impl Tables {
    /// A message of `user` that waits is sent on a stream with acknowledgements (XEP-0198), or is to be once it is
    /// resumed.
    pub(crate) fn hold_offline(&mut self, user: User<'_>, number: u64, stream: Key) {
        self.in_flight.hold(user.as_str(), number, stream);
    }

    /// Messages that were held for a stream are acknowledged on it. If that cannot be recorded, they come again after a
    /// restart.
    pub(crate) fn acknowledge_offline(&mut self, user: User<'_>, stream: Key, numbers: &[u64]) {
        let numbers = self.in_flight.take_held(user.as_str(), stream, numbers);
        if numbers.is_empty() {
            return;
        }
        let change = [Change::Account(user.as_str(), AccountChange::OfflineRemoved(numbers.into()))];
        if self.record(&change).is_err() {
            log::error!("{user}: {COMES_AGAIN}");
        }
        change.into_iter().for_each(|change| self.apply(change));
    }

    /// Another stream goes on for one that held messages.
    pub(crate) fn resume_offline(&mut self, user: User<'_>, old: Key, new: Key) {
        self.in_flight.move_held(user.as_str(), old, new);
    }

    /// A stream has ended: a message that it held waits for anybody again. `false` if it did not hold it.
    pub(crate) fn release_offline(&mut self, user: User<'_>, stream: Key, number: u64) -> bool {
        !self.in_flight.take_held(user.as_str(), stream, &[number]).is_empty()
    }
}

/// Why an account cannot be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    /// The change could not be recorded.
    NotRecorded,
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadName => "not a user name",
            Self::BadPassword => "a password has 1 to 1023 bytes and no control characters",
            Self::Exists => "the name is taken",
            Self::Unknown => "there is no such account",
            Self::NoRandom => "the system gives no random bytes",
            Self::NotRecorded => "the change could not be recorded",
        })
    }
}

impl std::error::Error for AccountError {}

impl From<AccountError> for StanzaError {
    fn from(error: AccountError) -> Self {
        let condition = match error {
            AccountError::Exists => Condition::Conflict,
            AccountError::Unknown => Condition::ItemNotFound,
            AccountError::NoRandom => Condition::InternalServerError,
            AccountError::NotRecorded => Condition::ResourceConstraint,
            AccountError::BadName | AccountError::BadPassword => Condition::NotAcceptable,
        };
        Self::because(condition, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::slab::Slab;

    fn tables() -> Tables {
        let rules = PasswordRules { iterations: 1, keeps_passwords: true };
        let limits = crate::xmpp::config::Limits::default();
        let mut tables = Tables {
            hosts: Hosts::default(),
            accounts: Accounts::new(rules, b""),
            sessions: Sessions::default(),
            login_throttle: LoginThrottle::new(
                limits.failed_logins_by_address,
                limits.failed_logins_of_account,
            ),
            registrations: RateLimiter::new(limits.registrations_by_address),
            command_sessions: CommandSessions::new(1),
            recorder: None,
            in_flight: InFlight::default(),
        };
        tables.create_account("a".into(), "secret", b"salt").unwrap();
        for number in 1..=5 {
            let message = OfflineMessage { number, bytes: Box::default() };
            tables.change("a".into(), AccountChange::Offline(message)).unwrap();
        }
        tables
    }

    fn waiting(tables: &Tables) -> Vec<u64> {
        tables.waiting("a".into()).map(|message| message.number).collect()
    }

    fn kept(tables: &Tables) -> Vec<u64> {
        tables.accounts.offline("a".into()).unwrap().messages().map(|message| message.number).collect()
    }

    /// Each is kept until it is acknowledged, and is for nobody else until then.
    #[test]
    fn messages_that_are_held_for_a_stream() {
        let (mut tables, mut slab) = (tables(), Slab::new());
        let [stream, next] = [(); 2].map(|()| slab.insert_with(|_| ()));
        [2, 3, 4].iter().for_each(|number| tables.hold_offline("a".into(), *number, stream));
        assert_eq!((waiting(&tables), kept(&tables)), (vec![1, 5], vec![1, 2, 3, 4, 5]));
        tables.acknowledge_offline("a".into(), stream, &[2, 5]);
        assert_eq!((waiting(&tables), kept(&tables)), (vec![1, 5], vec![1, 3, 4, 5]), "5 is not held");
        // Somebody without acknowledgements gets what nobody holds.
        tables.send_offline("a".into(), 5);
        assert_eq!((waiting(&tables), kept(&tables)), (vec![], vec![3, 4]));
        tables.resume_offline("a".into(), stream, next);
        tables.acknowledge_offline("a".into(), next, &[4]);
        assert!(tables.release_offline("a".into(), next, 3) && !tables.release_offline("a".into(), next, 3));
        assert_eq!((waiting(&tables), kept(&tables)), (vec![3], vec![3]));
        tables.send_offline("a".into(), 3);
        assert_eq!((kept(&tables), tables.accounts.offline("a".into()).unwrap().next_number()), (vec![], 6));
    }

    #[test]
    fn the_next_of_a_name_has_messages_of_its_own() {
        let (mut tables, mut slab) = (tables(), Slab::new());
        let stream = slab.insert_with(|_| ());
        tables.hold_offline("a".into(), 1, stream);
        tables.change("a".into(), AccountChange::Removed).unwrap();
        tables.create_account("a".into(), "secret", b"salt").unwrap();
        let message = OfflineMessage { number: 1, bytes: Box::default() };
        tables.change("a".into(), AccountChange::Offline(message)).unwrap();
        tables.acknowledge_offline("a".into(), stream, &[1]);
        assert_eq!(waiting(&tables), [1]);
    }
}
