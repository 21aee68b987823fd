//! What the server knows: accounts, rosters, who is connected.
//!
//! Left out on purpose: bytes, streams, rules. A table answers and changes; who may ask is decided above.

mod accounts;
mod roster;
mod sessions;

pub use accounts::AccountError;
pub(crate) use accounts::Accounts;
pub(crate) use roster::{RosterItem, Rosters};
pub(crate) use sessions::Sessions;

/// All tables.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) accounts: Accounts,
    pub(crate) rosters: Rosters,
    pub(crate) sessions: Sessions,
}
