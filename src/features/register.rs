//! Making an account over the wire, changing its password, ending it.
//!
//! Read first: XEP-0077 sections 3.1 (making), 3.2 (ending), 3.3 (the password).
//! Left out on purpose: data forms and redirection, which nothing here needs.

use std::borrow::Cow;

use super::{Answer, Feature, Login, Route, Stage, Target};
use crate::im::ctx::Ctx;
use crate::im::removal;
use crate::im::sender::Sender;
use crate::tables::{AccountError, User, SALT_BYTES};
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "jabber:iq:register";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0077: In-Band Registration",
    stream_feature: |ctx, login| {
        let offered = ctx.config.registration && login.account.is_none();
        offered.then(|| Element::new("register", "http://jabber.org/features/iq-register"))
    },
    login: &[
        Route { name: "query", ns: NS, at: Stage::Start, kind: IqType::Get, handler: fields },
        Route { name: "query", ns: NS, at: Stage::Start, kind: IqType::Set, handler: register },
    ],
    iq: &[
        Route { name: "query", ns: NS, at: Target::Host, kind: IqType::Get, handler: registered },
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Get, handler: registered },
        Route { name: "query", ns: NS, at: Target::Host, kind: IqType::Set, handler: change },
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Set, handler: change },
    ],
    disco: &[NS],
    ..Feature::NOTHING
};

fn check_open(ctx: &Ctx<'_>) -> Result<(), StanzaError> {
    match ctx.config.registration {
        true => Ok(()),
        false => Err(StanzaError::because(Condition::NotAllowed, "accounts are made by the administrator")),
    }
}

fn field<'s>(set: &'s Stanza, name: &str) -> Option<Cow<'s, str>> {
    set.payload()?.child_text(name, NS).filter(|text| !text.is_empty())
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
fn register(ctx: &mut Ctx<'_>, login: &mut Login, set: &Stanza) -> Answer {
    check_open(ctx)?;
    let (Some(name), Some(password)) = (field(set, "username"), field(set, "password")) else {
        return Err(StanzaError::because(Condition::NotAcceptable, "username and password, please"));
    };
    let address = Jid::new(Some(name.trim()), ctx.config.domain(), None)
        .map_err(|error| StanzaError::because(Condition::NotAcceptable, error.to_string()))?;
    if ctx.config.is_admin(&address) {
        // Else whoever came first would be the administrator whose account the host has not made yet.
        return Err(AccountError::Exists.into());
    }
    let (now, network) = (ctx.now.monotonic, login.peer.network().filter(|_| !login.peer.is_local()));
    if !network.map_or(true, |network| ctx.tables.registrations.allows(&network, now)) {
        return Err(StanzaError::because(
            Condition::ResourceConstraint,
            "too many new accounts; try again later",
        ));
    }
    let salt = salt(ctx)?;
    let user = User::at(ctx.config, &address).ok_or(Condition::NotAcceptable)?;
    ctx.tables.create_account(user, &password, &salt)?;
    if let Some(network) = network {
        ctx.tables.registrations.note(network, now);
    }
    log::info!("{}: {address} was registered", login.peer);
    Ok(None)
}

fn salt(ctx: &mut Ctx<'_>) -> Result<[u8; SALT_BYTES], StanzaError> {
    ctx.random.bytes().map_err(|_| Condition::InternalServerError.into())
}

/// XEP-0077 3.1, example 5: what one who is registered has.
fn registered(_: &mut Ctx<'_>, sender: &Sender<'_>, _: &Stanza) -> Answer {
    let username = sender.user()?.to_string();
    Ok(Some(
        Element::new("query", NS)
            .with(Element::new("registered", NS))
            .with(Element::new("username", NS).with_text(username))
            .with(Element::new("password", NS)),
    ))
}

/// XEP-0077 3.2 and 3.3: one who is logged in ends the account or changes its password.
fn change(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let user = sender.user()?;
    if !ctx.tables.accounts.exists(user) {
        return Err(Condition::NotAllowed.into());
    }
    let from = sender.address();
    let mut fields = set.payload().into_iter().flat_map(Element::children);
    if fields.any(|field| field.is("remove", NS)) {
        return match set.payload().map_or(0, |query| query.children().count()) {
            1 => remove(ctx, from),
            _ => Err(StanzaError::because(Condition::BadRequest, "remove stands alone")),
        };
    }
    let named =
        field(set, "username").and_then(|name| Jid::new(Some(name.trim()), ctx.config.domain(), None).ok());
    let is_own = named.is_some_and(|named| User::at(ctx.config, &named) == Some(user));
    let (true, Some(password)) = (is_own, field(set, "password")) else {
        return Err(StanzaError::because(
            Condition::BadRequest,
            "your own username and the new password, please",
        ));
    };
    let salt = salt(ctx)?;
    ctx.tables.set_password(user, &password, &salt)?;
    log::info!("{from} has changed the password");
    Ok(None)
}

fn remove(ctx: &mut Ctx<'_>, from: &Jid) -> Answer {
    removal::remove_accounts(ctx, &[from.to_bare()])?;
    log::info!("{from} has ended the account");
    Ok(None)
}
