//! What an account says of itself, in the portable format.
//!
//! Left out on purpose: what it means (XEP-0054); it is kept as it came ([`super::stored_xml`]).

use super::portable::Part;
use super::{AccountChange, StoredXml};
use crate::xml::Element;

/// XEP-0227 4.7.
pub(super) const PART: Part = Part {
    write: |account, user| match account.vcard() {
        None => user,
        vcard => user.with(to_element(vcard)),
    },
    read: |user| {
        let vcards = user.children().filter(|part| part.is("vCard", NS));
        vcards.map(|vcard| AccountChange::VCard(StoredXml::of(vcard))).collect()
    },
};

const NS: &str = "vcard-temp";

/// An empty one says that there is none.
pub(super) fn to_element(vcard: Option<&StoredXml>) -> Element {
    vcard.and_then(StoredXml::to_element).unwrap_or_else(|| Element::new("vCard", NS))
}
