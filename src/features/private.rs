//! A drawer for each account, in which its clients keep what they like.
//!
//! Read first: XEP-0049. What is kept is found by name and namespace of its outermost element; one that is empty takes
//! away what was there, since asking for what is not there brings the same. Left out on purpose: refusing namespaces
//! that are reserved, which no client needs.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::tables::{Account, AccountChange, StoredXml};
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "jabber:iq:private";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0049: Private XML Storage",
    disco: &[NS],
    iq: &[
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Get, handler: get },
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Set, handler: set },
        Route { name: "query", ns: NS, at: Target::Other, kind: IqType::Get, handler: refuse },
        Route { name: "query", ns: NS, at: Target::Other, kind: IqType::Set, handler: refuse },
    ],
    ..Feature::NOTHING
};

/// XEP-0049 2.3: what was stored, or the question again.
fn get(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    let [wanted] = elements(get)?[..] else {
        return Err(StanzaError::because(Condition::BadRequest, "one element at a time, please"));
    };
    let stored = account(ctx, sender)?.private().iter().find(|kept| kept.is(wanted.name(), wanted.ns()));
    let answer = stored.and_then(StoredXml::to_element);
    let nothing = || Element::new(wanted.name().to_owned(), wanted.ns().to_owned());
    Ok(Some(Element::new("query", NS).with(answer.unwrap_or_else(nothing))))
}

/// XEP-0049 2.3: each element takes the place of the one of its name.
fn set(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let elements = elements(set)?;
    check_room(ctx, account(ctx, sender)?, &elements)?;
    for element in elements {
        ctx.tables.change(sender.user()?, AccountChange::Private(element.clone()))?;
    }
    Ok(None)
}

fn account<'c>(ctx: &'c Ctx<'_>, sender: &Sender<'_>) -> Result<&'c Account, Condition> {
    ctx.tables.accounts.get(sender.user()?).ok_or(Condition::ServiceUnavailable)
}

/// XEP-0049 2.3: at least one element, each in a namespace of its own.
fn elements(stanza: &Stanza) -> Result<Vec<&Element>, StanzaError> {
    let elements: Vec<_> = stanza.payload().into_iter().flat_map(Element::children).collect();
    if elements.is_empty() || elements.iter().any(|element| matches!(element.ns(), "" | NS)) {
        return Err(StanzaError::because(Condition::NotAcceptable, "an element in a namespace, please"));
    }
    Ok(elements)
}

fn check_room(ctx: &Ctx<'_>, account: &Account, new: &[&Element]) -> Result<(), StanzaError> {
    let limits = &ctx.config.limits;
    let is_replaced = |kept: &StoredXml| new.iter().any(|element| kept.is(element.name(), element.ns()));
    let staying = account.private().iter().filter(|kept| !is_replaced(kept)).map(StoredXml::bytes);
    let coming = new.iter().filter_map(|element| StoredXml::of(element)).map(|kept| kept.bytes());
    let (count, bytes) = staying.chain(coming).fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
    if count <= limits.private_elements && bytes <= limits.private_bytes {
        return Ok(());
    }
    let text =
        format!("at most {} elements of {} bytes in all", limits.private_elements, limits.private_bytes);
    Err(StanzaError::because(Condition::NotAcceptable, text))
}

/// XEP-0049 2.3: nobody opens another's.
fn refuse(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Err(Condition::Forbidden.into())
}
