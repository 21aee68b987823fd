//! One listening socket: what waits to be accepted, and a pause when the system has no room.
//!
//! Left out on purpose: what becomes of a connection; the reactor opens a stream for it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use super::transport::Transport;
use crate::xmpp::peer::Peer;

/// Connections accepted from one listener in one turn.
const MAX_ACCEPTS: usize = 64;
/// How long a listener waits when the system has no more descriptors, unless a connection ends before.
pub(super) const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

/// What to listen on, for [`crate::Reactor::listen`].
#[derive(Debug)]
pub struct Listen(At);

#[derive(Debug)]
enum At {
    Address(SocketAddr),
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Path(PathBuf),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Listen {
    /// A TCP address. Port 0 picks a free port.
    pub fn tcp(address: SocketAddr) -> Self {
        Self(At::Address(address))
    }

    /// A Unix socket. One that a former process has left there is replaced; the socket goes when it is no longer
    /// listened on. Whoever may connect is the folder's and the umask's to say; those who do count as local.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self(At::Path(path.into()))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::tcp(address)
    }
}

/// One that the host made: with options of its own, or given to it by another process (socket activation).
impl From<std::net::TcpListener> for Listen {
    fn from(listener: std::net::TcpListener) -> Self {
        Self(At::Tcp(listener))
    }
}

/// One that the host made. Its path is the host's to remove.
#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Listen {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self(At::Unix(listener))
    }
}

/// Which listener. One that is no more is ignored wherever it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(super) usize);

pub(super) struct Listener {
    pub(super) id: ListenerId,
    socket: Bound,
    /// Connections may be waiting, to be accepted from this time on; `None` if none are.
    accept_at: Option<Duration>,
}

enum Bound {
    Tcp(TcpListener, SocketAddr),
    #[cfg(unix)]
    Unix(UnixListener, OwnPath),
}

impl Listener {
    /// Listens. The error says where that was to be.
    pub(super) fn open(id: ListenerId, listen: Listen) -> io::Result<Self> {
        let at = listen.to_string();
        match Bound::open(listen) {
            Ok(socket) => Ok(Self { id, socket, accept_at: None }),
            Err(error) => Err(io::Error::new(error.kind(), format!("cannot listen on {at}: {error}"))),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.source().register(registry, token, Interest::READABLE)
    }

    /// Closes the socket. Where the host program has it, too, it is not our poll's any more.
    pub(super) fn deregister(mut self, registry: &Registry) {
        // What was never registered is closed all the same.
        let _ = self.socket.source().deregister(registry);
    }

    /// The address with the port that was picked; a Unix socket has none.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.socket {
            Bound::Tcp(_, address) => Some(address),
            #[cfg(unix)]
            Bound::Unix(..) => None,
        }
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
                Ok(connection) => accepted.push(connection),
                Err(error) => self.accept_failed(&error, now),
            }
        }
        accepted
    }

    fn accept_failed(&mut self, error: &io::Error, now: Duration) {
        match error.kind() {
            ErrorKind::WouldBlock => self.accept_at = None,
            // Of this one connection, which is gone again.
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => (),
            _ => {
                log::error!("cannot accept on {}: {error}; will try again", self.socket);
                self.accept_at = Some(now + ACCEPT_BACKOFF);
            }
        }
    }
}

impl Bound {
    fn open(listen: Listen) -> io::Result<Self> {
        match listen.0 {
            At::Address(address) => Self::tcp(TcpListener::bind(address)?),
            At::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Self::tcp(TcpListener::from_std(listener))
            }
            #[cfg(unix)]
            At::Path(path) => Ok(Self::Unix(bind_path(&path)?, OwnPath(Some(path)))),
            #[cfg(unix)]
            At::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(listener), OwnPath(None)))
            }
        }
    }

    fn tcp(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self::Tcp(listener, address))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener, _) => listener,
            #[cfg(unix)]
            Self::Unix(listener, _) => listener,
        }
    }

    fn accept(&self) -> io::Result<(Transport, Peer)> {
        match self {
            Self::Tcp(listener, _) => {
                let (socket, address) = listener.accept()?;
                Ok((Transport::Tcp(socket), Peer::from(address)))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok((Transport::Unix(listener.accept()?.0), Peer::default())),
        }
    }
}

/// Binds a path, in place of a socket that nobody listens on any more.
#[cfg(unix)]
fn bind_path(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

#[cfg(unix)]
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The path of a socket that goes with it, if we made it.
#[cfg(unix)]
struct OwnPath(Option<PathBuf>);

#[cfg(unix)]
impl Drop for OwnPath {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Whoever has removed it has spared us that.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            At::Address(address) => write!(f, "{address}"),
            At::Tcp(_) => f.write_str("a TCP socket of the host program's"),
            #[cfg(unix)]
            At::Path(path) => write!(f, "{}", path.display()),
            #[cfg(unix)]
            At::Unix(_) => f.write_str("a Unix socket of the host program's"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => write!(f, "{address}"),
            #[cfg(unix)]
            Self::Unix(_, OwnPath(Some(path))) => write!(f, "{}", path.display()),
            #[cfg(unix)]
            Self::Unix(..) => f.write_str("a Unix socket"),
        }
    }
}
