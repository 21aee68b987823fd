//! Whom an account will have nothing to do with.
//!
//! Read first: XEP-0191 sections 3 (what a list looks like) and 5 (which addresses an entry means). Left out on
//! purpose: what follows from it ([`crate::im::blocking`]).

use std::collections::BTreeSet;

use super::portable::Part;
use super::AccountChange;
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::jid::Jid;

/// The blocked addresses of one account.
#[derive(Debug, Default)]
pub(crate) struct Blocklist {
    entries: BTreeSet<Jid>,
}

impl Blocklist {
    /// The entries in the order of their text.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Jid> {
        self.entries.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether exactly this address is an entry.
    pub(crate) fn has(&self, entry: &Jid) -> bool {
        self.entries.contains(entry)
    }

    /// Whether an entry means this address, which is written as a [`Jid`] is: the address itself, its account or its
    /// host.
    pub(crate) fn means(&self, address: &str) -> bool {
        // Most have no entries, and need not know what a part of the address is.
        !self.entries.is_empty() && parts(address).iter().any(|&part| self.entries.contains(part))
    }

    /// Blocks an address, or no longer.
    pub(super) fn set(&mut self, entry: Jid, blocked: bool) {
        if blocked {
            self.entries.insert(entry);
        } else {
            self.entries.remove(&entry);
        }
    }
}

impl FromIterator<Jid> for Blocklist {
    fn from_iter<I: IntoIterator<Item = Jid>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

/// XEP-0191 section 3: addresses in an element of this name.
pub(crate) fn blocklist_element<'j>(
    name: &'static str,
    addresses: impl IntoIterator<Item = &'j Jid>,
) -> Element {
    let item =
        |address: &Jid| Element::new("item", ns::BLOCKING).with_attr("jid", address.as_str().to_owned());
    addresses.into_iter().map(item).fold(Element::new(name, ns::BLOCKING), Element::with)
}

/// XEP-0191 section 5: the address, its bare address, its domain.
fn parts(address: &str) -> [&str; 3] {
    // Neither a localpart nor a domain has a slash, and neither has an at sign.
    let bare = address.split_once('/').map_or(address, |(bare, _)| bare);
    let domain = bare.split_once('@').map_or(bare, |(_, domain)| domain);
    [address, bare, domain]
}

/// The format has no word for it but privacy lists, which say more, so it is as XEP-0191 would say it.
pub(super) const PART: Part = Part {
    write: |account, user| match account.blocklist() {
        list if list.len() == 0 => user,
        list => user.with(blocklist_element("blocklist", list.entries())),
    },
    read: |user| user.children().filter(|part| part.ns() == ns::BLOCKING).flat_map(read).collect(),
};

fn read(part: &Element) -> Vec<AccountChange> {
    let blocked = match part.name() {
        "blocklist" | "block" => true,
        "unblock" => false,
        _ => return Vec::new(),
    };
    let addresses = part.children().filter_map(|item| item.attr("jid")?.parse().ok());
    addresses.map(|address| AccountChange::Blocked(address, blocked)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_addresses_an_entry_means() {
        let table = [
            ("a@b/c", "a@b/c", true),
            ("a@b/c", "a@b/d", false),
            ("a@b/c", "a@b", false),
            ("a@b", "a@b", true),
            ("a@b", "a@b/c", true),
            ("a@b", "a@b/c@d/e", true),
            ("a@b", "x@b/c", false),
            ("a@b", "b", false),
            ("b/c", "b/c", true),
            ("b/c", "b", false),
            ("b/c", "a@b/c", false),
            ("b", "b", true),
            ("b", "b/c", true),
            ("b", "a@b/c", true),
            ("b", "b/c@d/e", true),
            ("d", "b/c@d", false),
            ("b", "a@x.b", false),
        ];
        for (entry, address, meant) in table {
            let entry: Jid = entry.parse().unwrap();
            let address: Jid = address.parse().unwrap();
            let mut list = Blocklist::default();
            list.set(entry.clone(), true);
            assert_eq!(list.means(address.as_str()), meant, "{entry} {address}");
            assert!(list.has(&entry) && list.len() == 1);
            list.set(entry.clone(), false);
            assert!(!list.means(address.as_str()) && !list.has(&entry) && list.len() == 0);
        }
    }
}
