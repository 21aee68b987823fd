//! How the bytes of one connection travel. This is the only place that will know of encryption.
//!
//! Whoever has a connection reads and writes through here and learns nothing of what is below: a write that would block
//! is `WouldBlock`, whatever the cause, and an end is an end.
//! Left out on purpose: what is read, and when.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use crate::xmpp::peer::Peer;

/// A connection's socket, and later what stands between it and the stream.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A connection that the host has accepted or made, for [`crate::Reactor::add_connection`].
#[derive(Debug)]
pub struct Socket(Connected);

#[derive(Debug)]
enum Connected {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl From<std::net::TcpStream> for Socket {
    fn from(socket: std::net::TcpStream) -> Self {
        Self(Connected::Tcp(socket))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixStream> for Socket {
    fn from(socket: std::os::unix::net::UnixStream) -> Self {
        Self(Connected::Unix(socket))
    }
}

impl Socket {
    /// From now on it does not block.
    pub(super) fn into_transport(self) -> io::Result<(Transport, Peer)> {
        match self.0 {
            Connected::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let peer = Peer::from(socket.peer_addr()?);
                Ok((Transport::Tcp(TcpStream::from_std(socket)), peer))
            }
            #[cfg(unix)]
            Connected::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Ok((Transport::Unix(UnixStream::from_std(socket)), Peer::default()))
            }
        }
    }
}

impl Transport {
    /// Watches the socket for both directions, once and for all: an edge that nobody waits for costs nothing, and a
    /// registration is a system call.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(socket) => {
                socket.set_nodelay(true)?;
                registry.register(socket, token, interest)
            }
            #[cfg(unix)]
            Self::Unix(socket) => registry.register(socket, token, interest),
        }
    }

    /// Sends no more; what comes can still be read.
    pub(super) fn shut_down_writing(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            #[cfg(unix)]
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            #[cfg(unix)]
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.flush(),
            #[cfg(unix)]
            Self::Unix(socket) => socket.flush(),
        }
    }
}
