//! Who is connected: for each account its resources, and which stream each is on.
//!
//! Read first: RFC 6120 section 7 (what a resource is), RFC 6121 4.2 to 4.5 (when it is available).
//! An account has few resources, so each has a short list that is searched from the front.
//! Left out on purpose: what a stream is; here it is a key.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::User;
use crate::xml::writer::Broadcast;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

/// A connected resource.
#[derive(Debug)]
pub(crate) struct Session {
    /// The resource's name.
    pub(crate) resource: Box<str>,
    /// The stream that it is on.
    pub(crate) stream: Key,
    /// The last presence that it broadcast; `None` while it is unavailable.
    pub(crate) presence: Option<Broadcast>,
    /// What that presence said (RFC 6121 4.7.2.3).
    pub(crate) priority: i8,
    /// Whether it has asked for the roster, and so is told what changes in it (RFC 6121 2.2).
    pub(crate) interested: bool,
    /// Whether it has asked whom its account has blocked, and so is told what changes in that (XEP-0191).
    pub(crate) wants_blocklist_pushes: bool,
    /// Whom it has sent presence that no broadcast would have brought them (RFC 6121 4.6).
    pub(crate) directed: Vec<Jid>,
    /// How many stanzas the server had written when it became available at this priority.
    pub(crate) since: u64,
    /// It wants copies of what the account's other resources send and get (XEP-0280), and how many stanzas the server
    /// had written when it said so.
    pub(crate) carbons: Option<u64>,
    /// What it has not been told yet since it became available, because it does not read as fast.
    pub(crate) untold: VecDeque<Untold>,
    /// How another stream may go on with the session, if it may.
    pub(crate) resumption: Option<Resumption>,
}

/// Something that a resource is told when it becomes available.
#[derive(Debug)]
pub(crate) enum Untold {
    /// The presence of this full address.
    Presence(Jid),
    /// That this account asks to see its presence.
    Request(Jid),
    /// The messages that wait for its account.
    Messages,
}

/// How a session is resumed (XEP-0198 section 5).
#[derive(Debug)]
pub(crate) struct Resumption {
    /// What the other stream must know.
    pub(crate) id: Box<str>,
    /// For how long the session waits for it.
    pub(crate) time: Duration,
}

/// All connected resources by localpart.
#[derive(Default)]
pub(crate) struct Sessions {
    by_user: HashMap<Box<str>, Vec<Session>>,
}

impl Sessions {
    /// The accounts that have a connected resource, in no order.
    pub(crate) fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.by_user.keys().map(|name| User::named(name))
    }

    /// The connected resources of an account, oldest first.
    pub(crate) fn of(&self, user: User<'_>) -> &[Session] {
        self.by_user.get(user.as_str()).map_or(&[], Vec::as_slice)
    }

    /// How many there are, of all accounts.
    pub(crate) fn len(&self) -> usize {
        self.by_user.values().map(Vec::len).sum()
    }

    /// Those of them that are available.
    pub(crate) fn available(&self, user: User<'_>) -> impl Iterator<Item = &Session> {
        self.of(user).iter().filter(|session| session.presence.is_some())
    }

    /// Those that have asked for the roster.
    pub(crate) fn interested(&self, user: User<'_>) -> impl Iterator<Item = &Session> {
        self.of(user).iter().filter(|session| session.interested)
    }

    /// The connected resources of an account, to be changed.
    pub(crate) fn of_mut(&mut self, user: User<'_>) -> &mut [Session] {
        self.by_user.get_mut(user.as_str()).map_or(&mut [], Vec::as_mut_slice)
    }

    pub(crate) fn find(&self, user: User<'_>, resource: &str) -> Option<&Session> {
        self.of(user).iter().find(|session| *session.resource == *resource)
    }

    pub(crate) fn find_mut(&mut self, user: User<'_>, resource: &str) -> Option<&mut Session> {
        self.by_user.get_mut(user.as_str())?.iter_mut().find(|session| *session.resource == *resource)
    }

    /// Connects a resource whose name is free.
    pub(crate) fn add(&mut self, user: User<'_>, resource: &str, stream: Key) {
        debug_assert!(self.find(user, resource).is_none());
        let session = Session {
            resource: resource.into(),
            stream,
            presence: None,
            priority: 0,
            interested: false,
            wants_blocklist_pushes: false,
            directed: Vec::new(),
            since: 0,
            carbons: None,
            untold: VecDeque::new(),
            resumption: None,
        };
        // Most accounts have one resource, so there is room for one.
        self.by_user.entry(user.as_str().into()).or_insert_with(|| Vec::with_capacity(1)).push(session);
    }

    /// Disconnects a resource, if it is still on this stream.
    pub(crate) fn remove(&mut self, user: User<'_>, resource: &str, stream: Key) -> Option<Session> {
        let sessions = self.by_user.get_mut(user.as_str())?;
        let index = sessions.iter().position(|s| *s.resource == *resource && s.stream == stream)?;
        let session = sessions.remove(index);
        if sessions.is_empty() {
            self.by_user.remove(user.as_str());
            if self.by_user.is_empty() {
                self.by_user = HashMap::new();
            }
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::slab::Slab;

    #[test]
    fn the_end_of_an_old_stream_leaves_a_new_session_alone() {
        let mut keys = Slab::new();
        let (old, new) = (keys.insert_with(|_| ()), keys.insert_with(|_| ()));
        let mut sessions = Sessions::default();
        sessions.add(User::named("a"), "x", old);
        assert!(sessions.remove(User::named("a"), "x", old).is_some());
        sessions.add(User::named("a"), "x", new);
        assert!(sessions.remove(User::named("a"), "x", old).is_none());
        assert_eq!(sessions.find(User::named("a"), "x").map(|s| s.stream), Some(new));
    }
}
