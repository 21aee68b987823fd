//! What waits to be sent, for each stream.
//!
//! A handler appends to any stream's outbox at once; ending a stream only marks it as closing, and the server
//! finishes those between two stanzas. What an outbox may hold, and what happens before that is too much, is in
//! `pressure.rs`. Drained outboxes give their memory to the next one that needs some.
//!
//! Two protocols change how an outbox keeps what it sends: with stream management (`acknowledged.rs`, XEP-0198) sent
//! stanzas stay at its front until they are acknowledged; while a client is inactive (`held.rs`, XEP-0352) what can
//! wait does.
//! Left out on purpose: sockets; whoever has them takes [`Outboxes::outgoing`].

mod acknowledged;
mod held;
mod pressure;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use self::acknowledged::{Acknowledgements, Entry, SPARE_ENTRIES};
pub(crate) use self::acknowledged::{Miscount, Unacknowledged};
pub(crate) use self::held::Hold;
use self::held::{news_of, Held, News};
pub(crate) use self::pressure::OutboxLimits;
use self::pressure::Pressure;
use crate::wire::framing;
use crate::xml::ns;
use crate::xml::writer::Broadcast;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError, StreamError};
use crate::xmpp::slab::{drop_vacant, Key};

/// What the owner of a stream's connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// Send these bytes.
    pub bytes: &'a [u8],
    /// And then?
    pub then: Then,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It goes on.
    GoOn,
    /// Once the bytes are sent, send no more (shut down that half), and end it when the peer does.
    CloseWhenSent,
    /// End it now, whatever was not sent.
    CloseNow,
}

/// What is sent on a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outbound<'a> {
    /// Our header.
    Header(framing::Header<'a>),
    /// A stanza or another child of the stream.
    Element(&'a Element),
    /// A stanza that was written once for many, to this address.
    Broadcast(&'a Broadcast, &'a str, Hold<'a>),
    /// A stanza that was written before.
    Bytes(&'a [u8]),
}

impl<'a> From<&'a Element> for Outbound<'a> {
    fn from(element: &'a Element) -> Self {
        Self::Element(element)
    }
}

impl Outbound<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Header(header) => framing::header(&header, out),
            Self::Element(element) => framing::child(element, out),
            Self::Broadcast(stanza, to, _) => stanza.write_to(to, out),
            Self::Bytes(stanza) => out.extend_from_slice(stanza),
        }
    }

    fn is_stanza(self) -> bool {
        match self {
            Self::Header(_) => false,
            Self::Element(element) => element.ns() == ns::CLIENT,
            Self::Broadcast(..) | Self::Bytes(_) => true,
        }
    }

    /// RFC 6120 8.2.3.
    fn is_answer(self) -> bool {
        matches!(self, Self::Element(element) if element.is("iq", ns::CLIENT)
            && matches!(element.attr("type"), Some("result" | "error")))
    }

    /// Whether its sender learns that it was not delivered (RFC 6121 8.5): a message or a request of somebody else's.
    fn can_be_refused(self) -> bool {
        let Self::Element(element) = self else { return false };
        match (element.name(), element.attr("type")) {
            ("message", kind) => kind != Some("error"),
            ("iq", kind) => matches!(kind, Some("get" | "set")),
            _ => false,
        }
    }

    /// Which news it is to an inactive client, if it can be held back.
    fn news(self) -> Option<News> {
        match self {
            Self::Element(element) => news_of(element),
            Self::Broadcast(_, _, hold) => hold.news(),
            Self::Header(_) | Self::Bytes(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Takes what is sent.
    Open,
    /// Takes what is sent, and keeps it for a connection that may come back.
    Detached,
    /// Will end with this error, or with none, before the next stanza is read.
    Closing(Option<StreamError>),
    /// The same, and takes no more.
    Full(StreamError),
    /// Has its last bytes.
    Ending,
    /// Has nothing any more.
    Abandoned,
}

struct Outbox {
    key: Key,
    state: State,
    bytes: Vec<u8>,
    sent: usize,
    dirty: bool,
    acknowledgements: Option<Box<Acknowledgements>>,
    held: Option<Box<Held>>,
    /// While it is above its soft limit.
    pressure: Option<Box<Pressure>>,
    /// The stream's owner is to be told more once there is room.
    has_more: bool,
    /// Whose outbox is to drain before this stream is read from again.
    waits_for: Option<Key>,
}

/// When a stanza was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moment {
    /// How many were written before it, for whomever.
    pub(crate) number: u64,
    /// The time, in whole seconds on the scale of [`crate::Now::monotonic`].
    second: u32,
}

impl Moment {
    /// The time.
    pub(crate) fn time(self) -> Duration {
        Duration::from_secs(self.second.into())
    }
}

/// How many drained buffers are kept for the next that need one, and how big each may be.
const SPARE_BUFFERS: usize = 16;
const SPARE_BYTES: usize = 65_536;

/// Places of an empty queue that are kept.
const QUEUE_KEPT: usize = 256;

/// The outboxes of all streams, in the slots of their keys.
pub(crate) struct Outboxes {
    /// Bytes that were written so far.
    written: usize,
    slots: Vec<Option<Outbox>>,
    dirty: VecDeque<Key>,
    closing: VecDeque<Key>,
    spares: Vec<Vec<u8>>,
    limits: OutboxLimits,
    now: Moment,
    /// Whose stanza is being acted upon.
    acting: Option<Key>,
    /// Those above their soft limit.
    pressed: Vec<Key>,
    /// One of them was not sent from since it is.
    urgent: bool,
    /// Streams that have something to do and are not throttled.
    ready: VecDeque<Key>,
}

impl Outboxes {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            written: 0,
            slots: Vec::new(),
            dirty: VecDeque::new(),
            closing: VecDeque::new(),
            spares: Vec::new(),
            limits,
            now: Moment::default(),
            acting: None,
            pressed: Vec::new(),
            urgent: false,
            ready: VecDeque::new(),
        }
    }

    /// What is written from now on is written at this time.
    pub(crate) fn set_time(&mut self, monotonic: Duration) {
        self.now.second = monotonic.as_secs().try_into().unwrap_or(u32::MAX);
    }

    /// Kilobytes that were written, for whomever; it begins again when it is too much for the machine's numbers.
    pub(crate) fn written_kilobytes(&self) -> usize {
        self.written / 1_024
    }

    /// How many stanzas were written, for whomever.
    pub(crate) fn stanzas(&self) -> u64 {
        self.now.number
    }

    /// Gives a new stream its outbox.
    pub(crate) fn open(&mut self, key: Key) {
        while self.slots.len() <= key.slot() {
            self.slots.push(None);
        }
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            *slot = Some(Outbox::new(key));
        }
    }

    /// Forgets a stream that is no more.
    pub(crate) fn forget(&mut self, key: Key) {
        self.relieve(key);
        if self.get(key).is_some() {
            if let Some(slot) = self.slots.get_mut(key.slot()) {
                *slot = None;
            }
            drop_vacant(&mut self.slots);
        }
        if self.slots.is_empty() {
            // Small as they are, they lie between what a crowd has left and the end of the heap.
            (self.dirty, self.closing, self.spares) = Default::default();
            self.ready = VecDeque::new();
        }
    }

    /// Sends it, whole or not at all. `false` if the stream takes no more.
    pub(crate) fn send<'a>(&mut self, key: Key, what: impl Into<Outbound<'a>>) -> bool {
        let (what, now) = (what.into(), self.now);
        self.now.number += u64::from(what.is_stanza());
        self.write_as_of(key, what.is_stanza().then_some(now), what)
    }

    fn write_as_of(&mut self, key: Key, stanza: Option<Moment>, what: Outbound<'_>) -> bool {
        let (limits, now) = (self.limits, self.now);
        let Some(outbox) = find(&mut self.slots, key) else { return false };
        if !outbox.takes_more() {
            return false;
        }
        if outbox.bytes.capacity() == 0 {
            outbox.bytes = self.spares.pop().unwrap_or_default();
        }
        let start = outbox.bytes.len();
        if !write_within(limits.soft, what, &mut outbox.bytes) {
            // To find that it is too long was as much work.
            self.written = self.written.wrapping_add(limits.soft);
            return false;
        }
        let length = outbox.bytes.len() - start;
        if outbox.hold_back(start, now, || what.news()) {
            return true;
        }
        let is_detached = outbox.state == State::Detached;
        if outbox.holds() > limits.hard(outbox.acknowledgements.is_some())
            || (is_detached && outbox.waiting() > limits.soft)
        {
            let before = outbox.bytes.len() - length;
            outbox.bytes.truncate(before);
            if is_detached || !what.can_be_refused() || self.acting == Some(key) {
                self.cut_off(key);
            }
            return false;
        }
        outbox.enter(outbox.bytes.len() - length, stanza, what.is_answer());
        self.written = self.written.wrapping_add(length);
        self.mark_dirty(key);
        self.press(key, length);
        true
    }

    /// The peer is given up.
    fn cut_off(&mut self, key: Key) {
        let Some(outbox) = self.get_mut(key).filter(|outbox| outbox.takes_more()) else { return };
        log::warn!("{key} does not take what it is sent: {} bytes wait", outbox.waiting());
        outbox.state = State::Full(StreamError::ResourceConstraint("too much waits for you to take it"));
        self.closing.push_back(key);
    }

    /// Ends a stream, orderly or with an error, before the next stanza is read; until then it still takes answers.
    /// The first to end it has the say.
    pub(crate) fn end(&mut self, key: Key, error: Option<StreamError>) {
        let Some(outbox) = self.get_mut(key).filter(|o| matches!(o.state, State::Open | State::Detached))
        else {
            return;
        };
        outbox.state = State::Closing(error);
        self.closing.push_back(key);
    }

    /// The next stream that was ended and not yet finished. It has its last bytes now (RFC 6120 4.4 and 4.9.1.1).
    pub(crate) fn next_closing(&mut self) -> Option<Key> {
        while let Some(key) = self.closing.pop_front() {
            let Some(outbox) = self.get_mut(key) else { continue };
            let error = match outbox.state {
                State::Closing(error) => error,
                State::Full(error) => Some(error),
                State::Open | State::Detached | State::Ending | State::Abandoned => continue,
            };
            outbox.waits_for = None;
            outbox.acknowledge_last();
            if let Some(error) = error {
                framing::child(&error.to_element(), &mut outbox.bytes);
            }
            framing::close(&mut outbox.bytes);
            outbox.state = State::Ending;
            self.relieve(key);
            self.mark_dirty(key);
            return Some(key);
        }
        release_if_large(&mut self.closing);
        None
    }

    /// Gives up what still waits: the connection is to end now.
    pub(crate) fn abandon(&mut self, key: Key) {
        if let Some(outbox) = self.get_mut(key) {
            outbox.bytes = Vec::new();
            outbox.sent = 0;
            outbox.state = State::Abandoned;
            self.mark_dirty(key);
        }
    }

    /// The next stream that has news for the owner of its connection.
    pub(crate) fn next_dirty(&mut self) -> Option<Key> {
        while let Some(key) = self.dirty.pop_front() {
            if let Some(outbox) = self.get_mut(key) {
                outbox.dirty = false;
                outbox.request_acknowledgement();
                return Some(key);
            }
        }
        self.urgent = false;
        release_if_large(&mut self.dirty);
        None
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What a stream's connection is to send. The connection of a stream that is no more is to be ended.
    pub(crate) fn outgoing(&self, key: Key) -> Outgoing<'_> {
        const OVER: Outgoing<'_> = Outgoing { bytes: &[], then: Then::CloseNow };
        let Some(outbox) = self.get(key) else { return OVER };
        let then = match outbox.state {
            State::Open | State::Closing(_) | State::Full(_) => Then::GoOn,
            State::Ending => Then::CloseWhenSent,
            State::Detached | State::Abandoned => return OVER,
        };
        Outgoing { bytes: outbox.bytes.get(outbox.sent..).unwrap_or_default(), then }
    }

    /// So many bytes of [`Outboxes::outgoing`] were sent.
    pub(crate) fn sent(&mut self, key: Key, n: usize) {
        let Some(outbox) = find(&mut self.slots, key) else { return };
        outbox.sent = outbox.bytes.len().min(outbox.sent + n);
        outbox.forget_sent();
        if n > 0 {
            self.note_progress(key);
        }
        self.take_buffer_back(key);
    }

    /// A drained outbox needs no memory.
    fn take_buffer_back(&mut self, key: Key) {
        let Some(outbox) = find(&mut self.slots, key)
            .filter(|outbox| outbox.bytes.is_empty() && outbox.bytes.capacity() > 0)
        else {
            return;
        };
        if let Some(acknowledgements) = &mut outbox.acknowledgements {
            acknowledgements.entries.shrink_to(SPARE_ENTRIES);
        }
        let spare = std::mem::take(&mut outbox.bytes);
        if self.spares.len() < SPARE_BUFFERS && spare.capacity() <= SPARE_BYTES {
            self.spares.push(spare);
        }
    }

    fn get(&self, key: Key) -> Option<&Outbox> {
        self.slots.get(key.slot())?.as_ref().filter(|outbox| outbox.key == key)
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Outbox> {
        find(&mut self.slots, key)
    }

    fn mark_dirty(&mut self, key: Key) {
        let Some(outbox) =
            self.get_mut(key).filter(|outbox| !outbox.dirty && outbox.state != State::Detached)
        else {
            return;
        };
        outbox.dirty = true;
        self.dirty.push_back(key);
    }
}

/// Writes what is not longer than it may be, or says so in its place. `false` if nothing was written.
///
/// Escapes and namespaces can make much of a small stanza. That is its sender's doing, not the peer's who gets it.
/// But a request is to be answered (RFC 6120 8.2.3), if only with the reason why there is no answer.
fn write_within(limit: usize, what: Outbound<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    what.write(out);
    if out.len() - start <= limit {
        return true;
    }
    out.truncate(start);
    out.shrink_to(SPARE_BYTES);
    match what {
        Outbound::Element(answer) if what.is_answer() => {
            framing::child(&too_long(answer), out);
            true
        }
        _ => false,
    }
}

/// The error in place of an answer that is too long.
fn too_long(answer: &Element) -> Element {
    let attributes =
        answer.attributes().iter().filter(|attribute| attribute.name != "type").cloned().collect();
    let why = StanzaError::because(Condition::ResourceConstraint, "the answer is too long");
    Element::from_parts("iq".into(), ns::CLIENT.into(), attributes)
        .with_attr("type", "error")
        .with(why.to_element())
}

/// Lets an empty queue go that a storm has made large.
fn release_if_large(queue: &mut VecDeque<Key>) {
    if queue.capacity() > QUEUE_KEPT {
        *queue = VecDeque::new();
    }
}

fn find(slots: &mut [Option<Outbox>], key: Key) -> Option<&mut Outbox> {
    slots.get_mut(key.slot())?.as_mut().filter(|outbox| outbox.key == key)
}

impl Outbox {
    fn new(key: Key) -> Self {
        Self {
            key,
            state: State::Open,
            bytes: Vec::new(),
            sent: 0,
            dirty: false,
            acknowledgements: None,
            held: None,
            pressure: None,
            has_more: false,
            waits_for: None,
        }
    }

    fn takes_more(&self) -> bool {
        matches!(self.state, State::Open | State::Detached | State::Closing(_))
    }

    /// Bytes that are to be sent.
    fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// All that it holds.
    fn holds(&self) -> usize {
        let unsent = if self.acknowledgements.is_some() { self.bytes.len() } else { self.waiting() };
        unsent + self.held.as_ref().map_or(0, |held| held.bytes())
    }

    /// Notes what was written behind `before`.
    fn enter(&mut self, before: usize, stanza: Option<Moment>, is_answer: bool) {
        if let Some(acknowledgements) = &mut self.acknowledgements {
            acknowledgements.entries.push_back(Entry::new(self.bytes.len() - before, stanza, is_answer));
            acknowledgements.unasked |= stanza.is_some();
        }
    }

    fn forget_front(&mut self, bytes: usize) {
        self.bytes.drain(..bytes.min(self.bytes.len()));
        self.sent = self.sent.saturating_sub(bytes);
    }
}
