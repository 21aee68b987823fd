//! Whom an account will have nothing to do with: the list, what a block stops, and what is seen of each other as it
//! begins and ends.
//!
//! Read first: XEP-0191 sections 3 and 5. The one who is blocked sees what would be seen of one who is offline, and the
//! one who blocks is told of the block. Whether one address has blocked another is in [`crate::im::blocking`]. Left out
//! on purpose: ending a subscription with the block, which the XEP advises against; what of a subscription goes on
//! under a block ([`crate::im::subscriptions`]); and removing from the offline messages what came before it, which is
//! not delivered.

use super::{named_address, Answer, Feature, Route, Target};
use crate::im::blocking;
use crate::im::ctx::Ctx;
use crate::im::presence;
use crate::im::push;
use crate::im::sender::Sender;
use crate::tables::{blocklist_element, AccountChange, Blocklist, Subscription, User};
use crate::xml::ns::BLOCKING as NS;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Kind, PresenceType, Stanza};

/// What a sender is told of the own block.
const ERRORS: &str = "urn:xmpp:blocking:errors";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0191: Blocking Command",
    disco: &[NS],
    iq: &[
        Route { name: "blocklist", ns: NS, at: Target::Account, kind: IqType::Get, handler: get },
        Route { name: "block", ns: NS, at: Target::Account, kind: IqType::Set, handler: block },
        Route { name: "unblock", ns: NS, at: Target::Account, kind: IqType::Set, handler: unblock },
    ],
    ..Feature::NOTHING
};

/// XEP-0191 3.2: whoever has asked for the list is told what changes in it.
fn get(ctx: &mut Ctx<'_>, sender: &Sender<'_>, _: &Stanza) -> Answer {
    if let Some(session) = ctx.tables.session_mut(ctx.config, sender.address()) {
        session.wants_blocklist_pushes = true;
    }
    let list = blocklist(ctx, sender.user()?)?;
    Ok(Some(blocklist_element("blocklist", list.entries())))
}

/// XEP-0191 3.3.
fn block(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let named = addresses(ctx, set)?;
    if named.is_empty() {
        return Err(StanzaError::because(Condition::BadRequest, "whom?"));
    }
    let owner = sender.address().to_bare();
    if named.iter().any(|address| address.bare_str() == owner.as_str()) {
        return Err(StanzaError::because(Condition::NotAllowed, "you cannot block yourself"));
    }
    let user = sender.user()?;
    let list = blocklist(ctx, user)?;
    let new: Blocklist = named.iter().filter(|address| !list.has(address)).cloned().collect();
    if list.len() + new.len() > ctx.config.limits.blocklist_items {
        return Err(StanzaError::because(Condition::ResourceConstraint, "the blocklist is full"));
    }
    let change = |address: &Jid| (user, AccountChange::Blocked(address.clone(), true));
    ctx.tables.change_all(new.entries().map(change).collect())?;
    hide(ctx, &owner, &new);
    tell(ctx, &owner, blocklist_element("block", &named));
    Ok(None)
}

/// XEP-0191 3.4 and 3.5: nobody named means all.
fn unblock(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let named = addresses(ctx, set)?;
    let owner = sender.address().to_bare();
    let user = sender.user()?;
    let is_meant = |address: &&Jid| named.is_empty() || named.binary_search(address).is_ok();
    let old: Blocklist = blocklist(ctx, user)?.entries().filter(is_meant).cloned().collect();
    let change = |address: &Jid| (user, AccountChange::Blocked(address.clone(), false));
    ctx.tables.change_all(old.entries().map(change).collect())?;
    show(ctx, &owner, &old);
    tell(ctx, &owner, blocklist_element("unblock", &named));
    Ok(None)
}

fn blocklist<'c>(ctx: &'c Ctx<'_>, user: User<'_>) -> Result<&'c Blocklist, Condition> {
    let account = ctx.tables.accounts.get(user).ok_or(Condition::ServiceUnavailable)?;
    Ok(account.blocklist())
}

/// The addresses that a request names, each once, at true names.
fn addresses(ctx: &Ctx<'_>, set: &Stanza) -> Result<Vec<Jid>, StanzaError> {
    let items = set.payload().into_iter().flat_map(Element::children).filter(|child| child.is("item", NS));
    let mut addresses = items
        .map(|item| named_address(ctx, item.attr("jid").ok_or(Condition::BadRequest)?))
        .collect::<Result<Vec<Jid>, StanzaError>>()?;
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

fn tell(ctx: &mut Ctx<'_>, owner: &Jid, payload: Element) {
    push::send(ctx, owner, payload, |session| session.wants_blocklist_pushes);
}

/// XEP-0191 3.3: whether a stanza may go on to `to`; if not, what its sender is told, if anything.
pub(crate) fn check(ctx: &Ctx<'_>, from: &Jid, to: &Jid, kind: Kind) -> Result<(), Option<StanzaError>> {
    let (config, accounts) = (ctx.config, &ctx.tables.accounts);
    if blocking::has_blocked(config, accounts, from, to) {
        let error = StanzaError::because(Condition::NotAcceptable, "you have blocked this address");
        return Err(Some(error.with_detail("blocked", ERRORS)));
    }
    match kind {
        // Its sender's roster has its part in it, wherever it goes.
        Kind::Presence(PresenceType::Subscription(_)) => Ok(()),
        _ if !blocking::has_blocked(config, accounts, to, from) => Ok(()),
        Kind::Presence(_) => Err(None),
        Kind::Message(_) | Kind::Iq(_) => Err(Some(Condition::ServiceUnavailable.into())),
    }
}

/// XEP-0191 3.3: `owner` has blocked some addresses. Whoever is meant by them is told that all of the owner's resources
/// went.
fn hide(ctx: &mut Ctx<'_>, owner: &Jid, blocked: &Blocklist) {
    let watchers = meant(ctx, owner, blocked, Subscription::is_from);
    presence::withdraw_all(ctx, owner, &watchers, |to| blocked.means(to.as_str()));
}

/// XEP-0191 3.4: `owner` has unblocked some addresses. Both sides get to see again what they may.
fn show(ctx: &mut Ctx<'_>, owner: &Jid, unblocked: &Blocklist) {
    for watcher in meant(ctx, owner, unblocked, Subscription::is_from) {
        presence::share(ctx, owner, &watcher);
    }
    for watched in meant(ctx, owner, unblocked, Subscription::is_to) {
        presence::share(ctx, &watched.to_bare(), owner);
    }
}

/// The contacts of `owner` whom a blocklist means, and the resources of contacts that it means by themselves.
fn meant(ctx: &Ctx<'_>, owner: &Jid, list: &Blocklist, is: fn(Subscription) -> bool) -> Vec<Jid> {
    let Some(user) = User::at(ctx.config, owner) else { return Vec::new() };
    let accounts = &ctx.tables.accounts;
    let contacts = accounts.contacts(user).filter(|(_, contact)| is(contact.subscription));
    let whole = contacts.map(|(address, _)| address).filter(|address| list.means(address.as_str()));
    let is_contact = |bare| accounts.contact(user, bare).is_some_and(|contact| is(contact.subscription));
    let resources = list
        .entries()
        .filter(|entry| !entry.is_bare() && is_contact(entry.bare_str()) && !list.means(entry.bare_str()));
    whole.chain(resources).cloned().collect()
}
