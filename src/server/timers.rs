//! When which stream is to be called next: a heap of deadlines.
//!
//! Read first: [`Stream::deadline`]. A stream that changes its mind leaves its old entry behind; that one is skipped
//! when it comes up, which is cheaper than to search for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::streams::Stream;
use crate::xmpp::slab::{Key, Slab};

type Streams = Slab<Box<Stream>>;

/// So many entries may be stale, and some more for each stream.
const STALE_ENTRIES: usize = 64;

/// The deadlines of all streams, the next one first.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Key)>>,
}

impl Timers {
    /// Notes what a stream's deadline is now.
    pub(super) fn set(&mut self, key: Key, streams: &Streams) {
        if let Some(deadline) = deadline_of(streams, key) {
            self.heap.push(Reverse((deadline, key)));
        }
        if self.heap.len() > STALE_ENTRIES + 4 * streams.len() {
            self.heap.retain(|Reverse((at, key))| deadline_of(streams, *key) == Some(*at));
        }
    }

    /// The next stream whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Duration, streams: &Streams) -> Option<Key> {
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            let is_stale = deadline_of(streams, key) != Some(at);
            if !is_stale && at > now {
                return None;
            }
            self.heap.pop();
            if !is_stale {
                return Some(key);
            }
        }
        None
    }

    /// When the next one passes, at the earliest; exact after [`Timers::pop_due`] has found no more.
    pub(super) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

fn deadline_of(streams: &Streams, key: Key) -> Option<Duration> {
    streams.get(key).and_then(|stream| stream.deadline())
}
