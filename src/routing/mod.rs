//! The way of a stanza: to the server itself, or to somebody else.
//!
//! Read first: [`incoming`], then [`dispatch`], then [`router`]. Left out on purpose: what a request means
//! ([`crate::features`]).

pub(crate) mod dispatch;
pub(crate) mod incoming;
pub(crate) mod router;
