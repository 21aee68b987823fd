//! A stream that is not logged in, as the features that log it in see it.
//!
//! Left out on purpose: how it gets on; [`crate::streams`] acts on [`Login::outcome`].

use super::Stage;
use crate::crypto::codec::Digest;
use crate::crypto::scram::Exchange;
use crate::im::ctx::Ctx;
use crate::tables::User;
use crate::xmpp::error::{Condition, StanzaError, StreamError};
use crate::xmpp::jid::Jid;
use crate::xmpp::peer::Peer;
use crate::xmpp::slab::Key;

/// What is known of a stream that is not logged in.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// The id that our header gave the stream.
    pub(crate) stream_id: String,
    pub(crate) peer: Peer,
    /// The account, once SASL has proved it; a resource is to be bound then.
    pub(crate) account: Option<Proved>,
    /// A SASL exchange that waits for the client's next message.
    pub(crate) exchange: Option<Awaited>,
    /// How often a login has failed.
    pub(crate) failures: u32,
    /// Whether one of them was by SASL.
    pub(crate) sasl_failed: bool,
    /// Set by the handler that gets the stream on.
    pub(crate) outcome: Option<Outcome>,
}

/// An account that SASL has proved.
#[derive(Debug)]
pub(crate) struct Proved {
    /// Its bare address.
    pub(crate) address: Jid,
    /// What stood for its password then. It changes with the password, and with the owner of the name.
    key: Option<Digest>,
}

impl Proved {
    pub(crate) fn new(ctx: &Ctx<'_>, address: Jid) -> Self {
        let key = stored_key(ctx, &address);
        Self { address, key }
    }

    /// Whether it is still the same account, with the same password.
    pub(crate) fn holds(&self, ctx: &Ctx<'_>) -> bool {
        stored_key(ctx, &self.address) == self.key
    }
}

/// What stands for the password of an account of ours.
fn stored_key(ctx: &Ctx<'_>, address: &Jid) -> Option<Digest> {
    User::at(ctx.config, address).map(|user| ctx.tables.accounts.keys(user).stored_key)
}

/// The ways to log in by SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    ScramSha1,
}

/// Which message of a SASL exchange is to come.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// The first, which might have come with `<auth/>`.
    First(Mechanism),
    /// SCRAM's last, for this account.
    Last(Jid, Exchange),
}

/// How a stream gets on.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It restarts as this account's.
    Authenticated(Proved),
    /// It has this full address.
    Bound(Jid),
    /// It goes on where another stream was, whose full address it takes (XEP-0198).
    Resumed(Jid, Key),
    /// It ends.
    Ended(StreamError),
}

impl Login {
    /// How far it is.
    pub(crate) fn stage(&self) -> Stage {
        match self.account {
            None => Stage::Start,
            Some(_) => Stage::Authenticated,
        }
    }

    /// Whether another password may be tried for `user`.
    pub(crate) fn may_try(&self, ctx: &Ctx<'_>, user: &str) -> bool {
        ctx.tables.login_throttle.allows(self.peer.network(), user, ctx.now.monotonic)
    }

    /// RFC 6120 7.7.2.1: makes room for one more resource of an account: the oldest goes that has lost its connection
    /// and waits for it. If all are connected, there is none.
    pub(crate) fn make_room(&self, ctx: &mut Ctx<'_>, address: &Jid) -> Result<(), StanzaError> {
        let Some(user) = User::at(ctx.config, address) else { return Ok(()) };
        let sessions = ctx.tables.sessions.of(user);
        let others = || sessions.iter().filter(|session| address.resource() != Some(&session.resource));
        if others().count() < ctx.config.limits.resources {
            return Ok(());
        }
        let detached =
            others().map(|session| session.stream).find(|stream| !ctx.outboxes.is_connected(*stream));
        let why = "too many clients of this account are connected";
        let oldest = detached.ok_or_else(|| StanzaError::because(Condition::ResourceConstraint, why))?;
        ctx.outboxes.end(oldest, None);
        Ok(())
    }

    /// A name or a password was wrong. The name is not logged: it may be a password in the wrong field.
    pub(crate) fn failed(&mut self, ctx: &mut Ctx<'_>, user: Option<&str>) {
        log::info!("{}: a login has failed", self.peer);
        self.failures += 1;
        ctx.tables.login_throttle.note(self.peer.network(), user, ctx.now.monotonic);
    }
}
