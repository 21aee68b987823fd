//! What streams have left to do, a little each turn.
//!
//! What a stream asks for is work, and a turn has a budget of it: a stream that has had its slice goes back into line,
//! so that nobody waits for the work of others. A stream that reads too little, or sends more than others read, is
//! throttled ([`crate::outbox`]): what it has sent is acted upon once that is over. One that has ended gives back what
//! it did not acknowledge. Left out on purpose: time. Work is counted, so that the same bytes always lead to the same
//! answers.

use super::Server;
use crate::im::ctx::Now;
use crate::streams::Stream;
use crate::xmpp::error::StreamError;
use crate::xmpp::slab::Key;

/// Units of work in a turn for all streams together. A stanza costs one, and one for each KB that is written for it.
const TURN: usize = 1_024;
/// Units after which a stream goes back into line.
const SLICE: usize = 128;
/// What a derivation of keys costs: 4,096 rounds of it take about a millisecond, so that a turn has room for four.
const DERIVATION: usize = 256;
/// Bytes of a character that has not come whole, which nobody can act upon.
const PART_OF_A_CHARACTER: usize = 3;

/// What is left of a turn's budget.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(TURN)
    }
}

/// Why a stream does not go on just now.
enum Stopped {
    /// There is nothing left to do.
    Done,
    /// It waits for its own outbox, or another's, to be read.
    Throttled,
    /// It has had its slice.
    Spent,
}

impl Server {
    /// Whether a stream should be read from. Otherwise there is something left that it has sent before, and no more
    /// should be read, so that the peer's own system stops it from sending.
    pub fn wants_read(&self, id: Key) -> bool {
        let has_more = |stream: &Stream| stream.unread() > PART_OF_A_CHARACTER;
        !self.outboxes.is_throttled(id) && !self.streams.get(id).is_some_and(|stream| has_more(stream))
    }

    /// Acts on what a stream has sent, as far as its slice goes. One that goes on sending nevertheless is ended.
    pub(super) fn act(&mut self, id: Key, now: Now) {
        if matches!(self.act_on_slice(id, now), Stopped::Spent) {
            self.outboxes.make_ready(id);
        }
        let most = 2 * self.config.limits.stanza_bytes;
        if self.streams.get(id).is_some_and(|stream| stream.unread() > most) {
            self.outboxes.end(id, Some(StreamError::PolicyViolation("more sent than is read")));
            self.finish_all(now);
        }
    }

    fn act_on_slice(&mut self, key: Key, now: Now) -> Stopped {
        let mut slice = SLICE;
        while !self.outboxes.is_throttled(key) {
            if slice == 0 || self.budget.0 == 0 {
                return Stopped::Spent;
            }
            let before = self.work_done();
            let stepped = self.with(key, now, Stream::step) == Some(true);
            self.finish_all(now);
            if !stepped {
                return Stopped::Done;
            }
            let cost = 1 + self.work_done().wrapping_sub(before);
            slice = slice.saturating_sub(cost);
            self.budget.0 = self.budget.0.saturating_sub(cost);
        }
        Stopped::Throttled
    }

    /// Units of work so far, but for one for each stanza.
    fn work_done(&self) -> usize {
        let derivations = self.tables.accounts.derivations().wrapping_mul(DERIVATION);
        derivations.wrapping_add(self.outboxes.written_kilobytes())
    }

    /// Does what has become possible, as far as the budget goes.
    pub(super) fn work(&mut self, now: Now) {
        self.finish_all(now);
        while self.budget.0 > 0 {
            let Some(key) = self.outboxes.next_ready() else { return };
            self.work_on(key, now);
        }
    }

    /// Does all that is left, which is no more once all streams have ended: there are no more turns.
    pub(super) fn work_off(&mut self, now: Now) {
        while self.outboxes.ready() > 0 {
            self.budget = Budget::default();
            self.work(now);
        }
    }

    fn work_on(&mut self, key: Key, now: Now) {
        self.read_again(key);
        let stopped = self.act_on_slice(key, now);
        self.keep_unread(key);
        match stopped {
            Stopped::Done => self.rest_or_forget(key, now),
            Stopped::Throttled => (),
            Stopped::Spent => self.outboxes.make_ready(key),
        }
    }

    /// There is nothing left to do for a stream: what was put off until then comes now.
    fn rest_or_forget(&mut self, key: Key, now: Now) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.gone {
            self.forget(key);
        } else if stream.reads() && stream.ended_by_peer {
            self.with(key, now, Stream::half_closed);
            self.finish_all(now);
        }
        self.set_timer(key);
    }

    fn read_again(&mut self, key: Key) {
        if let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.unread() > 0) {
            stream.push_unread(std::mem::take(&mut self.spare));
        }
    }

    fn keep_unread(&mut self, key: Key) {
        if let Some(stream) = self.streams.get_mut(key) {
            self.spare = stream.take_spare();
        }
    }

    /// Finishes the streams that are closing. Each tells others, which may close some of them; the loop ends when
    /// none is left.
    pub(super) fn finish_all(&mut self, now: Now) {
        while let Some(key) = self.outboxes.next_closing() {
            let connected = self.with(key, now, Stream::finish) == Some(true);
            if self.streams.get(key).is_some_and(|stream| stream.has_returns()) {
                self.outboxes.make_ready(key);
            }
            if connected {
                self.set_timer(key);
            } else {
                self.lose(key);
            }
        }
    }

    /// A stream without a connection goes, unless it has something to give back.
    pub(super) fn lose(&mut self, key: Key) {
        match self.streams.get_mut(key).filter(|stream| stream.has_returns()) {
            Some(stream) => stream.gone = true,
            None => self.forget(key),
        }
    }
}
