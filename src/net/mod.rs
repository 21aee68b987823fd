//! Sockets, readiness and the system's clock: the only rooms that know mio.
//!
//! Left out on purpose: what the bytes mean.

mod reactor;
mod system;

pub use reactor::Reactor;
