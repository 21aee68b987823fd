//! loquat, an XMPP server: synchronous, small, embeddable.
//!
//! There are three ways in, each standing on the one before:
//!
//! 1. [`Server`]: bytes and the time go in, bytes come out. The host does all input and output.
//! 2. `Reactor`: the server with its sockets, inside the host's own loop or as the loop itself.
//! 3. The program `loquat`.
//!
//! The library starts no thread, installs no logger and no signal handler, and has no global state: two servers fit
//! into one process. What owns a server may be sent to a thread of the host's. `ARCHITECTURE.md` shows the house.
//!
//! ```toml
//! loquat = { version = "0.1", default-features = false, features = ["net"] }    # with Reactor, which needs mio
//! loquat = { version = "0.1", default-features = false }                        # Server alone
//! ```
//!
//! # A reactor that runs by itself
//!
//! ```no_run
//! # #[cfg(feature = "net")]
//! # mod host {
//! use loquat::{Config, Reactor};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut reactor = Reactor::bind(Config::new("localhost")?, &["127.0.0.1:5222".parse()?])?;
//!     reactor.server().add_account("romeo", "secret")?;
//!     Ok(reactor.run()?)
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # A reactor in a loop of the host's
//!
//! It is one descriptor and one deadline. Here the loop is poll(2); any other that can wait for a descriptor will do.
//!
//! ```no_run
//! # #[cfg(all(unix, feature = "net"))]
//! # mod host {
//! use std::time::Duration;
//!
//! use loquat::{Config, Event, Folder, Durability, Reactor, Storage};
//! use rustix::event::{poll, PollFd, PollFlags, Timespec};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let storage = Storage::new(Folder::open("data".as_ref())?, "localhost", Durability::Always);
//!     let addresses = ["127.0.0.1:5222".parse()?];
//!     let mut reactor = Reactor::bind_with_storage(Config::new("localhost")?, &addresses, storage)?;
//!     reactor.server().claim("bot.localhost")?;
//!     loop {
//!         let timeout = reactor.next_deadline().map(Timespec::try_from).transpose()?;
//!         poll(&mut [PollFd::new(&reactor, PollFlags::IN)], timeout.as_ref())?;
//!         reactor.poll_once(Some(Duration::ZERO))?;
//!         while let Some(event) = reactor.server().next_event() {
//!             if let Event::Stanza(stanza) = event {
//!                 println!("the bot was sent {stanza}");
//!             }
//!         }
//!     }
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # The core alone
//!
//! The order of calls, each turn:
//!
//! 1. For what came: [`Server::open`], [`Server::receive`], [`Server::half_closed`], and what the host wants itself.
//!    If [`Server::wants_flush`], go to 2 before more is received; where [`Server::wants_read`] says no, do not read.
//! 2. [`Server::flush`]: what is due happens, what changed becomes safe. Only from the [`Flush`] are there bytes to
//!    send:
//!    [`Flush::next`], [`Flush::sent`], and [`Flush::outgoing`] for connections that take bytes again.
//! 3. [`Server::hung_up`], once for each connection that is gone, whoever ended it.
//! 4. Sleep until something comes, not longer than [`Server::next_deadline`].
//!
//! ```no_run
//! use std::io::{ErrorKind, Read, Write};
//! use std::net::{Shutdown, TcpListener, TcpStream};
//! use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
//!
//! use loquat::{Config, Now, Opening, Peer, Server, StreamId, Then};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Config::new("localhost")?, loquat::system_random()?)?;
//!     let (listener, started) = (TcpListener::bind("127.0.0.1:5222")?, Instant::now());
//!     listener.set_nonblocking(true)?;
//!     let mut connections: Vec<(StreamId, TcpStream)> = Vec::new();
//!     loop {
//!         let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
//!         let now = Now { monotonic: started.elapsed(), since_1970 };
//!         let (mut gone, mut buffer) = (Vec::new(), [0; 4096]);
//!         // 1.
//!         while let Ok((socket, address)) = listener.accept() {
//!             socket.set_nonblocking(true)?;
//!             let id = server.open(Opening::client(Peer::from(address)), now);
//!             connections.extend(id.map(|id| (id, socket)));
//!         }
//!         for (id, socket) in &mut connections {
//!             if !server.wants_read(*id) {
//!                 continue;
//!             }
//!             match socket.read(&mut buffer) {
//!                 Ok(0) => gone.push(*id),
//!                 Ok(n) => server.receive(*id, &buffer[..n], now),
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => (),
//!                 Err(_) => gone.push(*id),
//!             }
//!         }
//!         // 2. Without a poll all connections are looked at, so nobody needs to be named.
//!         let mut flush = server.flush(now)?;
//!         while flush.next().is_some() {}
//!         for (id, socket) in &mut connections {
//!             let outgoing = flush.outgoing(*id);
//!             match (outgoing.then, outgoing.bytes) {
//!                 (Then::CloseNow, _) => gone.push(*id),
//!                 (Then::CloseWhenSent, []) => drop(socket.shutdown(Shutdown::Write)),
//!                 (_, []) => (),
//!                 (_, bytes) => {
//!                     // What is not taken is asked for again in the next turn.
//!                     let sent = socket.write(bytes).unwrap_or(0);
//!                     flush.sent(*id, sent);
//!                 }
//!             }
//!         }
//!         drop(flush);
//!         // 3.
//!         gone.sort_unstable();
//!         gone.dedup();
//!         connections.retain(|(id, _)| !gone.contains(id));
//!         gone.into_iter().for_each(|id| server.hung_up(id, now));
//!         // 4.
//!         let deadline = server.next_deadline().map(|at| at.saturating_sub(now.monotonic));
//!         std::thread::sleep(deadline.unwrap_or(Duration::MAX).min(Duration::from_millis(10)));
//!     }
//! }
//! ```
//!
//! `examples/` has each of these as a program: `embed` and `foreign_poll` for loops, `own_thread`, `core_only`.

mod crypto;
mod features;
mod im;
#[cfg(feature = "net")]
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
#[cfg(feature = "net")]
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
#[cfg(all(doctest, feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;
