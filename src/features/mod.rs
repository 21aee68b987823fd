//! What the server can do, one file for each protocol.
//!
//! A feature is a constant: what it is called, what it offers before login, which requests it answers. [`FEATURES`] lists
//! them all; adding one is a file and a line here. The dispatcher below builds the one answer that each request gets
//! (RFC 6120 8.2.3), so a feature cannot forget it or give two.
//! Left out on purpose: messages and presence, whose ways are written out in [`crate::router`] and [`crate::presence`].

mod legacy_auth;
mod register;
mod roster;

use crate::ctx::{Ctx, Owner};
use crate::error::{Condition, StanzaError};
use crate::jid::Jid;
use crate::router;
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::Element;

/// All features.
pub(crate) const FEATURES: &[Feature] = &[legacy_auth::FEATURE, register::FEATURE, roster::FEATURE];

/// The documents that the server implements, as each names itself.
pub fn specs() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.spec)
}

/// One protocol.
pub(crate) struct Feature {
    /// The document that defines it.
    pub(crate) spec: &'static str,
    /// Its place in `<stream:features/>` before login.
    pub(crate) stream_feature: fn(&Ctx<'_>) -> Option<Element>,
    /// Requests that it answers before login.
    pub(crate) login: &'static [Route<LoginHandler>],
    /// Requests that it answers to one who is logged in.
    pub(crate) iq: &'static [Route<IqHandler>],
}

impl Feature {
    /// A feature that does nothing yet; each names what it does and takes the rest from here.
    const NOTHING: Self = Self { spec: "", stream_feature: |_| None, login: &[], iq: &[] };
}

/// The payload of a result, or why there is none.
pub(crate) type Answer = Result<Option<Element>, StanzaError>;

/// Answers a request of one who is not logged in.
pub(crate) type LoginHandler = fn(&mut Ctx<'_>, &mut Login, &Stanza) -> Answer;

/// Answers a request of the address given.
pub(crate) type IqHandler = fn(&mut Ctx<'_>, &Jid, &Stanza) -> Answer;

/// Which requests go to which handler.
pub(crate) struct Route<H> {
    pub(crate) name: &'static str,
    pub(crate) ns: &'static str,
    pub(crate) target: Target,
    pub(crate) kind: IqType,
    pub(crate) handler: H,
}

/// Whom a request must be addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The sender's own account: nobody, or the own bare address.
    Account,
    /// The server. Before login, that is also nobody.
    Host,
}

/// What is known of a stream that is not logged in.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// The id that our header gave the stream.
    pub(crate) stream_id: String,
    /// How often a login has failed.
    pub(crate) failures: u32,
    /// Set by the handler that logs the stream in: the full address that it now has.
    pub(crate) done: Option<Jid>,
}

fn find<H: Copy>(routes: &[Route<H>], target: Target, kind: IqType, payload: &Element) -> Option<H> {
    let found = routes.iter().find(|r| r.target == target && r.kind == kind && payload.is(r.name, r.ns));
    found.map(|route| route.handler)
}

/// The answer to a request before login; `None` if it is none that may be made then.
pub(crate) fn before_login(ctx: &mut Ctx<'_>, login: &mut Login, stanza: &Stanza) -> Option<Element> {
    let Kind::Iq(kind @ (IqType::Get | IqType::Set)) = stanza.kind else { return None };
    if !stanza.to.as_ref().map_or(true, |to| ctx.owner_of(to) == Owner::Host) {
        return None;
    }
    let payload = stanza.payload()?;
    let handler = FEATURES.iter().find_map(|feature| find(feature.login, Target::Host, kind, payload))?;
    answer(stanza, handler(ctx, login, stanza))
}

/// RFC 6121 section 8, the part before routing: what is for the server or the sender's own account is answered here,
/// what is for others goes on.
pub(crate) fn dispatch(ctx: &mut Ctx<'_>, from: &Jid, stanza: &Stanza) {
    let own = |to: &Jid| to.as_str() == from.bare_str();
    let target = match &stanza.to {
        None => Target::Account,
        Some(to) if own(to) => Target::Account,
        Some(to) if ctx.owner_of(to) == Owner::Host => Target::Host,
        Some(to) => return router::route(ctx, from, to, stanza),
    };
    match (stanza.kind, &stanza.to) {
        (Kind::Iq(kind), _) => request(ctx, from, target, kind, stanza),
        (Kind::Presence(kind), None) => crate::presence::broadcast(ctx, from, kind, stanza),
        (_, Some(to)) => router::route(ctx, from, to, stanza),
        // RFC 6120 10.3.1: a message for nobody is one for the sender's own account.
        (Kind::Message(_), None) => router::route(ctx, from, &from.to_bare(), stanza),
    }
}

/// An IQ that the server answers itself, for the host or on behalf of an account.
fn request(ctx: &mut Ctx<'_>, from: &Jid, target: Target, kind: IqType, stanza: &Stanza) {
    let Some(payload) = stanza.payload() else { return };
    let handler = FEATURES.iter().find_map(|feature| find(feature.iq, target, kind, payload));
    let done = match handler {
        Some(handler) => handler(ctx, from, stanza),
        None => Err(Condition::ServiceUnavailable.into()),
    };
    if let Some(answer) = answer(stanza, done) {
        router::answer_to(ctx, from, answer);
    }
}

/// The one answer to a request.
fn answer(stanza: &Stanza, done: Answer) -> Option<Element> {
    match done {
        Ok(payload) => Some(stanza.result(payload)),
        Err(error) => stanza.refused(&error),
    }
}
