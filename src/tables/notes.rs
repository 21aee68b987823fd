//! Notes, which nobody has but tests: a second kind of owners, to try how one is added.

use std::collections::BTreeMap;

use super::portable::NS;
use super::{Change, Collection, Kept};
use crate::xml::Element;

/// Texts by name.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    by_name: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) enum NoteChange {
    Text(String),
    Removed,
}

impl Notes {
    pub(crate) fn apply(&mut self, name: &str, change: NoteChange) {
        match change {
            NoteChange::Text(text) => drop(self.by_name.insert(name.into(), text)),
            NoteChange::Removed => drop(self.by_name.remove(name)),
        }
    }
}

pub(super) const COLLECTION: Collection = Collection {
    element: "note",
    names: |kept| kept.notes.by_name.keys().map(|name| name.as_str().into()).collect(),
    write: |kept: Kept<'_>, name| Some(to_element(name).with_text(kept.notes.by_name.get(name)?.clone())),
    read: |element, take| {
        let Some(name) = element.attr("name") else { return false };
        let is_removed = element.attr("removed").is_some();
        let text = || NoteChange::Text(element.text().into_owned());
        take(Change::Note(name, if is_removed { NoteChange::Removed } else { text() }));
        true
    },
};

pub(super) fn change_to_element(name: &str, change: &NoteChange) -> Element {
    match change {
        NoteChange::Text(text) => to_element(name).with_text(text.clone()),
        NoteChange::Removed => to_element(name).with_attr("removed", "true"),
    }
}

fn to_element(name: &str) -> Element {
    Element::new("note", NS).with_attr("name", name.to_owned())
}
