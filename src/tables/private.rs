//! What an account's clients keep here (XEP-0049), in the portable format.
//!
//! Left out on purpose: what it means; it is kept as it came ([`super::stored_xml`]).

use super::portable::Part;
use super::{AccountChange, StoredXml};
use crate::xml::Element;

/// XEP-0227 4.8.
pub(super) const PART: Part = Part {
    write: |account, user| match account.private() {
        [] => user,
        private => user.with(to_element(private.iter().filter_map(StoredXml::to_element))),
    },
    read: |user| {
        let queries = user.children().filter(|part| part.is("query", NS));
        queries.flat_map(Element::children).cloned().map(AccountChange::Private).collect()
    },
};

const NS: &str = "jabber:iq:private";

pub(super) fn to_element(private: impl IntoIterator<Item = Element>) -> Element {
    private.into_iter().fold(Element::new("query", NS), Element::with)
}
