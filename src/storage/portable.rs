//! Accounts and their changes in the portable format of XEP-0227.
//!
//! A snapshot has whole `<user/>` elements. A line of the journal has one with just what changed in it; what is gone
//! says so in an attribute of ours (`removed`, and in a roster RFC 6121's own `subscription='remove'`). So one piece of code
//! reads both, and what other servers have exported.
//! Left out on purpose: what the format can say and the server does not have. It is skipped.

use crate::codec::{base64, from_base64, DIGEST_BYTES};
use crate::jid::Jid;
use crate::scram::Keys;
use crate::tables::{Account, Change, Contact, Credential, Subscription};
use crate::xml::{Element, Text};

pub(super) const NS: &str = "urn:xmpp:pie:0";
pub(super) const SCRAM: &str = "urn:xmpp:pie:0#scram";
const ROSTER: &str = "jabber:iq:roster";

/// A change of one account, as a line of the journal says it.
pub(super) fn change_to_element(name: &str, change: &Change) -> Element {
    let user = user(name);
    match change {
        Change::Credential(credential) => with_credential(user, credential),
        Change::Removed => user.with_attr("removed", "true"),
        Change::Contact(address, contact) => {
            let item = match contact {
                Some(contact) => contact_to_element(address, contact),
                None => item(address).with_attr("subscription", "remove"),
            };
            user.with(Element::new("query", ROSTER).with(item))
        }
    }
}

/// All that is kept for an account.
pub(super) fn account_to_element(name: &str, account: &Account) -> Element {
    let user = with_credential(user(name), account.credential());
    let items = account.roster().contacts().map(|(address, contact)| contact_to_element(address, contact));
    user.with(items.fold(Element::new("query", ROSTER), Element::with))
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
fn contact_to_element(address: &Jid, contact: &Contact) -> Element {
    let mut item = item(address).with_attr("subscription", contact.subscription.name());
    if let Some(name) = &contact.name {
        item.set_attr("name", name.clone());
    }
    let groups = contact.groups.iter().map(|group| Element::new("group", ROSTER).with_text(group.clone()));
    groups.fold(item, Element::with)
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
    let parts = element.children().flat_map(read_part);
    Some(User { name, password_only, changes: credential.into_iter().chain(parts).collect() })
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

/// The changes that a child of `<user/>` says.
fn read_part(part: &Element) -> Vec<Change> {
    match (part.name(), part.ns()) {
        ("query", ROSTER) => part.children().filter_map(read_contact).collect(),
        _ => Vec::new(),
    }
}

fn read_contact(item: &Element) -> Option<Change> {
    let address: Jid = item.attr("jid").filter(|_| item.is("item", ROSTER))?.parse().ok()?;
    let subscription = item.attr("subscription").unwrap_or("none");
    if subscription == "remove" {
        return Some(Change::Contact(address, None));
    }
    let contact = Contact {
        name: item.attr("name").map(Into::into),
        groups: item
            .children()
            .filter(|group| group.is("group", ROSTER))
            .map(|g| g.text().into_owned())
            .collect(),
        subscription: Subscription::named(subscription)?,
    };
    Some(Change::Contact(address, Some(contact)))
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
        let contact = Contact {
            name: Some("朱丽叶".into()),
            groups: vec!["友".into(), "家".into()],
            ..Contact::default()
        };
        again(&Change::Contact(address, Some(contact)));
    }
}
