//! Who is in whose roster, and what is kept of each.
//!
//! Read first: RFC 6121 2.1 (items), 2.6 (versions). A roster also keeps the requests of people whom its owner has not put
//! into it (RFC 6121 3.1.3): such a contact is no item, and nobody is shown it.
//! Left out on purpose: how a subscription comes about ([`super::subscription`]), how many items there may be.

use super::subscription::{Step, Subscription};
use crate::crypto::codec::sha1;
use crate::xml::Element;
use crate::xmpp::jid::Jid;

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

    /// The contact after a step. Whoever asks a contact, answers it or approves it beforehand has it in the roster then.
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
    /// The sum of the marks of all items. It says what is in the roster, not how it came there, so it is the same after a
    /// restart, and nobody has to keep it.
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
}
