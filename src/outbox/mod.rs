//! What waits to be sent, for each stream.
//!
//! A handler appends to any stream's outbox at once; ending a stream only marks it as closing, and the server finishes
//! those between two stanzas. An outbox has a limit: a peer that does not read what it is sent is cut off. Drained
//! outboxes give their memory to the next one that needs some.
//!
//! Two protocols change how an outbox keeps what it sends, so they live here: with stream management (XEP-0198) sent
//! stanzas stay at its front until they are acknowledged, even while no connection is there; while a client is
//! inactive (XEP-0352) what can wait does.
//! Left out on purpose: sockets; whoever has them takes [`Outboxes::outgoing`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::xml::ns;
use crate::xml::writer::{self, Broadcast};
use crate::xml::Element;
use crate::xmpp::error::StreamError;
use crate::xmpp::slab::{drop_vacant, Key};
use crate::xmpp::stanza::is_fleeting;

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
}

/// What was sent and is not yet acknowledged (XEP-0198). Its entries cover the outbox's bytes from the front.
#[derive(Default)]
struct Acknowledgements {
    entries: VecDeque<Entry>,
    /// How many of our stanzas the client has acknowledged.
    acknowledged: u32,
    /// How many of the client's stanzas we have acted upon.
    received: u32,
    /// An answer to our `<r/>` is still to come.
    requested: bool,
    /// A stanza has been written since our last `<r/>`.
    unasked: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    bytes: usize,
    /// When it was written, if it is a stanza; other elements are neither counted nor kept.
    stanza: Option<Moment>,
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

/// A stanza that was sent and not acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unacknowledged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) written: Moment,
}

/// What an inactive client does not get yet (XEP-0352): of each sender the last presence and the last chat state.
type Held = BTreeMap<(&'static str, String), Vec<u8>>;

/// Senders whose news are held back, and bytes of such news; with more, all go out.
const MAX_HELD: usize = 256;
const MAX_HELD_BYTES: usize = 4_096;

/// How many drained buffers are kept for the next that need one, and how big each may be.
const SPARE_BUFFERS: usize = 16;
const SPARE_BYTES: usize = 65_536;

/// How many stanzas a client may leave unacknowledged before counting them costs memory that it has to give back.
const SPARE_ENTRIES: usize = 8;
/// Places of an empty queue that are kept.
const QUEUE_KEPT: usize = 256;

/// The outboxes of all streams, in the slots of their keys.
pub(crate) struct Outboxes {
    slots: Vec<Option<Outbox>>,
    dirty: VecDeque<Key>,
    closing: VecDeque<Key>,
    spares: Vec<Vec<u8>>,
    limit: usize,
    now: Moment,
}

impl Outboxes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            dirty: VecDeque::new(),
            closing: VecDeque::new(),
            spares: Vec::new(),
            limit,
            now: Moment::default(),
        }
    }

    /// What is written from now on is written at this time.
    pub(crate) fn set_time(&mut self, monotonic: Duration) {
        self.now.second = monotonic.as_secs().try_into().unwrap_or(u32::MAX);
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
        if self.get(key).is_some() {
            if let Some(slot) = self.slots.get_mut(key.slot()) {
                *slot = None;
            }
            drop_vacant(&mut self.slots);
        }
        if self.slots.is_empty() {
            // Small as they are, they lie between what a crowd has left and the end of the heap.
            (self.dirty, self.closing, self.spares) = Default::default();
        }
    }

    /// Sends a stanza or another child of the stream. `false` if the stream takes no more.
    pub(crate) fn send(&mut self, key: Key, element: &Element) -> bool {
        let write = |out: &mut Vec<u8>| writer::write_in_stream(element, ns::CLIENT, out);
        let hold =
            || can_wait(element).map(|kind| (kind, element.attr("from").unwrap_or_default().to_owned()));
        self.write(key, element.ns() == ns::CLIENT, hold, write)
    }

    /// Sends a presence that was written for many. `from` is asked only if the client is inactive.
    pub(crate) fn send_copy(
        &mut self,
        key: Key,
        presence: &Broadcast,
        from: impl FnOnce() -> String,
        to: &str,
    ) {
        self.write(key, true, || Some(("presence", from())), |out| presence.write_to(to, out));
    }

    /// Sends a stanza that was written for many and that nobody is to wait for.
    pub(crate) fn send_copy_now(&mut self, key: Key, stanza: &Broadcast, to: &str) {
        self.write(key, true, || None, |out| stanza.write_to(to, out));
    }

    /// Sends a copy of `message`, which waits where that would.
    pub(crate) fn send_carbon(&mut self, key: Key, copy: &Broadcast, message: &Element, to: &str) {
        let attr = |name| message.attr(name).unwrap_or_default();
        let hold =
            || can_wait(message).map(|_| ("copy of a chat state", [attr("from"), attr("to")].join(" ")));
        self.write(key, true, hold, |out| copy.write_to(to, out));
    }

    /// Sends a stanza that was written before. `false` if the stream takes no more.
    pub(crate) fn send_written(&mut self, key: Key, stanza: &[u8]) -> bool {
        self.write(key, true, || None, |out| out.extend_from_slice(stanza))
    }

    /// Sends a stream's header.
    pub(crate) fn send_header(&mut self, key: Key, write: impl FnOnce(&mut Vec<u8>)) {
        self.write(key, false, || None, write);
    }

    /// Appends what `write` writes, whole or not at all. `false` if the stream takes no more.
    fn write(
        &mut self,
        key: Key,
        is_stanza: bool,
        hold: impl FnOnce() -> Option<(&'static str, String)>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let now = self.now;
        self.now.number += u64::from(is_stanza);
        self.write_as_of(key, is_stanza.then_some(now), hold, write)
    }

    fn write_as_of(
        &mut self,
        key: Key,
        stanza: Option<Moment>,
        hold: impl FnOnce() -> Option<(&'static str, String)>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let (limit, now) = (self.limit, self.now);
        let Some(outbox) = find(&mut self.slots, key) else { return false };
        if !outbox.takes_more() {
            return false;
        }
        if outbox.bytes.capacity() == 0 {
            outbox.bytes = self.spares.pop().unwrap_or_default();
        }
        let start = outbox.bytes.len();
        write(&mut outbox.bytes);
        let length = outbox.bytes.len() - start;
        if length > limit {
            // Escapes and namespaces can make much of a small stanza. That is its sender's doing, not this peer's.
            outbox.bytes.truncate(start);
            outbox.bytes.shrink_to(SPARE_BYTES);
            return false;
        }
        if outbox.hold_back(start, now, hold) {
            return true;
        }
        let before = outbox.bytes.len() - length;
        let fits = outbox.waiting() <= limit;
        if fits {
            outbox.enter(before, stanza);
        } else {
            outbox.bytes.truncate(before);
            self.cut_off(key);
        }
        self.mark_dirty(key);
        fits
    }

    /// The limit is reached.
    fn cut_off(&mut self, key: Key) {
        let Some(outbox) = self.get_mut(key) else { return };
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
            if let Some(error) = error {
                writer::write_in_stream(&error.to_element(), ns::CLIENT, &mut outbox.bytes);
            }
            outbox.bytes.extend_from_slice(b"</stream:stream>");
            outbox.state = State::Ending;
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
        release_if_large(&mut self.dirty);
        None
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What a stream's connection is to send. The connection of a stream that is no more is to be ended.
    pub(crate) fn outgoing(&self, key: Key) -> Outgoing<'_> {
        const OVER: Outgoing<'_> = Outgoing { bytes: &[], close: Close::Now };
        let Some(outbox) = self.get(key) else { return OVER };
        let close = match outbox.state {
            State::Open | State::Closing(_) | State::Full(_) => Close::No,
            State::Ending => Close::WhenSent,
            State::Detached | State::Abandoned => return OVER,
        };
        Outgoing { bytes: outbox.bytes.get(outbox.sent..).unwrap_or_default(), close }
    }

    /// So many bytes of [`Outboxes::outgoing`] were sent.
    pub(crate) fn sent(&mut self, key: Key, n: usize) {
        let Some(outbox) = find(&mut self.slots, key) else { return };
        outbox.sent = outbox.bytes.len().min(outbox.sent + n);
        outbox.forget_sent();
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

/// XEP-0198: stream management.
impl Outboxes {
    /// From now on stanzas are counted, and kept until they are acknowledged. `false` if they are already.
    pub(crate) fn manage(&mut self, key: Key) -> bool {
        let Some(outbox) = self.get_mut(key).filter(|outbox| outbox.acknowledgements.is_none()) else {
            return false;
        };
        let waiting = Entry { bytes: outbox.bytes.len(), stanza: None };
        outbox.acknowledgements = Some(Box::new(Acknowledgements {
            entries: VecDeque::from([waiting]),
            ..Acknowledgements::default()
        }));
        true
    }

    /// The client has sent a stanza that was acted upon.
    pub(crate) fn note_received(&mut self, key: Key) {
        if let Some(acknowledgements) = self.get_mut(key).and_then(|outbox| outbox.acknowledgements.as_mut())
        {
            acknowledgements.received = acknowledgements.received.wrapping_add(1);
        }
    }

    /// How many stanzas of the client's have been acted upon; `None` if nobody counts.
    pub(crate) fn received(&self, key: Key) -> Option<u32> {
        Some(self.get(key)?.acknowledgements.as_ref()?.received)
    }

    /// The client has acted upon `h` of our stanzas in all. `Err` with how many there were, if it says more than that.
    pub(crate) fn acknowledge(&mut self, key: Key, h: u32) -> Result<(), u32> {
        let Some(outbox) = self.get_mut(key) else { return Ok(()) };
        let result = outbox.acknowledge(h);
        outbox.forget_sent();
        self.take_buffer_back(key);
        let Some(outbox) = self.get(key) else { return result };
        if outbox
            .acknowledgements
            .as_ref()
            .is_some_and(|acknowledgements| acknowledgements.wants_acknowledgement())
        {
            self.mark_dirty(key);
        }
        result
    }

    /// The connection is gone or is to end, but the stream waits for another one.
    pub(crate) fn detach(&mut self, key: Key) {
        self.mark_dirty(key);
        let now = self.now;
        if let Some(outbox) = self.get_mut(key).filter(|outbox| outbox.state == State::Open) {
            outbox.state = State::Detached;
            outbox.release(now);
            outbox.held = None;
        }
    }

    /// Whether a stream goes on, over a connection that is there as far as anybody knows.
    pub(crate) fn is_connected(&self, key: Key) -> bool {
        self.get(key).is_some_and(|outbox| outbox.state == State::Open)
    }

    /// Hands all that a stream has sent and nobody has acknowledged to another stream, behind what that has.
    pub(crate) fn resume(&mut self, old: Key, new: Key) {
        let now = self.now;
        let Some((stanzas, acknowledgements)) = self.get_mut(old).and_then(|outbox| {
            outbox.release(now);
            let stanzas = outbox.take_unacknowledged();
            Some((stanzas, outbox.acknowledgements.take()?))
        }) else {
            return;
        };
        self.manage(new);
        if let Some(fresh) = self.get_mut(new).and_then(|outbox| outbox.acknowledgements.as_mut()) {
            fresh.acknowledged = acknowledgements.acknowledged;
            fresh.received = acknowledgements.received;
        }
        for Unacknowledged { bytes, written } in stanzas {
            self.write_as_of(new, Some(written), || None, |out| out.extend_from_slice(&bytes));
        }
    }

    /// What a stream that has ended has sent and nobody has acknowledged.
    pub(crate) fn take_unacknowledged(&mut self, key: Key) -> Vec<Unacknowledged> {
        let managed = self.get_mut(key).filter(|outbox| outbox.acknowledgements.is_some());
        managed.map(Outbox::take_unacknowledged).unwrap_or_default()
    }
}

/// XEP-0352: client state.
impl Outboxes {
    /// Holds back what can wait from now on, or sends all of it.
    pub(crate) fn set_active(&mut self, key: Key, active: bool) {
        let (limit, now) = (self.limit, self.now);
        let Some(outbox) = self.get_mut(key) else { return };
        if active {
            outbox.release(now);
            outbox.held = None;
            if outbox.waiting() > limit {
                self.cut_off(key);
            }
            self.mark_dirty(key);
        } else if outbox.held.is_none() {
            outbox.held = Some(Box::default());
        }
    }
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

/// What an inactive client need not know at once: that somebody came or went or is typing. Of each kind and sender only
/// the last counts.
fn can_wait(element: &Element) -> Option<&'static str> {
    let is_state = || element.children().any(|child| child.ns() == ns::CHAT_STATES) && is_fleeting(element);
    match (element.name(), element.attr("type")) {
        ("presence", None | Some("unavailable")) => Some("presence"),
        ("message", None | Some("chat" | "normal")) if is_state() => Some("chat state"),
        _ => None,
    }
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
        }
    }

    fn takes_more(&self) -> bool {
        matches!(self.state, State::Open | State::Detached | State::Closing(_))
    }

    /// Bytes that somebody else has to do something about: send them, or acknowledge them.
    fn waiting(&self) -> usize {
        match self.acknowledgements {
            Some(_) => self.bytes.len(),
            None => self.bytes.len() - self.sent,
        }
    }

    /// Notes what was written behind `before`.
    fn enter(&mut self, before: usize, stanza: Option<Moment>) {
        if let Some(acknowledgements) = &mut self.acknowledgements {
            acknowledgements.entries.push_back(Entry { bytes: self.bytes.len() - before, stanza });
            acknowledgements.unasked |= stanza.is_some();
        }
    }

    /// Holds back what was written behind `start`, if the client is inactive and that can wait; otherwise what was held
    /// back before goes before it.
    fn hold_back(
        &mut self,
        start: usize,
        now: Moment,
        hold: impl FnOnce() -> Option<(&'static str, String)>,
    ) -> bool {
        let Some(held) = &mut self.held else { return false };
        let last = self.bytes.split_off(start);
        match hold().filter(|_| held.len() < MAX_HELD && last.len() <= MAX_HELD_BYTES) {
            Some(news) => {
                held.insert(news, last);
                true
            }
            None => {
                self.release(now);
                self.bytes.extend_from_slice(&last);
                false
            }
        }
    }

    /// Lets go of what was held back.
    fn release(&mut self, now: Moment) {
        let Some(held) = &mut self.held else { return };
        for bytes in std::mem::take(&mut **held).into_values() {
            let before = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.enter(before, Some(now));
        }
    }

    /// Asks for an acknowledgement where one is missing, once at a time.
    fn request_acknowledgement(&mut self) {
        let Some(acknowledgements) = &mut self.acknowledgements else { return };
        if self.state != State::Open || !acknowledgements.wants_acknowledgement() {
            return;
        }
        (acknowledgements.requested, acknowledgements.unasked) = (true, false);
        let before = self.bytes.len();
        self.bytes.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
        self.enter(before, None);
    }

    /// XEP-0198 section 4. What was not sent cannot be acknowledged: it would be torn out of the stream.
    fn acknowledge(&mut self, h: u32) -> Result<(), u32> {
        let Some(acknowledgements) = &mut self.acknowledgements else { return Ok(()) };
        acknowledgements.requested = false;
        let news = h.wrapping_sub(acknowledgements.acknowledged);
        let Some((entries, bytes)) = acknowledgements.first(news).filter(|(_, bytes)| *bytes <= self.sent)
        else {
            let sent = u32::try_from(acknowledgements.stanzas_within(self.sent)).unwrap_or(u32::MAX);
            return Err(acknowledgements.acknowledged.wrapping_add(sent));
        };
        acknowledgements.acknowledged = h;
        acknowledgements.entries.drain(..entries);
        self.forget_front(bytes);
        Ok(())
    }

    /// What was sent goes: at once, or, with stream management, up to the first stanza that is not acknowledged.
    fn forget_sent(&mut self) {
        let mut done = 0;
        match &mut self.acknowledgements {
            None => done = self.sent,
            Some(acknowledgements) => {
                while let Some(entry) = acknowledgements
                    .entries
                    .front()
                    .filter(|e| e.stanza.is_none() && done + e.bytes <= self.sent)
                {
                    done += entry.bytes;
                    acknowledgements.entries.pop_front();
                }
            }
        }
        // Moving what is left is worth it once that is the smaller part; so each byte moves at most once.
        if self.acknowledgements.is_some() || done == self.bytes.len() || done > self.bytes.len() / 2 {
            self.forget_front(done);
        }
    }

    fn forget_front(&mut self, bytes: usize) {
        self.bytes.drain(..bytes.min(self.bytes.len()));
        self.sent = self.sent.saturating_sub(bytes);
    }

    /// The stanzas that are not acknowledged, whether they were sent or not. What the client has a part of it still gets
    /// the rest of, and all that is not its to acknowledge: our header, an error, the end of the stream.
    fn take_unacknowledged(&mut self) -> Vec<Unacknowledged> {
        let Some(acknowledgements) = &mut self.acknowledgements else { return Vec::new() };
        let (bytes, sent) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.sent));
        let (mut stanzas, mut start) = (Vec::new(), 0);
        for entry in acknowledgements.entries.drain(..) {
            let end = start + entry.bytes;
            if let Some(written) = entry.stanza {
                let bytes = bytes.get(start..end).unwrap_or_default().to_vec();
                stanzas.push(Unacknowledged { bytes, written });
            }
            if entry.stanza.is_none() || start < sent {
                self.bytes.extend_from_slice(bytes.get(start.max(sent)..end).unwrap_or_default());
            }
            start = end;
        }
        self.bytes.extend_from_slice(bytes.get(start.max(sent)..).unwrap_or_default());
        stanzas
    }
}

impl Acknowledgements {
    /// How many entries, and bytes, there are up to the end of so many stanzas; `None` if there are not so many.
    fn first(&self, stanzas: u32) -> Option<(usize, usize)> {
        let (mut left, mut entries, mut bytes) = (stanzas, 0, 0);
        for entry in &self.entries {
            if left == 0 {
                break;
            }
            left -= u32::from(entry.stanza.is_some());
            entries += 1;
            bytes += entry.bytes;
        }
        (left == 0).then_some((entries, bytes))
    }

    /// How many stanzas are complete within the first `bytes`.
    fn stanzas_within(&self, bytes: usize) -> usize {
        let mut end = 0;
        let within = self.entries.iter().take_while(|entry| {
            end += entry.bytes;
            end <= bytes
        });
        within.filter(|entry| entry.stanza.is_some()).count()
    }

    /// Whether an `<r/>` may bring anything new. A client that counts wrongly, and so never acknowledges all, is not
    /// asked again for the same: question and answer would chase each other for ever.
    fn wants_acknowledgement(&self) -> bool {
        !self.requested && self.unasked && self.entries.iter().any(|entry| entry.stanza.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::slab::Slab;

    fn one(limit: usize) -> (Outboxes, Key) {
        let mut outboxes = Outboxes::new(limit);
        let key = Slab::new().insert_with(|_| ());
        outboxes.open(key);
        (outboxes, key)
    }

    fn text(outboxes: &Outboxes, key: Key) -> String {
        String::from_utf8(outboxes.outgoing(key).bytes.to_vec()).unwrap()
    }

    fn put(outboxes: &mut Outboxes, key: Key, text: &str) -> bool {
        outboxes.write(key, true, || None, |out| out.extend_from_slice(text.as_bytes()))
    }

    fn send_all(outboxes: &mut Outboxes, key: Key) -> String {
        while outboxes.next_dirty().is_some() {}
        let text = text(outboxes, key);
        outboxes.sent(key, text.len());
        text
    }

    #[test]
    fn what_is_written_waits_until_it_is_sent() {
        let (mut outboxes, key) = one(100);
        assert!(put(&mut outboxes, key, "abcdef"));
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
        assert!(put(&mut outboxes, key, "abc"));
        assert!(!put(&mut outboxes, key, "d"), "over the limit");
        assert!(!put(&mut outboxes, key, ""), "takes no more");
        assert_eq!((outboxes.next_closing(), outboxes.next_closing()), (Some(key), None));
        assert!(text(&outboxes, key).starts_with("abc<stream:error><resource-constraint "));
        assert_eq!(outboxes.outgoing(key).close, Close::WhenSent);
    }

    #[test]
    fn one_stanza_over_the_limit_is_refused_and_cuts_nobody_off() {
        let (mut outboxes, key) = one(3);
        assert!(!put(&mut outboxes, key, "abcd"));
        assert_eq!(outboxes.next_closing(), None);
        assert!(put(&mut outboxes, key, "abc"));
    }

    #[test]
    fn a_stream_ends_once_and_takes_answers_until_then() {
        let (mut outboxes, key) = one(100);
        outboxes.end(key, None);
        outboxes.end(key, Some(StreamError::Conflict));
        assert!(put(&mut outboxes, key, "answer"));
        assert_eq!((outboxes.next_closing(), outboxes.next_closing()), (Some(key), None));
        assert_eq!(text(&outboxes, key), "answer</stream:stream>");
        outboxes.abandon(key);
        assert_eq!(outboxes.outgoing(key), Outgoing { bytes: &[], close: Close::Now });
    }

    const R: &str = "<r xmlns='urn:xmpp:sm:3'/>";

    #[test]
    fn stanzas_are_kept_until_they_are_acknowledged() {
        let (mut outboxes, key) = one(100);
        put(&mut outboxes, key, "before");
        assert!(outboxes.manage(key) && !outboxes.manage(key));
        put(&mut outboxes, key, "one");
        outboxes.set_time(Duration::from_secs(2));
        put(&mut outboxes, key, "two");
        assert_eq!(send_all(&mut outboxes, key), format!("beforeonetwo{R}"));
        outboxes.set_time(Duration::from_millis(3_999));
        put(&mut outboxes, key, "three");
        assert_eq!(send_all(&mut outboxes, key), "three", "one request at a time");
        assert_eq!(outboxes.acknowledge(key, 4), Err(3), "more than there were");
        assert_eq!(outboxes.acknowledge(key, 1), Ok(()));
        assert_eq!(send_all(&mut outboxes, key), R, "the rest is asked for");
        assert_eq!(outboxes.acknowledge(key, 1), Ok(()));
        assert_eq!(send_all(&mut outboxes, key), "", "but not again while there is nothing new");
        let at = |number, second| Moment { number, second };
        assert_eq!(
            outboxes.take_unacknowledged(key),
            [
                Unacknowledged { bytes: b"two".to_vec(), written: at(2, 2) },
                Unacknowledged { bytes: b"three".to_vec(), written: at(3, 3) },
            ],
        );
    }

    #[test]
    fn an_outbox_that_was_acknowledged_needs_no_memory() {
        let (mut outboxes, key) = one(10_000);
        outboxes.manage(key);
        (0..1_000).for_each(|_| assert!(put(&mut outboxes, key, "stanza")));
        send_all(&mut outboxes, key);
        assert_eq!(outboxes.acknowledge(key, 1_000), Ok(()));
        let outbox = outboxes.get(key).unwrap();
        assert_eq!(outbox.bytes.capacity(), 0);
        assert!(outbox.acknowledgements.as_ref().unwrap().entries.capacity() <= 2 * SPARE_ENTRIES);
    }

    #[test]
    fn counters_wrap() {
        let (mut outboxes, key) = one(100);
        outboxes.manage(key);
        if let Some(acknowledgements) =
            outboxes.get_mut(key).and_then(|outbox| outbox.acknowledgements.as_mut())
        {
            (acknowledgements.acknowledged, acknowledgements.received) = (u32::MAX, u32::MAX);
        }
        put(&mut outboxes, key, "one");
        put(&mut outboxes, key, "two");
        send_all(&mut outboxes, key);
        outboxes.note_received(key);
        assert_eq!((outboxes.acknowledge(key, 1), outboxes.received(key)), (Ok(()), Some(0)));
        assert_eq!(outboxes.take_unacknowledged(key).len(), 0);
    }

    #[test]
    fn what_was_not_sent_is_not_acknowledged() {
        let (mut outboxes, key) = one(100);
        outboxes.manage(key);
        put(&mut outboxes, key, "one");
        put(&mut outboxes, key, "two");
        outboxes.sent(key, 5);
        assert_eq!(outboxes.acknowledge(key, 2), Err(1));
        assert_eq!(outboxes.acknowledge(key, 1), Ok(()));
        assert_eq!(text(&outboxes, key), "o", "the rest of what is under way");
    }

    #[test]
    fn what_is_under_way_when_a_stream_ends_is_sent_to_its_end() {
        let (mut outboxes, key) = one(100);
        put(&mut outboxes, key, "before");
        outboxes.manage(key);
        put(&mut outboxes, key, "one");
        put(&mut outboxes, key, "two");
        put(&mut outboxes, key, "three");
        outboxes.sent(key, 10);
        outboxes.end(key, None);
        assert_eq!(outboxes.next_closing(), Some(key));
        let left: Vec<_> = outboxes.take_unacknowledged(key).into_iter().map(|stanza| stanza.bytes).collect();
        assert_eq!(left, ["one", "two", "three"].map(Vec::from));
        assert_eq!(text(&outboxes, key), "wo</stream:stream>");
        let (mut outboxes, key) = one(100);
        put(&mut outboxes, key, "before");
        outboxes.manage(key);
        outboxes.sent(key, 2);
        put(&mut outboxes, key, "one");
        outboxes.take_unacknowledged(key);
        assert_eq!(text(&outboxes, key), "fore");
    }

    #[test]
    fn another_stream_goes_on_where_one_was_lost() {
        let mut slab = Slab::new();
        let (old, new) = (slab.insert_with(|_| ()), slab.insert_with(|_| ()));
        let mut outboxes = Outboxes::new(100);
        outboxes.open(old);
        outboxes.open(new);
        outboxes.manage(old);
        put(&mut outboxes, old, "one");
        send_all(&mut outboxes, old);
        outboxes.set_time(Duration::from_secs(5));
        put(&mut outboxes, old, "two");
        outboxes.detach(old);
        assert!(put(&mut outboxes, old, "three"), "a lost connection is no reason to refuse");
        assert_eq!(outboxes.acknowledge(old, 1), Ok(()));
        outboxes.set_time(Duration::from_secs(9));
        outboxes.resume(old, new);
        assert_eq!(send_all(&mut outboxes, new), format!("twothree{R}"));
        assert_eq!(outboxes.acknowledge(new, 2), Ok(()));
        let left = Unacknowledged { bytes: b"three".to_vec(), written: Moment { number: 2, second: 5 } };
        assert_eq!(outboxes.take_unacknowledged(new), [left], "it was written when it was written first");
    }

    #[test]
    fn an_inactive_client_has_no_more_room_than_others() {
        let presence = |from: &'static str, bytes: usize| {
            Element::new("presence", ns::CLIENT).with_attr("from", from).with_text("x".repeat(bytes))
        };
        let (mut outboxes, key) = one(10_000);
        outboxes.set_active(key, false);
        assert!(outboxes.send(key, &presence("a", 5_000)), "too long to be held back");
        assert!(!outboxes.send(key, &presence("a", 5_000)));
        assert_eq!(outboxes.next_closing(), Some(key));
        let (mut outboxes, key) = one(5_000);
        outboxes.set_active(key, false);
        assert!(outboxes.send(key, &presence("a", 3_000)) && outboxes.send(key, &presence("b", 3_000)));
        outboxes.set_active(key, true);
        assert_eq!(outboxes.next_closing(), Some(key));
    }

    #[test]
    fn an_inactive_client_gets_the_last_of_each_kind_later() {
        let (mut outboxes, key) = one(1000);
        let presence = |from: &'static str, show: &'static str| {
            Element::new("presence", ns::CLIENT).with_attr("from", from).with_text(show)
        };
        outboxes.set_active(key, false);
        for element in [presence("a", "1"), presence("b", "2"), presence("a", "3")] {
            assert!(outboxes.send(key, &element));
        }
        assert_eq!(text(&outboxes, key), "");
        outboxes.send(key, &Element::new("message", ns::CLIENT).with(Element::new("body", ns::CLIENT)));
        let released =
            "<presence from='a'>3</presence><presence from='b'>2</presence><message><body/></message>";
        assert_eq!(text(&outboxes, key), released, "what cannot wait takes the rest along");
        outboxes.send(key, &presence("a", "4"));
        outboxes.set_active(key, true);
        assert!(text(&outboxes, key).ends_with("<presence from='a'>4</presence>"));
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
        assert!(old.slot() == new.slot() && !put(&mut outboxes, old, "x"));
        outboxes.end(old, None);
        outboxes.sent(old, 1);
        outboxes.abandon(old);
        assert_eq!((text(&outboxes, new).as_str(), outboxes.outgoing(new).close), ("", Close::No));
        assert_eq!(outboxes.outgoing(old).close, Close::Now);
    }
}
