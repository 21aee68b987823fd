//! What the server knows: accounts, rosters, who is connected, who has failed to.
//!
//! Left out on purpose: bytes, streams, rules. A table answers and changes; who may ask is decided above.

mod accounts;
mod guesses;
mod rates;
mod roster;
mod sessions;

pub use accounts::AccountError;
pub(crate) use accounts::{Accounts, Storage, SALT_BYTES};
pub(crate) use guesses::Guesses;
pub use rates::Rate;
pub(crate) use rates::Rates;
pub(crate) use roster::{RosterItem, Rosters};
pub(crate) use sessions::{Resumption, Sessions};

/// All tables.
pub(crate) struct Tables {
    pub(crate) accounts: Accounts,
    pub(crate) rosters: Rosters,
    pub(crate) sessions: Sessions,
    pub(crate) guesses: Guesses,
    pub(crate) registrations: Rates<std::net::IpAddr>,
}
