//! The server with its sockets: one thread, one poll, every connection.
//!
//! Read first: [`Server`], and epoll(7) on edge-triggered readiness. A turn is: wait, accept, read a little from each
//! readable socket, do what is due, then write once to each stream that has something to send. Of those who are not logged
//! in yet only a few are read from in a turn, so that a storm of them does not stall those who are. A read that fills the
//! buffer puts its socket in line for the next turn; one that does not has emptied it. Sockets are registered for
//! both directions from the start, which costs nothing while they are idle, and are never registered again.
//! Left out on purpose: signals, files, flags; the program or the host has those.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::system::{self, Clock};
use crate::im::ctx::Now;
use crate::outbox::Close;
use crate::server::{Server, StreamId};
use crate::storage::{Storage, StorageError};
use crate::xmpp::config::Config;
use crate::xmpp::peer::Peer;
use crate::xmpp::slab::drop_vacant;

/// Tokens: listeners from 0, then what the host watches, then connections by the slots of their streams.
const WATCHED: Token = Token(1_023);
const FIRST_CONNECTION: usize = 1_024;
/// Bytes read from one connection in one turn.
const READ_BYTES: usize = 16_384;
/// Connections accepted from one listener in one turn.
const ACCEPTS: usize = 64;
/// Connections read from in one turn that are not logged in. Proving a password can take a millisecond.
const NEWCOMERS: usize = 16;
/// Events taken from the system in one turn.
const EVENTS: usize = 1_024;
/// How long a listener rests when the system has no more descriptors, unless a connection ends before.
const REST: Duration = Duration::from_secs(1);

/// A server and its sockets.
///
/// As a loop of its own: [`Reactor::run`]. Inside another loop: call [`Reactor::poll_once`] with a timeout of zero
/// when the descriptor ([`std::os::fd::AsRawFd`]) is readable, and after [`Reactor::next_deadline`] at the latest.
pub struct Reactor {
    server: Server,
    poll: Poll,
    events: mio::Events,
    /// The last turn took as many events as it could, so there may be more. A host whose poll is edge-triggered, too, is
    /// not told of those.
    may_have_events: bool,
    listeners: Vec<Listener>,
    /// By the slot of the stream's id.
    connections: Vec<Option<Connection>>,
    /// Those that may have more to read.
    readable: Lines,
    /// Those whose connection is gone, which the server has not been told.
    lost: Vec<StreamId>,
    scratch: Box<[u8]>,
    clock: Clock,
    /// Those that the system takes bytes for again.
    writable: Vec<StreamId>,
    /// When the server wants its next tick.
    next_tick: Option<Duration>,
    /// The server has work that can wait, but not for ever.
    has_work: bool,
    /// What the host watches was ready.
    woken: bool,
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Connections may be waiting, from this time on; `None` if none are.
    waiting_from: Option<Duration>,
}

struct Connection {
    id: StreamId,
    socket: TcpStream,
    /// In [`Reactor::readable`].
    in_line: bool,
    /// The system took less than was offered; it says when it takes more.
    blocked: bool,
    /// The system says that the end of what the peer sends has arrived; it says so only once.
    end_in_sight: bool,
    /// The peer sends no more.
    ended_by_peer: bool,
    /// We send no more; what still comes is thrown away.
    ended_by_us: bool,
}

/// Who waits to be read from.
#[derive(Default)]
struct Lines {
    members: Vec<StreamId>,
    /// Those who are not logged in.
    newcomers: VecDeque<StreamId>,
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.newcomers.is_empty()
    }

    fn push(&mut self, id: StreamId, server: &Server) {
        match server.is_logged_in(id) {
            true => self.members.push(id),
            false => self.newcomers.push_back(id),
        }
    }

    /// Whose turn it is: all members, and then some newcomers.
    fn take_turn(&mut self) -> Vec<StreamId> {
        let mut turn = std::mem::take(&mut self.members);
        turn.extend(self.newcomers.drain(..NEWCOMERS.min(self.newcomers.len())));
        turn
    }
}

impl Reactor {
    /// A server that listens on these addresses and keeps everything in memory. Port 0 picks a free port.
    ///
    /// # Errors
    /// If an address cannot be listened on (the error names it), or the system gives no random bytes.
    pub fn bind(config: Config, addresses: &[SocketAddr]) -> io::Result<Self> {
        let server = Server::new(config, system::random()?)?;
        Self::serve(server, addresses)
    }

    /// The same with the accounts of a data folder, in which it records what changes.
    ///
    /// # Errors
    /// As [`Reactor::bind`], or if the folder cannot be read.
    pub fn bind_with_storage(
        config: Config,
        addresses: &[SocketAddr],
        storage: Storage,
    ) -> Result<Self, StorageError> {
        let server = Server::open_storage(config, system::random()?, storage)?;
        Ok(Self::serve(server, addresses)?)
    }

    fn serve(server: Server, addresses: &[SocketAddr]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners = Vec::new();
        for &address in addresses {
            listeners.push(listen(&poll, address, listeners.len()).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?);
        }
        Ok(Self {
            server,
            poll,
            events: mio::Events::with_capacity(EVENTS),
            listeners,
            connections: Vec::new(),
            readable: Lines::default(),
            lost: Vec::new(),
            writable: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            clock: Clock::start(),
            next_tick: None,
            may_have_events: false,
            has_work: false,
            woken: false,
        })
    }

    /// The addresses that are listened on, in the order of [`Reactor::bind`], with the ports that were picked.
    pub fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// The server: its accounts, claims, events. What it has to send goes out at the next turn.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Sends a stanza from an address that the host claimed; see [`Server::inject`].
    ///
    /// # Errors
    /// As [`Server::inject`].
    pub fn inject(&mut self, stanza: &str) -> Result<(), crate::InjectError> {
        self.server.inject(stanza, self.clock.now())
    }

    /// How long from now until [`Reactor::poll_once`] must be called although the descriptor is not readable; `None` if
    /// it need not be.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.may_have_events || self.has_work || !self.readable.is_empty() || self.server.is_dirty() {
            return Some(Duration::ZERO);
        }
        let accepts = self.listeners.iter().filter_map(|listener| listener.waiting_from);
        let next = accepts.chain(self.next_tick).chain(self.server.next_commit()).min()?;
        Some(next.saturating_sub(self.clock.now().monotonic))
    }

    /// Ends a turn of [`Reactor::poll_once`] when this descriptor becomes readable or takes more bytes, too: a pipe from a
    /// signal handler, a control socket. That is said once; the host then reads and writes until it would block. Closing
    /// it ends the watch.
    ///
    /// # Errors
    /// If the system cannot watch it.
    #[cfg(unix)]
    pub fn watch(&self, descriptor: &impl std::os::fd::AsRawFd) -> io::Result<()> {
        let descriptor = descriptor.as_raw_fd();
        let mut source = SourceFd(&descriptor);
        self.poll.registry().register(&mut source, WATCHED, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether any of the descriptors that are watched was ready since this was last asked.
    pub fn was_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// The time as its server is told it, for calls of [`Server`]'s that want it.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Ends all streams with `system-shutdown`, waits a little for their peers to take that, and makes all that changed
    /// safe. Nothing is listened on any more.
    ///
    /// # Errors
    /// If what changed cannot be made safe.
    pub fn shut_down(&mut self) -> io::Result<()> {
        self.listeners.clear();
        self.server.shut_down(self.clock.now());
        let patience = self.clock.now().monotonic + self.server.config().limits.closing_time;
        let mut served = Ok(());
        while served.is_ok()
            && self.connections.iter().any(Option::is_some)
            && self.clock.now().monotonic < patience
        {
            served = self.poll_once(Some(REST));
        }
        self.server.sync().and(served)
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// As [`Reactor::poll_once`].
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            self.poll_once(None)?;
        }
    }

    /// One turn: waits until something happens, but not longer than `timeout`, and does all that follows from it.
    ///
    /// # Errors
    /// If the system's poll fails, or what changed cannot be made safe. Neither leaves anything to do.
    pub fn poll_once(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = self.next_deadline().into_iter().chain(timeout).min();
        match self.poll.poll(&mut self.events, timeout.map(round_up)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            // What was interrupted has filled nothing in.
            Err(_) => self.events.clear(),
            Ok(()) => (),
        }
        self.may_have_events = self.events.iter().count() == self.events.capacity();
        self.note_events();
        self.accept_waiting();
        for id in self.readable.take_turn() {
            self.read(id);
            self.forget_lost();
        }
        let now = self.clock.now();
        self.next_tick = self.server.tick(now);
        // Nothing that speaks of a change is sent before the change is safe.
        self.server.commit(now)?;
        for id in std::mem::take(&mut self.writable) {
            self.flush(id);
        }
        while let Some(id) = self.server.next_dirty() {
            self.flush(id);
        }
        // This may change something again, which is committed before what speaks of it is sent in the next turn.
        self.forget_lost();
        if self.connections.is_empty() {
            // Wherever this lies, the system could take back nothing that was freed below it.
            self.readable = Lines::default();
        }
        self.has_work = !self.server.maintain();
        Ok(())
    }

    /// Puts into line what the system said is ready.
    fn note_events(&mut self) {
        for event in &self.events {
            let Token(number) = event.token();
            self.woken |= event.token() == WATCHED;
            if let Some(listener) = self.listeners.get_mut(number) {
                listener.waiting_from = Some(Duration::ZERO);
                continue;
            }
            let slot = number.wrapping_sub(FIRST_CONNECTION);
            let Some(Some(connection)) = self.connections.get_mut(slot) else { continue };
            connection.end_in_sight |= event.is_read_closed() || event.is_error();
            if event.is_writable() && connection.blocked {
                connection.blocked = false;
                self.writable.push(connection.id);
            }
            if (event.is_readable() || connection.end_in_sight) && !connection.in_line {
                connection.in_line = true;
                self.readable.push(connection.id, &self.server);
            }
        }
    }

    fn accept_waiting(&mut self) {
        let now = self.clock.now().monotonic;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                let Some(listener) = self.listeners.get_mut(index) else { return };
                if !listener.waiting_from.is_some_and(|from| from <= now) {
                    break;
                }
                match listener.socket.accept() {
                    Ok((socket, address)) => self.welcome(socket, address),
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => listener.waiting_from = None,
                        // Of this one connection, which is gone again.
                        ErrorKind::Interrupted
                        | ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset => (),
                        _ => {
                            log::error!("cannot accept on {}: {error}; will try again", listener.address);
                            listener.waiting_from = Some(now + REST);
                        }
                    },
                }
            }
        }
    }

    fn welcome(&mut self, mut socket: TcpStream, address: SocketAddr) {
        let Some(id) = self.server.open(Peer { address: Some(address) }, self.clock.now()) else {
            // Whoever does not take this at once goes without it. Closing over what has come would take it back.
            let _ = socket.write(&self.server.refusal());
            let _ = socket.read(&mut self.scratch);
            return;
        };
        let token = Token(FIRST_CONNECTION + id.slot());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let ready = socket
            .set_nodelay(true)
            .and_then(|()| self.poll.registry().register(&mut socket, token, interest));
        if let Err(error) = ready {
            log::error!("{id} {address} cannot be served: {error}");
            return self.server.hung_up(id, self.clock.now());
        }
        while self.connections.len() <= id.slot() {
            self.connections.push(None);
        }
        let connection = Connection {
            id,
            socket,
            in_line: false,
            blocked: false,
            end_in_sight: false,
            ended_by_peer: false,
            ended_by_us: false,
        };
        if let Some(slot) = self.connections.get_mut(id.slot()) {
            *slot = Some(connection);
        }
    }

    /// Reads once. The socket is put in line again if there may be more.
    fn read(&mut self, id: StreamId) {
        let Some(connection) = connection(&mut self.connections, id) else { return };
        connection.in_line = false;
        if connection.ended_by_peer {
            return;
        }
        match connection.socket.read(&mut self.scratch) {
            Ok(0) => self.ended_by_peer(id),
            Ok(read) => {
                if read == self.scratch.len() || connection.end_in_sight {
                    connection.in_line = true;
                    self.readable.push(id, &self.server);
                }
                if !connection.ended_by_us {
                    let bytes = self.scratch.get(..read).unwrap_or_default();
                    self.server.receive(id, bytes, self.clock.now());
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => (),
                ErrorKind::Interrupted => {
                    connection.in_line = true;
                    self.readable.push(id, &self.server);
                }
                _ => self.drop_connection(id),
            },
        }
    }

    /// The peer sends no more. It may still take what we have for it (netcat does), unless it has that already.
    fn ended_by_peer(&mut self, id: StreamId) {
        let Some(connection) = connection(&mut self.connections, id) else { return };
        connection.ended_by_peer = true;
        if connection.ended_by_us {
            self.drop_connection(id);
        } else {
            self.server.half_closed(id, self.clock.now());
        }
    }

    /// Writes what the system takes of what waits.
    fn flush(&mut self, id: StreamId) {
        loop {
            let Some(connection) = connection(&mut self.connections, id) else { return };
            let outgoing = self.server.outgoing(id);
            match (outgoing.close, outgoing.bytes) {
                (Close::Now, _) => return self.drop_connection(id),
                _ if connection.blocked => return,
                (Close::No, []) => return,
                (Close::WhenSent, []) if connection.ended_by_peer => return self.drop_connection(id),
                (Close::WhenSent, []) => {
                    // Closing at once could destroy what is still under way to the peer, if the peer is still sending.
                    connection.ended_by_us = true;
                    if connection.socket.shutdown(Shutdown::Write).is_err() {
                        self.drop_connection(id);
                    }
                    return;
                }
                (_, bytes) => match connection.socket.write(bytes) {
                    Ok(written) => self.server.sent(id, written),
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => connection.blocked = true,
                        ErrorKind::Interrupted => (),
                        _ => return self.drop_connection(id),
                    },
                },
            }
        }
    }

    /// Ends a connection: its socket closes, and a resting listener may try again. Its stream hears of it a little later.
    fn drop_connection(&mut self, id: StreamId) {
        if connection(&mut self.connections, id).is_none() {
            return;
        }
        if let Some(slot) = self.connections.get_mut(id.slot()) {
            *slot = None;
        }
        drop_vacant(&mut self.connections);
        self.lost.push(id);
        for listener in &mut self.listeners {
            listener.waiting_from = listener.waiting_from.and(Some(Duration::ZERO));
        }
    }

    /// Tells the server which connections are gone.
    fn forget_lost(&mut self) {
        for id in std::mem::take(&mut self.lost) {
            self.server.hung_up(id, self.clock.now());
        }
    }
}

fn listen(poll: &Poll, address: SocketAddr, number: usize) -> io::Result<Listener> {
    let mut socket = TcpListener::bind(address)?;
    poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address, waiting_from: None })
}

fn connection(connections: &mut [Option<Connection>], id: StreamId) -> Option<&mut Connection> {
    connections.get_mut(id.slot())?.as_mut().filter(|connection| connection.id == id)
}

/// Sleeping a little too long is better than waking a little too early, again and again: the system counts milliseconds.
fn round_up(timeout: Duration) -> Duration {
    match timeout.subsec_nanos() % 1_000_000 {
        0 => timeout,
        part => timeout + Duration::from_nanos(u64::from(1_000_000 - part)),
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Reactor {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.poll.as_raw_fd()
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("domain", &self.server.config().domain()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;

    use super::*;

    /// The loop of a host that is told of the reactor's descriptor once, goes by [`Reactor::next_deadline`], and is done when
    /// nothing happens any more.
    fn host(reactor: &mut Reactor) {
        const QUIET: Duration = Duration::from_millis(100);
        let (mut poll, mut events) = (Poll::new().unwrap(), mio::Events::with_capacity(8));
        poll.registry().register(&mut SourceFd(&reactor.as_raw_fd()), Token(0), Interest::READABLE).unwrap();
        loop {
            let timeout = reactor.next_deadline().map_or(QUIET, |deadline| deadline.min(QUIET));
            poll.poll(&mut events, Some(timeout)).unwrap();
            if events.is_empty() && timeout == QUIET {
                return;
            }
            reactor.poll_once(Some(Duration::ZERO)).unwrap();
        }
    }

    #[test]
    fn what_the_host_watches_wakes_it() {
        let mut reactor = Reactor::bind(Config::new("localhost").unwrap(), &[]).unwrap();
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        reactor.watch(&theirs).unwrap();
        reactor.poll_once(Some(REST)).unwrap();
        assert!(reactor.was_woken() && !reactor.was_woken(), "it takes bytes");
        ours.write_all(b"x").unwrap();
        reactor.poll_once(Some(REST)).unwrap();
        assert!(reactor.was_woken(), "it has bytes");
    }

    #[test]
    fn what_the_host_changes_is_committed_without_an_event() {
        let path = std::env::temp_dir().join(format!("loquat-reactor-{}", std::process::id()));
        let folder = crate::Folder::open(&path).unwrap();
        let storage = Storage::new(folder, "localhost", crate::Durability::Always);
        let config = Config::new("localhost").unwrap();
        let mut reactor = Reactor::bind_with_storage(config, &[], storage).unwrap();
        assert_eq!(reactor.next_deadline(), None);
        reactor.server().add_account("a", "secret").unwrap();
        assert_eq!(reactor.next_deadline(), Some(Duration::ZERO));
        reactor.poll_once(None).unwrap();
        assert_eq!(reactor.next_deadline(), None);
        std::fs::remove_dir_all(path).unwrap();
    }

    /// Everything is in the sockets before the turns begin, so what a turn does is no matter of time.
    #[test]
    fn newcomers_wait_for_those_who_are_in() {
        const LOGIN: &str = "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>a</username>\
                             <password>secret</password><resource>x</resource></query></iq>";
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut reactor = Reactor::bind(Config::new("localhost").unwrap(), &[loopback]).unwrap();
        reactor.server().add_account("a", "secret").unwrap();
        let address = reactor.local_addresses().next().unwrap();
        let header =
            format!("<s:stream xmlns:s='{}' xmlns='{}'>", crate::xml::ns::STREAM, crate::xml::ns::CLIENT);
        let connect = || TcpStream::connect(address).unwrap();
        let say = |client: &mut TcpStream, text: &str| client.write_all(text.as_bytes()).unwrap();
        let hears = |client: &mut TcpStream| {
            client.set_nonblocking(true).unwrap();
            client.read(&mut [0; 1000]).is_ok()
        };
        let mut one = connect();
        let mut newcomers: Vec<TcpStream> = (0..2 * NEWCOMERS).map(|_| connect()).collect();
        say(&mut one, &(header.clone() + LOGIN));
        host(&mut reactor);
        assert!(hears(&mut one));
        newcomers.iter_mut().for_each(|client| say(client, &header));
        say(&mut one, "<iq type='get' id='2' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        reactor.poll_once(Some(Duration::ZERO)).unwrap();
        assert!(hears(&mut one), "it waited for newcomers");
        assert_eq!(newcomers.iter_mut().filter_map(|client| hears(client).then_some(())).count(), NEWCOMERS);
        assert_eq!(reactor.next_deadline(), Some(Duration::ZERO));
        host(&mut reactor);
        assert_eq!(newcomers.iter_mut().filter_map(|client| hears(client).then_some(())).count(), NEWCOMERS);
    }

    #[test]
    fn more_events_than_a_turn_takes_keep_a_host_turning() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut reactor = Reactor::bind(Config::new("localhost").unwrap(), &[loopback]).unwrap();
        reactor.events = mio::Events::with_capacity(1);
        let address = reactor.local_addresses().next().unwrap();
        let mut clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        host(&mut reactor);
        let header =
            format!("<s:stream xmlns:s='{}' xmlns='{}'>", crate::xml::ns::STREAM, crate::xml::ns::CLIENT);
        clients.iter_mut().for_each(|client| client.write_all(header.as_bytes()).unwrap());
        host(&mut reactor);
        for client in &mut clients {
            client.set_nonblocking(true).unwrap();
            assert!(client.read(&mut [0; 1000]).is_ok(), "a client was not served");
        }
    }
}
