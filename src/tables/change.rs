//! What can change of what is kept, by kinds of owners, and that it was recorded.
//!
//! A new kind of owner is a variant of [`Change`] and a line in [`super::kept`]. A change says how things are
//! afterwards, not how they came to be so: applying one twice is applying it once. Left out on purpose: sessions and
//! failed logins, which end with the process.

use std::fmt;
use std::io;
use std::time::Duration;

use super::credential::Credential;
#[cfg(test)]
use super::notes::NoteChange;
use super::{portable, Contact, Kept, LastSeen, OfflineMessage, StoredXml, SubscriptionState};
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;

/// A change of what is kept for one owner.
#[derive(Debug)]
pub(crate) enum Change<'o> {
    /// The account of this localpart.
    Account(&'o str, AccountChange),
    #[cfg(test)]
    Note(&'o str, NoteChange),
}

impl Change<'_> {
    /// Whether nobody waits for it to be safe: it may be synced with the next one that somebody waits for.
    pub(crate) fn can_wait(&self) -> bool {
        matches!(self, Self::Account(_, AccountChange::LastSeen(_)))
    }

    /// As a line of the journal says it.
    pub(crate) fn to_element(&self) -> Element {
        match self {
            Self::Account(name, change) => portable::change_to_element(name, change),
            #[cfg(test)]
            Self::Note(name, change) => super::notes::change_to_element(name, change),
        }
    }
}

/// A change of one account.
#[derive(Debug)]
pub(crate) enum AccountChange {
    /// It is made, or has another password.
    Credential(Credential),
    /// It is ended, with all that was kept for it.
    Removed,
    /// A contact is added, changed or removed.
    Contact(Jid, Option<Contact>),
    /// A subscription with a contact has come to another state; the contact's name and groups stay as they are.
    Subscription(Jid, SubscriptionState),
    /// A message waits for it, unless it has waited before.
    Offline(OfflineMessage),
    /// No message up to this number waits for it any more.
    OfflineSent(u64),
    /// The messages of these numbers wait for it no longer.
    OfflineRemoved(Box<[u64]>),
    /// It says something else of itself, or nothing any more (XEP-0054).
    VCard(Option<StoredXml>),
    /// Its clients keep this element in place of the one of its name; an empty one is not kept (XEP-0049).
    Private(Element),
    /// It will have nothing to do with an address, or no longer (XEP-0191).
    Blocked(Jid, bool),
    /// Its last resource has gone (XEP-0012).
    LastSeen(LastSeen),
}

/// Whoever writes changes down.
pub(crate) trait Recorder: Send {
    /// Takes down changes that are about to happen: all of them or none. If that fails none must happen.
    fn record_all(&mut self, changes: &[Change<'_>]) -> io::Result<()>;

    /// Returns once all that was recorded is as safe as was asked for. If that fails, nobody may be told of it.
    fn commit(&mut self, now: Duration) -> io::Result<()>;

    /// When to commit next, if nothing happens before; `None` if there is nothing to commit.
    fn next_commit(&self) -> Option<Duration>;

    /// Returns once all that was recorded is safe.
    fn sync(&mut self) -> io::Result<()>;

    /// How it is.
    fn status(&self) -> StorageStatus;

    /// Does a little of what is to be done from time to time. `false` if there is more.
    fn maintain(&mut self, kept: Kept<'_>) -> bool;
}

/// How the data folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageStatus {
    /// Bytes of the journal that is written.
    pub journal_bytes: u64,
    /// Bytes of the newest snapshot; none yet is 0.
    pub snapshot_bytes: u64,
    /// Bytes that were written into journals since the start.
    pub recorded_bytes: u64,
    /// The last change could not be recorded and was refused.
    pub refuses: bool,
}

/// A change was not recorded, and so did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRecorded;

impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the change could not be recorded")
    }
}

impl From<NotRecorded> for Condition {
    fn from(_: NotRecorded) -> Self {
        Self::ResourceConstraint
    }
}

impl From<NotRecorded> for StanzaError {
    fn from(error: NotRecorded) -> Self {
        Self::because(error.into(), error.to_string())
    }
}
