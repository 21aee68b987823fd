//! The contact list.
//!
//! Read first: RFC 6121 section 2. Left out so far: changing it.

use super::{Answer, Feature, Route, Target};
use crate::ctx::Ctx;
use crate::jid::Jid;
use crate::stanza::{IqType, Stanza};
use crate::tables::Item;
use crate::xml::Element;

const NS: &str = "jabber:iq:roster";

pub(super) const FEATURE: Feature = Feature {
    spec: "RFC 6121: Roster",
    iq: &[Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Get, handler: get }],
    ..Feature::NOTHING
};

/// RFC 6121 2.1.3: the whole roster; an empty one still has its `<query/>`.
fn get(ctx: &mut Ctx<'_>, from: &Jid, _: &Stanza) -> Answer {
    let owner = from.local().unwrap_or_default();
    let contacts = ctx.tables.accounts.contacts(owner);
    let items = contacts.filter_map(|(contact, kept)| kept.item().map(|item| to_element(contact, &item)));
    Ok(Some(items.fold(Element::new("query", NS), Element::with)))
}

/// RFC 6121 2.1.2: an item.
fn to_element(contact: &Jid, item: &Item<'_>) -> Element {
    let mut element = Element::new("item", NS)
        .with_attr("jid", contact.as_str().to_owned())
        .with_attr("subscription", item.subscription);
    if let Some(name) = item.name {
        element.set_attr("name", name.to_owned());
    }
    let groups = item.groups.iter().map(|group| Element::new("group", NS).with_text(group.clone()));
    groups.fold(element, Element::with)
}
