//! XMPP's words: addresses, stanzas, errors, forms, and what a server is told of itself.
//!
//! Left out on purpose: state. Nothing here knows who is connected.

pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod form;
pub(crate) mod jid;
pub(crate) mod opening;
pub(crate) mod peer;
pub(crate) mod slab;
pub(crate) mod stanza;
pub(crate) mod time;
