//! Who answers a stanza: the server itself, or whom the router takes it to.
//!
//! Read first: RFC 6121 section 8, in whose order this is written, and [`crate::features`], whose handlers are found
//! here. The one answer that each request gets (RFC 6120 8.2.3) is built here, so a feature cannot forget it or give
//! two.

use super::router;
use crate::features::{Answer, Login, Route, Target, FEATURES};
use crate::im::ctx::Ctx;
use crate::im::presence;
use crate::im::sender::Sender;
use crate::tables::Destination;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StreamError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Kind, Stanza};

fn find<W: PartialEq, H: Copy>(routes: &[Route<W, H>], at: &W, kind: IqType, payload: &Element) -> Option<H> {
    let found = routes.iter().find(|r| r.at == *at && r.kind == kind && payload.is(r.name, r.ns));
    found.map(|route| route.handler)
}

/// What is offered to a stream as far as it is.
pub(crate) fn offers(ctx: &Ctx<'_>, login: &Login) -> Vec<Element> {
    FEATURES.iter().filter_map(|feature| (feature.stream_feature)(ctx, login)).collect()
}

/// The answer to a request before login. Anything else ends the stream (RFC 6120 4.9.3.12).
pub(crate) fn before_login(
    ctx: &mut Ctx<'_>,
    login: &mut Login,
    stanza: &Stanza,
) -> Result<Element, StreamError> {
    let Kind::Iq(kind @ (IqType::Get | IqType::Set)) = stanza.kind else {
        return Err(StreamError::NotAuthorized);
    };
    if !stanza.to.as_ref().map_or(true, |to| ctx.destination(to) == Destination::Host) {
        return Err(StreamError::NotAuthorized);
    }
    let payload = stanza.payload().ok_or(StreamError::NotAuthorized)?;
    let stage = login.stage();
    let handler = FEATURES.iter().find_map(|feature| find(feature.login, &stage, kind, payload));
    let handler = handler.ok_or(StreamError::NotAuthorized)?;
    answer(stanza, handler(ctx, login, stanza)).ok_or(StreamError::InternalServerError)
}

/// The answer to an element that is no stanza, before login.
pub(crate) fn element_before_login(
    ctx: &mut Ctx<'_>,
    login: &mut Login,
    element: &Element,
) -> Result<Element, StreamError> {
    let stage = login.stage();
    let mut routes = FEATURES.iter().flat_map(|feature| feature.login_elements);
    let route = routes.find(|route| route.at == stage && route.ns == element.ns());
    (route.ok_or(StreamError::UnsupportedStanzaType)?.handler)(ctx, login, element)
}

/// The answer to an element that is no stanza, after login.
pub(crate) fn element(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    stream: Key,
    element: &Element,
) -> Result<Option<Element>, StreamError> {
    let mut routes = FEATURES.iter().flat_map(|feature| feature.elements);
    let route = routes.find(|(ns, _)| *ns == element.ns());
    let (_, handler) = route.ok_or(StreamError::UnsupportedStanzaType)?;
    handler(ctx, from, stream, element)
}

/// RFC 6121 section 8, the part before routing: what is for the server or the sender's own account is answered here,
/// what is for others goes on.
pub(crate) fn dispatch(ctx: &mut Ctx<'_>, sender: &Sender<'_>, stanza: &Stanza) {
    let from = sender.address();
    if stanza.to.as_ref().is_some_and(|to| router::is_stopped(ctx, from, to, stanza)) {
        return;
    }
    let target = match &stanza.to {
        None => Target::Account,
        Some(to) if sender.is_own_account(to) => Target::Account,
        Some(to) => match (ctx.destination(to), stanza.kind) {
            (Destination::Host, _) => Target::Host,
            (Destination::Account(_), Kind::Iq(_)) if to.is_bare() => Target::Other,
            (Destination::Account(_), Kind::Iq(kind)) => return to_resource(ctx, from, to, kind, stanza),
            _ => return router::route(ctx, from, to, stanza),
        },
    };
    match (stanza.kind, &stanza.to) {
        (Kind::Iq(kind), _) => request(ctx, sender, target, kind, stanza),
        (Kind::Presence(kind), None) => {
            if let Err(error) = presence::broadcast(ctx, from, kind, stanza) {
                router::refuse(ctx, from, stanza, &error);
            }
        }
        (_, Some(to)) => router::route(ctx, from, to, stanza),
        // RFC 6120 10.3.1: a message for nobody is one for the sender's own account.
        (Kind::Message(_), None) => router::route(ctx, from, &from.to_bare(), stanza),
    }
}

/// An IQ for a resource, which answers for itself, unless a feature refuses it on its behalf.
fn to_resource(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, kind: IqType, stanza: &Stanza) {
    let guard = stanza
        .payload()
        .and_then(|payload| FEATURES.iter().find_map(|feature| find(feature.guards, &(), kind, payload)));
    match guard.map_or(Ok(()), |guard| guard(ctx, from, to)) {
        Ok(()) => router::route(ctx, from, to, stanza),
        Err(error) => router::refuse(ctx, from, stanza, &error),
    }
}

/// An IQ that the server answers itself, for the host or on behalf of an account.
fn request(ctx: &mut Ctx<'_>, sender: &Sender<'_>, target: Target, kind: IqType, stanza: &Stanza) {
    let Some(payload) = stanza.payload() else { return };
    let handler = FEATURES.iter().find_map(|feature| find(feature.iq, &target, kind, payload));
    let done = match handler {
        Some(handler) => handler(ctx, sender, stanza),
        None => Err(Condition::ServiceUnavailable.into()),
    };
    if let Some(answer) = answer(stanza, done) {
        router::answer_to(ctx, sender.address(), answer);
    }
}

/// The one answer to a request.
fn answer(stanza: &Stanza, done: Answer) -> Option<Element> {
    match done {
        Ok(payload) => Some(stanza.result(payload)),
        Err(error) => stanza.refused(&error),
    }
}
