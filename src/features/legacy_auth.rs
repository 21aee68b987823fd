//! Login as it was before SASL: a get, a set, and the stream has its full address.
//!
//! Read first: XEP-0078 sections 3 and 4. Clients of this kind read the whole error, so each carries the old code,
//! too. The answer to the get is the same for every name, so that nobody learns which ones exist.
//! Left out on purpose: the error `conflict` for a resource in use. The new login takes it over.

use super::{Answer, Feature, Login, Route, Target};
use crate::codec::legacy_digest;
use crate::ctx::Ctx;
use crate::error::{Condition, StanzaError};
use crate::jid::Jid;
use crate::stanza::{IqType, Stanza};
use crate::xml::Element;

const NS: &str = "jabber:iq:auth";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0078: Non-SASL Authentication",
    stream_feature: |_| Some(Element::new("auth", "http://jabber.org/features/iq-auth")),
    login: &[
        Route { name: "query", ns: NS, target: Target::Host, kind: IqType::Get, handler: fields },
        Route { name: "query", ns: NS, target: Target::Host, kind: IqType::Set, handler: log_in },
    ],
    ..Feature::NOTHING
};

/// XEP-0078 3.1: which fields a login needs.
fn fields(_: &mut Ctx<'_>, _: &mut Login, get: &Stanza) -> Answer {
    let mut username = Element::new("username", NS);
    if let Some(name) = get.payload().and_then(|query| query.child_text("username", NS)) {
        username = username.with_text(name.into_owned());
    }
    Ok(Some(
        Element::new("query", NS)
            .with(username)
            .with(Element::new("password", NS))
            .with(Element::new("digest", NS))
            .with(Element::new("resource", NS)),
    ))
}

/// XEP-0078 3.1: the login itself.
fn log_in(ctx: &mut Ctx<'_>, login: &mut Login, set: &Stanza) -> Answer {
    let field =
        |name| set.payload().and_then(|query| query.child_text(name, NS)).filter(|text| !text.is_empty());
    let missing = || {
        StanzaError::because(Condition::NotAcceptable, "username, resource, and digest or password, please")
    };
    let name = field("username").ok_or_else(missing)?;
    let resource = field("resource").ok_or_else(missing)?;
    let (digest, password) = (field("digest"), field("password"));
    if digest.is_none() && password.is_none() {
        return Err(missing());
    }
    let address = Jid::new(Some(name.trim()), ctx.config.domain(), Some(&resource))
        .map_err(|error| StanzaError::because(Condition::NotAcceptable, error.to_string()))?;
    let user = address.local().unwrap_or_default();
    let good = match (digest, password) {
        (Some(digest), _) => {
            let given = digest.trim().to_ascii_lowercase();
            ctx.tables.accounts.verify(user, given.as_bytes(), |known| legacy_digest(&login.stream_id, known))
        }
        (None, password) => {
            ctx.tables.accounts.verify(user, password.unwrap_or_default().as_bytes(), str::to_owned)
        }
    };
    if !good {
        login.failures += 1;
        return Err(Condition::NotAuthorized.into());
    }
    login.done = Some(address);
    Ok(None)
}
