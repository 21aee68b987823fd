//! Who is told that somebody came, changed or went.
//!
//! Read first: RFC 6121 4.2 (initial presence), 4.4 (updates), 4.5 (unavailable). A presence is written once and copied to
//! each who may see it, and kept as written for those who come later.
//! Left out on purpose: presence that names a recipient ([`crate::router`]).

use crate::ctx::Ctx;
use crate::events::Event;
use crate::jid::Jid;
use crate::last_seen;
use crate::ns;
use crate::offline;
use crate::slab::Key;
use crate::stanza::{PresenceType, Stanza};
use crate::xml::writer::Unaddressed;
use crate::xml::Element;

/// A resource says that it is here, or no longer.
pub(crate) fn broadcast(ctx: &mut Ctx<'_>, from: &Jid, kind: PresenceType, stanza: &Stanza) {
    match kind {
        PresenceType::Available => available(ctx, from, stanza),
        PresenceType::Unavailable => unavailable(ctx, from, &stanza.element),
        // Without an addressee these mean nothing (RFC 6121 section 3 and 4.3).
        _ => (),
    }
}

/// RFC 6121 4.2.2 and 4.4.2: contacts and all of one's own resources are told; a newcomer is told of them.
fn available(ctx: &mut Ctx<'_>, from: &Jid, stanza: &Stanza) {
    let (Some(user), Some(resource)) = (from.local(), from.resource()) else { return };
    let written = Unaddressed::new(&stanza.element, ns::CLIENT);
    let Some(session) = ctx.tables.sessions.find_mut(user, resource) else { return };
    let is_new = session.presence.is_none();
    let priority = stanza.priority();
    if is_new || session.priority != priority {
        session.since = ctx.outboxes.stanzas();
    }
    session.priority = priority;
    session.presence = Some(written);
    if is_new {
        tell_newcomer(ctx, from, user, resource);
    }
    tell_watchers(ctx, from, user, None);
    offline::deliver(ctx, from);
}

/// RFC 6121 4.5.2: all of one's own resources are told, the one that goes included.
fn unavailable(ctx: &mut Ctx<'_>, from: &Jid, element: &Element) {
    let (Some(user), Some(resource)) = (from.local(), from.resource()) else { return };
    if !ctx.tables.sessions.find(user, resource).is_some_and(|session| session.presence.is_some()) {
        return;
    }
    tell_watchers(ctx, from, user, Some(&Unaddressed::new(element, ns::CLIENT)));
    if let Some(session) = ctx.tables.sessions.find_mut(user, resource) {
        session.presence = None;
    }
    last_seen::note(ctx, user, element.child_text("status", ns::CLIENT).as_deref());
}

/// The stream is gone: disconnects the session, if it is still on that stream, and tells what priority it had if it was
/// available.
pub(crate) fn gone(ctx: &mut Ctx<'_>, from: &Jid, stream: Key) -> Option<i8> {
    let (user, resource) = (from.local()?, from.resource()?);
    ctx.tables.sessions.find(user, resource).filter(|session| session.stream == stream)?;
    let priority = withdraw(ctx, from);
    ctx.tables.sessions.remove(user, resource, stream);
    ctx.events.session(|| Event::Gone(from.clone()));
    priority
}

/// RFC 6121 4.5.3: the server says for a resource that it is unavailable. Tells what priority it had if it was not.
pub(crate) fn withdraw(ctx: &mut Ctx<'_>, from: &Jid) -> Option<i8> {
    let user = from.local()?;
    let session = ctx.tables.sessions.find_mut(user, from.resource()?)?;
    session.presence.take()?;
    let priority = session.priority;
    let element = Element::new("presence", ns::CLIENT)
        .with_attr("from", from.as_str().to_owned())
        .with_attr("type", "unavailable");
    tell_watchers(ctx, from, user, Some(&Unaddressed::new(&element, ns::CLIENT)));
    last_seen::note(ctx, user, None);
    Some(priority)
}

/// Copies a presence of `user`, or the one kept for `from`, to the contacts that may see it and to all of the user's
/// own available resources.
fn tell_watchers(ctx: &mut Ctx<'_>, from: &Jid, user: &str, presence: Option<&Unaddressed>) {
    let sessions = &ctx.tables.sessions;
    let kept = || from.resource().and_then(|r| sessions.find(user, r)).and_then(|s| s.presence.as_ref());
    let Some(presence) = presence.or_else(kept) else { return };
    for session in sessions.available(user) {
        ctx.outboxes.send_copy(session.stream, presence, || from.to_string(), from.bare_str());
    }
    for (contact, item) in ctx.tables.accounts.contacts(user) {
        let (true, Some(name)) = (item.subscription.is_from(), ctx.config.account(contact)) else { continue };
        for session in sessions.available(name) {
            ctx.outboxes.send_copy(session.stream, presence, || from.to_string(), contact.as_str());
        }
    }
}

/// RFC 6121 4.3.2: what a probe to each contact, and to one's other resources, would bring.
fn tell_newcomer(ctx: &mut Ctx<'_>, to: &Jid, user: &str, resource: &str) {
    let (config, sessions, accounts) = (ctx.config, &ctx.tables.sessions, &ctx.tables.accounts);
    let Some(stream) = sessions.find(user, resource).map(|session| session.stream) else { return };
    let visible = accounts.contacts(user).filter(|(_, item)| item.subscription.is_to());
    let contacts = visible
        .filter_map(|(contact, _)| config.account(contact))
        .filter(|name| accounts.contact(name, to.bare_str()).is_some_and(|item| item.subscription.is_from()));
    for name in std::iter::once(user).chain(contacts) {
        for session in sessions.available(name).filter(|session| session.stream != stream) {
            let Some(presence) = &session.presence else { continue };
            let from = || format!("{name}@{}/{}", config.domain(), session.resource);
            ctx.outboxes.send_copy(stream, presence, from, to.as_str());
        }
    }
}
