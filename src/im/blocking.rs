//! What becomes of a stanza between two of whom one has blocked the other.
//!
//! Read first: XEP-0191 sections 3.3 and 5. The one who is blocked sees what would be seen of one who is offline, and the
//! one who blocks is told of the block. An address is looked at as it was written: an entry with a resource stops what
//! goes to that resource and what comes from it, not what its account shares with all of its resources. Nobody blocks the
//! own account or the host.
//! Left out on purpose: how the list changes ([`crate::features`]), what of a subscription goes on under a block
//! ([`crate::im::subscriptions`]), who sees whom ([`crate::im::presence`]).

use crate::im::ctx::Ctx;
use crate::tables::{Accounts, User};
use crate::xmpp::config::Config;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{Kind, PresenceType};

/// What a sender is told of the own block.
const ERRORS: &str = "urn:xmpp:blocking:errors";

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

/// XEP-0191 3.3: whether a stanza may go on to `to`; if not, what its sender is told, if anything.
pub(crate) fn check(ctx: &Ctx<'_>, from: &Jid, to: &Jid, kind: Kind) -> Result<(), Option<StanzaError>> {
    let (config, accounts) = (ctx.config, &ctx.tables.accounts);
    if has_blocked(config, accounts, from, to) {
        let error = StanzaError::because(Condition::NotAcceptable, "you have blocked this address");
        return Err(Some(error.with_detail("blocked", ERRORS)));
    }
    match kind {
        // Its sender's roster has its part in it, wherever it goes.
        Kind::Presence(PresenceType::Subscription(_)) => Ok(()),
        _ if !has_blocked(config, accounts, to, from) => Ok(()),
        Kind::Presence(_) => Err(None),
        Kind::Message(_) | Kind::Iq(_) => Err(Some(Condition::ServiceUnavailable.into())),
    }
}
