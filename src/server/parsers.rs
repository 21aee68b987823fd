//! Which streams keep a parser: those that were read from last.
//!
//! Read first: [`Stream::rest`]. A second-chance queue: who was used since it was last at the front goes to the back
//! again.
//! Left out on purpose: what a parser keeps while it hibernates; [`crate::xml::Reader`] knows.

use std::collections::VecDeque;

use crate::streams::Stream;
use crate::xmpp::slab::{Key, Slab};

/// How many streams in use are passed over in the search for one whose parser may hibernate.
const PASSED_OVER: usize = 4;

/// Streams that have a parser, in the order in which they are asked to let go of it.
#[derive(Default)]
pub(super) struct Parsers {
    queue: VecDeque<Key>,
}

impl Parsers {
    /// A stream was read from. With more than `limit` parsers, the one that was not used for longest hibernates.
    pub(super) fn used(&mut self, key: Key, streams: &mut Slab<Box<Stream>>, limit: usize) {
        let Some(stream) = streams.get_mut(key) else { return };
        stream.used = true;
        if !std::mem::replace(&mut stream.in_line, true) {
            self.queue.push_back(key);
            self.drop_ended(streams);
            if self.queue.len() > limit {
                self.hibernate_one(streams);
            }
        }
    }

    fn hibernate_one(&mut self, streams: &mut Slab<Box<Stream>>) {
        for _ in 0..PASSED_OVER {
            let Some(key) = self.queue.pop_front() else { return };
            let Some(stream) = streams.get_mut(key) else { return };
            if !std::mem::take(&mut stream.used) && stream.rest() {
                stream.in_line = false;
                return;
            }
            self.queue.push_back(key);
        }
    }

    /// Forgets streams that are no more, once they are most of the queue.
    fn drop_ended(&mut self, streams: &Slab<Box<Stream>>) {
        if self.queue.len() > 2 * streams.len() + PASSED_OVER {
            self.queue.retain(|key| streams.get(*key).is_some());
        }
    }
}
