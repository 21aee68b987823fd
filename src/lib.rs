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

mod crypto;
mod features;
mod im;
mod net;
mod outbox;
mod routing;
mod server;
mod storage;
mod streams;
mod tables;
mod wire;
pub mod xml;
mod xmpp;

pub use crypto::codec::legacy_digest;
pub use crypto::random::{system_random, RandomSource};
pub use features::specs;
pub use im::ctx::Now;
pub use im::events::Event;
pub use net::{Listen, ListenerId, Reactor, Socket};
pub use outbox::{Outgoing, Then};
pub use server::{ClaimError, Flush, ImportError, InjectError, Server, Status, StreamId};
pub use storage::{
    account_line, Document, DocumentError, Durability, Export, Folder, Part, Storage, StorageError,
};
pub use tables::{AccountError, StorageStatus};
pub use xmpp::config::{Config, Limits, Plaintext, Rate};
pub use xmpp::jid::{Jid, JidError};
pub use xmpp::opening::{Framing, Opening, StreamKind};
pub use xmpp::peer::Peer;
pub use xmpp::slab::Key;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
