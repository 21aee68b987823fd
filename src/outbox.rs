//! What waits to be sent, for each stream.
//!
//! A handler appends to any stream's outbox at once; ending a stream only marks it as doomed, and the server buries
//! the doomed between two stanzas. An outbox has a limit: a peer that does not read what it is sent is cut off. Drained
//! outboxes give their memory to the next one that needs some.
//! Left out on purpose: sockets; whoever has them takes [`Outboxes::outgoing`].

use std::collections::VecDeque;

use crate::error::StreamError;
use crate::ns;
use crate::slab::Key;
use crate::xml::writer::{self, Unaddressed};
use crate::xml::Element;

/// What the owner of a stream's connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Send these bytes.
    pub bytes: &'a [u8],
    /// And then?
    pub close: Close,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// It goes on.
    No,
    /// Once the bytes are sent, send no more (shut down that half), and end it when the peer does.
    WhenSent,
    /// End it now.
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No connection has this slot.
    Vacant,
    /// Takes what is sent.
    Open,
    /// Has its last bytes; takes no more.
    Ending,
    /// Has nothing any more.
    Abandoned,
}

struct Outbox {
    key: Option<Key>,
    state: State,
    bytes: Vec<u8>,
    sent: usize,
    dirty: bool,
}

impl Outbox {
    const VACANT: Self = Self { key: None, state: State::Vacant, bytes: Vec::new(), sent: 0, dirty: false };
}

/// How many drained buffers are kept for the next that need one, and how big each may be.
const SPARE_BUFFERS: usize = 16;
const SPARE_BYTES: usize = 65_536;

/// The outboxes of all streams, in the slots of their keys.
pub(crate) struct Outboxes {
    slots: Vec<Outbox>,
    dirty: VecDeque<Key>,
    doomed: VecDeque<Key>,
    spares: Vec<Vec<u8>>,
    limit: usize,
}

impl Outboxes {
    pub(crate) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), dirty: VecDeque::new(), doomed: VecDeque::new(), spares: Vec::new(), limit }
    }

    /// Gives a new stream its outbox.
    pub(crate) fn open(&mut self, key: Key) {
        while self.slots.len() <= key.slot() {
            self.slots.push(Outbox::VACANT);
        }
        if let Some(outbox) = self.slots.get_mut(key.slot()) {
            *outbox = Outbox { key: Some(key), state: State::Open, ..Outbox::VACANT };
        }
    }

    /// Forgets a stream whose connection is gone.
    pub(crate) fn forget(&mut self, key: Key) {
        if let Some(outbox) = self.get(key) {
            *outbox = Outbox::VACANT;
        }
    }

    /// Sends a stanza or another child of the stream. `false` if the stream takes no more.
    pub(crate) fn send(&mut self, key: Key, element: &Element) -> bool {
        self.write(key, |out| writer::write_in_stream(element, ns::CLIENT, out))
    }

    /// Sends a stanza that was written for many.
    pub(crate) fn send_copy(&mut self, key: Key, stanza: &Unaddressed, to: &str) -> bool {
        self.write(key, |out| stanza.write_to(to, out))
    }

    /// Appends what `write` writes, whole or not at all. `false` if the stream takes no more.
    pub(crate) fn write(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let limit = self.limit;
        let Some(outbox) =
            self.slots.get_mut(key.slot()).filter(|o| o.key == Some(key) && o.state == State::Open)
        else {
            return false;
        };
        if outbox.bytes.capacity() == 0 {
            outbox.bytes = self.spares.pop().unwrap_or_default();
        }
        let before = outbox.bytes.len();
        write(&mut outbox.bytes);
        let fits = outbox.bytes.len() - outbox.sent <= limit;
        if !fits {
            outbox.bytes.truncate(before);
            log::warn!("{key} does not read what it is sent: {} bytes wait", before - outbox.sent);
            self.end(key, Some(StreamError::ResourceConstraint("too much waits for you to read it")));
        }
        self.mark_dirty(key);
        fits
    }

    /// Ends a stream, orderly or with an error (RFC 6120 4.4 and 4.9.1.1). It is doomed from now on.
    pub(crate) fn end(&mut self, key: Key, error: Option<StreamError>) {
        let Some(outbox) = self.get(key).filter(|outbox| outbox.state == State::Open) else { return };
        if let Some(error) = error {
            writer::write_in_stream(&error.to_element(), ns::CLIENT, &mut outbox.bytes);
        }
        outbox.bytes.extend_from_slice(b"</stream:stream>");
        outbox.state = State::Ending;
        self.doomed.push_back(key);
        self.mark_dirty(key);
    }

    /// Gives up what still waits: the connection is to end now.
    pub(crate) fn abandon(&mut self, key: Key) {
        if let Some(outbox) = self.get(key) {
            outbox.bytes = Vec::new();
            outbox.sent = 0;
            outbox.state = State::Abandoned;
            self.mark_dirty(key);
        }
    }

    /// The next stream that was ended and not yet buried.
    pub(crate) fn next_doomed(&mut self) -> Option<Key> {
        self.doomed.pop_front()
    }

    /// The next stream that has news for the owner of its connection.
    pub(crate) fn next_dirty(&mut self) -> Option<Key> {
        while let Some(key) = self.dirty.pop_front() {
            if let Some(outbox) = self.get(key) {
                outbox.dirty = false;
                return Some(key);
            }
        }
        None
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What a stream's connection is to send. A stream that is no more is to be closed.
    pub(crate) fn outgoing(&self, key: Key) -> Outgoing<'_> {
        match self.slots.get(key.slot()).filter(|outbox| outbox.key == Some(key)) {
            Some(outbox) => Outgoing {
                bytes: outbox.bytes.get(outbox.sent..).unwrap_or_default(),
                close: match outbox.state {
                    State::Open => Close::No,
                    State::Ending => Close::WhenSent,
                    State::Abandoned | State::Vacant => Close::Now,
                },
            },
            None => Outgoing { bytes: &[], close: Close::Now },
        }
    }

    /// So many bytes of [`Outboxes::outgoing`] were sent.
    pub(crate) fn sent(&mut self, key: Key, n: usize) {
        let Some(outbox) = self.get(key) else { return };
        outbox.sent = outbox.bytes.len().min(outbox.sent + n);
        if outbox.sent < outbox.bytes.len() {
            // What was sent goes once it is the larger part, so each byte moves at most once.
            if outbox.sent > outbox.bytes.len() / 2 {
                outbox.bytes.drain(..outbox.sent);
                outbox.sent = 0;
            }
            return;
        }
        outbox.sent = 0;
        let mut spare = std::mem::take(&mut outbox.bytes);
        spare.clear();
        if self.spares.len() < SPARE_BUFFERS && spare.capacity() <= SPARE_BYTES {
            self.spares.push(spare);
        }
    }

    fn get(&mut self, key: Key) -> Option<&mut Outbox> {
        self.slots.get_mut(key.slot()).filter(|outbox| outbox.key == Some(key))
    }

    fn mark_dirty(&mut self, key: Key) {
        let Some(outbox) = self.get(key).filter(|outbox| !outbox.dirty) else { return };
        outbox.dirty = true;
        self.dirty.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    fn one(limit: usize) -> (Outboxes, Key) {
        let mut outboxes = Outboxes::new(limit);
        let key = Slab::new().insert_with(|_| ());
        outboxes.open(key);
        (outboxes, key)
    }

    fn text(outboxes: &Outboxes, key: Key) -> String {
        String::from_utf8(outboxes.outgoing(key).bytes.to_vec()).unwrap()
    }

    #[test]
    fn what_is_written_waits_until_it_is_sent() {
        let (mut outboxes, key) = one(100);
        assert!(outboxes.write(key, |out| out.extend_from_slice(b"abcdef")));
        assert_eq!((outboxes.next_dirty(), outboxes.next_dirty()), (Some(key), None));
        outboxes.sent(key, 2);
        assert_eq!(text(&outboxes, key), "cdef");
        outboxes.sent(key, 3);
        assert_eq!(text(&outboxes, key), "f");
        outboxes.sent(key, 1);
        assert_eq!(text(&outboxes, key), "");
    }

    #[test]
    fn an_outbox_ends_over_its_limit_and_not_at_it() {
        let (mut outboxes, key) = one(3);
        assert!(outboxes.write(key, |out| out.extend_from_slice(b"abc")));
        assert!(!outboxes.write(key, |out| out.push(b'd')), "over the limit");
        assert!(text(&outboxes, key).starts_with("abc<stream:error><resource-constraint "));
        assert_eq!((outboxes.next_doomed(), outboxes.outgoing(key).close), (Some(key), Close::WhenSent));
        assert!(!outboxes.write(key, |out| out.clear()), "takes no more");
    }

    #[test]
    fn a_stream_ends_once() {
        let (mut outboxes, key) = one(100);
        outboxes.end(key, None);
        outboxes.end(key, Some(StreamError::Conflict));
        assert_eq!(text(&outboxes, key), "</stream:stream>");
        assert_eq!((outboxes.next_doomed(), outboxes.next_doomed()), (Some(key), None));
        outboxes.abandon(key);
        assert_eq!(outboxes.outgoing(key), Outgoing { bytes: &[], close: Close::Now });
    }

    #[test]
    fn what_is_for_a_stream_that_is_gone_does_not_reach_the_next_one() {
        let (mut outboxes, mut keys) = (Outboxes::new(100), Slab::new());
        let old = keys.insert_with(|_| ());
        outboxes.open(old);
        outboxes.forget(old);
        keys.remove(old);
        let new = keys.insert_with(|_| ());
        outboxes.open(new);
        assert!(old.slot() == new.slot() && !outboxes.write(old, |out| out.push(b'x')));
        outboxes.end(old, None);
        outboxes.sent(old, 1);
        outboxes.abandon(old);
        assert_eq!((text(&outboxes, new).as_str(), outboxes.outgoing(new).close), ("", Close::No));
        assert_eq!(outboxes.outgoing(old).close, Close::Now);
    }
}
