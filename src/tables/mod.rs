//! What the server knows: accounts and what is kept for them, who is connected, who has failed to.
//!
//! Left out on purpose: bytes, streams, rules. A table answers and changes; who may ask is decided above.

mod accounts;
mod blocklist;
mod change;
mod command_sessions;
mod credential;
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

use crate::xmpp::error::{Condition, StanzaError};

pub(crate) use accounts::{Account, Accounts};
pub(crate) use blocklist::{blocklist_element, Blocklist};
pub use change::StorageStatus;
pub(crate) use change::{AccountChange, Change, NotRecorded, Recorder};
pub(crate) use command_sessions::{CommandSessions, NoCommandSession};
pub(crate) use credential::{Credential, PasswordRules, SALT_BYTES};
pub(crate) use in_flight::InFlight;
pub(crate) use kept::{Collection, Kept, KeptTables, Take, COLLECTIONS};
pub(crate) use last_seen::LastSeen;
pub(crate) use login_throttle::LoginThrottle;
pub(crate) use offline::OfflineMessage;
pub(crate) use rate_limiter::RateLimiter;
pub(crate) use roster::{Contact, Item, SubscriptionState};
pub(crate) use sessions::{Resumption, Session, Sessions};
pub(crate) use stored_xml::StoredXml;
pub(crate) use subscription::{Step, Subscription};

/// All tables.
pub(crate) struct Tables {
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) login_throttle: LoginThrottle,
    pub(crate) registrations: RateLimiter<IpAddr>,
    pub(crate) command_sessions: CommandSessions,
    /// Who writes down what changes; without one it ends with the process.
    pub(crate) recorder: Option<Box<dyn Recorder>>,
    pub(crate) in_flight: InFlight,
}

impl Tables {
    /// Changes an account.
    pub(crate) fn change(&mut self, user: &str, change: AccountChange) -> Result<(), NotRecorded> {
        self.change_all(vec![(user, change)])
    }

    /// Changes accounts together.
    pub(crate) fn change_all(&mut self, changes: Vec<(&str, AccountChange)>) -> Result<(), NotRecorded> {
        self.keep(changes.into_iter().map(|(user, change)| Change::Account(user, change)).collect())
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
            Change::Account(name, change) => self.accounts.apply(name, change),
            #[cfg(test)]
            Change::Note(..) => (),
        }
    }

    /// No message of `user` up to this number waits any more, for they are being sent. The one change that is recorded after it
    /// has happened: else whoever is killed before they are sent would never send them.
    pub(crate) fn send_offline(&mut self, user: &str, number: u64) {
        self.accounts.apply(user, AccountChange::OfflineSent(number));
        if self.recorder.is_some() {
            self.in_flight.note(user, number);
        }
    }

    /// Commits what was recorded. What is underway is sent once this returns.
    pub(crate) fn commit(&mut self, now: Duration) -> io::Result<()> {
        self.record_sent();
        self.in_flight.send();
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

    /// Makes safe all that was recorded and all that was sent.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.in_flight.send();
        self.record_sent();
        self.recorder.as_mut().map_or(Ok(()), |recorder| recorder.sync())
    }

    /// Records which messages were sent, unless their account has gone since; the next of the name has messages of its own.
    pub(crate) fn record_sent(&mut self) {
        for (user, number) in self.in_flight.take_sent() {
            let is_there = self.accounts.offline(&user).is_some_and(|offline| offline.sent() >= number);
            if is_there && self.record(&[Change::Account(&user, AccountChange::OfflineSent(number))]).is_err()
            {
                log::error!("{user}: messages were sent that will come again after a restart, for this could not be recorded");
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

    /// Makes an account. `name` is a localpart as [`crate::Jid`] keeps it.
    pub(crate) fn create_account(
        &mut self,
        name: &str,
        password: &str,
        salt: &[u8],
    ) -> Result<(), AccountError> {
        if self.accounts.exists(name) {
            return Err(AccountError::Exists);
        }
        let credential = Credential::new(password, salt, self.accounts.rules)?;
        self.change(name, AccountChange::Credential(credential)).map_err(|_| AccountError::NotRecorded)
    }

    /// Changes an account's password.
    pub(crate) fn set_password(
        &mut self,
        name: &str,
        password: &str,
        salt: &[u8],
    ) -> Result<(), AccountError> {
        if !self.accounts.exists(name) {
            return Err(AccountError::Unknown);
        }
        let credential = Credential::new(password, salt, self.accounts.rules)?;
        self.change(name, AccountChange::Credential(credential)).map_err(|_| AccountError::NotRecorded)
    }
}

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
