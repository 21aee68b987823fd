//! loquat, an XMPP server: synchronous, small, embeddable.
//!
//! There are three ways in, each standing on the one before:
//!
//! 1. [`Server`]: bytes and the time go in, bytes come out. The host does all input and output.
//! 2. [`Reactor`]: the server with its sockets, inside the host's own loop ([`Reactor::poll_once`]) or as the loop
//!    itself ([`Reactor::run`]).
//! 3. The program `loquat`.
//!
//! The library starts no thread, installs no logger and no signal handler, and has no global state: two servers fit
//! into one process. `ARCHITECTURE.md` shows the house.

mod blocking;
mod carbons;
mod codec;
mod config;
mod ctx;
mod delay;
mod error;
mod events;
mod features;
mod form;
mod jid;
mod last_seen;
mod net;
mod ns;
mod offline;
mod outbox;
mod peer;
mod presence;
mod push;
mod random;
mod removal;
mod roster;
mod router;
mod scram;
mod server;
mod slab;
mod stanza;
mod storage;
mod stream;
mod subscriptions;
mod tables;
mod time;
pub mod xml;

pub use codec::legacy_digest;
pub use config::{Config, Limits, Plaintext, Rate};
pub use ctx::Now;
pub use events::Event;
pub use features::specs;
pub use jid::{Jid, JidError};
pub use net::Reactor;
pub use outbox::{Close, Outgoing};
pub use peer::Peer;
pub use random::RandomSource;
pub use server::{ClaimError, ImportError, InjectError, Server, Status, StreamId};
pub use slab::Key;
pub use storage::{
    account_line, Document, DocumentError, Durability, Export, Folder, Part, Storage, StorageError,
};
pub use tables::{AccountError, StorageStatus};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
