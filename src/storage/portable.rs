//! Accounts and their changes in the portable format of XEP-0227.
//!
//! A snapshot has whole `<user/>` elements. A line of the journal has one with just what changed in it; what is gone
//! says so in an attribute of ours (`removed`, and in a roster RFC 6121's own `subscription='remove'`). So one piece of code
//! reads both, and what other servers have exported.
//! Left out on purpose: what the format can say and the server does not have. It is skipped.

use std::collections::BTreeMap;

use crate::crypto::codec::{base64, from_base64, DIGEST_BYTES};
use crate::crypto::scram::Keys;
use crate::tables::{
    blocklist_element, Account, Change, Contact, Credential, LastSeen, OfflineMessage, StoredXml,
    Subscription, SubscriptionState,
};
use crate::xml::ns;
use crate::xml::{writer, Element, Node, Reader, Text, XmlLimits};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::SubscriptionType;

pub(super) const NS: &str = "urn:xmpp:pie:0";
pub(super) const SCRAM: &str = "urn:xmpp:pie:0#scram";
const ROSTER: &str = "jabber:iq:roster";
const SUBSCRIPTION: &str = "subscription";
const OFFLINE: &str = "offline-messages";
const VCARD: &str = "vcard-temp";
const LAST: &str = "jabber:iq:last";
const PRIVATE: &str = "jabber:iq:private";

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
        Change::Subscription(address, state) => user.with(state_to_element(address, state)),
        Change::Offline(message) => user.with(offline_to_element(None, [message])),
        Change::OfflineSent(number) => user.with(offline_to_element(Some(*number), [])),
        // The format has no word for it but privacy lists, which say more, so it is as XEP-0191 would say it.
        Change::Blocked(address, blocked) => {
            let name = if *blocked { "block" } else { "unblock" };
            user.with(blocklist_element(name, [address]))
        }
        Change::VCard(vcard) => user.with(vcard_to_element(vcard.as_ref())),
        Change::LastSeen(seen) => user.with(last_seen_to_element(seen)),
        Change::Private(element) => user.with(Element::new("query", PRIVATE).with(element.clone())),
    }
}

/// All that is kept for an account.
pub(super) fn account_to_element(name: &str, account: &Account) -> Element {
    let user = with_credential(user(name), account.credential());
    let contacts = || account.roster().contacts();
    let items = contacts().filter_map(|(address, contact)| item_of(address, contact));
    let requests = contacts().filter_map(|(address, contact)| request_of(address, contact));
    let user = user.with(items.fold(Element::new("query", ROSTER), Element::with));
    let offline = match account.offline().sent() {
        0 if account.offline().len() == 0 => None,
        sent => Some(offline_to_element(Some(sent), account.offline().messages())),
    };
    let vcard = account.vcard().map(|vcard| vcard_to_element(Some(vcard)));
    let private = account.private().iter().filter_map(StoredXml::to_element);
    let private = private.fold(Element::new("query", PRIVATE), Element::with);
    let private = Some(private).filter(|query| !query.nodes().is_empty());
    let last_seen = account.last_seen().map(last_seen_to_element);
    let blocklist = Some(account.blocklist()).filter(|list| list.len() > 0);
    let blocklist = blocklist.map(|list| blocklist_element("blocklist", list.entries()));
    let kept = offline.into_iter().chain(vcard).chain(private).chain(blocklist).chain(last_seen);
    requests.chain(kept).fold(user, Element::with)
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

/// A step of a subscription, in words of a roster's item and our own.
fn state_to_element(address: &Jid, state: &SubscriptionState) -> Element {
    let mut element = Element::new(SUBSCRIPTION, NS)
        .with_attr("jid", address.as_str().to_owned())
        .with_attr("subscription", state.subscription.name());
    let flags = [
        ("ask", "subscribe", state.subscription.is_pending_out()),
        ("asked", "true", state.subscription.is_pending_in()),
        ("approved", "true", state.approved),
        ("listed", "true", state.listed),
    ];
    for (name, value, _) in flags.into_iter().filter(|(_, _, is)| *is) {
        element.set_attr(name, value);
    }
    state.request.as_deref().cloned().into_iter().fold(element, Element::with)
}

/// XEP-0227 4.5, with the messages' numbers, and the number up to which none waits any more.
fn offline_to_element<'m>(
    sent: Option<u64>,
    messages: impl IntoIterator<Item = &'m OfflineMessage>,
) -> Element {
    let mut element = Element::new(OFFLINE, NS);
    if let Some(sent) = sent {
        element.set_attr("sent", sent.to_string());
    }
    let mut numbers: Vec<String> = Vec::new();
    for message in messages {
        let text = String::from_utf8_lossy(&message.bytes);
        match Reader::read_one(&text, ns::CLIENT, XmlLimits::NONE) {
            Ok(stanza) => element.push(Node::Element(stanza)),
            Err(error) => debug_assert!(false, "what was written can be read: {error}"),
        }
        numbers.push(message.number.to_string());
    }
    if !numbers.is_empty() {
        element.set_attr("numbers", numbers.join(" "));
    }
    element
}

/// XEP-0227 4.7; an empty one says that there is none.
fn vcard_to_element(vcard: Option<&StoredXml>) -> Element {
    vcard.and_then(StoredXml::to_element).unwrap_or_else(|| Element::new("vCard", VCARD))
}

/// The format has no word for it, so it is as XEP-0012 would say it, but for the time.
fn last_seen_to_element(seen: &LastSeen) -> Element {
    let query = Element::new("query", LAST).with_attr("at", seen.at.to_string());
    match &seen.status {
        Some(status) => query.with_text(status.to_string()),
        None => query,
    }
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
    let parts = element.children().flat_map(read_part);
    Some(User { name, password_only, changes: credential.into_iter().chain(contacts).chain(parts).collect() })
}

fn read_keys(element: &Element) -> Option<Keys> {
    if !element.is("scram-credentials", SCRAM) || element.attr("mechanism") != Some("SCRAM-SHA-1") {
        return None;
    }
    let field = |name| element.child_text(name, SCRAM);
    let once = |name| from_base64(field(name)?.trim());
    // ejabberd (23.01, for one) encodes twice what it exports.
    let is_twice = once("stored-key")?.len() != DIGEST_BYTES;
    let bytes = |name| match once(name)? {
        bytes if is_twice => from_base64(std::str::from_utf8(&bytes).ok()?),
        bytes => Some(bytes),
    };
    Some(Keys {
        salt: bytes("salt")?.into(),
        iterations: field("iter-count")?.trim().parse().ok()?,
        stored_key: bytes("stored-key")?.try_into().ok()?,
        server_key: bytes("server-key")?.try_into().ok()?,
    })
}

/// The changes that a child of `<user/>` says, but for contacts.
fn read_part(part: &Element) -> Vec<Change> {
    match (part.name(), part.ns()) {
        (SUBSCRIPTION, NS) => read_state(part).into_iter().collect(),
        (OFFLINE, NS) => read_offline(part),
        ("query", PRIVATE) => part.children().cloned().map(Change::Private).collect(),
        ("blocklist" | "block", ns::BLOCKING) => read_blocking(part, true),
        ("unblock", ns::BLOCKING) => read_blocking(part, false),
        ("query", LAST) => read_last_seen(part).into_iter().collect(),
        ("vCard", VCARD) => vec![Change::VCard(StoredXml::of(part))],
        _ => Vec::new(),
    }
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

fn read_state(element: &Element) -> Option<Change> {
    let is = |name, value| element.attr(name) == Some(value);
    let subscription = element.attr("subscription")?;
    let state = SubscriptionState {
        listed: is("listed", "true"),
        subscription: Subscription::named(subscription, is("ask", "subscribe"), is("asked", "true"))?,
        approved: is("approved", "true"),
        request: element.child("presence", ns::CLIENT).cloned().map(Box::new),
    };
    Some(Change::Subscription(element.attr("jid")?.parse().ok()?, state))
}

/// Messages that another server has exported have no numbers, and get the first ones.
fn read_offline(part: &Element) -> Vec<Change> {
    let number = |text: &str| text.parse::<u64>().ok();
    let sent = part.attr("sent").and_then(number);
    let numbered = part.attr("numbers").map(|numbers| numbers.split(' ').filter_map(number).collect());
    let numbers: Vec<u64> = numbered.unwrap_or_else(|| (1..=part.children().count() as u64).collect());
    let messages = part.children().filter(|child| child.is("message", ns::CLIENT)).zip(numbers);
    let kept = messages.map(|(message, number)| {
        let mut bytes = Vec::new();
        writer::write(message, ns::CLIENT, &mut bytes);
        Change::Offline(OfflineMessage { number, bytes: bytes.into() })
    });
    sent.map(Change::OfflineSent).into_iter().chain(kept).collect()
}

fn read_blocking(part: &Element, blocked: bool) -> Vec<Change> {
    let addresses = part.children().filter_map(|item| item.attr("jid")?.parse().ok());
    addresses.map(|address| Change::Blocked(address, blocked)).collect()
}

fn read_last_seen(query: &Element) -> Option<Change> {
    let status = Some(query.text()).filter(|status| !status.is_empty()).map(Into::into);
    Some(Change::LastSeen(LastSeen { at: query.attr("at")?.parse().ok()?, status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_encoded_twice() {
        let keys = Keys::derive("secret", b"some salt", 2);
        let user = with_credential(user("a"), &Credential { keys, password: None });
        let mut twice = Element::new("scram-credentials", SCRAM).with_attr("mechanism", "SCRAM-SHA-1");
        for field in user.children().flat_map(Element::children) {
            let text = match field.name() {
                "iter-count" => field.text().into_owned(),
                _ => base64(field.text().as_bytes()),
            };
            twice = twice.with(Element::new(field.name().to_owned(), SCRAM).with_text(text));
        }
        assert!(read_keys(&twice).is_some_and(|keys| keys.fit("secret")));
    }

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
        for listed in [true, false] {
            let request = contact.request.clone().filter(|_| listed);
            let subscription =
                if listed { Subscription::ToPendingIn } else { Subscription::NonePendingOutIn };
            let state = SubscriptionState { listed, subscription, approved: listed, request };
            again(&Change::Subscription(address.clone(), state));
        }
        let not_listed =
            Contact { listed: false, approved: false, subscription: Subscription::NonePendingIn, ..contact };
        assert!(!again(&Change::Contact(address, Some(not_listed))).contains("item"));
        let bytes = "<message to='a@b'><body>你好\n</body><x xmlns='urn:x'/></message>".as_bytes().into();
        again(&Change::Offline(OfflineMessage { number: 7, bytes }));
        again(&Change::OfflineSent(7));
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

    #[test]
    fn messages_of_another_server_get_the_first_numbers() {
        let text = "<user xmlns='urn:xmpp:pie:0' name='a'><offline-messages><message xmlns='jabber:client'/>\
                    <message xmlns='jabber:client'><body/></message></offline-messages></user>";
        let element = Reader::read_one(text, "", XmlLimits::NONE).unwrap();
        let changes = read_user(&element).unwrap().changes;
        assert_eq!(
            format!("{changes:?}"),
            "[Offline((message 1 of 10 bytes)), Offline((message 2 of 26 bytes))]"
        );
    }

    #[test]
    fn kept_things_read_back() {
        let vcard = Element::new("vCard", VCARD).with(Element::new("FN", VCARD).with_text("用户"));
        again(&Change::VCard(StoredXml::of(&vcard)));
        again(&Change::VCard(None));
        again(&Change::Blocked("a@b/c".parse().unwrap(), true));
        again(&Change::Blocked("a@b/c".parse().unwrap(), false));
        again(&Change::LastSeen(LastSeen { at: 1, status: None }));
        again(&Change::LastSeen(LastSeen { at: u64::MAX, status: Some("再见".into()) }));
        again(&Change::Private(Element::new("storage", "storage:notes")));
        again(&Change::Private(Element::new("storage", "storage:notes").with_text("!")));
    }

    #[test]
    fn a_whole_account_reads_back() {
        use crate::tables::{Accounts, PasswordRules};
        let rules = PasswordRules { iterations: 1, keeps_passwords: true };
        let text = |name: &'static str, ns: &'static str| Element::new(name, ns).with_text("文");
        let changes = [
            Change::Credential(Credential::new("secret", b"salt", rules).unwrap()),
            Change::Contact("a@b".parse().unwrap(), Some(Contact { listed: true, ..Contact::default() })),
            Change::VCard(StoredXml::of(&text("vCard", VCARD))),
            Change::Private(text("a", "urn:a")),
            Change::Private(text("b", "urn:a")),
            Change::Blocked("b@c".parse().unwrap(), true),
            Change::LastSeen(LastSeen { at: 7, status: Some("再见".into()) }),
        ];
        let account = |changes: Vec<Change>| {
            let mut accounts = Accounts::new(rules, b"");
            changes.into_iter().for_each(|change| accounts.apply("用户", change));
            account_to_element("用户", accounts.get("用户").unwrap())
        };
        let element = account(changes.into());
        assert_eq!(element.children().count(), 6, "{element}");
        assert_eq!(account(read_user(&element).unwrap().changes), element);
    }
}
