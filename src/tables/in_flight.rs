//! Messages that have waited and are being sent just now.
//!
//! On a stream without acknowledgements they wait no longer once they are sent. That is recorded only after they were:
//! who is killed in between sends them twice rather than never.
//!
//! On a stream with acknowledgements (XEP-0198) a message is held for the stream, also one that came while the stream
//! had no connection: it is kept as one that waits, and recorded as such, but nobody else gets it. It waits no longer
//! once it is acknowledged, and for anybody again once the stream has ended without that. Who holds what is not
//! recorded: after a restart there are no streams, and all wait for anybody. Left out on purpose: which stanza of a
//! stream is which message ([`crate::outbox`]).

use std::collections::{BTreeMap, HashMap};

use super::AccountChange;
use crate::xmpp::slab::Key;

/// Messages of an account that were sent on a stream without acknowledgements.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) user: Box<str>,
    /// The last one's number.
    pub(super) through: u64,
    /// Which, if not all up to that one: others are held for streams.
    pub(super) numbers: Box<[u64]>,
}

impl Sent {
    /// That they wait no longer.
    pub(super) fn change(&self) -> AccountChange {
        match self.numbers.as_ref() {
            [] => AccountChange::OfflineSent(self.through),
            _ => AccountChange::OfflineRemoved(self.numbers.clone()),
        }
    }
}

/// The messages of accounts that are being sent, or are held for streams.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Whose stream has them, which are sent after the next commit.
    sent: Vec<Sent>,
    /// By account and number, the stream that a message is held for.
    held: HashMap<Box<str>, BTreeMap<u64, Key>>,
}

impl InFlight {
    pub(super) fn note(&mut self, sent: Sent) {
        self.sent.push(sent);
    }

    pub(super) fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Nobody but this stream gets a message from now on.
    pub(super) fn hold(&mut self, user: &str, number: u64, stream: Key) {
        self.held.entry(user.into()).or_default().insert(number, stream);
    }

    /// Whether any message of an account is held for a stream.
    pub(super) fn holds_any(&self, user: &str) -> bool {
        self.held.contains_key(user)
    }

    /// Whether a message is held for a stream.
    pub(super) fn is_held(&self, user: &str, number: u64) -> bool {
        self.held.get(user).is_some_and(|held| held.contains_key(&number))
    }

    /// Lets go of those of these messages that are held for this stream, and tells which.
    pub(super) fn take_held(&mut self, user: &str, stream: Key, numbers: &[u64]) -> Vec<u64> {
        let Some(held) = self.held.get_mut(user) else { return Vec::new() };
        let of_stream = numbers.iter().copied().filter(|number| held.get(number) == Some(&stream));
        let taken: Vec<u64> = of_stream.collect();
        for number in &taken {
            held.remove(number);
        }
        self.forget_if_empty(user);
        taken
    }

    /// Another stream goes on for one that held messages.
    pub(super) fn move_held(&mut self, user: &str, old: Key, new: Key) {
        let held = self.held.get_mut(user).into_iter().flat_map(BTreeMap::values_mut);
        held.filter(|stream| **stream == old).for_each(|stream| *stream = new);
    }

    /// An account has gone with all its messages; the next of the name has messages of its own.
    pub(super) fn forget(&mut self, user: &str) {
        self.sent.retain(|sent| *sent.user != *user);
        self.held.remove(user);
    }

    fn forget_if_empty(&mut self, user: &str) {
        if self.held.get(user).is_some_and(BTreeMap::is_empty) {
            self.held.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::slab::Slab;

    #[test]
    fn a_message_is_held_for_one_stream_until_it_lets_go() {
        let (mut slab, mut in_flight) = (Slab::new(), InFlight::default());
        let [old, new, other] = [(); 3].map(|()| slab.insert_with(|_| ()));
        (1..=4).for_each(|number| in_flight.hold("a", number, if number < 4 { old } else { other }));
        let held = |in_flight: &InFlight| -> Vec<u64> {
            (0..=5).filter(|number| in_flight.is_held("a", *number)).collect()
        };
        assert_eq!(held(&in_flight), [1, 2, 3, 4]);
        assert!(!in_flight.is_held("b", 1));
        assert_eq!(in_flight.take_held("a", new, &[1, 2]), [0; 0], "they are another's");
        in_flight.move_held("a", old, new);
        assert_eq!(in_flight.take_held("a", new, &[1, 2, 4, 7]), [1, 2]);
        assert_eq!(held(&in_flight), [3, 4]);
        assert_eq!(in_flight.take_held("a", new, &[3]), [3]);
        assert_eq!(held(&in_flight), [4]);
        assert_eq!(in_flight.take_held("a", other, &[4]), [4]);
        assert!(in_flight.held.is_empty());
        in_flight.hold("a", 5, old);
        in_flight.forget("a");
        assert!(in_flight.held.is_empty());
    }
}
