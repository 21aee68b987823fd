//! A server in memory, and everybody who ever was connected to it.
//!
//! It looks at all that the server does for its clients, and keeps the first fault. Left out on purpose: what they do,
//! which comes from transcripts ([`crate::recording`]) or from a fuzzer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use loquat::{Config, Flush, Now, Opening, Peer, Server, StreamId, Then};

use crate::strict;

/// What may wait for a client beyond its limit: the error that tells it so.
const LAST_WORDS: usize = 300;

/// What a client does, or time.
#[derive(Debug, Clone)]
pub enum Deed {
    Send(String, Vec<u8>),
    EndHalf(String),
    HangUp(String),
    Reading(String, bool),
    /// One that does not read takes a few bytes after all.
    Take(String, usize),
    Tick(Duration),
}

pub struct Client {
    pub name: String,
    pub received: Vec<u8>,
    /// None if the server had no room for it.
    id: Option<StreamId>,
    /// How much of it was told by [`Crowd::news_of`].
    told: usize,
    /// What the server still has for it.
    pending: Vec<u8>,
    reads: bool,
    cut_off: bool,
    /// It hung up; who sends under its name next is somebody new.
    left: bool,
}

pub struct Crowd {
    pub server: Server,
    pub now: Now,
    clients: Vec<Client>,
    /// Random bytes count how often they were asked for.
    asked: Arc<AtomicU8>,
    outbox_limit: usize,
    fault: Option<String>,
    /// Whence those connect who are not of this machine.
    addresses: HashMap<String, IpAddr>,
}

impl Crowd {
    pub fn new(config: Config) -> Self {
        let asked = Arc::new(AtomicU8::new(0));
        let counter = Arc::clone(&asked);
        let outbox_limit = 2 * config.limits.outbox_bytes + config.limits.unacknowledged_bytes;
        let random = move |bytes: &mut [u8]| {
            bytes.fill(counter.fetch_add(1, Relaxed).wrapping_add(1));
            Ok(())
        };
        Self {
            server: Server::new(config, Box::new(random)).unwrap(),
            now: Now::default(),
            clients: Vec::new(),
            asked,
            outbox_limit,
            fault: None,
            addresses: HashMap::new(),
        }
    }

    /// How much was random so far.
    pub fn asked(&self) -> u8 {
        self.asked.load(Relaxed)
    }

    /// What is random goes on as if there had been so much: a recorded digest holds for one stream id.
    pub fn set_asked(&mut self, asked: u8) {
        self.asked.store(asked, Relaxed);
    }

    /// The connected client of this name.
    pub fn client(&self, name: &str) -> Option<&Client> {
        self.find(name).map(|index| &self.clients[index])
    }

    /// Where a client comes from that is not yet connected.
    pub fn set_address(&mut self, name: &str, address: IpAddr) {
        self.addresses.insert(name.into(), address);
    }

    /// What a client has got since it was asked last.
    pub fn news_of(&mut self, name: &str) -> Vec<u8> {
        let index = self.connect(name);
        let client = &mut self.clients[index];
        let told = std::mem::replace(&mut client.told, client.received.len());
        client.received[told..].to_vec()
    }

    /// Whether the server has ended a client's connection.
    pub fn is_cut_off(&self, name: &str) -> bool {
        self.client(name).map_or(true, |client| client.cut_off)
    }

    /// The names of those who are connected, or were cut off and have not noticed.
    pub fn names(&self) -> Vec<String> {
        self.clients.iter().filter(|client| !client.left).map(|client| client.name.clone()).collect()
    }

    /// Does it. What a client sends arrives in pieces as long as `piece` says of what is left.
    pub fn act(&mut self, deed: &Deed, piece: &mut dyn FnMut(usize) -> usize) {
        match deed {
            Deed::Send(name, bytes) => self.send(name, bytes, piece),
            Deed::EndHalf(name) => {
                let index = self.connect(name);
                if let Some(id) = self.clients[index].id {
                    self.server.half_closed(id, self.now);
                }
            }
            Deed::HangUp(name) => self.hang_up(name),
            Deed::Reading(name, reads) => {
                let index = self.connect(name);
                self.clients[index].reads = *reads;
                self.flush(Some((index, if *reads { usize::MAX } else { 0 })));
            }
            Deed::Take(name, most) => {
                if let Some(index) = self.find(name) {
                    self.flush(Some((index, *most)));
                }
            }
            Deed::Tick(time) => {
                self.now.monotonic += *time;
                self.now.since_1970 += *time;
            }
        }
        self.pump();
    }

    /// Holds that what every client got is the beginning of a good stream, and that nothing else went wrong. Tells what
    /// each got.
    pub fn check(&self) -> Result<Vec<String>, String> {
        let mut heard = Vec::new();
        for client in &self.clients {
            let all = [client.received.as_slice(), &client.pending].concat();
            strict::read(&all)
                .map_err(|error| format!("{} got what it cannot read: {error}", client.name))?;
            heard.push(format!("{}: {}", client.name, String::from_utf8_lossy(&all)));
        }
        self.fault.clone().map_or(Ok(heard), Err)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.name == name && !client.left)
    }

    /// The client of this name; a new one if there is none.
    fn connect(&mut self, name: &str) -> usize {
        if let Some(index) = self.find(name) {
            return index;
        }
        let address = self.addresses.get(name).map(|ip| SocketAddr::new(*ip, 5222));
        let id = self.server.open(Opening::client(address.map(Peer::from).unwrap_or_default()), self.now);
        self.clients.push(Client {
            name: name.into(),
            received: if id.is_none() { self.server.refusal() } else { Vec::new() },
            id,
            told: 0,
            pending: Vec::new(),
            reads: true,
            cut_off: id.is_none(),
            left: false,
        });
        self.clients.len() - 1
    }

    fn send(&mut self, name: &str, mut bytes: &[u8], piece: &mut dyn FnMut(usize) -> usize) {
        let index = self.connect(name);
        let Some(id) = self.clients[index].id else { return };
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(piece(bytes.len()).clamp(1, bytes.len()));
            self.server.receive(id, now, self.now);
            self.pump();
            bytes = later;
        }
    }

    fn hang_up(&mut self, name: &str) {
        let index = self.connect(name);
        let client = &mut self.clients[index];
        client.left = true;
        if let Some(id) = client.id.filter(|_| !client.cut_off) {
            client.cut_off = true;
            self.server.hung_up(id, self.now);
        }
    }

    fn pump(&mut self) {
        self.flush(None);
        while self.server.next_deadline().is_some_and(|at| at <= self.now.monotonic) {
            self.flush(None);
        }
    }

    /// One turn: a client may take up to so many bytes first, then each that reads takes what there is.
    fn flush(&mut self, first: Option<(usize, usize)>) {
        let Self { server, clients, now, .. } = self;
        let mut flush = server.flush(*now).unwrap();
        let mut over = Vec::new();
        if let Some((index, most)) = first {
            over.extend(clients[index].take(&mut flush, most, self.outbox_limit, &mut self.fault));
        }
        while let Some((id, _)) = flush.next() {
            let Some(client) = clients.iter_mut().find(|client| client.id == Some(id)) else { continue };
            let most = if client.reads { usize::MAX } else { 0 };
            over.extend(client.take(&mut flush, most, self.outbox_limit, &mut self.fault));
        }
        drop(flush);
        over.into_iter().for_each(|id| self.server.hung_up(id, self.now));
    }
}

impl Client {
    /// Takes up to so many bytes. Gives the stream whose connection ends with that.
    fn take(
        &mut self,
        flush: &mut Flush<'_>,
        most: usize,
        limit: usize,
        fault: &mut Option<String>,
    ) -> Option<StreamId> {
        let id = self.id?;
        let outgoing = flush.outgoing(id);
        let (bytes, then) = (outgoing.bytes, outgoing.then);
        if bytes.len() > limit + LAST_WORDS {
            fault.get_or_insert(format!("{} bytes wait for {}", bytes.len(), self.name));
        }
        let taken = bytes.len().min(most);
        self.received.extend_from_slice(&bytes[..taken]);
        // What is given up in the end was whole until then.
        if then != Then::CloseNow {
            self.pending = bytes[taken..].to_vec();
        }
        let drained = taken == bytes.len();
        flush.sent(id, taken);
        let ends = !self.cut_off && (then == Then::CloseNow || (then == Then::CloseWhenSent && drained));
        self.cut_off |= ends;
        ends.then_some(id)
    }
}
