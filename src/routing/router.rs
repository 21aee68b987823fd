//! Who gets a stanza that is for somebody.
//!
//! Read first: RFC 6121 section 8, in whose order this is written. A stanza is delivered or refused, and a refusal is
//! answered if it may be: nothing is dropped in silence but what the RFC says must be.
//! Left out on purpose: stanzas for the server itself ([`crate::features`]) and presence for nobody in particular
//! ([`crate::im::presence`]).

use crate::features::{blocking, carbons};
use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::im::offline;
use crate::im::presence;
use crate::im::subscriptions;
use crate::outbox::Unacknowledged;
use crate::tables::{Destination, Session, User};
use crate::xml::ns;
use crate::xml::{Element, Node};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};

/// Delivers a stanza to `to`, or answers `from` why not.
pub(crate) fn route(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, stanza: &Stanza) {
    let routed = match stanza.kind {
        Kind::Presence(kind) => presence(ctx, from, to, kind, stanza),
        Kind::Message(_) | Kind::Iq(_) => deliver(ctx, from, to, stanza).map_err(Into::into),
    };
    match routed {
        Ok(()) => carbons::sent(ctx, from, to, stanza),
        Err(error) => refuse(ctx, from, stanza, &error),
    }
}

/// Presence for somebody: what it says is noted before it is delivered.
fn presence(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    kind: PresenceType,
    stanza: &Stanza,
) -> Result<(), StanzaError> {
    match (kind, ctx.destination(to)) {
        (PresenceType::Subscription(kind), _) => {
            return subscriptions::handle(ctx, from, to, kind, stanza);
        }
        (PresenceType::Probe, Destination::Account(_)) => {
            probe(ctx, from, to, stanza.element.attr("id"));
            return Ok(());
        }
        // RFC 6121 4.3: no probe is answered with an error.
        (PresenceType::Probe, Destination::Host | Destination::Remote(_)) => return Ok(()),
        (
            PresenceType::Available | PresenceType::Unavailable,
            Destination::Account(_) | Destination::Service(_),
        ) => {
            presence::direct(ctx, from, to, kind)?;
        }
        _ => (),
    }
    Ok(deliver(ctx, from, to, stanza)?)
}

/// RFC 6121 4.3.2: a probe for an account is answered by the server.
fn probe(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, id: Option<&str>) {
    if !presence::answer_probe(ctx, from, to, id) {
        subscriptions::deny(ctx, from, to, id);
    }
}

fn deliver(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, stanza: &Stanza) -> Result<(), Condition> {
    match ctx.destination(to) {
        Destination::Service(_) if ctx.events.stanza(stanza.element.clone()) => Ok(()),
        Destination::Service(_) => Err(Condition::ResourceConstraint),
        Destination::Account(user) => to_account(ctx, user, from, to, stanza),
        Destination::Host => Err(Condition::ServiceUnavailable),
        Destination::Remote(_) => Err(Condition::RemoteServerNotFound),
    }
}

/// XEP-0198 section 4: what a lost stream of this priority did not acknowledge goes where it would have gone without
/// that stream. What an account got on several streams at once, it has; where that cannot be told, it gets it twice.
/// Whether it is stored and is to wait on, for anybody of its account.
pub(crate) fn give_back(
    ctx: &mut Ctx<'_>,
    mut stanza: Stanza,
    given: &Unacknowledged,
    priority: Option<i8>,
) -> bool {
    let from = stanza.element.attr("from").and_then(|from| from.parse::<Jid>().ok());
    let (Some(from), Some(to)) = (from, stanza.to.clone()) else { return false };
    if is_settled(ctx, &from, &to, &stanza, given, priority) {
        return false;
    }
    // RFC 6121 8.5.3.2.1: but for chats, what is for one resource is for no other.
    if given.stored.is_some() && (to.is_bare() || stanza.kind == Kind::Message(MessageType::Chat)) {
        return true;
    }
    if matches!(stanza.kind, Kind::Message(_)) && !delay::is_noted(ctx.config, &stanza.element) {
        let then = delay::at(ctx.now, given.written.time());
        stanza.element.push(Node::Element(delay::note(ctx.config, then)));
    }
    route(ctx, &from, &to, &stanza);
    false
}

/// Whether nobody else is to get what a lost stream did not acknowledge.
fn is_settled(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    to: &Jid,
    stanza: &Stanza,
    given: &Unacknowledged,
    priority: Option<i8>,
) -> bool {
    if is_answer(stanza.kind) {
        // RFC 6121 8.5.3.2: it answers what that stream asked. Another one may have asked something else with this id.
        return true;
    }
    if from.as_str() == to.bare_str() {
        // What the server says on behalf of an account to one of its resources, such as a copy, is for that one alone.
        return true;
    }
    if is_stopped(ctx, from, to, stanza) {
        return true;
    }
    let Some(user) = User::at(ctx.config, to) else { return true };
    // One that had waited before, for the account or for a lost stream's, went to that stream alone.
    let had_waited = delay::is_noted(ctx.config, &stanza.element) && !given.is_delayed;
    let written = given.written;
    let was_there = |s: &Session| Some(s.priority) >= priority && s.since <= written.number;
    let is_there_too = !had_waited && to.is_bare() && ctx.tables.sessions.available(user).any(was_there);
    let has_copy = !had_waited && carbons::is_known(ctx, user, stanza, written);
    has_copy || is_there_too || matches!(stanza.kind, Kind::Presence(_))
}

fn is_answer(kind: Kind) -> bool {
    matches!(kind, Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(MessageType::Error))
}

/// XEP-0191 3.3: whether a block is in a stanza's way. Its sender is told what may be told.
pub(crate) fn is_stopped(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, stanza: &Stanza) -> bool {
    let Err(error) = blocking::check(ctx, from, to, stanza.kind) else { return false };
    if let Some(error) = error {
        refuse(ctx, from, stanza, &error);
    }
    true
}

/// Answers a stanza with an error, where that is allowed.
pub(crate) fn refuse(ctx: &mut Ctx<'_>, from: &Jid, stanza: &Stanza, error: &StanzaError) {
    if let Some(answer) = stanza.refused(error) {
        answer_to(ctx, from, answer);
    }
}

/// Sends an answer of ours back to the full address that asked; one that is gone needs none (RFC 6120 8.2.3).
pub(crate) fn answer_to(ctx: &mut Ctx<'_>, to: &Jid, answer: Element) {
    match ctx.destination(to) {
        Destination::Service(_) => {
            ctx.events.stanza(answer);
        }
        Destination::Account(user) => {
            if let Some(session) = to.resource().and_then(|resource| ctx.tables.sessions.find(user, resource))
            {
                ctx.outboxes.send(session.stream, &answer);
            }
        }
        Destination::Host | Destination::Remote(_) => (),
    }
}

/// RFC 6121 8.5: a local user.
fn to_account(
    ctx: &mut Ctx<'_>,
    user: User<'_>,
    from: &Jid,
    to: &Jid,
    stanza: &Stanza,
) -> Result<(), Condition> {
    if !ctx.tables.accounts.exists(user) {
        return no_such_user(stanza);
    }
    if stanza.kind == Kind::Presence(PresenceType::Unavailable) {
        presence::forget(ctx, user, to, from);
    }
    let Some(resource) = to.resource() else { return to_bare(ctx, user, stanza) };
    let session = ctx.tables.sessions.find(user, resource);
    if session.is_some_and(|session| is_hidden(ctx, session, from, to, stanza)) {
        return refused_unseen(stanza);
    }
    let stream = session.map(|session| session.stream);
    if stream.is_some_and(|stream| to_streams(ctx, user, &[stream], stanza)) {
        Ok(())
    } else {
        to_absent_resource(ctx, user, stanza)
    }
}

/// RFC 6121 8.5.3.1: whether a resource is not there as far as an IQ of this sender goes. To one who does not see it,
/// no request may show that it is there; and what only a server may say of a roster (2.1.6), no other client may say.
fn is_hidden(ctx: &Ctx<'_>, session: &Session, from: &Jid, to: &Jid, stanza: &Stanza) -> bool {
    let Kind::Iq(kind) = stanza.kind else { return false };
    if ctx.tables.hosts.service_at(from).is_some() {
        return false;
    }
    let is_request = matches!(kind, IqType::Get | IqType::Set);
    stanza.payload().is_some_and(|payload| payload.is("query", ns::ROSTER))
        || (is_request && !presence::is_shared(ctx, session, to, from))
}

/// As if nobody were there.
fn refused_unseen(stanza: &Stanza) -> Result<(), Condition> {
    match stanza.kind {
        Kind::Iq(IqType::Get | IqType::Set) => Err(Condition::ServiceUnavailable),
        _ => Ok(()),
    }
}

/// RFC 6121 8.5.1: presence is dropped, all else is refused.
fn no_such_user(stanza: &Stanza) -> Result<(), Condition> {
    match stanza.kind {
        Kind::Presence(_) => Ok(()),
        Kind::Message(_) | Kind::Iq(_) => Err(Condition::ServiceUnavailable),
    }
}

/// RFC 6121 8.5.2: a bare address.
fn to_bare(ctx: &mut Ctx<'_>, user: User<'_>, stanza: &Stanza) -> Result<(), Condition> {
    match stanza.kind {
        Kind::Message(kind) => message_to_bare(ctx, user, kind, stanza),
        Kind::Presence(kind) => presence_to_bare(ctx, user, kind, stanza),
        Kind::Iq(_) => Err(Condition::ServiceUnavailable),
    }
}

/// RFC 6121 8.5.2.1.1 and 8.5.2.2.1: a message for an account goes to the most available of its resources, a headline
/// to all of them. One of negative priority never gets it.
fn message_to_bare(
    ctx: &mut Ctx<'_>,
    user: User<'_>,
    kind: MessageType,
    stanza: &Stanza,
) -> Result<(), Condition> {
    let willing = || ctx.tables.sessions.available(user).filter(|session| session.priority >= 0);
    let highest = willing().map(|session| session.priority).max();
    let mut streams: Vec<Key> = match kind {
        MessageType::Normal | MessageType::Chat => {
            willing().filter(|session| Some(session.priority) == highest).map(|s| s.stream).collect()
        }
        MessageType::Headline => willing().map(|session| session.stream).collect(),
        MessageType::Groupchat => return Err(Condition::ServiceUnavailable),
        MessageType::Error => return Ok(()),
    };
    if delay::is_noted(ctx.config, &stanza.element) {
        // It comes from a lost stream. On several, it would come back from each, and be more each time; on one that is
        // lost itself, it would take the room of what waits without its limit.
        streams.retain(|&stream| ctx.outboxes.is_connected(stream));
        streams.truncate(1);
    }
    if to_streams(ctx, user, &streams, stanza) {
        return Ok(());
    }
    if kind == MessageType::Headline && !offline::is_asked_for(&stanza.element) {
        return Ok(());
    }
    offline::store(ctx, user, stanza)?;
    carbons::received(ctx, user, &[], stanza);
    Ok(())
}

/// RFC 6121 8.5.2.1.2: presence for an account goes to all of its available resources.
fn presence_to_bare(
    ctx: &mut Ctx<'_>,
    user: User<'_>,
    kind: PresenceType,
    stanza: &Stanza,
) -> Result<(), Condition> {
    match kind {
        PresenceType::Available | PresenceType::Unavailable | PresenceType::Error => {
            for session in ctx.tables.sessions.available(user) {
                ctx.outboxes.send(session.stream, &stanza.element);
            }
            Ok(())
        }
        // They are no longer on their way here.
        PresenceType::Probe | PresenceType::Subscription(_) => Ok(()),
    }
}

/// RFC 6121 8.5.3.2: nobody is connected under this full address. A chat goes on with the account, the rest does not.
fn to_absent_resource(ctx: &mut Ctx<'_>, user: User<'_>, stanza: &Stanza) -> Result<(), Condition> {
    match stanza.kind {
        Kind::Message(MessageType::Chat) => to_bare(ctx, user, stanza),
        Kind::Message(MessageType::Error) | Kind::Presence(_) => Ok(()),
        Kind::Message(_) | Kind::Iq(_) => Err(Condition::ServiceUnavailable),
    }
}

/// Whether one of them takes it. The account's other resources may get copies then. What only streams without a
/// connection take is stored for each of them, if it is worth it: it has reached nobody yet, and is to outlive the
/// server.
fn to_streams(ctx: &mut Ctx<'_>, user: User<'_>, streams: &[Key], stanza: &Stanza) -> bool {
    let (mut taken, mut detached) = (false, false);
    for &stream in streams {
        if ctx.outboxes.is_detached(stream) {
            detached = true;
        } else {
            taken |= ctx.outboxes.send(stream, &stanza.element);
        }
    }
    if detached {
        taken |= to_detached(ctx, user, streams, stanza, !taken);
    }
    if taken {
        carbons::received(ctx, user, streams, stanza);
    }
    taken
}

/// Whether one of those that have no connection takes it, which is stored for each of them if it is to be and is worth
/// it.
fn to_detached(
    ctx: &mut Ctx<'_>,
    user: User<'_>,
    streams: &[Key],
    stanza: &Stanza,
    is_to_be_stored: bool,
) -> bool {
    let is_kind_kept = matches!(stanza.kind, Kind::Message(MessageType::Normal | MessageType::Chat));
    let stores = is_to_be_stored && is_kind_kept && offline::is_kept(&stanza.element);
    let mut taken = false;
    for &stream in streams {
        if !ctx.outboxes.is_detached(stream) {
            continue;
        }
        taken |= if stores {
            offline::store_for(ctx, user, stream, stanza)
        } else {
            ctx.outboxes.send(stream, &stanza.element)
        };
    }
    taken
}
