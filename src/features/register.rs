//! Making an account over the wire, before login.
//!
//! Read first: XEP-0077 section 3.1. Left out so far: changing a password and removing an account.

use super::{Answer, Feature, Login, Route, Target};
use crate::ctx::Ctx;
use crate::error::{Condition, StanzaError};
use crate::jid::Jid;
use crate::stanza::{IqType, Stanza};
use crate::tables::AccountError;
use crate::xml::Element;

const NS: &str = "jabber:iq:register";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0077: In-Band Registration",
    stream_feature: |ctx| {
        ctx.config.registration.then(|| Element::new("register", "http://jabber.org/features/iq-register"))
    },
    login: &[
        Route { name: "query", ns: NS, target: Target::Host, kind: IqType::Get, handler: fields },
        Route { name: "query", ns: NS, target: Target::Host, kind: IqType::Set, handler: register },
    ],
    ..Feature::NOTHING
};

fn check_open(ctx: &Ctx<'_>) -> Result<(), StanzaError> {
    match ctx.config.registration {
        true => Ok(()),
        false => Err(StanzaError::because(Condition::NotAllowed, "accounts are made by the administrator")),
    }
}

/// XEP-0077 3.1, example 2: which fields an account needs.
fn fields(ctx: &mut Ctx<'_>, _: &mut Login, _: &Stanza) -> Answer {
    check_open(ctx)?;
    Ok(Some(
        Element::new("query", NS)
            .with(Element::new("instructions", NS).with_text("Choose a username and a password."))
            .with(Element::new("username", NS))
            .with(Element::new("password", NS)),
    ))
}

/// XEP-0077 3.1, example 3.
fn register(ctx: &mut Ctx<'_>, _: &mut Login, set: &Stanza) -> Answer {
    check_open(ctx)?;
    let field =
        |name| set.payload().and_then(|query| query.child_text(name, NS)).filter(|text| !text.is_empty());
    let (Some(name), Some(password)) = (field("username"), field("password")) else {
        return Err(StanzaError::because(Condition::NotAcceptable, "username and password, please"));
    };
    let address = Jid::new(Some(name.trim()), ctx.config.domain(), None)
        .map_err(|error| StanzaError::because(Condition::NotAcceptable, error.to_string()))?;
    match ctx.tables.accounts.create(address.local().unwrap_or_default(), &password) {
        Ok(()) => {
            log::info!("{address} was registered");
            Ok(None)
        }
        Err(error @ AccountError::Exists) => {
            Err(StanzaError::because(Condition::Conflict, error.to_string()))
        }
        Err(error) => Err(StanzaError::because(Condition::NotAcceptable, error.to_string())),
    }
}
