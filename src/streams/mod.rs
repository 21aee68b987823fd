//! One stream, from its header to its end.
//!
//! Read first: RFC 6120 section 4. Here is what every stream has, whatever its peer is: a key, a reader, a deadline,
//! an end. What a peer may say and when is its role's: `client.rs`. What a stream's header says is in `header.rs`,
//! how a session outlives its stream in `resumption.rs`.
//!
//! Whoever ends a stream only marks its outbox ([`crate::outbox`]); the server then calls [`Stream::finish`], the
//! one way into a role's last phase.
//! Left out on purpose: what stanzas mean ([`crate::features`]), and how bytes come and go ([`crate::net`]).

mod client;
mod header;
mod resumption;

use std::time::Duration;

pub(crate) use self::header::refusal;
use crate::im::ctx::Ctx;
use crate::xml::{Reader, Spare};
use crate::xmpp::error::StreamError;
use crate::xmpp::opening::{Opening, StreamKind};
use crate::xmpp::peer::Peer;
use crate::xmpp::slab::Key;

pub(crate) struct Stream {
    base: Base,
    role: Role,
    /// In line to rest; see [`Stream::rest`].
    pub(crate) in_line: bool,
    /// It was read from since it came into line.
    pub(crate) used: bool,
    /// The peer sends no more, but something of what it has sent may not be acted upon yet.
    pub(crate) ended_by_peer: bool,
    /// It has no connection any more, and is kept for what it has to give back.
    pub(crate) gone: bool,
}

/// What every stream has.
struct Base {
    key: Key,
    peer: Peer,
    reader: Reader,
    /// When [`Stream::due`] is to be called, if anything is to happen then.
    deadline: Option<Duration>,
}

/// What the peer is. A role's phase moves by value: whoever acts on it gives back the next one.
enum Role {
    Client(client::Phase),
}

impl Stream {
    /// A new connection's stream.
    pub(crate) fn open(ctx: &mut Ctx<'_>, key: Key, opening: Opening) -> Self {
        let peer = opening.peer;
        log::debug!("{key} {peer} connected");
        let reader = Reader::new(ctx.config.limits.before_login());
        let deadline = Some(ctx.now.monotonic + ctx.config.limits.login_time);
        let base = Base { key, peer, reader, deadline };
        let role = match opening.kind {
            StreamKind::Client => Role::Client(client::Phase::default()),
        };
        Self { base, role, in_line: false, used: false, ended_by_peer: false, gone: false }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.base.deadline
    }

    /// Whether it is a resource's (RFC 6120 section 7).
    pub(crate) fn is_bound(&self) -> bool {
        let Role::Client(phase) = &self.role;
        phase.is_bound()
    }

    /// Whether anything more is read.
    pub(crate) fn reads(&self) -> bool {
        let Role::Client(phase) = &self.role;
        phase.reads()
    }

    /// Takes bytes, to be acted upon by [`Stream::step`]. `spare` is memory to work in until
    /// [`Stream::take_spare`].
    pub(crate) fn push(&mut self, bytes: &[u8], spare: Spare, now: Duration) {
        let Role::Client(phase) = &mut self.role;
        phase.heard(now);
        self.base.reader.push_into(bytes, spare);
    }

    /// Goes on with what was pushed before and not acted upon.
    pub(crate) fn push_unread(&mut self, spare: Spare) {
        self.base.reader.push_into(&[], spare);
    }

    /// Gives the memory of [`Stream::push`] back.
    pub(crate) fn take_spare(&mut self) -> Spare {
        self.base.reader.take_spare()
    }

    /// Lets go of what an idle stream does not need. `false` if this is no time for it.
    pub(crate) fn rest(&mut self) -> bool {
        !self.reads() || self.base.reader.rest()
    }

    /// Bytes that were taken and not acted upon.
    pub(crate) fn unread(&self) -> usize {
        self.base.reader.unread()
    }

    /// Acts on the next item of what was read; one that has ended gives back the next stanza. `false` once there is
    /// none.
    pub(crate) fn step(&mut self, ctx: &mut Ctx<'_>) -> bool {
        ctx.outboxes.act_for(Some(self.base.key));
        let put_off = ctx.outboxes.take_put_off(self.base.key);
        let stepped = if put_off {
            self.tell_more(ctx);
            true
        } else if self.reads() {
            self.read_one(ctx)
        } else {
            self.give_one_back(ctx)
        };
        ctx.outboxes.act_for(None);
        stepped
    }

    fn tell_more(&self, ctx: &mut Ctx<'_>) {
        let Role::Client(phase) = &self.role;
        phase.tell_more(ctx);
    }

    fn read_one(&mut self, ctx: &mut Ctx<'_>) -> bool {
        match self.base.reader.next_item() {
            Ok(None) => return false,
            Ok(Some(item)) => self.advance(|phase, base| phase.item(base, ctx, item)),
            Err(error) => self.advance(|phase, base| phase.fail(base, ctx, error.into())),
        }
        true
    }

    fn give_one_back(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Role::Client(phase) = &mut self.role;
        phase.give_one_back(ctx)
    }

    /// Whether it has something to give back.
    pub(crate) fn has_returns(&self) -> bool {
        let Role::Client(phase) = &self.role;
        phase.has_returns()
    }

    /// The deadline has passed.
    pub(crate) fn due(&mut self, ctx: &mut Ctx<'_>) {
        self.base.deadline = None;
        self.advance(|phase, base| phase.due(base, ctx));
    }

    /// The server stops (RFC 6120 4.9.3.20).
    pub(crate) fn shut_down(&mut self, ctx: &mut Ctx<'_>) {
        self.advance(|phase, base| phase.shut_down(base, ctx));
    }

    /// The peer sends no more, but may still read.
    pub(crate) fn half_closed(&mut self, ctx: &mut Ctx<'_>) {
        self.advance(|phase, base| phase.half_closed(base, ctx));
    }

    /// The connection is gone. `true` if the stream waits for another one.
    pub(crate) fn lose_connection(&mut self, ctx: &mut Ctx<'_>) -> bool {
        self.advance(|phase, base| phase.detach(base, ctx));
        let Role::Client(phase) = &self.role;
        phase.is_detached()
    }

    /// The stream has ended, whoever ended it: nothing more is read, and those who should know are told. `false` if
    /// there is no connection either, and so nothing left of it.
    pub(crate) fn finish(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Role::Client(phase) = &self.role;
        let connected = !phase.is_detached();
        self.advance(|phase, base| phase.finish(base, ctx));
        self.base.reader.stop();
        self.base.deadline = Some(ctx.now.monotonic + ctx.config.limits.closing_time);
        connected
    }

    fn advance(&mut self, act: impl FnOnce(client::Phase, &mut Base) -> client::Phase) {
        let Role::Client(phase) = &mut self.role;
        *phase = act(std::mem::replace(phase, client::Phase::Ended(None)), &mut self.base);
    }
}

impl Base {
    /// RFC 6120 4.9.1.1: an error ends the stream.
    fn fail(&self, ctx: &mut Ctx<'_>, error: StreamError) {
        log::debug!("{} {}: {}", self.key, self.peer, error.name());
        ctx.outboxes.end(self.key, Some(error));
    }
}
