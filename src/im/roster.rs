//! A roster on the wire: what an item looks like, and who is told when one changes.
//!
//! Read first: RFC 6121 2.1 (items and pushes), 2.6 (versions), [`crate::tables`] for what is kept.
//! Left out on purpose: what an owner may change ([`crate::features`]), what a subscription changes
//! ([`crate::im::subscriptions`]).

use crate::im::ctx::Ctx;
use crate::im::push;
use crate::tables::{AccountChange, Contact, Item, User};
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;

/// Adds, changes or removes a contact of `owner`, if there is room for it. Nobody is told yet.
pub(crate) fn change(
    ctx: &mut Ctx<'_>,
    owner: User<'_>,
    address: &Jid,
    contact: Option<Contact>,
) -> Result<(), StanzaError> {
    check_room(ctx, owner, address, contact.as_ref())?;
    Ok(ctx.tables.change(owner, AccountChange::Contact(address.clone(), contact))?)
}

/// Whether there is room for a contact as it will be. Items are the owner's own doing, requests are others'; so neither
/// takes the other's room.
pub(crate) fn check_room(
    ctx: &Ctx<'_>,
    owner: User<'_>,
    address: &Jid,
    contact: Option<&Contact>,
) -> Result<(), StanzaError> {
    let limits = &ctx.config.limits;
    let old = ctx.tables.accounts.contact(owner, address.as_str());
    let count = |is: fn(&Contact) -> bool| ctx.tables.accounts.contacts(owner).filter(|(_, c)| is(c)).count();
    let is_one_more = |is: fn(&Contact) -> bool| contact.is_some_and(is) && !old.is_some_and(is);
    let listed = |contact: &Contact| contact.listed;
    if is_one_more(listed) && count(listed) >= limits.roster_items {
        return Err(StanzaError::because(Condition::ResourceConstraint, "the roster is full"));
    }
    let asks = |contact: &Contact| contact.subscription.is_pending_in();
    if is_one_more(asks) && count(asks) >= limits.subscription_requests {
        let why = "too many requests wait there for an answer; try again later";
        return Err(StanzaError::because(Condition::ResourceConstraint, why));
    }
    Ok(())
}

/// RFC 6121 2.1.6: tells all interested resources of `owner` what a contact is now.
pub(crate) fn push(ctx: &mut Ctx<'_>, owner: &Jid, address: &Jid) {
    let Some(user) = User::at(ctx.config, owner) else { return };
    if ctx.tables.sessions.interested(user).next().is_none() {
        return;
    }
    let item = match ctx.tables.accounts.contact(user, address.as_str()).and_then(Contact::item) {
        Some(item) => to_element(address, &item),
        None => Element::new("item", ns::ROSTER)
            .with_attr("jid", address.as_str().to_owned())
            .with_attr("subscription", "remove"),
    };
    let version = version(ctx, user);
    let query = Element::new("query", ns::ROSTER).with_attr("ver", version).with(item);
    push::send(ctx, owner, query, |session| session.interested);
}

/// What the items of `user` are, in short.
pub(crate) fn version(ctx: &Ctx<'_>, user: User<'_>) -> String {
    ctx.tables.accounts.roster(user).map(|roster| roster.version()).unwrap_or_default()
}

/// RFC 6121 2.1.2: an item.
pub(crate) fn to_element(address: &Jid, item: &Item<'_>) -> Element {
    let mut element = Element::new("item", ns::ROSTER)
        .with_attr("jid", address.as_str().to_owned())
        .with_attr("subscription", item.subscription);
    if item.asks {
        element.set_attr("ask", "subscribe");
    }
    if item.approved {
        element.set_attr("approved", "true");
    }
    if let Some(name) = item.name {
        element.set_attr("name", name.to_owned());
    }
    let groups = item.groups.iter().map(|group| Element::new("group", ns::ROSTER).with_text(group.clone()));
    groups.fold(element, Element::with)
}
