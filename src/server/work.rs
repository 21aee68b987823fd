//! What streams have left to do, a little each turn.
//!
//! A stream that reads too little, or sends more than others read, is throttled ([`crate::outbox`]): what it has sent
//! is acted upon once that is over. One that has ended gives back what it did not acknowledge. A turn has a budget
//! for both, so that nobody waits for the work of others.
//! Left out on purpose: what is read at once; [`Server::receive`] acts on it.

use super::Server;
use crate::im::ctx::Now;
use crate::streams::Stream;
use crate::xmpp::error::StreamError;
use crate::xmpp::slab::Key;

/// Stanzas of such streams in a turn.
const STANZAS_PER_TURN: usize = 64;

/// What is left of a turn's budget.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(STANZAS_PER_TURN)
    }
}

impl Server {
    /// Whether a stream should be read from. Otherwise what it sends is kept, and not acted upon before the time
    /// comes; no more should be read, so that the peer's own system stops it from sending.
    pub fn wants_read(&self, id: Key) -> bool {
        !self.outboxes.is_throttled(id)
    }

    /// Acts on all that a stream has sent, unless it is throttled. One that goes on sending nevertheless is ended.
    pub(super) fn act(&mut self, id: Key, now: Now) {
        while !self.outboxes.is_throttled(id) && self.with(id, now, Stream::step) == Some(true) {
            self.finish_all(now);
        }
        let most = 2 * self.config.limits.stanza_bytes;
        if self.streams.get(id).is_some_and(|stream| stream.unread() > most) {
            self.outboxes.end(id, Some(StreamError::PolicyViolation("more sent than is read")));
            self.finish_all(now);
        }
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
        while !self.outboxes.is_throttled(key) {
            if self.budget.0 == 0 {
                self.keep_unread(key);
                return self.outboxes.make_ready(key);
            }
            self.budget.0 -= 1;
            if self.with(key, now, Stream::step) != Some(true) {
                self.keep_unread(key);
                return self.rest_or_forget(key, now);
            }
            self.finish_all(now);
        }
        self.keep_unread(key);
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
