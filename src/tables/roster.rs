//! Who is in whose roster, and what is kept of each.
//!
//! Read first: RFC 6121 2.1 (items), 2.6 (versions). A roster also keeps the requests of people whom its owner has not
//! put into it (RFC 6121 3.1.3): such a contact is no item, and nobody is shown it. Left out on purpose: how a
//! subscription comes about ([`super::subscription`]), how many items there may be.

use std::collections::BTreeMap;

use super::portable::{Part, NS as PORTABLE};
use super::subscription::{Step, Subscription};
use super::{Account, AccountChange};
use crate::crypto::codec::sha1;
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::SubscriptionType;

/// A contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Whether it is an item of the roster; otherwise only its request is kept.
    pub(crate) listed: bool,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) subscription: Subscription,
    /// Whether its request is granted before it comes (RFC 6121 3.4).
    pub(crate) approved: bool,
    /// The request that waits for the owner's answer, as it came.
    pub(crate) request: Option<Box<Element>>,
}

/// What a step of a subscription makes of a contact. Its name and groups, which may be long, stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionState {
    pub(crate) listed: bool,
    pub(crate) subscription: Subscription,
    pub(crate) approved: bool,
    /// A request that has just come. One that waited before waits on for as long as the state says that one does.
    pub(crate) request: Option<Box<Element>>,
}

/// What the owner of a roster sees of a contact (RFC 6121 2.1.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item<'c> {
    pub(crate) name: Option<&'c str>,
    pub(crate) groups: &'c [String],
    pub(crate) subscription: &'static str,
    pub(crate) asks: bool,
    pub(crate) approved: bool,
}

impl Contact {
    /// The item, if it is one.
    pub(crate) fn item(&self) -> Option<Item<'_>> {
        self.listed.then(|| Item {
            name: self.name.as_deref(),
            groups: &self.groups,
            subscription: self.subscription.name(),
            asks: self.subscription.is_pending_out(),
            approved: self.approved,
        })
    }

    /// The contact after a step. Whoever asks a contact, answers it or approves it beforehand has it in the roster
    /// then.
    pub(crate) fn after(&self, step: Step) -> Self {
        let subscription = step.next;
        let is_more_than_asked =
            subscription.is_pending_out() || subscription.is_to() || subscription.is_from();
        Self {
            listed: self.listed || step.approves || is_more_than_asked,
            approved: self.approved || step.approves,
            subscription,
            request: self.request.clone().filter(|_| subscription.is_pending_in()),
            ..self.clone()
        }
    }

    /// What a step has made of `before`.
    pub(crate) fn state_since(&self, before: &Self) -> SubscriptionState {
        SubscriptionState {
            listed: self.listed,
            subscription: self.subscription,
            approved: self.approved,
            request: self.request.clone().filter(|_| self.request != before.request),
        }
    }

    /// The contact in another state.
    fn in_state(self, state: SubscriptionState) -> Self {
        let SubscriptionState { listed, subscription, approved, request } = state;
        let request = request.or(self.request).filter(|_| subscription.is_pending_in());
        Self { listed, subscription, approved, request, ..self }
    }

    /// Itself, if there is anything to keep.
    pub(crate) fn kept(self) -> Option<Self> {
        (self.listed || self.subscription != Subscription::None).then_some(self)
    }
}

impl Item<'_> {
    /// A number that another item hardly has.
    fn mark(&self, address: &Jid) -> u64 {
        let flag = |is: bool| if is { "1" } else { "0" };
        let mut text = address.as_str().to_owned();
        let parts = [self.name.unwrap_or_default(), self.subscription, flag(self.asks), flag(self.approved)];
        // XML has no U+0000, so no part can hold what stands between two.
        for part in parts.into_iter().chain(self.groups.iter().map(String::as_str)) {
            text.push('\0');
            text.push_str(part);
        }
        let bytes = sha1(text.as_bytes());
        bytes.iter().take(8).fold(0, |mark, &byte| mark << 8 | u64::from(byte))
    }
}

/// The contacts of one account, by bare address.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// In the order of their addresses. Most rosters are short, and a list has little to spare.
    contacts: Vec<(Jid, Contact)>,
    /// The sum of the marks of all items. It says what is in the roster, not how it came there, so it is the same after
    /// a restart, and nobody has to keep it.
    marks: u64,
}

impl Roster {
    /// All contacts in the order of their addresses.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = (&Jid, &Contact)> {
        self.contacts.iter().map(|(address, contact)| (address, contact))
    }

    /// One contact.
    pub(crate) fn contact(&self, address: &str) -> Option<&Contact> {
        let (_, contact) = self.contacts.get(self.place(address).ok()?)?;
        Some(contact)
    }

    /// Where a contact is, or else would be.
    fn place(&self, address: &str) -> Result<usize, usize> {
        self.contacts.binary_search_by(|(other, _)| other.as_str().cmp(address))
    }

    /// Adds, changes or removes a contact.
    pub(super) fn set(&mut self, address: Jid, contact: Option<Contact>) {
        let mark =
            |contact: Option<&Contact>| contact.and_then(Contact::item).map_or(0, |item| item.mark(&address));
        let new = mark(contact.as_ref());
        let old = mark(self.contact(address.as_str()));
        self.marks = self.marks.wrapping_sub(old).wrapping_add(new);
        match (self.place(address.as_str()), contact) {
            (Ok(place), Some(contact)) => {
                if let Some((_, old)) = self.contacts.get_mut(place) {
                    *old = contact;
                }
            }
            (Err(place), Some(contact)) => self.insert(place, (address, contact)),
            (Ok(place), None) => drop(self.contacts.remove(place)),
            (Err(_), None) => (),
        }
    }

    /// Brings a contact into another state.
    pub(super) fn set_subscription(&mut self, address: Jid, state: SubscriptionState) {
        let contact = self.contact(address.as_str()).cloned().unwrap_or_default();
        self.set(address, contact.in_state(state).kept());
    }

    /// A long list grows by a quarter, a short one by what is needed.
    fn insert(&mut self, place: usize, contact: (Jid, Contact)) {
        if self.contacts.len() == self.contacts.capacity() {
            self.contacts.reserve_exact(1 + self.contacts.len() / 4);
        }
        self.contacts.insert(place, contact);
    }

    /// What the items are, in short (RFC 6121 2.6): equal for equal items.
    pub(crate) fn version(&self) -> String {
        format!("{:016x}", self.marks)
    }
}

/// XEP-0227 4.4 and 4.9.
pub(super) const PART: Part = Part { write, read };

const SUBSCRIPTION: &str = "subscription";

/// The items, then the requests that wait.
fn write(account: &Account, user: Element) -> Element {
    let contacts = || account.roster().contacts();
    let items = contacts().filter_map(|(address, contact)| item_of(address, contact));
    let requests = contacts().filter_map(|(address, contact)| request_of(address, contact));
    let query = items.fold(Element::new("query", ns::ROSTER), Element::with);
    requests.fold(user.with(query), Element::with)
}

/// A contact as it is now, or that it has gone.
pub(super) fn write_contact(address: &Jid, contact: Option<&Contact>, user: Element) -> Element {
    let (item, request) = match contact {
        Some(contact) => (item_of(address, contact), request_of(address, contact)),
        None => (Some(item(address).with_attr("subscription", "remove")), None),
    };
    let query = item.map(|item| Element::new("query", ns::ROSTER).with(item));
    query.into_iter().chain(request).fold(user, Element::with)
}

fn item(address: &Jid) -> Element {
    Element::new("item", ns::ROSTER).with_attr("jid", address.as_str().to_owned())
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
    let groups = shown.groups.iter().map(|group| Element::new("group", ns::ROSTER).with_text(group.clone()));
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
pub(super) fn state_to_element(address: &Jid, state: &SubscriptionState) -> Element {
    let mut element = Element::new(SUBSCRIPTION, PORTABLE)
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

fn read(user: &Element) -> Vec<AccountChange> {
    let contacts = read_contacts(user).into_iter();
    let contacts = contacts.map(|(address, contact)| AccountChange::Contact(address, contact));
    let states = user.children().filter(|part| part.is(SUBSCRIPTION, PORTABLE)).filter_map(read_state);
    contacts.chain(states).collect()
}

/// The contacts that a `<user/>` element speaks of: what an item and a request say of the same one is put together.
fn read_contacts(user: &Element) -> BTreeMap<Jid, Option<Contact>> {
    let mut contacts = BTreeMap::new();
    let items = user.children().filter(|part| part.is("query", ns::ROSTER)).flat_map(Element::children);
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
    let address: Jid = item.attr("jid").filter(|_| item.is("item", ns::ROSTER))?.parse().ok()?;
    let subscription = item.attr("subscription").unwrap_or("none");
    if subscription == "remove" {
        return Some((address, None));
    }
    let groups = item.children().filter(|group| group.is("group", ns::ROSTER));
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

fn read_state(element: &Element) -> Option<AccountChange> {
    let is = |name, value| element.attr(name) == Some(value);
    let subscription = element.attr("subscription")?;
    let state = SubscriptionState {
        listed: is("listed", "true"),
        subscription: Subscription::named(subscription, is("ask", "subscribe"), is("asked", "true"))?,
        approved: is("approved", "true"),
        request: element.child("presence", ns::CLIENT).cloned().map(Box::new),
    };
    Some(AccountChange::Subscription(element.attr("jid")?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Jid {
        text.parse().unwrap()
    }

    fn named(name: &str) -> Option<Contact> {
        Some(Contact { listed: true, name: Some(name.into()), ..Contact::default() })
    }

    #[test]
    fn equal_items_have_equal_versions() {
        let mut roster = Roster::default();
        let empty = roster.version();
        roster.set(address("a@x"), named("A"));
        let one = roster.version();
        roster.set(address("b@x"), named("B"));
        let two = roster.version();
        roster.set(address("a@x"), named("A2"));
        let renamed = roster.version();
        roster.set(address("a@x"), named("A"));
        assert_eq!(roster.version(), two);
        roster.set(address("b@x"), None);
        assert_eq!(roster.version(), one);
        roster.set(address("a@x"), None);
        assert_eq!(roster.version(), empty);
        assert!(one != empty && two != one && renamed != two && renamed != one);
    }

    #[test]
    fn all_that_is_shown_is_in_the_version_and_nothing_else() {
        let plain = Contact { listed: true, ..Contact::default() };
        let version = |contact: &Contact| {
            let mut roster = Roster::default();
            roster.set(address("a@x"), Some(contact.clone()));
            roster.version()
        };
        let shown = [
            Contact { name: Some("n".into()), ..plain.clone() },
            Contact { groups: vec!["n".into()], ..plain.clone() },
            Contact { groups: vec!["n".into(), "m".into()], ..plain.clone() },
            Contact { subscription: Subscription::To, ..plain.clone() },
            Contact { subscription: Subscription::NonePendingOut, ..plain.clone() },
            Contact { approved: true, ..plain.clone() },
        ];
        let mut versions: Vec<String> = shown.iter().map(version).collect();
        versions.push(version(&plain));
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), shown.len() + 1);
        let asked = Contact { subscription: Subscription::NonePendingIn, ..plain.clone() };
        assert_eq!(version(&asked), version(&plain));
        let not_listed = Contact { listed: false, ..asked };
        assert_eq!(version(&not_listed), Roster::default().version());
        assert!(not_listed.kept().is_some() && Contact::default().kept().is_none());
    }

    /// XEP-0227, what another server exports.
    #[test]
    fn requests_and_items_come_from_elsewhere() {
        let item = |jid: &'static str, subscription: &'static str| {
            Element::new("item", ns::ROSTER).with_attr("jid", jid).with_attr("subscription", subscription)
        };
        let request = |from: &'static str| {
            Element::new("presence", ns::CLIENT).with_attr("type", "subscribe").with_attr("from", from)
        };
        let user = Element::new("user", PORTABLE)
            .with(request("romeo@x/garden"))
            .with(Element::new("query", ns::ROSTER).with(item("romeo@x", "to")).with(item("nurse@x", "both")))
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
