//! Login as it was before SASL: a get, a set, and the stream has its full address.
//!
//! Read first: XEP-0078 sections 3 and 4. Clients of this kind read the old code of an error, which all of ours carry.
//! The answer to the get is the same for every name, so that nobody learns which ones exist. Left out on purpose: the
//! error `conflict` for a resource in use. The new login takes it over.

use super::{Answer, Feature, Login, Outcome, Route, Stage};
use crate::im::ctx::Ctx;
use crate::tables::User;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError, StreamError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "jabber:iq:auth";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0078: Non-SASL Authentication",
    stream_feature: |ctx, login| {
        let offered = ctx.config.legacy_auth && login.account.is_none();
        offered.then(|| Element::new("auth", "http://jabber.org/features/iq-auth"))
    },
    login: &[
        Route { name: "query", ns: NS, at: Stage::Start, kind: IqType::Get, handler: fields },
        Route { name: "query", ns: NS, at: Stage::Start, kind: IqType::Set, handler: log_in },
    ],
    ..Feature::NOTHING
};

/// XEP-0078 sections 3 and 7: whether there is this login at all, and for one who may have failed by SASL before.
fn check_allowed(ctx: &Ctx<'_>, login: &mut Login) -> Result<(), StanzaError> {
    if !ctx.config.legacy_auth {
        return Err(StanzaError::because(Condition::ServiceUnavailable, "log in by SASL, please"));
    }
    if login.sasl_failed {
        login.outcome =
            Some(Outcome::Ended(StreamError::PolicyViolation("a login by SASL has failed before")));
        // Not 401, at which some clients throw their account away.
        return Err(Condition::NotAllowed.into());
    }
    Ok(())
}

/// XEP-0078 3.1: which fields a login needs.
fn fields(ctx: &mut Ctx<'_>, login: &mut Login, get: &Stanza) -> Answer {
    check_allowed(ctx, login)?;
    let mut username = Element::new("username", NS);
    if let Some(name) = get.payload().and_then(|query| query.child_text("username", NS)) {
        username = username.with_text(name.into_owned());
    }
    let mut query = Element::new("query", NS).with(username);
    if ctx.config.takes_plaintext_from(&login.peer) {
        query = query.with(Element::new("password", NS));
    }
    Ok(Some(query.with(Element::new("digest", NS)).with(Element::new("resource", NS))))
}

/// XEP-0078 3.1: the login itself.
fn log_in(ctx: &mut Ctx<'_>, login: &mut Login, set: &Stanza) -> Answer {
    check_allowed(ctx, login)?;
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
    if digest.is_none() && !ctx.config.takes_plaintext_from(&login.peer) {
        return Err(StanzaError::because(
            Condition::NotAcceptable,
            "a digest, please: anybody could read the password",
        ));
    }
    let address = Jid::new(Some(name.trim()), ctx.config.domain(), Some(&resource))
        .map_err(|error| StanzaError::because(Condition::NotAcceptable, error.to_string()))?;
    let user = User::at(ctx.config, &address).ok_or(Condition::NotAcceptable)?;
    if !login.may_try(ctx, user.as_str()) {
        // Not 401 here either.
        return Err(StanzaError::because(
            Condition::ResourceConstraint,
            "too many failed logins; try again later",
        ));
    }
    let accounts = &ctx.tables.accounts;
    let good = match (digest, password) {
        (Some(digest), _) => accounts.has_digest(user, &login.stream_id, &digest.trim().to_ascii_lowercase()),
        (None, Some(password)) => accounts.has_password(user, &password),
        (None, None) => false,
    };
    if !good {
        login.failed(ctx, Some(user.as_str()));
        return Err(Condition::NotAuthorized.into());
    }
    login.make_room(ctx, &address)?;
    login.outcome = Some(Outcome::Bound(address));
    Ok(None)
}
