//! A resource for a stream that SASL has logged in.
//!
//! Read first: RFC 6120 section 7; RFC 3921 section 3 for the session, which older clients ask for and which means
//! nothing. Left out on purpose: refusing a resource in use. The new stream takes it over (RFC 6120 7.7.2.2).

use super::{Answer, Feature, Login, Outcome, Route, Stage, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const NS_SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

pub(super) const FEATURE: Feature = Feature {
    spec: "RFC 6120 section 7: Resource Binding",
    stream_feature: |_, login| login.account.as_ref().map(|_| Element::new("bind", NS)),
    login: &[Route { name: "bind", ns: NS, at: Stage::Authenticated, kind: IqType::Set, handler: bind }],
    iq: &[
        Route { name: "bind", ns: NS, at: Target::Account, kind: IqType::Set, handler: bind_again },
        Route { name: "bind", ns: NS, at: Target::Host, kind: IqType::Set, handler: bind_again },
    ],
    ..Feature::NOTHING
};

pub(super) const SESSION: Feature = Feature {
    spec: "RFC 3921 section 3: Session Establishment",
    stream_feature: |_, login| {
        let session = || Element::new("session", NS_SESSION).with(Element::new("optional", NS_SESSION));
        login.account.as_ref().map(|_| session())
    },
    iq: &[
        Route { name: "session", ns: NS_SESSION, at: Target::Account, kind: IqType::Set, handler: session },
        Route { name: "session", ns: NS_SESSION, at: Target::Host, kind: IqType::Set, handler: session },
    ],
    ..Feature::NOTHING
};

/// RFC 6120 7.6 and 7.7: the client's resource, or one of ours.
fn bind(ctx: &mut Ctx<'_>, login: &mut Login, set: &Stanza) -> Answer {
    // The account may have been ended since SASL proved it, and may be another's by now.
    let account = login.account.as_ref().filter(|account| account.holds(ctx));
    let account = &account.ok_or(Condition::NotAuthorized)?.address;
    let wanted =
        set.payload().and_then(|bind| bind.child_text("resource", NS)).filter(|text| !text.is_empty());
    let resource = match wanted {
        Some(wanted) => wanted.into_owned(),
        None => ctx.random.token().map_err(|_| Condition::InternalServerError)?,
    };
    let address = account.with_resource(&resource).map_err(|error| {
        // RFC 6120 7.7.3: one may try again, but not for ever.
        login.failures += 1;
        StanzaError::because(Condition::BadRequest, error.to_string())
    })?;
    login.make_room(ctx, &address)?;
    let jid = Element::new("jid", NS).with_text(address.as_str().to_owned());
    login.outcome = Some(Outcome::Bound(address));
    Ok(Some(Element::new("bind", NS).with(jid)))
}

/// RFC 6120 7.6.2.2: a stream has one resource.
fn bind_again(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Err(StanzaError::because(Condition::NotAllowed, "this stream has a resource"))
}

fn session(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(None)
}
