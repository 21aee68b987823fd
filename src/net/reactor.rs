//! The server with its sockets: one thread, one poll, every connection.
//!
//! Read first: [`Server`], and epoll(7) on edge-triggered readiness. A turn is: wait, accept, read a little from each
//! readable connection (`read_queue.rs` says from which), do what is due, then write once to each stream that has
//! something to send. Left out on purpose: signals, files, flags; the program or the host has those.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::connection::{Connection, Connections, Input, Output};
use super::listener::{Listen, Listener, ListenerId, ACCEPT_BACKOFF};
use super::read_queue::ReadQueue;
use super::system::Clock;
use super::transport::{Socket, Transport};
use crate::crypto::random::system_random;
use crate::im::ctx::Now;
use crate::server::{Flush, Server, StreamId};
use crate::storage::{Storage, StorageError};
use crate::xmpp::config::Config;
use crate::xmpp::opening::Opening;
use crate::xmpp::peer::Peer;

/// Tokens: connections by the slots of their streams, then listeners by their ids, then what the host watches.
const FIRST_LISTENER: usize = usize::MAX / 2;
const WATCHED: Token = Token(usize::MAX);
/// Bytes read from one connection in one turn.
const READ_BYTES: usize = 16_384;
/// Events taken from the system in one turn.
const EVENTS: usize = 1_024;

/// A server and its sockets.
///
/// As a loop of its own: [`Reactor::run`]. Inside another loop: call [`Reactor::poll_once`] with a timeout of zero
/// when the descriptor ([`std::os::fd::AsRawFd`]) is readable, and after [`Reactor::next_deadline`] at the latest.
pub struct Reactor {
    server: Server,
    poll: Poll,
    events: mio::Events,
    /// The last turn took as many events as it could, so there may be more. A host whose poll is edge-triggered, too,
    /// is not told of those.
    may_have_events: bool,
    listeners: Vec<Listener>,
    next_listener: usize,
    connections: Connections,
    /// Those that may have more to read.
    readable: ReadQueue,
    /// Those of them that are not to be read from now.
    throttled: Vec<StreamId>,
    /// Those whose connection is gone, which the server has not been told.
    lost: Vec<StreamId>,
    scratch: Box<[u8]>,
    clock: Clock,
    /// Those that the system takes bytes for again.
    writable: Vec<StreamId>,
    /// What the host watches was ready.
    woken: bool,
}

impl Reactor {
    /// A server that listens on these addresses and keeps everything in memory. Port 0 picks a free port.
    ///
    /// # Errors
    /// If an address cannot be listened on (the error names it), or the system gives no random bytes.
    pub fn bind(config: Config, addresses: &[SocketAddr]) -> io::Result<Self> {
        let server = Server::new(config, system_random()?)?;
        Self::listening(server, addresses)
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
        let server = Server::open_storage(config, system_random()?, storage)?;
        Ok(Self::listening(server, addresses)?)
    }

    fn listening(server: Server, addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut reactor = Self::new(server)?;
        for &address in addresses {
            reactor.listen(address)?;
        }
        Ok(reactor)
    }

    /// A reactor for a server that the host made. It listens on nothing yet.
    ///
    /// # Errors
    /// If the system has no poll for it.
    pub fn new(server: Server) -> io::Result<Self> {
        let poll = Poll::new()?;
        Ok(Self {
            server,
            poll,
            events: mio::Events::with_capacity(EVENTS),
            listeners: Vec::new(),
            next_listener: 0,
            connections: Connections::default(),
            readable: ReadQueue::default(),
            throttled: Vec::new(),
            lost: Vec::new(),
            writable: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            clock: Clock::start(),
            may_have_events: false,
            woken: false,
        })
    }

    /// Listens on one more address, Unix socket, or listener that the host made.
    ///
    /// # Errors
    /// If it cannot be listened on; the error names it.
    pub fn listen(&mut self, listen: impl Into<Listen>) -> io::Result<ListenerId> {
        let id = ListenerId(self.next_listener);
        let mut listener = Listener::open(id, listen.into())?;
        listener.register(self.poll.registry(), Token(FIRST_LISTENER + id.0))?;
        self.next_listener += 1;
        self.listeners.push(listener);
        Ok(id)
    }

    /// Listens there no more. Connections that have come go on. `false` if there is no such listener.
    pub fn stop_listening(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|listener| listener.id == id) else { return false };
        self.listeners.remove(index).deregister(self.poll.registry());
        true
    }

    /// Serves a connection that the host has accepted, or made itself. `None` if there is no room for it; then it was
    /// told so, and has ended.
    ///
    /// # Errors
    /// If the system says that it is none.
    pub fn add_connection(&mut self, socket: impl Into<Socket>) -> io::Result<Option<StreamId>> {
        let (transport, peer) = socket.into().into_transport()?;
        self.add(transport, peer)
    }

    /// The TCP addresses that are listened on, in the order in which that began, with the ports that were picked.
    pub fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().filter_map(Listener::address)
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
        if self.may_have_events || !self.readable.is_empty() {
            return Some(Duration::ZERO);
        }
        let accepts = self.listeners.iter().filter_map(Listener::accept_at);
        let next = accepts.chain(self.server.next_deadline()).min()?;
        Some(next.saturating_sub(self.clock.now().monotonic))
    }

    /// Ends a turn of [`Reactor::poll_once`] when this descriptor becomes readable or takes more bytes, too: a pipe
    /// from a signal handler, a control socket. That is said once; the host then reads and writes until it would
    /// block. Closing it ends the watch.
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
        for listener in self.listeners.drain(..) {
            listener.deregister(self.poll.registry());
        }
        self.server.shut_down(self.clock.now());
        let patience = self.clock.now().monotonic + self.server.config().limits.closing_time;
        let mut served = Ok(());
        while served.is_ok() && !self.connections.is_empty() && self.clock.now().monotonic < patience {
            served = self.poll_once(Some(ACCEPT_BACKOFF));
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
        self.wait(timeout.map(round_up))?;
        self.may_have_events = self.events.iter().count() == self.events.capacity();
        self.note_events();
        self.accept_waiting();
        for id in self.readable.take_turn() {
            self.read(id);
            if self.server.wants_flush() {
                self.flush()?;
            }
            self.forget_lost();
        }
        self.flush()?;
        self.queue_throttled();
        // This may change something again, which is committed before what speaks of it is sent in the next turn.
        self.forget_lost();
        if self.connections.is_empty() {
            // Wherever this lies, the system could take back nothing that was freed below it.
            self.readable = ReadQueue::default();
        }
        Ok(())
    }

    /// Those that the server wants to read from again may have something to read.
    fn queue_throttled(&mut self) {
        for id in std::mem::take(&mut self.throttled) {
            if self.connections.get_mut(id).is_none() {
                continue;
            }
            if self.server.wants_read(id) {
                self.readable.push(id, self.server.is_logged_in(id));
            } else {
                self.throttled.push(id);
            }
        }
    }

    /// Waits for events. A signal ends the wait, and so does a stop of the whole process (signal(7)): then what has
    /// come meanwhile is taken at once, since it is to be read before timers are judged.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut polled = self.poll.poll(&mut self.events, timeout);
        if polled.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            polled = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        }
        match polled {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            // What was interrupted has filled nothing in.
            Err(_) => {
                self.events.clear();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Notes what the system said is ready.
    fn note_events(&mut self) {
        for event in &self.events {
            let Token(number) = event.token();
            if event.token() == WATCHED {
                self.woken = true;
                continue;
            }
            if let Some(id) = number.checked_sub(FIRST_LISTENER) {
                self.listeners
                    .iter_mut()
                    .filter(|listener| listener.id.0 == id)
                    .for_each(Listener::set_ready);
                continue;
            }
            let Some(connection) = self.connections.in_slot(number) else { continue };
            let end_in_sight = event.is_read_closed() || event.is_error();
            if event.is_writable() && connection.set_writable() {
                self.writable.push(connection.id);
            }
            if (event.is_readable() || end_in_sight) && connection.set_readable(end_in_sight) {
                self.readable.push(connection.id, self.server.is_logged_in(connection.id));
            }
        }
    }

    fn accept_waiting(&mut self) {
        let now = self.clock.now().monotonic;
        for index in 0..self.listeners.len() {
            let Some(listener) = self.listeners.get_mut(index) else { return };
            for (transport, peer) in listener.accept(now) {
                if let Err(error) = self.add(transport, peer) {
                    log::error!("{peer} cannot be served: {error}");
                }
            }
        }
    }

    /// Opens a stream for a connection that came. `None` if there is no room for it.
    fn add(&mut self, mut transport: Transport, peer: Peer) -> io::Result<Option<StreamId>> {
        let Some(id) = self.server.open(Opening::client(peer), self.clock.now()) else {
            // Whoever does not take this at once goes without it. Closing over what has come would take it back.
            let _ = transport.write(&self.server.refusal());
            let _ = transport.read(&mut self.scratch);
            return Ok(None);
        };
        if let Err(error) = transport.register(self.poll.registry(), Token(id.slot())) {
            self.server.hung_up(id, self.clock.now());
            return Err(error);
        }
        self.connections.insert(Connection::new(id, transport));
        Ok(Some(id))
    }

    /// Reads once. The connection is queued again if there may be more.
    fn read(&mut self, id: StreamId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !self.server.wants_read(id) {
            return self.throttled.push(id);
        }
        connection.is_queued = false;
        match connection.read(&mut self.scratch) {
            Input::Bytes { count, more } => {
                if more {
                    connection.is_queued = true;
                    self.readable.push(id, self.server.is_logged_in(id));
                }
                let bytes = self.scratch.get(..count).unwrap_or_default();
                if !bytes.is_empty() {
                    self.server.receive(id, bytes, self.clock.now());
                }
            }
            // It may still take what we have for it (netcat does).
            Input::HalfClosed => self.server.half_closed(id, self.clock.now()),
            Input::Over => self.drop_connection(id),
        }
    }

    /// Sends what is to be sent, as far as the system takes it.
    fn flush(&mut self) -> io::Result<()> {
        let mut flush = self.server.flush(self.clock.now())?;
        let mut over = Vec::new();
        for id in std::mem::take(&mut self.writable) {
            if send(&mut self.connections, &mut flush, id) {
                over.push(id);
            }
        }
        while let Some((id, _)) = flush.next() {
            if send(&mut self.connections, &mut flush, id) {
                over.push(id);
            }
        }
        drop(flush);
        over.into_iter().for_each(|id| self.drop_connection(id));
        Ok(())
    }

    /// Ends a connection: its socket closes, and a listener that was out of descriptors may try again. Its stream hears
    /// of it a little later.
    fn drop_connection(&mut self, id: StreamId) {
        if self.connections.remove(id) {
            self.lost.push(id);
            self.listeners.iter_mut().for_each(Listener::end_backoff);
        }
    }

    /// Tells the server which connections are gone.
    fn forget_lost(&mut self) {
        for id in std::mem::take(&mut self.lost) {
            self.server.hung_up(id, self.clock.now());
        }
    }
}

/// Sends what a connection takes. `true` if the connection is over.
fn send(connections: &mut Connections, flush: &mut Flush<'_>, id: StreamId) -> bool {
    let Some(connection) = connections.get_mut(id) else { return false };
    loop {
        match connection.send(flush.outgoing(id)) {
            Output::Sent(count) => flush.sent(id, count),
            Output::Nothing => return false,
            Output::Over => return true,
        }
    }
}

/// Sleeping a little too long is better than waking a little too early, again and again: the system counts
/// milliseconds.
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

#[cfg(unix)]
impl std::os::fd::AsFd for Reactor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.poll.registry().as_fd()
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

    use super::super::read_queue::MAX_UNAUTHENTICATED;
    use super::*;

    /// The loop of a host that is told of the reactor's descriptor once, goes by [`Reactor::next_deadline`], and is
    /// done when nothing happens any more.
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
        reactor.poll_once(Some(ACCEPT_BACKOFF)).unwrap();
        assert!(reactor.was_woken() && !reactor.was_woken(), "it takes bytes");
        ours.write_all(b"x").unwrap();
        reactor.poll_once(Some(ACCEPT_BACKOFF)).unwrap();
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
    fn logins_wait_for_those_who_are_logged_in() {
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
        let mut strangers: Vec<TcpStream> = (0..2 * MAX_UNAUTHENTICATED).map(|_| connect()).collect();
        say(&mut one, &(header.clone() + LOGIN));
        host(&mut reactor);
        assert!(hears(&mut one));
        strangers.iter_mut().for_each(|client| say(client, &header));
        say(&mut one, "<iq type='get' id='2' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        reactor.poll_once(Some(Duration::ZERO)).unwrap();
        assert!(hears(&mut one), "it waited for strangers");
        assert_eq!(
            strangers.iter_mut().filter_map(|client| hears(client).then_some(())).count(),
            MAX_UNAUTHENTICATED
        );
        assert_eq!(reactor.next_deadline(), Some(Duration::ZERO));
        host(&mut reactor);
        assert_eq!(
            strangers.iter_mut().filter_map(|client| hears(client).then_some(())).count(),
            MAX_UNAUTHENTICATED
        );
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
