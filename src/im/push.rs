//! The server tells an account's resources that something of the account has changed.
//!
//! Read first: RFC 6121 2.1.6 (of a roster), XEP-0191 3.3 (of a blocklist). A push is written once for all of them;
//! whether they acknowledge it is their business. Left out on purpose: what has changed, and who asked to be told.

use crate::im::ctx::Ctx;
use crate::outbox::{Hold, Outbound};
use crate::tables::{Session, User};
use crate::xml::ns;
use crate::xml::writer::Broadcast;
use crate::xml::Element;
use crate::xmpp::jid::Jid;

/// Sends a payload to those resources of `owner` that want it.
pub(crate) fn send(ctx: &mut Ctx<'_>, owner: &Jid, payload: Element, wants: fn(&Session) -> bool) {
    let Some(user) = User::at(ctx.config, owner) else { return };
    // A number that no other push has is as good an id.
    let id = ctx.random.token().unwrap_or_else(|_| ctx.outboxes.stanzas().to_string());
    let push = Element::new("iq", ns::CLIENT).with_attr("type", "set").with_attr("id", id).with(payload);
    let written = Broadcast::new(&push, ns::CLIENT);
    for session in ctx.tables.sessions.of(user).iter().filter(|session| wants(session)) {
        let to = format!("{owner}/{}", session.resource);
        ctx.outboxes.send(session.stream, Outbound::Broadcast(&written, &to, Hold::Never));
    }
}
