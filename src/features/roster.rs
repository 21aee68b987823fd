//! The contact list.
//!
//! Read first: RFC 6121 section 2, [`crate::im::roster`] for items and pushes. Only the owner reads or changes a
//! roster. Left out on purpose: the pushes that would bring an old version up to date (RFC 6121 2.6.3); who has one
//! gets all items.

use super::{named_address, Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::presence;
use crate::im::roster;
use crate::im::sender::Sender;
use crate::im::subscriptions::Cancellation;
use crate::tables::{AccountChange, Contact, User};
use crate::xml::ns::ROSTER as NS;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

pub(super) const FEATURE: Feature = Feature {
    spec: "RFC 6121: Roster",
    stream_feature: |_, login| {
        login.account.as_ref().map(|_| Element::new("ver", "urn:xmpp:features:rosterver"))
    },
    iq: &[
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Get, handler: get },
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Set, handler: set },
        Route { name: "query", ns: NS, at: Target::Other, kind: IqType::Get, handler: not_yours },
        Route { name: "query", ns: NS, at: Target::Other, kind: IqType::Set, handler: not_yours },
    ],
    disco: &[NS],
    ..Feature::NOTHING
};

pub(super) const SUBSCRIPTIONS: Feature = Feature {
    spec: "RFC 6121: Presence subscriptions",
    stream_feature: |_, login| {
        login.account.as_ref().map(|_| Element::new("sub", "urn:xmpp:features:pre-approval"))
    },
    ..Feature::NOTHING
};

/// RFC 6121 2.1.3 and 2.6: the whole roster; nothing at all for one who has it as it is.
fn get(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    let user = owner(ctx, sender)?;
    if let Some(session) = ctx.tables.session_mut(ctx.config, sender.address()) {
        session.interested = true;
    }
    let version = roster::version(ctx, user);
    if get.payload().and_then(|query| query.attr("ver")) == Some(&version) {
        return Ok(None);
    }
    let contacts = ctx.tables.accounts.contacts(user);
    let items =
        contacts.filter_map(|(contact, kept)| kept.item().map(|item| roster::to_element(contact, &item)));
    Ok(Some(items.fold(Element::new("query", NS).with_attr("ver", version), Element::with)))
}

/// RFC 6121 2.1.5: one item is added, changed or removed.
fn set(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let user = owner(ctx, sender)?;
    let item = only_item(set)?;
    let address = address_of(ctx, item)?;
    if address.as_str() == sender.address().bare_str() {
        return Err(StanzaError::because(Condition::NotAllowed, "you need not be in your own roster"));
    }
    if item.attr("subscription") == Some("remove") {
        return remove(ctx, sender.address(), user, &address);
    }
    let name = name_of(ctx, item)?;
    let groups = groups_of(ctx, item)?;
    let old = ctx.tables.accounts.contact(user, address.as_str()).cloned().unwrap_or_default();
    roster::change(ctx, user, &address, Some(Contact { listed: true, name, groups, ..old }))?;
    roster::push(ctx, &sender.address().to_bare(), &address);
    Ok(None)
}

/// RFC 6121 2.5.2: both sides of a subscription end with the item, and are recorded together.
fn remove(ctx: &mut Ctx<'_>, from: &Jid, user: User<'_>, address: &Jid) -> Answer {
    let old = ctx.tables.accounts.contact(user, address.as_str()).filter(|contact| contact.listed);
    let subscription = old.ok_or(Condition::ItemNotFound)?.subscription;
    let owner = from.to_bare();
    let cancellation = Cancellation::new(ctx, &owner, address, subscription);
    let mut changes = vec![(user, AccountChange::Contact(address.clone(), None))];
    changes.extend(cancellation.change(ctx.config));
    ctx.tables.change_all(changes)?;
    if subscription.is_from() {
        presence::withdraw(ctx, &owner, address);
    }
    cancellation.tell(ctx);
    roster::push(ctx, &owner, address);
    Ok(None)
}

/// RFC 6121 2.3.3.
fn not_yours(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Err(Condition::Forbidden.into())
}

/// The account whose roster is meant.
fn owner<'s>(ctx: &Ctx<'_>, sender: &Sender<'s>) -> Result<User<'s>, Condition> {
    let user = sender.user()?;
    ctx.tables.accounts.exists(user).then_some(user).ok_or(Condition::ItemNotFound)
}

fn only_item(set: &Stanza) -> Result<&Element, StanzaError> {
    let mut items =
        set.payload().into_iter().flat_map(Element::children).filter(|child| child.is("item", NS));
    match (items.next(), items.next()) {
        (Some(item), None) => Ok(item),
        _ => Err(StanzaError::because(Condition::BadRequest, "exactly one item, please")),
    }
}

/// Contacts are bare addresses at true names.
fn address_of(ctx: &Ctx<'_>, item: &Element) -> Result<Jid, StanzaError> {
    let address = item
        .attr("jid")
        .ok_or_else(|| StanzaError::because(Condition::BadRequest, "an item must have a jid"))?;
    Ok(named_address(ctx, address)?.to_bare())
}

/// RFC 6121 2.4.1: an empty name is none.
fn name_of(ctx: &Ctx<'_>, item: &Element) -> Result<Option<String>, StanzaError> {
    let name = item.attr("name").filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.len() > ctx.config.limits.roster_name_bytes) {
        return Err(StanzaError::because(Condition::NotAcceptable, "the name is too long"));
    }
    Ok(name.map(str::to_owned))
}

/// RFC 6121 2.3.3.
fn groups_of(ctx: &Ctx<'_>, item: &Element) -> Result<Vec<String>, StanzaError> {
    let limits = &ctx.config.limits;
    let mut groups: Vec<String> = Vec::new();
    for group in item.children().filter(|child| child.is("group", NS)).map(Element::text) {
        let refuse = |condition, why| Err(StanzaError::because(condition, why));
        if group.is_empty() {
            return refuse(Condition::NotAcceptable, "a group must have a name");
        }
        if group.len() > limits.roster_name_bytes {
            return refuse(Condition::NotAcceptable, "the name of a group is too long");
        }
        if groups.iter().any(|other| *other == *group) {
            return refuse(Condition::BadRequest, "a group is named twice");
        }
        if groups.len() >= limits.roster_groups {
            return refuse(Condition::NotAcceptable, "too many groups");
        }
        groups.push(group.into_owned());
    }
    Ok(groups)
}
