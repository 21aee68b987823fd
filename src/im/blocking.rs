//! Whether one address has blocked another.
//!
//! Read first: XEP-0191 section 5. An address is looked at as it was written: an entry with a resource stops what goes
//! to that resource and what comes from it, not what its account shares with all of its resources. Nobody blocks the
//! own account or the host. Left out on purpose: what becomes of a stanza between the two, and how the list changes
//! ([`crate::features`]).

use crate::tables::{Accounts, User};
use crate::xmpp::config::Config;
use crate::xmpp::jid::Jid;

/// Whether nothing goes from one address to another, since the account of one has blocked the other.
pub(crate) fn are_parted(config: &Config, accounts: &Accounts, one: &Jid, other: &Jid) -> bool {
    has_blocked(config, accounts, one, other) || has_blocked(config, accounts, other, one)
}

/// Whether the account of `owner` has blocked an address.
pub(crate) fn has_blocked(config: &Config, accounts: &Accounts, owner: &Jid, address: &Jid) -> bool {
    let is_own = owner.bare_str() == address.bare_str();
    let is_host = address.local().is_none() && config.is_ours(address.domain());
    let blocks = |user| accounts.blocks(user, address.as_str());
    !is_own && !is_host && User::at(config, owner).is_some_and(blocks)
}
