//! What outlives the process, by kinds of owners, and what that looks like in a file.
//!
//! To add a kind: a file with its table, its changes and its [`Collection`]; a variant of [`Change`]; here, a field in
//! two places and a line in [`COLLECTIONS`]. Whatever else there is to do the compiler asks for, tests of crashes among
//! it. Left out on purpose: files ([`crate::storage`]).

#[cfg(test)]
use super::notes::{self, Notes};
use super::{portable, Accounts, Change};
use crate::xml::Element;

/// Tables of what is kept, to be written down.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'t> {
    pub(crate) accounts: &'t Accounts,
    #[cfg(test)]
    pub(crate) notes: &'t Notes,
}

/// The same tables, for who only reads them in and writes them down again.
pub(crate) struct KeptTables {
    pub(crate) accounts: Accounts,
    #[cfg(test)]
    pub(crate) notes: Notes,
}

impl KeptTables {
    /// Nothing but what is in `accounts`.
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            #[cfg(test)]
            notes: Notes::default(),
        }
    }

    pub(crate) fn kept(&self) -> Kept<'_> {
        Kept {
            accounts: &self.accounts,
            #[cfg(test)]
            notes: &self.notes,
        }
    }

    pub(crate) fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Account(name, change) => self.accounts.apply(name, change),
            #[cfg(test)]
            Change::Note(name, change) => self.notes.apply(name, change),
        }
    }
}

/// Whoever takes changes that are read.
pub(crate) type Take<'t> = dyn FnMut(Change<'_>) + 't;

/// Owners of one kind, and what they look like in a file.
pub(crate) struct Collection {
    /// The name of their element, whose namespace is that of XEP-0227.
    pub(crate) element: &'static str,
    /// What they are called, in no order.
    pub(crate) names: fn(Kept<'_>) -> Vec<Box<str>>,
    /// All that is kept for one; `None` if it is not there.
    pub(crate) write: fn(Kept<'_>, &str) -> Option<Element>,
    /// Takes out what such an element says, all that is kept or just what changed. `false` if that is not understood.
    pub(crate) read: fn(&Element, &mut Take<'_>) -> bool,
}

/// All kinds of owners.
pub(crate) const COLLECTIONS: &[Collection] = &[
    portable::COLLECTION,
    #[cfg(test)]
    notes::COLLECTION,
];
