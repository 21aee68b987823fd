//! What was sent and is not yet acknowledged.
//!
//! Read first: XEP-0198. Stanzas that were sent stay at the front of their outbox until the client has acknowledged
//! them, even while no connection is there; another stream may take them over, or they are given back.
//! Left out on purpose: what is said about it ([`crate::features`]), and where it is given back to
//! ([`crate::streams`]).

use std::collections::VecDeque;

use super::{Moment, Outbox, Outboxes, State};
use crate::wire::framing;
use crate::xmpp::slab::Key;

/// How many stanzas a client may leave unacknowledged before counting them costs memory that it has to give back.
pub(super) const SPARE_ENTRIES: usize = 8;

/// What was sent and is not yet acknowledged (XEP-0198). Its entries cover the outbox's bytes from the front.
#[derive(Default)]
pub(super) struct Acknowledgements {
    pub(super) entries: VecDeque<Entry>,
    /// How many of our stanzas the client has acknowledged.
    pub(super) acknowledged: u32,
    /// How many of the client's stanzas we have acted upon.
    pub(super) received: u32,
    /// How many we have said that we have.
    told: u32,
    /// An answer to our `<r/>` is still to come.
    requested: bool,
    /// The priority of its resource, if that was available until another stream took it over.
    priority: Option<i8>,
    /// How many stanzas the server had written when the connection was lost.
    lost: Option<u64>,
    /// A stanza has been written since our last `<r/>`.
    pub(super) unasked: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) bytes: usize,
    /// When it was written, if it is a stanza; other elements are neither counted nor kept.
    pub(super) stanza: Option<Moment>,
    /// It answers what was asked on this stream, and is for no other.
    pub(super) is_answer: bool,
    /// It says since when it has waited for this stream to be resumed.
    is_delayed: bool,
    /// The number of the account's stored message that it is, which is held for this stream.
    stored: Option<u64>,
}

impl Entry {
    pub(super) fn new(bytes: usize, stanza: Option<Moment>, is_answer: bool) -> Self {
        Self { bytes, stanza, is_answer, is_delayed: false, stored: None }
    }
}

/// Why a client cannot have acted upon as many stanzas as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miscount {
    /// Only so many were sent.
    TooHigh { sent: u32 },
    /// It has said more before.
    TooLow,
}

/// A stanza that was sent and not acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unacknowledged {
    pub(crate) bytes: Vec<u8>,
    pub(crate) written: Moment,
    /// It is for this stream alone.
    pub(super) is_answer: bool,
    /// It says since when it has waited for this stream to be resumed; it has waited for no other.
    pub(crate) is_delayed: bool,
    /// The number of the account's stored message that it is, which is held for this stream.
    pub(crate) stored: Option<u64>,
}

impl Outboxes {
    /// From now on stanzas are counted, and kept until they are acknowledged. `false` if they are already.
    pub(crate) fn manage(&mut self, key: Key) -> bool {
        let Some(outbox) = self.get_mut(key).filter(|outbox| outbox.acknowledgements.is_none()) else {
            return false;
        };
        let waiting = Entry::new(outbox.bytes.len(), None, false);
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

    /// How many stanzas of the client's have been acted upon, to be told to it; `None` if nobody counts.
    pub(crate) fn take_received(&mut self, key: Key) -> Option<u32> {
        let acknowledgements = self.get_mut(key)?.acknowledgements.as_mut()?;
        acknowledgements.told = acknowledgements.received;
        Some(acknowledgements.received)
    }

    /// Whether the client acknowledges what it gets.
    pub(crate) fn is_managed(&self, key: Key) -> bool {
        self.get(key).is_some_and(|outbox| outbox.acknowledgements.is_some())
    }

    /// The client has acted upon `h` of our stanzas in all. Gives the numbers of the stored messages that are new among
    /// them.
    pub(crate) fn acknowledge(&mut self, key: Key, h: u32) -> Result<Vec<u64>, Miscount> {
        let Some(outbox) = self.get_mut(key) else { return Ok(Vec::new()) };
        let result = outbox.acknowledge(h);
        outbox.forget_sent();
        if result.is_ok() {
            self.note_progress(key);
        }
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

    /// Whether a client has all that was written for it up to this number, as far as anybody can know.
    pub(crate) fn has_taken_through(&self, key: Key, number: u64) -> bool {
        let Some(outbox) = self.get(key) else { return false };
        let Some(acknowledgements) = &outbox.acknowledgements else { return outbox.state == State::Open };
        let oldest = acknowledgements.entries.iter().find_map(|entry| entry.stanza);
        oldest.map_or(true, |oldest| oldest.number > number)
    }

    /// The connection is gone or is to end, but the stream waits for another one.
    pub(crate) fn detach(&mut self, key: Key) {
        self.mark_dirty(key);
        let now = self.now;
        if let Some(outbox) = self.get_mut(key).filter(|outbox| outbox.state == State::Open) {
            outbox.state = State::Detached;
            if let Some(acknowledgements) = &mut outbox.acknowledgements {
                acknowledgements.lost = Some(now.number);
            }
            outbox.release(now);
            outbox.held = None;
        }
        self.relieve(key);
    }

    /// The stanza that was sent last is a stored message, with this number in its account.
    pub(crate) fn note_stored(&mut self, key: Key, number: u64) {
        let acknowledgements = self.get_mut(key).and_then(|outbox| outbox.acknowledgements.as_mut());
        if let Some(entry) = acknowledgements.and_then(|all| all.entries.back_mut()) {
            entry.stored = Some(number);
        }
    }

    /// Whether a stream waits for another connection.
    pub(crate) fn is_detached(&self, key: Key) -> bool {
        self.get(key).is_some_and(|outbox| outbox.state == State::Detached)
    }

    /// Whether a stream goes on, over a connection that is there as far as anybody knows.
    pub(crate) fn is_connected(&self, key: Key) -> bool {
        self.get(key).is_some_and(|outbox| outbox.state == State::Open)
    }

    /// Hands all that a stream has sent and nobody has acknowledged to another stream, behind what that has. What was
    /// written without a connection gets its `delay`. No limit is asked: it has been within them.
    pub(crate) fn resume(&mut self, old: Key, new: Key, delay: impl Fn(&mut Unacknowledged)) {
        let now = self.now;
        let Some(outbox) = self.get_mut(old) else { return };
        outbox.release(now);
        let stanzas = outbox.take_unacknowledged(Unsent::All);
        let Some(acknowledgements) = outbox.acknowledgements.take() else { return };
        self.manage(new);
        let Some(outbox) = self.get_mut(new) else { return };
        if let Some(fresh) = &mut outbox.acknowledgements {
            fresh.acknowledged = acknowledgements.acknowledged;
            (fresh.received, fresh.told) = (acknowledgements.received, acknowledgements.told);
        }
        for mut stanza in stanzas {
            if acknowledgements.lost.is_some_and(|lost| lost <= stanza.written.number) {
                delay(&mut stanza);
            }
            outbox.append(&stanza);
        }
        self.mark_dirty(new);
        self.press(new, 0);
    }

    /// Another stream takes over the resource of this one, which had this priority.
    pub(crate) fn note_priority(&mut self, key: Key, priority: Option<i8>) {
        if let Some(acknowledgements) = self.get_mut(key).and_then(|outbox| outbox.acknowledgements.as_mut())
        {
            acknowledgements.priority = priority;
        }
    }

    /// What a stream that has ended has sent and nobody has acknowledged, and the priority that was noted. Answers
    /// that were not sent yet still are.
    pub(crate) fn take_unacknowledged(&mut self, key: Key) -> (VecDeque<Unacknowledged>, Option<i8>) {
        let Some(outbox) = self.get_mut(key) else { return Default::default() };
        let priority =
            outbox.acknowledgements.as_ref().and_then(|acknowledgements| acknowledgements.priority);
        (outbox.take_unacknowledged(Unsent::NoAnswers), priority)
    }
}

/// Which of the stanzas that were not sent are taken.
#[derive(PartialEq, Eq)]
enum Unsent {
    All,
    NoAnswers,
}

impl Outbox {
    /// Asks for an acknowledgement where one is missing, once at a time.
    pub(super) fn request_acknowledgement(&mut self) {
        let Some(acknowledgements) = &mut self.acknowledgements else { return };
        if self.state != State::Open || !acknowledgements.wants_acknowledgement() {
            return;
        }
        (acknowledgements.requested, acknowledgements.unasked) = (true, false);
        let before = self.bytes.len();
        framing::acknowledgement_request(&mut self.bytes);
        self.enter(before, None, false);
    }

    /// Takes over what another stream has written.
    fn append(&mut self, stanza: &Unacknowledged) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&stanza.bytes);
        self.enter(before, Some(stanza.written), stanza.is_answer);
        if let Some(entry) = self.acknowledgements.as_mut().and_then(|all| all.entries.back_mut()) {
            (entry.stored, entry.is_delayed) = (stanza.stored, stanza.is_delayed);
        }
    }

    /// XEP-0198 section 4: the last acknowledgement before the end of the stream, if there is anything to
    /// acknowledge.
    pub(super) fn acknowledge_last(&mut self) {
        let Some(acknowledgements) = &mut self.acknowledgements else { return };
        if acknowledgements.told != acknowledgements.received {
            acknowledgements.told = acknowledgements.received;
            framing::acknowledgement(acknowledgements.received, &mut self.bytes);
        }
    }

    /// XEP-0198 section 4. What was not sent cannot be acknowledged: it would be torn out of the stream.
    fn acknowledge(&mut self, h: u32) -> Result<Vec<u64>, Miscount> {
        let Some(acknowledgements) = &mut self.acknowledgements else { return Ok(Vec::new()) };
        acknowledgements.requested = false;
        let news = h.wrapping_sub(acknowledgements.acknowledged);
        if news > u32::MAX / 2 {
            return Err(Miscount::TooLow);
        }
        let Some((entries, bytes)) = acknowledgements.first(news).filter(|(_, bytes)| *bytes <= self.sent)
        else {
            let sent = u32::try_from(acknowledgements.stanzas_within(self.sent)).unwrap_or(u32::MAX);
            return Err(Miscount::TooHigh { sent: acknowledgements.acknowledged.wrapping_add(sent) });
        };
        acknowledgements.acknowledged = h;
        let stored = acknowledgements.entries.drain(..entries).filter_map(|entry| entry.stored).collect();
        self.forget_front(bytes);
        Ok(stored)
    }

    /// What was sent goes: at once, or, with stream management, up to the first stanza that is not acknowledged.
    pub(super) fn forget_sent(&mut self) {
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

    /// The stanzas that are not acknowledged, whether they were sent or not. What the client has a part of it still
    /// gets the rest of, and all that is not its to acknowledge: our header, an error, the end of the stream.
    fn take_unacknowledged(&mut self, unsent: Unsent) -> VecDeque<Unacknowledged> {
        let Some(acknowledgements) = &mut self.acknowledgements else { return VecDeque::new() };
        let (bytes, sent) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.sent));
        let (mut stanzas, mut start) = (VecDeque::new(), 0);
        for entry in acknowledgements.entries.drain(..) {
            let end = start + entry.bytes;
            let stays =
                entry.stanza.is_none() || (entry.is_answer && start >= sent && unsent == Unsent::NoAnswers);
            if let Some(written) = entry.stanza.filter(|_| !stays) {
                let bytes = bytes.get(start..end).unwrap_or_default().to_vec();
                let Entry { is_answer, is_delayed, stored, .. } = entry;
                stanzas.push_back(Unacknowledged { bytes, written, is_answer, is_delayed, stored });
            }
            if stays || start < sent {
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
