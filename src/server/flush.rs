//! What is to be sent, and that it is not sent too early.
//!
//! Bytes can only be had from a [`Flush`], which there is only once all that was changed is as safe as was asked for;
//! and as long as there is one, nothing changes. So nobody is told of what may still be lost.
//! Left out on purpose: how bytes are sent; whoever has the connections knows.

use std::io;
use std::time::Duration;

use super::work::Budget;
use super::{Server, StreamId};
use crate::im::ctx::Now;
use crate::outbox::Outgoing;
use crate::streams::Stream;

/// What is to be sent in one turn, from [`Server::flush`].
///
/// ```no_run
/// # fn send(_: loquat::StreamId, bytes: &[u8]) -> usize { bytes.len() }
/// # fn host(server: &mut loquat::Server, now: loquat::Now) -> std::io::Result<()> {
/// let mut flush = server.flush(now)?;
/// while let Some((id, outgoing)) = flush.next() {
///     let taken = send(id, outgoing.bytes);
///     flush.sent(id, taken);
/// }
/// # Ok(())
/// # }
/// ```
///
/// While it is there the server cannot be changed, so this does not compile:
///
/// ```compile_fail
/// # fn host(server: &mut loquat::Server, id: loquat::StreamId, now: loquat::Now) -> std::io::Result<()> {
/// let mut flush = server.flush(now)?;
/// server.receive(id, b"<presence/>", now);
/// flush.next();
/// # Ok(())
/// # }
/// ```
#[must_use = "what is to be sent is in it"]
pub struct Flush<'s> {
    server: &'s mut Server,
}

impl Server {
    /// Does what is due, makes safe what has changed, and hands out what is to be sent. To be called after what came
    /// was passed on, and at [`Server::next_deadline`] at the latest.
    ///
    /// # Errors
    /// If what changed cannot be made safe. Then nothing can be sent any more, since it would acknowledge what may be
    /// lost.
    pub fn flush(&mut self, now: Now) -> io::Result<Flush<'_>> {
        self.do_what_is_due(now);
        self.commit(now)?;
        Ok(Flush { server: self })
    }

    /// When [`Server::flush`] is to be called although nothing came ([`Now::monotonic`]). At once, if that time has
    /// passed.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.has_work || self.outboxes.is_dirty() || self.outboxes.ready() > 0 {
            return Some(Duration::ZERO);
        }
        let commit = self.tables.recorder.as_ref().and_then(|recorder| recorder.next_commit());
        [self.timers.next(), commit, self.outboxes.next_look()].into_iter().flatten().min()
    }

    /// Whether so much waits for somebody that [`Server::flush`] should be called before more is received: a peer is
    /// not to be taken for a slow one that only has not been written to.
    pub fn wants_flush(&self) -> bool {
        self.outboxes.is_urgent()
    }

    /// Makes what has changed as safe as was asked for, which [`Server::flush`] does by itself. For a host that tells
    /// somebody of it in another way, such as on a socket for commands.
    ///
    /// # Errors
    /// If that cannot be done. Then nobody may be told.
    pub fn commit(&mut self, now: Now) -> io::Result<()> {
        self.tables.commit(now.monotonic)
    }

    /// Makes all that changed safe, whatever was asked for.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn sync(&mut self) -> io::Result<()> {
        self.tables.sync()
    }

    fn do_what_is_due(&mut self, now: Now) {
        self.started.get_or_insert(now.monotonic);
        while let Some(key) = self.timers.pop_due(now.monotonic, &self.streams) {
            self.with(key, now, Stream::due);
            self.work(now);
            self.set_timer(key);
        }
        self.context(now).1.outboxes.look_at_stalled();
        self.budget = Budget::default();
        self.work(now);
    }
}

impl Flush<'_> {
    /// The next stream that has something to send or is to be closed, and what. It is named once: whoever cannot send
    /// all of it asks [`Flush::outgoing`] when that has changed.
    #[allow(clippy::should_implement_trait)] // an iterator cannot lend
    pub fn next(&mut self) -> Option<(StreamId, Outgoing<'_>)> {
        let id = self.server.outboxes.next_dirty()?;
        Some((id, self.server.outboxes.outgoing(id)))
    }

    /// What a stream's connection is to do now. That of a stream that is no more is to be closed.
    pub fn outgoing(&self, id: StreamId) -> Outgoing<'_> {
        self.server.outboxes.outgoing(id)
    }

    /// A connection took so many of the bytes. One that broke is reported later, with [`Server::hung_up`].
    pub fn sent(&mut self, id: StreamId, bytes: usize) {
        self.server.outboxes.sent(id, bytes);
    }
}

/// The work that comes after sending: to record what was sent, and a slice of a snapshot if one is being written.
impl Drop for Flush<'_> {
    fn drop(&mut self) {
        let Server { outboxes, tables, .. } = self.server;
        if !outboxes.is_dirty() {
            tables.record_sent();
        }
        self.server.has_work = !tables.maintain();
        self.server.budget = Budget::default();
    }
}
