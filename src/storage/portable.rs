//! Accounts and their changes in the portable format of XEP-0227.
//!
//! A snapshot has whole `<user/>` elements. A line of the journal has one with just what changed in it; what is gone
//! says so in an attribute of ours (`removed`, and in a roster RFC 6121's own `subscription='remove'`). So one piece of code
//! reads both, and what other servers have exported.
//! Left out on purpose: what the format can say and the server does not have. It is skipped.

use std::collections::BTreeMap;

use crate::codec::{base64, from_base64};
use crate::jid::Jid;
use crate::ns;
use crate::scram::Keys;
use crate::stanza::SubscriptionType;
use crate::tables::{Account, Change, Contact, Credential, Subscription};
use crate::xml::{Element, Text};

pub(super) const NS: &str = "urn:xmpp:pie:0";
const SCRAM: &str = "urn:xmpp:pie:0#scram";
const ROSTER: &str = "jabber:iq:roster";

/// A change of one account, as a line of the journal says it.
pub(super) fn change_to_element(name: &str, change: &Change) -> Element {
    let user = user(name);
    match change {
        Change::Credential(credential) => with_credential(user, credential),
        Change::Removed => user.with_attr("removed", "true"),
        Change::Contact(address, contact) => {
            let (item, request) = match contact {
                Some(contact) => (item_of(address, contact), request_of(address, contact)),
                None => (Some(item(address).with_attr("subscription", "remove")), None),
            };
            let query = item.map(|item| Element::new("query", ROSTER).with(item));
            query.into_iter().chain(request).fold(user, Element::with)
        }
    }
}

/// All that is kept for an account.
pub(super) fn account_to_element(name: &str, account: &Account) -> Element {
    let user = with_credential(user(name), account.credential());
    let contacts = || account.roster().contacts();
    let items = contacts().filter_map(|(address, contact)| item_of(address, contact));
    let requests = contacts().filter_map(|(address, contact)| request_of(address, contact));
    requests.fold(user.with(items.fold(Element::new("query", ROSTER), Element::with)), Element::with)
}

fn user(name: &str) -> Element {
    Element::new("user", NS).with_attr("name", name.to_owned())
}

/// XEP-0227 4.2 and 4.3: the keys, and the password where it is kept.
fn with_credential(mut user: Element, credential: &Credential) -> Element {
    if let Some(password) = &credential.password {
        user.set_attr("password", password.to_string());
    }
    let field = |name: &'static str, text: String| Element::new(name, SCRAM).with_text(text);
    let keys = &credential.keys;
    user.with(
        Element::new("scram-credentials", SCRAM)
            .with_attr("mechanism", "SCRAM-SHA-1")
            .with(field("iter-count", keys.iterations.to_string()))
            .with(field("salt", base64(&keys.salt)))
            .with(field("server-key", base64(&keys.server_key)))
            .with(field("stored-key", base64(&keys.stored_key))),
    )
}

fn item(address: &Jid) -> Element {
    Element::new("item", ROSTER).with_attr("jid", address.as_str().to_owned())
}

/// XEP-0227 4.4.
fn item_of(address: &Jid, contact: &Contact) -> Option<Element> {
    let shown = contact.item()?;
    let mut item = item(address).with_attr("subscription", shown.subscription);
    if let Some(name) = shown.name {
        item.set_attr("name", name.to_owned());
    }
    if shown.asks {
        item.set_attr("ask", "subscribe");
    }
    if shown.approved {
        item.set_attr("approved", "true");
    }
    let groups = shown.groups.iter().map(|group| Element::new("group", ROSTER).with_text(group.clone()));
    Some(groups.fold(item, Element::with))
}

/// XEP-0227 4.9: a request that waits for an answer.
fn request_of(address: &Jid, contact: &Contact) -> Option<Element> {
    let bare = || {
        Element::new("presence", ns::CLIENT)
            .with_attr("type", "subscribe")
            .with_attr("from", address.as_str().to_owned())
    };
    contact.subscription.is_pending_in().then(|| contact.request.as_deref().cloned().unwrap_or_else(bare))
}

/// What a `<user/>` element says.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: Text,
    /// A password whose keys are not said; somebody has to derive them.
    pub(crate) password_only: Option<Text>,
    pub(crate) changes: Vec<Change>,
}

/// Reads a `<user/>` element, whole or just what changed. `None` if it is none.
pub(crate) fn read_user(element: &Element) -> Option<User> {
    let name = element.attr("name").filter(|_| element.is("user", NS))?.to_owned().into();
    if element.attr("removed") == Some("true") {
        return Some(User { name, password_only: None, changes: vec![Change::Removed] });
    }
    let password = element.attr("password").filter(|password| !password.is_empty());
    let keys = element.children().find_map(read_keys);
    let password_only = password.filter(|_| keys.is_none()).map(|password| password.to_owned().into());
    let credential =
        keys.map(|keys| Change::Credential(Credential { keys, password: password.map(Into::into) }));
    let contacts = read_contacts(element).into_iter();
    let contacts = contacts.map(|(address, contact)| Change::Contact(address, contact));
    Some(User { name, password_only, changes: credential.into_iter().chain(contacts).collect() })
}

fn read_keys(element: &Element) -> Option<Keys> {
    if !element.is("scram-credentials", SCRAM) || element.attr("mechanism") != Some("SCRAM-SHA-1") {
        return None;
    }
    let field = |name| element.child_text(name, SCRAM);
    let bytes = |name| from_base64(field(name)?.trim());
    Some(Keys {
        salt: bytes("salt")?.into(),
        iterations: field("iter-count")?.trim().parse().ok()?,
        stored_key: bytes("stored-key")?.try_into().ok()?,
        server_key: bytes("server-key")?.try_into().ok()?,
    })
}

/// The contacts that a `<user/>` element speaks of: what an item and a request say of the same one is put together.
fn read_contacts(user: &Element) -> BTreeMap<Jid, Option<Contact>> {
    let mut contacts = BTreeMap::new();
    let items = user.children().filter(|part| part.is("query", ROSTER)).flat_map(Element::children);
    contacts.extend(items.filter_map(read_item));
    for request in user.children().filter(|part| part.is("presence", ns::CLIENT)) {
        let from = request.attr("from").filter(|_| request.attr("type") == Some("subscribe"));
        let Some(address) = from.and_then(|from| from.parse::<Jid>().ok()) else { continue };
        let address = address.to_bare();
        let mut request = request.clone().with_attr("from", address.as_str().to_owned());
        request.remove_attr("to");
        if let Some(contact) = contacts.entry(address).or_insert_with(|| Some(Contact::default())) {
            contact.subscription = asked(contact.subscription);
            contact.request = contact.subscription.is_pending_in().then(|| Box::new(request));
        }
    }
    contacts
}

/// The state once the contact has asked.
fn asked(subscription: Subscription) -> Subscription {
    subscription.inbound(SubscriptionType::Subscribe, false).next
}

fn read_item(item: &Element) -> Option<(Jid, Option<Contact>)> {
    let address: Jid = item.attr("jid").filter(|_| item.is("item", ROSTER))?.parse().ok()?;
    let subscription = item.attr("subscription").unwrap_or("none");
    if subscription == "remove" {
        return Some((address, None));
    }
    let groups = item.children().filter(|group| group.is("group", ROSTER));
    let contact = Contact {
        listed: true,
        name: item.attr("name").map(Into::into),
        groups: groups.map(|group| group.text().into_owned()).collect(),
        subscription: Subscription::named(subscription, item.attr("ask") == Some("subscribe"), false)?,
        approved: item.attr("approved") == Some("true"),
        request: None,
    };
    Some((address, Some(contact)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(change: &Change) -> String {
        let element = change_to_element("用户", change);
        let user = read_user(&element).unwrap();
        assert_eq!((user.name.as_ref(), user.changes.len()), ("用户", 1));
        assert_eq!(change_to_element("用户", &user.changes[0]), element);
        element.to_string()
    }

    #[test]
    fn every_change_reads_back() {
        let keys = Keys::derive("secret", b"salt", 2);
        let with = |password: Option<&str>| {
            Change::Credential(Credential { keys: keys.clone(), password: password.map(Into::into) })
        };
        assert!(again(&with(Some("pass'word"))).contains("password='pass&apos;word'"));
        assert!(!again(&with(None)).contains("password"));
        again(&Change::Removed);
        let address: Jid = "a@b".parse().unwrap();
        again(&Change::Contact(address.clone(), None));
        let request = Element::new("presence", ns::CLIENT)
            .with_attr("type", "subscribe")
            .with_attr("from", "a@b")
            .with(Element::new("status", ns::CLIENT).with_text("你好"));
        let contact = Contact {
            listed: true,
            name: Some("朱丽叶".into()),
            groups: vec!["友".into(), "家".into()],
            subscription: Subscription::NonePendingOutIn,
            approved: true,
            request: Some(Box::new(request)),
        };
        let text = again(&Change::Contact(address.clone(), Some(contact.clone())));
        assert!(text.contains("ask='subscribe'") && text.contains("approved='true'"), "{text}");
        let not_listed =
            Contact { listed: false, approved: false, subscription: Subscription::NonePendingIn, ..contact };
        assert!(!again(&Change::Contact(address, Some(not_listed))).contains("item"));
    }

    /// XEP-0227, what another server exports.
    #[test]
    fn requests_and_items_come_from_elsewhere() {
        let item = |jid: &'static str, subscription: &'static str| {
            Element::new("item", ROSTER).with_attr("jid", jid).with_attr("subscription", subscription)
        };
        let request = |from: &'static str| {
            Element::new("presence", ns::CLIENT).with_attr("type", "subscribe").with_attr("from", from)
        };
        let user = user("juliet")
            .with(request("romeo@x/garden"))
            .with(Element::new("query", ROSTER).with(item("romeo@x", "to")).with(item("nurse@x", "both")))
            .with(request("nurse@x"))
            .with(request("paris@x"));
        let states: Vec<_> = read_contacts(&user)
            .into_iter()
            .filter_map(|(address, contact)| {
                contact.map(|contact| (address.to_string(), contact.listed, contact.subscription))
            })
            .collect();
        let wanted = [
            ("nurse@x", true, Subscription::Both),
            ("paris@x", false, Subscription::NonePendingIn),
            ("romeo@x", true, Subscription::ToPendingIn),
        ];
        assert_eq!(states, wanted.map(|(address, listed, state)| (address.to_owned(), listed, state)));
    }
}
