//! The floor below any chat server: what comes from one connection goes to another, unread.
//!
//! ```text
//! cargo run --release --example relay -- 127.0.0.1:5229          between the 1st and the 2nd, the 3rd and the 4th, ...
//! cargo run --release --example relay -- 127.0.0.1:5229 --fan    from the 1st to all others
//! ```
//!
//! No server with one thread and sockets can do with less than this, so it stands beside them where they are measured
//! (`load` with `--auth none`). Connections are numbered as they come; once all have gone, from the beginning again.
//! Left out on purpose: XMPP.

#![allow(clippy::print_stdout)] // to say that it listens

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 16_384;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let address: SocketAddr = args.first().ok_or("relay ADDRESS:PORT [--fan]")?.parse()?;
    let mut relay = Relay::listen(address, args.iter().any(|arg| arg == "--fan"))?;
    println!("relay: listening on {}", relay.listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    loop {
        relay.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => relay.accept()?,
                Token(number) => {
                    if event.is_writable() {
                        relay.write(number, &[]);
                    }
                    if event.is_readable() {
                        relay.read(number);
                    }
                }
            }
        }
    }
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    is_fan: bool,
    scratch: Box<[u8]>,
}

struct Connection {
    socket: TcpStream,
    /// What it has not taken yet.
    waiting: Vec<u8>,
}

impl Relay {
    fn listen(address: SocketAddr, is_fan: bool) -> io::Result<Self> {
        let (poll, mut listener) = (Poll::new()?, TcpListener::bind(address)?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { poll, listener, connections: Vec::new(), is_fan, scratch })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
            self.connections.push(Some(Connection { socket, waiting: Vec::new() }));
        }
    }

    fn read(&mut self, number: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(Some(connection)) = self.connections.get_mut(number) {
            match connection.socket.read(&mut scratch) {
                Ok(read) if read > 0 => {
                    self.pass_on(number, scratch.get(..read).unwrap_or_default());
                    if read < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => self.end(number),
            }
        }
        self.scratch = scratch;
    }

    fn pass_on(&mut self, from: usize, bytes: &[u8]) {
        match (self.is_fan, from) {
            (false, _) => self.write(from ^ 1, bytes),
            (true, 0) => (1..self.connections.len()).for_each(|to| self.write(to, bytes)),
            (true, _) => (),
        }
    }

    /// Writes what waits and then `bytes`; what is not taken waits.
    fn write(&mut self, to: usize, bytes: &[u8]) {
        let Some(Some(connection)) = self.connections.get_mut(to) else { return };
        let mut rest = bytes;
        if !connection.waiting.is_empty() {
            connection.waiting.extend_from_slice(bytes);
            rest = &connection.waiting;
        }
        while !rest.is_empty() {
            match connection.socket.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.end(to),
            }
        }
        connection.waiting = rest.to_vec();
    }

    fn end(&mut self, number: usize) {
        if let Some(connection) = self.connections.get_mut(number) {
            *connection = None;
        }
        if self.connections.iter().all(Option::is_none) {
            self.connections.clear();
        }
    }
}
