//! Who sends a stanza: proven, so that nobody is taken for somebody else.
//!
//! Read first: RFC 6120 8.1.2. Only a client has an account here; whoever else may speak has an address, and what an
//! account's owner may do is refused to it, whatever that address looks like. Left out on purpose: how it was proven
//! ([`crate::streams`] for clients, the host program for its own addresses).

use crate::tables::User;
use crate::xmpp::error::Condition;
use crate::xmpp::jid::Jid;

/// Who sends a stanza.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender<'a> {
    /// A client that is logged in, with its full address.
    Client { user: User<'a>, address: &'a Jid },
    /// A service of ours, at one of its addresses.
    Service(&'a Jid),
}

impl<'a> Sender<'a> {
    /// The address that answers go to.
    pub(crate) fn address(&self) -> &'a Jid {
        match self {
            Self::Client { address, .. } | Self::Service(address) => address,
        }
    }

    /// The account that it may act for; `forbidden` for who has none.
    pub(crate) fn user(&self) -> Result<User<'a>, Condition> {
        match self {
            Self::Client { user, .. } => Ok(*user),
            Self::Service(_) => Err(Condition::Forbidden),
        }
    }

    /// Whether this is the bare address of its own account.
    pub(crate) fn is_own_account(&self, address: &Jid) -> bool {
        matches!(self, Self::Client { address: own, .. } if own.bare_str() == address.as_str())
    }
}
