//! Nobody who reads is cut off, however much comes at once; over real sockets, each client reading at full speed.
//!
//! Read first: `src/outbox/pressure.rs`. Left out on purpose: those who do not read; `tests/sockets.rs` and the
//! transcript `full-outbox.txt` have them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a panic is how a test fails

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use loquat::{Config, Reactor};

const PATIENCE: Duration = Duration::from_secs(60);
const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

struct World {
    reactor: Reactor,
    address: SocketAddr,
    clients: Vec<Client>,
}

struct Client {
    socket: TcpStream,
    heard: String,
    /// What it has not yet been able to say.
    unsaid: Vec<u8>,
    ended: bool,
}

impl World {
    fn new(accounts: &[&str]) -> Self {
        let mut config = Config::new("localhost").unwrap();
        config.scram_iterations = 1;
        config.limits.resources = 300;
        config.limits.presence_bytes = 1 << 18;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut reactor = Reactor::bind(config, &[loopback]).unwrap();
        accounts.iter().for_each(|name| reactor.server().add_account(name, "secret").unwrap());
        let address = reactor.local_addresses().next().unwrap();
        Self { reactor, address, clients: Vec::new() }
    }

    fn log_in(&mut self, name: &str, resource: &str) -> usize {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.clients.push(Client { socket, heard: String::new(), unsaid: Vec::new(), ended: false });
        let who = self.clients.len() - 1;
        self.say(
            who,
            &format!(
                "{HEADER}<iq type='set' id='l'><query xmlns='jabber:iq:auth'><username>{name}</username>\
             <password>secret</password><resource>{resource}</resource></query></iq>"
            ),
        );
        self.until("a login", |clients| clients[who].heard.contains("id='l'"));
        who
    }

    fn say(&mut self, who: usize, text: &str) {
        self.clients[who].unsaid.extend_from_slice(text.as_bytes());
    }

    /// Turns, while all say what they have to say and read all that comes.
    fn turn(&mut self) {
        self.clients.iter_mut().for_each(Client::turn);
        self.reactor.poll_once(Some(Duration::from_millis(1))).unwrap();
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&[Client]) -> bool) {
        let start = Instant::now();
        while !is_so(&self.clients) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            self.turn();
        }
        let cut_off: Vec<_> = (0..self.clients.len()).filter(|&who| self.clients[who].ended).collect();
        assert!(cut_off.is_empty(), "cut off: {cut_off:?}");
    }

    /// All that a client has sent has been acted upon.
    fn settle(&mut self, who: usize) {
        self.say(who, "<iq type='get' id='settled' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.until("a ping", |clients| clients[who].heard.contains("id='settled'"));
        self.clients[who].heard.clear();
    }
}

impl Client {
    fn turn(&mut self) {
        match self.socket.write(&self.unsaid) {
            Ok(n) => drop(self.unsaid.drain(..n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(_) => self.ended = true,
        }
        let mut buffer = [0; 65_536];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return self.ended = true,
                Ok(n) => self.heard.push_str(&String::from_utf8_lossy(&buffer[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.ended = true,
            }
        }
    }

    fn count(&self, text: &str) -> usize {
        self.heard.matches(text).count()
    }
}

#[test]
fn pictures_of_all_contacts_at_once() {
    let mut world = World::new(&["romeo", "juliet"]);
    let (romeo, juliet) = (world.log_in("romeo", "x"), world.log_in("juliet", "x"));
    let photo = "x".repeat(120_000);
    world.say(
        juliet,
        &format!(
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>{photo}</BINVAL></PHOTO></vCard></iq>"
    ),
    );
    world.until("a vCard", |clients| clients[juliet].heard.contains("id='v'"));
    let get =
        |n: usize| format!("<iq type='get' id='p{n}' to='juliet@localhost'><vCard xmlns='vcard-temp'/></iq>");
    world.say(romeo, &(0..120).map(get).collect::<String>());
    world.until("120 pictures", |clients| clients[romeo].count("</vCard>") == 120);
}

#[test]
fn many_who_say_something_at_the_same_time() {
    const SENDERS: usize = 200;
    let mut world = World::new(&["romeo", "juliet"]);
    let juliet = world.log_in("juliet", "x");
    let senders: Vec<usize> = (0..SENDERS).map(|n| world.log_in("romeo", &format!("r{n}"))).collect();
    let body = "x".repeat(6_000);
    for round in 0..5 {
        for &sender in &senders {
            world.say(sender, &format!("<message to='juliet@localhost/x'><body>{body}</body></message>"));
        }
        let wanted = SENDERS * (round + 1);
        world.until("all messages", |clients| clients[juliet].count("</message>") == wanted);
    }
}

#[test]
fn a_burst_within_one_round_trip_of_acknowledgements() {
    let mut world = World::new(&["romeo", "juliet"]);
    let (romeo, juliet) = (world.log_in("romeo", "x"), world.log_in("juliet", "x"));
    world.say(juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    world.until("it is enabled", |clients| clients[juliet].heard.contains("<enabled "));
    let message = format!("<message to='juliet@localhost/x'><body>{}</body></message>", "x".repeat(5_000));
    world.say(romeo, &message.repeat(600));
    // She acknowledges late: more is on its way than may be, and romeo waits for it.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1_500) {
        world.turn();
    }
    let first = world.clients[juliet].count("</message>");
    assert!((380..600).contains(&first), "{first} of 600 came without an acknowledgement");
    world.say(juliet, &format!("<a xmlns='urn:xmpp:sm:3' h='{first}'/>"));
    world.until("all messages", |clients| clients[juliet].count("</message>") == 600);
}

/// A phone sleeps, and dies with all that was for it: its sender hears of each message, and is not cut off for that.
#[test]
fn nine_thousand_messages_come_back() {
    const MESSAGES: usize = 9_000;
    let mut world = World::new(&["romeo", "juliet"]);
    let (romeo, juliet) = (world.log_in("romeo", "x"), world.log_in("juliet", "x"));
    world.say(juliet, "<enable xmlns='urn:xmpp:sm:3'/>");
    world.until("it is enabled", |clients| clients[juliet].heard.contains("<enabled "));
    let message = "<message to='juliet@localhost/x' id='m'><body>are you there?</body></message>";
    world.say(romeo, &message.repeat(MESSAGES));
    world.settle(romeo);
    world.until("all messages", |clients| clients[juliet].count("</message>") == MESSAGES);
    let bystander = world.log_in("romeo", "bystander");
    drop(world.clients.remove(juliet));
    let (romeo, bystander) = (romeo, bystander - 1);
    let start = Instant::now();
    world.settle(bystander);
    let pinged = start.elapsed();
    assert!(pinged < Duration::from_millis(500), "a bystander waited {pinged:?}");
    world.until("all errors", |clients| clients[romeo].count("<service-unavailable ") == MESSAGES);
}

#[test]
fn a_thousand_requests_and_all_that_waits_at_one_login() {
    let names: Vec<String> = (0..1_000).map(|n| format!("u{n}")).collect();
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    all.push("juliet");
    let mut world = World::new(&all);
    for name in &names {
        let who = world.log_in(name, "x");
        let status = "&amp;".repeat(180);
        world.say(
            who,
            &format!("<presence to='juliet@localhost' type='subscribe'><status>{status}</status></presence>"),
        );
        if who < 80 {
            let body = "x".repeat(2_500);
            world.say(
                who,
                &format!("<message to='juliet@localhost' type='chat'><body>{body}</body></message>"),
            );
        }
        world.settle(who);
    }
    world.clients.clear();
    let juliet = world.log_in("juliet", "x");
    world.say(juliet, "<presence/>");
    world.until("all of it", |clients| {
        clients[juliet].count("type='subscribe'") == 1_000 && clients[juliet].count("</body>") == 80
    });
}

#[test]
fn a_contact_with_many_resources_and_long_statuses() {
    let mut world = World::new(&["romeo", "juliet"]);
    world.reactor.server().subscribe("juliet", "romeo").unwrap();
    const RESOURCES: usize = 16;
    for n in 0..RESOURCES {
        let romeo = world.log_in("romeo", &format!("r{n}"));
        let status = "x".repeat(200_000);
        world.say(romeo, &format!("<presence><priority>-1</priority><status>{status}</status></presence>"));
        world.settle(romeo);
    }
    let juliet = world.log_in("juliet", "x");
    world.say(juliet, "<presence/>");
    world.settle(juliet);
    world.say(juliet, "<presence type='unavailable'/><presence/>");
    world.until("all of them", |clients| clients[juliet].count("</status>") == RESOURCES);
}

#[test]
fn many_small_requests_at_once_are_all_answered_in_order() {
    const REQUESTS: usize = 20_000;
    let mut world = World::new(&["romeo", "juliet"]);
    let (romeo, juliet) = (world.log_in("romeo", "a"), world.log_in("juliet", "a"));
    let request = |n| format!("<iq type='get' id='g{n}'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
    let requests: String = (0..REQUESTS).map(request).collect();
    world.say(romeo, &requests);
    world.say(juliet, "<iq type='get' id='ping' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    world.until("a bystander's answer", |clients| clients[juliet].heard.contains("id='ping'"));
    let last = format!("id='g{}'", REQUESTS - 1);
    world.until("all answers", |clients| clients[romeo].heard.contains(&last));
    let heard = &world.clients[romeo].heard;
    let ids: Vec<&str> = heard.split("id='g").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    let wanted: Vec<String> = (0..REQUESTS).map(|n| n.to_string()).collect();
    assert!(!world.clients[romeo].ended && ids == wanted, "{} answers", ids.len());
}
