//! What the server can do, one file for each protocol.
//!
//! A feature is a constant: what it is called, what it offers before login, which requests it answers. [`FEATURES`] lists
//! them all; adding one is a file and a line here. The dispatcher below builds the one answer that each request gets
//! (RFC 6120 8.2.3), so a feature cannot forget it or give two.
//! Left out on purpose: messages and presence, whose ways are written out in [`crate::router`] and [`crate::presence`].

mod adhoc;
mod admin;
mod bind;
mod blocking;
mod carbons;
mod client_state;
mod command;
mod disco;
mod entity_time;
mod last_activity;
mod legacy_auth;
mod login;
mod messaging;
mod ping;
mod private;
mod register;
mod roster;
mod sasl;
mod stream_management;
mod vcard;
mod version;

use crate::ctx::{Ctx, Owner};
use crate::error::{Condition, StanzaError, StreamError};
use crate::jid::Jid;
use crate::presence;
use crate::router;
use crate::slab::Key;
use crate::stanza::{IqType, Kind, Stanza};
use crate::xml::Element;

pub(crate) use command::{bad_payload, Command, Done};
pub(crate) use login::{Awaited, Login, Mechanism, Outcome, Proved};

/// All features, in the order in which they are offered.
pub(crate) const FEATURES: &[Feature] = &[
    sasl::FEATURE,
    legacy_auth::FEATURE,
    register::FEATURE,
    bind::FEATURE,
    bind::SESSION,
    roster::FEATURE,
    roster::SUBSCRIPTIONS,
    blocking::FEATURE,
    ping::FEATURE,
    stream_management::FEATURE,
    client_state::FEATURE,
    disco::FEATURE,
    entity_time::FEATURE,
    version::FEATURE,
    messaging::OFFLINE,
    carbons::FEATURE,
    messaging::DELAY,
    messaging::HINTS,
    vcard::FEATURE,
    private::FEATURE,
    last_activity::FEATURE,
    adhoc::FEATURE,
    admin::FEATURE,
];

/// The documents that the server implements, as each names itself.
pub fn specs() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.spec)
}

/// One protocol.
pub(crate) struct Feature {
    /// The document that defines it.
    pub(crate) spec: &'static str,
    /// Its place in `<stream:features/>` before login.
    pub(crate) stream_feature: fn(&Ctx<'_>, &Login) -> Option<Element>,
    /// Requests that it answers before login.
    pub(crate) login: &'static [Route<Stage, LoginHandler>],
    /// Elements that are no stanzas, and that it answers before login.
    pub(crate) login_elements: &'static [ElementRoute<LoginElementHandler>],
    /// Requests that it answers to one who is logged in.
    pub(crate) iq: &'static [Route<Target, IqHandler>],
    /// Requests to another's resource that it refuses before they get there.
    pub(crate) guards: &'static [Route<(), Guard>],
    /// Elements that are no stanzas, and that it acts upon for one who is logged in.
    pub(crate) elements: &'static [(&'static str, ElementHandler)],
    /// What service discovery says of the host (XEP-0030): what one who is logged in may ask the server for.
    pub(crate) disco: &'static [&'static str],
    /// What it says of an account: what one who sees its presence may ask it for.
    pub(crate) account_disco: &'static [&'static str],
    /// What a node of the host is to the address given, if it is one of this feature's.
    pub(crate) node: fn(&Ctx<'_>, &Jid, &str) -> Option<Result<Node, Condition>>,
    /// Commands of the host (XEP-0050).
    pub(crate) commands: &'static [Command],
}

impl Feature {
    /// A feature that does nothing yet; each names what it does and takes the rest from here.
    const NOTHING: Self = Self {
        spec: "",
        stream_feature: |_, _| None,
        login: &[],
        login_elements: &[],
        iq: &[],
        guards: &[],
        elements: &[],
        disco: &[],
        account_disco: &[],
        node: |_, _, _| None,
        commands: &[],
    };
}

/// What service discovery says of a node (XEP-0030 3.2 and 4.2).
pub(crate) struct Node {
    /// Category and type.
    pub(crate) kind: (&'static str, &'static str),
    pub(crate) name: &'static str,
    pub(crate) features: &'static [&'static str],
    /// The nodes that belong to it, each with its name.
    pub(crate) items: Vec<(&'static str, &'static str)>,
}

/// The payload of a result, or why there is none.
pub(crate) type Answer = Result<Option<Element>, StanzaError>;

/// Answers a request of one who is not logged in.
pub(crate) type LoginHandler = fn(&mut Ctx<'_>, &mut Login, &Stanza) -> Answer;

/// Answers an element of one who is not logged in.
pub(crate) type LoginElementHandler = fn(&mut Ctx<'_>, &mut Login, &Element) -> Result<Element, StreamError>;

/// Answers a request of the address given.
pub(crate) type IqHandler = fn(&mut Ctx<'_>, &Jid, &Stanza) -> Answer;

/// Whether the first address may ask a resource, the second.
pub(crate) type Guard = fn(&Ctx<'_>, &Jid, &Jid) -> Result<(), StanzaError>;

/// Acts upon an element of the address given, on its stream.
pub(crate) type ElementHandler =
    fn(&mut Ctx<'_>, &Jid, Key, &Element) -> Result<Option<Element>, StreamError>;

/// Which requests go to which handler.
pub(crate) struct Route<W, H> {
    pub(crate) name: &'static str,
    pub(crate) ns: &'static str,
    pub(crate) kind: IqType,
    /// When, or to whom, it may be asked.
    pub(crate) at: W,
    pub(crate) handler: H,
}

/// Which elements go to which handler: those of a namespace.
pub(crate) struct ElementRoute<H> {
    pub(crate) ns: &'static str,
    pub(crate) at: Stage,
    pub(crate) handler: H,
}

/// How far a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is known of the client.
    Start,
    /// SASL has proved its account; it wants a resource.
    Authenticated,
}

/// Whom a request must be addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The sender's own account: nobody, or the own bare address.
    Account,
    /// The server.
    Host,
    /// Another account, by its bare address; the server answers on its behalf (RFC 6121 8.5.2.1.3).
    Other,
}

fn find<W: PartialEq, H: Copy>(routes: &[Route<W, H>], at: &W, kind: IqType, payload: &Element) -> Option<H> {
    let found = routes.iter().find(|r| r.at == *at && r.kind == kind && payload.is(r.name, r.ns));
    found.map(|route| route.handler)
}

impl Login {
    fn stage(&self) -> Stage {
        match self.account {
            None => Stage::Start,
            Some(_) => Stage::Authenticated,
        }
    }
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
    if !stanza.to.as_ref().map_or(true, |to| ctx.owner_of(to) == Owner::Host) {
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
pub(crate) fn dispatch(ctx: &mut Ctx<'_>, from: &Jid, stanza: &Stanza) {
    if stanza.to.as_ref().is_some_and(|to| router::is_stopped(ctx, from, to, stanza)) {
        return;
    }
    let own = |to: &Jid| to.as_str() == from.bare_str();
    let target = match &stanza.to {
        None => Target::Account,
        Some(to) if own(to) => Target::Account,
        Some(to) => match (ctx.owner_of(to), stanza.kind) {
            (Owner::Host, _) => Target::Host,
            (Owner::Account(_), Kind::Iq(_)) if to.is_bare() => Target::Other,
            (Owner::Account(_), Kind::Iq(kind)) => return to_resource(ctx, from, to, kind, stanza),
            _ => return router::route(ctx, from, to, stanza),
        },
    };
    match (stanza.kind, &stanza.to) {
        (Kind::Iq(kind), _) => request(ctx, from, target, kind, stanza),
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
fn request(ctx: &mut Ctx<'_>, from: &Jid, target: Target, kind: IqType, stanza: &Stanza) {
    let Some(payload) = stanza.payload() else { return };
    let handler = FEATURES.iter().find_map(|feature| find(feature.iq, &target, kind, payload));
    let done = match handler {
        Some(handler) => handler(ctx, from, stanza),
        None => Err(Condition::ServiceUnavailable.into()),
    };
    if let Some(answer) = answer(stanza, done) {
        router::answer_to(ctx, from, answer);
    }
}

/// An address that a request names, at true names.
fn named_address(ctx: &Ctx<'_>, jid: &str) -> Result<Jid, StanzaError> {
    let address = jid.parse().and_then(|address| ctx.config.canonical(address));
    address.map_err(|error| StanzaError::because(Condition::JidMalformed, format!("jid: {error}")))
}

/// The one answer to a request.
fn answer(stanza: &Stanza, done: Answer) -> Option<Element> {
    match done {
        Ok(payload) => Some(stanza.result(payload)),
        Err(error) => stanza.refused(&error),
    }
}
