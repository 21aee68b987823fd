//! One listening socket: what waits to be accepted, and a pause when the system has no room.
//!
//! Left out on purpose: what becomes of a connection; the reactor opens a stream for it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::transport::Transport;
use crate::xmpp::peer::Peer;

/// Connections accepted from one listener in one turn.
const MAX_ACCEPTS: usize = 64;
/// How long a listener waits when the system has no more descriptors, unless a connection ends before.
pub(super) const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Connections may be waiting, to be accepted from this time on; `None` if none are.
    accept_at: Option<Duration>,
}

impl Listener {
    /// Listens on an address. The error names it.
    pub(super) fn bind(registry: &Registry, token: Token, address: SocketAddr) -> io::Result<Self> {
        let bind = || {
            let mut socket = TcpListener::bind(address)?;
            registry.register(&mut socket, token, Interest::READABLE)?;
            Ok(Self { address: socket.local_addr()?, socket, accept_at: None })
        };
        bind().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })
    }

    /// The address with the port that was picked.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When [`Listener::accept`] has something to do.
    pub(super) fn accept_at(&self) -> Option<Duration> {
        self.accept_at
    }

    /// The system says that connections wait.
    pub(super) fn set_ready(&mut self) {
        self.accept_at = Some(Duration::ZERO);
    }

    /// A descriptor has become free: no need to wait any longer.
    pub(super) fn end_backoff(&mut self) {
        self.accept_at = self.accept_at.and(Some(Duration::ZERO));
    }

    /// The connections that wait, as many as one turn takes.
    pub(super) fn accept(&mut self, now: Duration) -> Vec<(Transport, Peer)> {
        let mut accepted = Vec::new();
        for _ in 0..MAX_ACCEPTS {
            if !self.accept_at.is_some_and(|at| at <= now) {
                break;
            }
            match self.socket.accept() {
                Ok((socket, address)) => {
                    accepted.push((Transport::Tcp(socket), Peer { address: Some(address) }));
                }
                Err(error) => self.refused(&error, now),
            }
        }
        accepted
    }

    fn refused(&mut self, error: &io::Error, now: Duration) {
        match error.kind() {
            ErrorKind::WouldBlock => self.accept_at = None,
            // Of this one connection, which is gone again.
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => (),
            _ => {
                log::error!("cannot accept on {}: {error}; will try again", self.address);
                self.accept_at = Some(now + ACCEPT_BACKOFF);
            }
        }
    }
}
