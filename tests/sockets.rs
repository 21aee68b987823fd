//! What only shows with real sockets: full kernels, closing, refusing, running out, and a host's own loop.
//!
//! Read first: `src/net/reactor.rs`. Clients are sockets in this very thread that never block; the reactor turns
//! between what they do. Left out on purpose: protocol; the transcripts are played over sockets, too.

#![cfg(target_os = "linux")] // elsewhere buffers and errors differ in ways that nobody has looked at
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a panic is how a test fails

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

use loquat::{Config, Event, Listen, Reactor};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

/// How long something may take before it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one turn waits for something to happen.
const TURN: Duration = Duration::from_millis(5);

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

// What the tests are written in.

fn reactor(set: impl FnOnce(&mut Config)) -> (Reactor, SocketAddr) {
    let mut config = Config::new("localhost").unwrap();
    config.scram_iterations = 1;
    set(&mut config);
    let mut reactor = Reactor::bind(config, &[LOOPBACK]).unwrap();
    for name in ["romeo", "juliet", "silent"] {
        reactor.server().add_account(name, "secret").unwrap();
    }
    let address = reactor.local_addresses().next().unwrap();
    (reactor, address)
}

/// Turns until something is so.
fn turn_until(reactor: &mut Reactor, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        reactor.poll_once(Some(TURN)).unwrap();
    }
}

/// Turns until nothing is left to do.
fn settle(reactor: &mut Reactor) {
    (0..5).for_each(|_| reactor.poll_once(Some(TURN)).unwrap());
}

struct Client {
    socket: TcpStream,
    heard: String,
    end: Option<End>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Orderly,
    /// What was still under way may be lost.
    Reset,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: String::new(), end: None }
    }

    /// Connects, and logs in.
    fn log_in(reactor: &mut Reactor, address: SocketAddr, name: &str) -> Self {
        let mut client = Self::connect(address);
        client.say(&format!("{HEADER}{}", login(name)));
        client.hears(reactor, &format!("to='{name}@localhost/r'"));
        client
    }

    /// Says something that fits into the system's buffers.
    fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).unwrap();
    }

    /// Listens to what is there.
    fn listen(&mut self) {
        let mut buffer = [0; 65_536];
        while self.end.is_none() {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.end = Some(End::Orderly),
                Ok(n) => self.heard.push_str(&String::from_utf8_lossy(&buffer[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }

    fn has_heard(&mut self, text: &str) -> bool {
        self.listen();
        self.heard.contains(text)
    }

    fn hears(&mut self, reactor: &mut Reactor, text: &str) {
        turn_until(reactor, text, || self.has_heard(text));
    }

    /// Waits for the end of the connection.
    fn end(&mut self, reactor: &mut Reactor) -> End {
        turn_until(reactor, "the end of a connection", || {
            self.listen();
            self.end.is_some()
        });
        self.end.unwrap()
    }
}

fn login(name: &str) -> String {
    format!(
        "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
         <password>secret</password><resource>r</resource></query></iq>"
    )
}

/// Two who talk with each other.
fn pair(reactor: &mut Reactor, address: SocketAddr) -> (Client, Client) {
    (Client::log_in(reactor, address, "romeo"), Client::log_in(reactor, address, "juliet"))
}

fn chat((romeo, juliet): &mut (Client, Client), reactor: &mut Reactor, text: &str) {
    romeo.say(&format!("<message to='juliet@localhost/r'><body>{text}, Juliet</body></message>"));
    juliet.hears(reactor, &format!("<body>{text}, Juliet</body>"));
    juliet.say(&format!("<message to='romeo@localhost/r'><body>{text}, Romeo</body></message>"));
    romeo.hears(reactor, &format!("<body>{text}, Romeo</body>"));
}

// The tests.

#[test]
fn one_connection_too_many_is_told_so_and_harms_nobody() {
    let (mut reactor, address) = reactor(|config| config.limits.connections = 2);
    let mut pair = pair(&mut reactor, address);
    // It is as quick as a real client: its header is there before it is refused.
    let mut third = Client::connect(address);
    third.say(HEADER);
    assert_eq!(third.end(&mut reactor), End::Orderly, "{}", third.heard);
    assert!(third.heard.starts_with("<?xml version='1.0'?><stream:stream "), "{}", third.heard);
    assert!(third.heard.contains("<resource-constraint "), "{}", third.heard);
    assert!(third.heard.ends_with("</stream:stream>"), "{}", third.heard);
    chat(&mut pair, &mut reactor, "still here");
    drop(pair.1);
    settle(&mut reactor);
    pair.1 = Client::log_in(&mut reactor, address, "juliet");
    chat(&mut pair, &mut reactor, "there was room again");
}

/// Played in a process of its own, which may have few descriptors.
#[test]
fn out_of_descriptors() {
    const PLAYED: &str = "LOQUAT_FEW_DESCRIPTORS";
    if std::env::var_os(PLAYED).is_some() {
        return with_few_descriptors();
    }
    let script = "ulimit -n 64 && exec \"$0\" --exact out_of_descriptors --nocapture";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap()).env(PLAYED, "");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn with_few_descriptors() {
    let (mut reactor, address) = reactor(|_| ());
    // Both ends are here: as many clients as leave room for a few of their connections.
    let mut clients: Vec<Client> = (0..32).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| client.say(HEADER));
    settle(&mut reactor);
    let is_served = |client: &mut Client| client.has_heard("<stream:stream ");
    let served = clients.iter_mut().filter_map(|client| is_served(client).then_some(())).count();
    assert!((1..clients.len()).contains(&served), "{served} were served before descriptors ran out");
    let rest = reactor.next_deadline();
    assert!(rest.is_some_and(|rest| rest > TURN), "it rests, or is woken again and again: {rest:?}");
    while !clients.is_empty() {
        let served = clients.iter_mut().position(is_served);
        drop(clients.remove(served.unwrap_or_else(|| panic!("{} were not served", clients.len()))));
        // Less than the rest of a listener.
        settle(&mut reactor);
    }
}

const CONTACTS: usize = 400;

/// Gives `silent` a roster of some 40 KB, so that few questions fill many buffers.
fn fill_roster(reactor: &mut Reactor) {
    for n in 0..CONTACTS {
        let contact = format!("a-contact-with-a-rather-long-name-{n}");
        reactor.server().add_account(&contact, "secret").unwrap();
        reactor.server().subscribe("silent", &contact).unwrap();
    }
}

fn ask_for_roster(client: &mut Client, n: usize) {
    client.say(&format!("<iq type='get' id='{n}'><query xmlns='jabber:iq:roster'/></iq>"));
}

#[test]
fn one_that_never_reads_is_cut_off_and_keeps_nobody_waiting() {
    let (mut reactor, address) = reactor(|config| {
        config.limits.outbox_bytes = 200_000;
        config.limits.stall_time = Duration::from_secs(1);
        config.limits.closing_time = Duration::from_millis(100);
    });
    fill_roster(&mut reactor);
    reactor.server().watch_sessions();
    let mut pair = pair(&mut reactor, address);
    let mut silent = Client::log_in(&mut reactor, address, "silent");
    let is_gone = |reactor: &mut Reactor| {
        let gone = Event::Gone("silent@localhost/r".parse().unwrap());
        std::iter::from_fn(|| reactor.server().next_event()).any(|event| event == gone)
    };
    // The answers fill the system's buffers, and then ours. Then the rest of the requests waits, and nothing is taken.
    let (mut asked, start) = (0, Instant::now());
    while !is_gone(&mut reactor) {
        if asked < 1_000 {
            ask_for_roster(&mut silent, asked);
        }
        asked += 1;
        assert!(start.elapsed() < Duration::from_secs(10), "nobody is cut off");
        reactor.poll_once(Some(Duration::from_millis(1))).unwrap();
        if asked % 20 == 0 {
            chat(&mut pair, &mut reactor, &format!("after {asked} rosters"));
        }
    }
    chat(&mut pair, &mut reactor, "without the silent one");
    let _ = silent.end(&mut reactor);
    let answers = silent.heard.matches("</query>").count();
    assert!((1..asked).contains(&answers), "{answers} of {asked} answers were read in the end");
}

#[test]
fn one_that_reads_late_gets_all() {
    const ASKED: usize = 300;
    let (mut reactor, address) = reactor(|config| config.limits.outbox_bytes = 200_000);
    fill_roster(&mut reactor);
    let mut late = Client::log_in(&mut reactor, address, "silent");
    for n in 0..ASKED {
        ask_for_roster(&mut late, n);
        reactor.poll_once(Some(Duration::ZERO)).unwrap();
    }
    settle(&mut reactor);
    let last = format!("<iq type='result' id='{}' ", ASKED - 1);
    late.listen();
    assert!(!late.heard.contains(&last), "the system's buffers hold all that was meant to be too much");
    late.hears(&mut reactor, &last);
    turn_until(&mut reactor, "all answers", || {
        late.listen();
        late.heard.matches("</query>").count() == ASKED
    });
    assert_eq!(late.heard.matches("<item ").count(), ASKED * CONTACTS);
}

#[test]
fn a_stream_error_reaches_one_who_goes_on_sending() {
    let (mut reactor, address) = reactor(|_| ());
    let mut client = Client::log_in(&mut reactor, address, "romeo");
    client.say("<message><body></message>");
    let more = [b'x'; 10_000];
    for _ in 0..500 {
        match client.socket.write(&more) {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(error) => panic!("it is not listened to any more: {error}"),
        }
        reactor.poll_once(Some(Duration::ZERO)).unwrap();
    }
    client.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.end(&mut reactor), End::Orderly);
    assert!(client.heard.ends_with(
        "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    ));
}

/// As netcat does it: all that is to be said, and the end.
#[test]
fn one_who_has_said_all_gets_all_answers() {
    let (mut reactor, address) = reactor(|_| ());
    let mut client = Client::connect(address);
    client.say(&format!("{HEADER}{}", login("romeo")));
    for n in 0..1_000 {
        client.say(&format!("<iq type='get' id='{n}'><query xmlns='jabber:iq:roster'/></iq>"));
    }
    client.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.end(&mut reactor), End::Orderly);
    assert_eq!(
        client.heard.matches("<query xmlns='jabber:iq:roster' ver='0000000000000000'/>").count(),
        1_000
    );
    assert!(client.heard.ends_with("</stream:stream>"));
}

#[test]
fn two_thousand_connections_come_and_go_and_leave_nothing() {
    const ROOM: usize = 20;
    let (mut reactor, address) = reactor(|config| config.limits.connections = ROOM);
    for n in 0..2_000 {
        let mut client = Client::connect(address);
        // Some say nothing, some begin, some log in, some talk nonsense; some wait for an answer.
        match n % 8 {
            0 | 1 => (),
            2 | 3 => client.say(HEADER),
            4 | 5 => client.say(&format!("{HEADER}{}<presence/>", login("romeo"))),
            6 => client.say("GET / HTTP/1.1\r\n\r\n"),
            _ => client.say(&format!("{HEADER}</stream:stream>")),
        }
        if n % 3 == 0 {
            reactor.poll_once(Some(TURN)).unwrap();
        }
        drop(client);
        if n % 10 == 9 {
            (0..3).for_each(|_| reactor.poll_once(Some(Duration::ZERO)).unwrap());
        }
    }
    let mut clients: Vec<Client> = (0..=ROOM).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.say(HEADER);
        client.hears(&mut reactor, "<stream:stream ");
    }
    let refused = clients.iter_mut().filter(|client| client.heard.contains("<resource-constraint ")).count();
    assert_eq!(refused, 1, "there is room for {ROOM} and not for one more");
}

#[test]
fn several_listeners_and_ports_that_are_picked() {
    let mut addresses = vec![LOOPBACK, LOOPBACK];
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    addresses.extend(has_ipv6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, 0))));
    let mut reactor = Reactor::bind(Config::new("localhost").unwrap(), &addresses).unwrap();
    let picked: Vec<SocketAddr> = reactor.local_addresses().collect();
    assert_eq!(picked.len(), addresses.len());
    for (picked, asked) in picked.iter().zip(&addresses) {
        assert!(picked.port() != 0 && picked.ip() == asked.ip(), "{asked} became {picked}");
    }
    assert_ne!(picked[0], picked[1]);
    for &address in &picked {
        let mut client = Client::connect(address);
        client.say(HEADER);
        client.hears(&mut reactor, "<stream:stream ");
    }
    let error = Reactor::bind(Config::new("localhost").unwrap(), &[LOOPBACK, picked[0]]).unwrap_err();
    assert!(error.kind() == ErrorKind::AddrInUse && error.to_string().contains(&picked[0].to_string()));
}

/// Opens a stream and is answered.
fn is_served(reactor: &mut Reactor, mut socket: impl Read + Write) {
    socket.write_all(HEADER.as_bytes()).unwrap();
    let mut heard = [0; 5];
    settle(reactor);
    socket.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"<?xml");
}

#[test]
fn listeners_come_and_go_while_it_runs() {
    let (mut reactor, first) = reactor(|_| ());
    let mut pair = pair(&mut reactor, first);
    let id = reactor.listen(LOOPBACK).unwrap();
    let second = reactor.local_addresses().nth(1).unwrap();
    let mut guest = Client::log_in(&mut reactor, second, "silent");
    assert!(reactor.stop_listening(id) && !reactor.stop_listening(id));
    assert_eq!(reactor.local_addresses().collect::<Vec<_>>(), [first]);
    assert_eq!(TcpStream::connect(second).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    guest.say("<message to='romeo@localhost/r'><body>still here</body></message>");
    pair.0.hears(&mut reactor, "still here");
    chat(&mut pair, &mut reactor, "so are we");
    // A number is not given twice, and an address can be had again.
    assert_ne!(reactor.listen(second).unwrap(), id);
    is_served(&mut reactor, TcpStream::connect(second).unwrap());
}

#[test]
fn what_the_host_made_is_served() {
    let (mut reactor, _) = reactor(|config| config.limits.connections = 2);
    // A listener, as it is handed over by whoever starts services.
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let (kept, address) = (listener.try_clone().unwrap(), listener.local_addr().unwrap());
    let id = reactor.listen(listener).unwrap();
    is_served(&mut reactor, TcpStream::connect(address).unwrap());
    assert!(reactor.stop_listening(id));
    // A connection of a port that the host shares: it has looked at the first bytes.
    kept.set_nonblocking(false).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(HEADER.as_bytes()).unwrap();
    let (accepted, _) = kept.accept().unwrap();
    let mut first = [0; 7];
    accepted.peek(&mut first).unwrap();
    assert_eq!(&first, b"<stream");
    assert!(reactor.add_connection(accepted).unwrap().is_some());
    settle(&mut reactor);
    let mut heard = [0; 5];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"<?xml");
    // A pair of sockets that has no address; and one too many.
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert!(reactor.add_connection(theirs).unwrap().is_some());
    is_served(&mut reactor, &ours);
    let (mut refused, theirs) = UnixStream::pair().unwrap();
    assert_eq!(reactor.add_connection(TcpStream::connect(address).unwrap()).unwrap(), None);
    assert_eq!(reactor.add_connection(theirs).unwrap(), None);
    let mut heard = String::new();
    refused.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("<resource-constraint "), "{heard}");
}

#[test]
fn unix_sockets() {
    let (mut reactor, _) = reactor(|_| ());
    let folder = std::env::temp_dir().join(format!("loquat-sockets-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("xmpp");
    let id = reactor.listen(Listen::unix(&path)).unwrap();
    is_served(&mut reactor, UnixStream::connect(&path).unwrap());
    let error = reactor.listen(Listen::unix(&path)).unwrap_err();
    assert!(error.kind() == ErrorKind::AddrInUse && error.to_string().contains(path.to_str().unwrap()));
    is_served(&mut reactor, UnixStream::connect(&path).unwrap());
    assert!(reactor.stop_listening(id));
    assert!(!path.exists(), "it goes with its listener");
    // One that a killed process has left is replaced, anything else is not.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    reactor.listen(Listen::unix(&path)).unwrap();
    is_served(&mut reactor, UnixStream::connect(&path).unwrap());
    let file = folder.join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(reactor.listen(Listen::unix(&file)).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    drop(reactor);
    assert!(!path.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

/// A host's loop: it watches one descriptor and goes by one deadline, and the reactor never keeps it waiting.
#[test]
fn in_a_loop_of_the_hosts_own() {
    const LOGIN_TIME: Duration = Duration::from_millis(300);
    let (mut reactor, address) = reactor(|config| config.limits.login_time = LOGIN_TIME);
    let (mut poll, mut events) = (Poll::new().unwrap(), mio::Events::with_capacity(8));
    assert_eq!(reactor.as_fd().as_raw_fd(), reactor.as_raw_fd());
    poll.registry().register(&mut SourceFd(&reactor.as_raw_fd()), Token(7), Interest::READABLE).unwrap();
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty() && reactor.next_deadline().is_none(), "nothing is to be done");

    let mut client = Client::connect(address);
    client.say(HEADER);
    let start = Instant::now();
    let (mut turns, mut slept) = (0, false);
    while client.end.is_none() {
        assert!(start.elapsed() < PATIENCE, "the host was not told in time; heard: {}", client.heard);
        poll.poll(&mut events, reactor.next_deadline().or(Some(PATIENCE))).unwrap();
        let before = Instant::now();
        let deadline = reactor.next_deadline();
        reactor.poll_once(Some(Duration::ZERO)).unwrap();
        slept |= deadline != Some(Duration::ZERO) && before.elapsed() > LOGIN_TIME / 2;
        turns += 1;
        client.listen();
        if client.heard.ends_with("</stream:stream>") {
            let _ = client.socket.shutdown(Shutdown::Write);
        }
    }
    assert!(client.heard.contains("<connection-timeout "), "{}", client.heard);
    assert!((LOGIN_TIME..PATIENCE / 2).contains(&start.elapsed()), "it came after {:?}", start.elapsed());
    assert!(turns < 20, "a host is woken for nothing: {turns} turns");
    assert!(!slept, "a turn that must not wait has waited");
}
