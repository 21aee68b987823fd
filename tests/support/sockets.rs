//! How a transcript's bytes get to a server and back over loopback sockets: a reactor and its clients in one thread.
//!
//! Left out on purpose: what needs another clock or another address; such scripts are played in memory.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use loquat::{Config, Reactor, Server};

use super::wire::Wire;

/// A reactor in this very thread, and clients with real sockets.
pub struct Sockets {
    reactor: Reactor,
    address: SocketAddr,
    clients: HashMap<String, SocketClient>,
}

struct SocketClient {
    socket: TcpStream,
    received: Vec<u8>,
    cut_off: bool,
}

/// How long a client waits for an answer before it is missing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing must happen for everything to have happened.
const QUIET: Duration = Duration::from_millis(5);

impl Sockets {
    pub fn new(config: Config) -> Self {
        let reactor =
            Reactor::bind(config, &[SocketAddr::from(([127, 0, 0, 1], 0))]).expect("loopback can be had");
        let address = reactor.local_addresses().next().expect("one listener was asked for");
        Self { reactor, address, clients: HashMap::new() }
    }

    fn client(&mut self, name: &str) -> &mut SocketClient {
        let address = self.address;
        self.clients.entry(name.into()).or_insert_with(|| {
            let socket = TcpStream::connect(address).expect("the listener has room");
            socket.set_nonblocking(true).expect("a socket can be asked not to block");
            SocketClient { socket, received: Vec::new(), cut_off: false }
        })
    }

    fn turn(&mut self) {
        self.reactor.poll_once(Some(QUIET)).expect("the poll works");
        for client in self.clients.values_mut() {
            client.read();
        }
    }

    fn turn_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if done(self) {
                return true;
            }
            self.turn();
        }
        false
    }
}

impl SocketClient {
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return self.cut_off = true,
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.cut_off = true,
            }
        }
    }
}

impl Wire for Sockets {
    fn server(&mut self) -> &mut Server {
        self.reactor.server()
    }

    fn set_address(&mut self, _: &str, _: IpAddr) {
        unreachable!("such a script is not played over sockets");
    }

    fn send(&mut self, client: &str, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.client(client).socket.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.turn(),
                // The server has ended the connection in the middle of it, which the next steps expect or not.
                Err(_) => return,
            }
        }
        self.turn();
    }

    fn end_half(&mut self, client: &str) {
        let _ = self.client(client).socket.shutdown(Shutdown::Write);
        self.turn();
    }

    fn hang_up(&mut self, client: &str) {
        self.clients.remove(client);
        self.turn();
    }

    fn set_reading(&mut self, _: &str, _: bool) {
        unreachable!("such a script is not played over sockets");
    }

    fn tick(&mut self, _: Duration) {
        unreachable!("such a script is not played over sockets");
    }

    fn receive(&mut self, client: &str, patiently: bool) -> Vec<u8> {
        self.turn_until(|wire| {
            let client = wire.client(client);
            !patiently || !client.received.is_empty() || client.cut_off
        });
        std::mem::take(&mut self.client(client).received)
    }

    fn is_cut_off(&mut self, client: &str) -> bool {
        self.turn_until(|wire| wire.client(client).cut_off)
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            self.turn();
        }
    }
}
