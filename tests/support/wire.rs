//! How a transcript's bytes get to a server and back: in memory, at any grain.
//!
//! Left out on purpose: sockets; they are in `sockets.rs`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use loquat::{Config, Flush, Now, Opening, Peer, Server, StreamId, Then};

/// Something that carries bytes between named clients and a server.
pub trait Wire {
    fn server(&mut self) -> &mut Server;
    /// Whence a client will connect.
    fn set_address(&mut self, client: &str, address: IpAddr);
    fn send(&mut self, client: &str, bytes: &[u8]);
    fn end_half(&mut self, client: &str);
    fn hang_up(&mut self, client: &str);
    fn set_reading(&mut self, client: &str, reads: bool);
    fn tick(&mut self, time: Duration);
    /// What has come for a client since it was asked last. A patient one waits if nothing has.
    fn receive(&mut self, client: &str, patiently: bool) -> Vec<u8>;
    fn is_cut_off(&mut self, client: &str) -> bool;
    /// Whether everything has come that will come.
    fn settle(&mut self);
}

/// A server in memory, fed in pieces of `grain` bytes.
pub struct Memory {
    server: Server,
    clients: HashMap<String, MemoryClient>,
    addresses: HashMap<String, IpAddr>,
    now: Now,
    grain: usize,
}

struct MemoryClient {
    /// None if the server had no room for the connection.
    id: Option<StreamId>,
    received: Vec<u8>,
    reads: bool,
    cut_off: bool,
}

impl Memory {
    pub fn new(config: Config, grain: usize) -> Self {
        Self {
            server: Server::new(config, counting_random()).expect("numbers do not run out"),
            clients: HashMap::new(),
            addresses: HashMap::new(),
            now: Now::default(),
            grain,
        }
    }

    /// A client's stream; it connects if it is not yet connected.
    fn id(&mut self, client: &str) -> Option<StreamId> {
        if let Some(client) = self.clients.get(client) {
            return client.id;
        }
        let address = self.addresses.get(client).map(|&address| SocketAddr::from((address, 5222)));
        let id = self.server.open(Opening::client(address.map(Peer::from).unwrap_or_default()), self.now);
        let received = if id.is_none() { self.server.refusal() } else { Vec::new() };
        let new = MemoryClient { id, received, reads: true, cut_off: id.is_none() };
        self.clients.insert(client.into(), new);
        id
    }

    /// Takes what the server has for those who read.
    fn pump(&mut self) {
        self.flush(None);
        while self.server.next_deadline().is_some_and(|at| at <= self.now.monotonic) {
            self.flush(None);
        }
    }

    /// One turn's. A client may have begun to read again.
    fn flush(&mut self, again: Option<StreamId>) {
        let mut flush = self.server.flush(self.now).expect("nothing is stored");
        let mut over = Vec::new();
        let mut next = again.or_else(|| flush.next().map(|(id, _)| id));
        while let Some(id) = next {
            if let Some(client) = self.clients.values_mut().find(|client| client.id == Some(id)) {
                if client.take(&mut flush, id) {
                    over.push(id);
                }
            }
            next = flush.next().map(|(id, _)| id);
        }
        drop(flush);
        over.into_iter().for_each(|id| self.server.hung_up(id, self.now));
    }
}

impl MemoryClient {
    /// Takes what there is. `true` if the connection is over.
    fn take(&mut self, flush: &mut Flush<'_>, id: StreamId) -> bool {
        let outgoing = flush.outgoing(id);
        let (taken, then) = (if self.reads { outgoing.bytes.len() } else { 0 }, outgoing.then);
        self.received.extend_from_slice(&outgoing.bytes[..taken]);
        let drained = taken == outgoing.bytes.len();
        flush.sent(id, taken);
        let is_over = then == Then::CloseNow || (then == Then::CloseWhenSent && drained);
        self.cut_off |= is_over;
        is_over
    }
}

/// Numbers, one after the other: as good as random in a test, and the same each time.
pub fn counting_random() -> loquat::RandomSource {
    let mut next = 0u8;
    Box::new(move |bytes| {
        next = next.wrapping_add(1);
        bytes.fill(next);
        Ok(())
    })
}

impl Wire for Memory {
    fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    fn set_address(&mut self, client: &str, address: IpAddr) {
        self.addresses.insert(client.into(), address);
    }

    fn send(&mut self, client: &str, bytes: &[u8]) {
        let Some(id) = self.id(client) else { return };
        for piece in bytes.chunks(self.grain) {
            self.server.receive(id, piece, self.now);
            self.pump();
        }
    }

    fn end_half(&mut self, client: &str) {
        let Some(id) = self.id(client) else { return };
        self.server.half_closed(id, self.now);
        self.pump();
    }

    fn hang_up(&mut self, client: &str) {
        if let Some(id) = self.id(client) {
            self.server.hung_up(id, self.now);
        }
        self.clients.remove(client);
        self.pump();
    }

    fn set_reading(&mut self, client: &str, reads: bool) {
        let Some(id) = self.id(client) else { return };
        if let Some(client) = self.clients.get_mut(client) {
            client.reads = reads;
        }
        self.flush(Some(id));
        self.pump();
    }

    fn tick(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.since_1970 += time;
        self.pump();
    }

    fn receive(&mut self, client: &str, _: bool) -> Vec<u8> {
        self.id(client);
        self.clients.get_mut(client).map(|client| std::mem::take(&mut client.received)).unwrap_or_default()
    }

    fn is_cut_off(&mut self, client: &str) -> bool {
        self.clients.get(client).map_or(true, |client| client.cut_off)
    }

    fn settle(&mut self) {
        self.pump();
    }
}
