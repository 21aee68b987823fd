//! Instant messaging as RFC 6121 has it: who is told what.
//!
//! Read first: RFC 6121 sections 2 to 4. Left out on purpose: which stanza comes here ([`crate::routing`]), and every
//! extension.

pub(crate) mod blocking;
pub(crate) mod ctx;
pub(crate) mod delay;
pub(crate) mod events;
pub(crate) mod last_seen;
pub(crate) mod offline;
pub(crate) mod presence;
pub(crate) mod push;
pub(crate) mod removal;
pub(crate) mod roster;
pub(crate) mod sender;
pub(crate) mod subscriptions;
