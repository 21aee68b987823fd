//! Sockets, readiness and the system's clock: the only folder that knows mio.
//!
//! Left out on purpose: what the bytes mean.

mod connection;
mod listener;
mod reactor;
mod read_queue;
mod system;
mod transport;

pub use listener::{Listen, ListenerId};
pub use reactor::Reactor;
pub use transport::Socket;
