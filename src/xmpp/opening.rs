//! What a host says of a connection that has come: who is there, what for, and in which form.
//!
//! Left out on purpose: the bytes.

use super::peer::Peer;

/// A new connection, for [`crate::Server::open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// Who is at the other end.
    pub peer: Peer,
    /// What the peer is.
    pub kind: StreamKind,
    /// How the stream is cut into pieces.
    pub framing: Framing,
}

/// What the peer of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamKind {
    /// A client of ours (RFC 6120 section 5 and on).
    Client,
}

/// How a stream is cut into pieces on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// It is one long document (RFC 6120 section 3), whatever carries it.
    Tcp,
}

impl Opening {
    /// A client's, as it comes over TCP, a Unix socket, a pipe or a serial line.
    pub fn client(peer: Peer) -> Self {
        Self { peer, kind: StreamKind::Client, framing: Framing::Tcp }
    }
}
