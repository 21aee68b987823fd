//! Who is in whose roster, and who sees whose presence.
//!
//! Read first: RFC 6121 2.1 (items), 3.1 (what a subscription means). Left out on purpose: how a subscription comes about.

use std::collections::{BTreeMap, HashMap};

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
pub(crate) struct RosterItem {
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) subscription: Subscription,
}

/// All rosters: by the owner's localpart, then by the contact's bare address.
#[derive(Default)]
pub(crate) struct Rosters {
    by_owner: HashMap<Box<str>, BTreeMap<Jid, RosterItem>>,
}

impl Rosters {
    /// The contacts of an account in the order of their addresses.
    pub(crate) fn of(&self, owner: &str) -> impl Iterator<Item = (&Jid, &RosterItem)> {
        self.by_owner.get(owner).into_iter().flatten()
    }

    /// One contact.
    pub(crate) fn item(&self, owner: &str, contact: &str) -> Option<&RosterItem> {
        self.by_owner.get(owner)?.get(contact)
    }

    /// One contact, to be changed; it is added if it was not there.
    pub(crate) fn entry(&mut self, owner: &str, contact: &Jid) -> &mut RosterItem {
        self.by_owner.entry(owner.into()).or_default().entry(contact.clone()).or_default()
    }

    /// Forgets a whole roster.
    pub(crate) fn remove(&mut self, owner: &str) {
        self.by_owner.remove(owner);
    }
}
