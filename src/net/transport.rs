//! How the bytes of one connection travel. This is the only place that will know of encryption.
//!
//! Whoever has a connection reads and writes through here and learns nothing of what is below: a write that would block
//! is `WouldBlock`, whatever the cause, and an end is an end.
//! Left out on purpose: what is read, and when.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A connection's socket, and later what stands between it and the stream.
pub(super) enum Transport {
    /// Bare TCP.
    Tcp(TcpStream),
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
        }
    }

    /// Sends no more; what comes can still be read.
    pub(super) fn shut_down_writing(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.flush(),
        }
    }
}
