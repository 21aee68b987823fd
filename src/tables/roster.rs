//! Who is in whose roster, and who sees whose presence.
//!
//! Read first: RFC 6121 2.1 (items), 3.1 (what a subscription means). Left out on purpose: how a subscription comes about.

use std::collections::BTreeMap;

use crate::jid::Jid;

/// Which way presence flows (RFC 6121 2.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Subscription {
    /// Neither way.
    #[default]
    None,
    /// The owner sees the contact.
    To,
    /// The contact sees the owner.
    From,
    /// Both ways.
    Both,
}

impl Subscription {
    /// What the value of the attribute means.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::None, Self::To, Self::From, Self::Both]
            .into_iter()
            .find(|subscription| subscription.name() == name)
    }

    /// The value of the attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }

    /// The state of these two ways.
    fn of(to: bool, from: bool) -> Self {
        match (to, from) {
            (false, false) => Self::None,
            (true, false) => Self::To,
            (false, true) => Self::From,
            (true, true) => Self::Both,
        }
    }

    /// The owner sees the contact as well.
    pub(crate) fn with_to(self) -> Self {
        Self::of(true, self.is_from())
    }

    /// The contact sees the owner as well.
    pub(crate) fn with_from(self) -> Self {
        Self::of(self.is_to(), true)
    }

    /// Whether the owner sees the contact.
    pub(crate) fn is_to(self) -> bool {
        matches!(self, Self::To | Self::Both)
    }

    /// Whether the contact sees the owner.
    pub(crate) fn is_from(self) -> bool {
        matches!(self, Self::From | Self::Both)
    }
}

/// A contact.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contact {
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) subscription: Subscription,
}

/// The contacts of one account, by bare address.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    contacts: BTreeMap<Jid, Contact>,
}

impl Roster {
    /// All contacts in the order of their addresses.
    pub(crate) fn contacts(&self) -> impl Iterator<Item = (&Jid, &Contact)> {
        self.contacts.iter()
    }

    /// One contact.
    pub(crate) fn contact(&self, address: &str) -> Option<&Contact> {
        self.contacts.get(address)
    }

    /// Adds, changes or removes a contact.
    pub(super) fn set(&mut self, address: Jid, contact: Option<Contact>) {
        match contact {
            Some(contact) => self.contacts.insert(address, contact),
            None => self.contacts.remove(&address),
        };
    }
}
