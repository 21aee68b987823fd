//! The core with the standard library's sockets and a data folder: all that a host has to do, in one loop.
//!
//! ```text
//! cargo run --no-default-features --example core_only -- FOLDER            serves on 127.0.0.1:5222 until it is
//! stopped cargo run --no-default-features --example core_only -- FOLDER --demo     one visitor, and it ends ```
//!
//! Without a poll each socket is asked each time, which is enough for a few; `Reactor` is for many.
//! Read first: `Host::turn`, which has the order of calls. Left out on purpose: TLS, a poll, signals.

#![allow(clippy::print_stdout)] // to show what happens is what it is for

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loquat::{
    system_random, AccountError, Config, Durability, Flush, Folder, Now, Opening, Peer, Server, Storage,
    StreamId, Then,
};

/// How long a host without a poll may be unaware of what came.
const PAUSE: Duration = Duration::from_millis(10);

struct Host {
    server: Server,
    listener: TcpListener,
    connections: Vec<Connection>,
    started: Instant,
}

struct Connection {
    id: StreamId,
    socket: TcpStream,
    /// The peer sends no more.
    read_closed: bool,
    /// We send no more.
    write_closed: bool,
    /// There is nothing left to do with it.
    is_over: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("where? core_only FOLDER")?);
    if env::args().any(|arg| arg == "--demo") {
        return demo(&folder);
    }
    let mut host = Host::new(&folder, "127.0.0.1:5222".parse()?)?;
    loop {
        sleep(host.turn()?);
    }
}

impl Host {
    fn new(folder: &Path, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let mut config = Config::new("localhost")?;
        config.registration = true;
        let storage = Storage::new(Folder::open(folder)?, "localhost", Durability::Always);
        let server = Server::open_storage(config, system_random()?, storage)?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { server, listener, connections: Vec::new(), started: Instant::now() })
    }

    /// Does all that is to be done, and says how long to sleep.
    fn turn(&mut self) -> io::Result<Duration> {
        let now = self.now();
        self.accept(now)?;
        for connection in &mut self.connections {
            connection.read(&mut self.server, now);
        }
        let mut flush = self.server.flush(now)?;
        while flush.next().is_some() {} // all connections are looked at anyway
        for connection in &mut self.connections {
            connection.write(&mut flush);
        }
        drop(flush);
        for connection in self.connections.iter().filter(|connection| connection.is_over) {
            self.server.hung_up(connection.id, now);
        }
        self.connections.retain(|connection| !connection.is_over);
        let deadline = self.server.next_deadline().map(|deadline| deadline.saturating_sub(now.monotonic));
        Ok(deadline.map_or(PAUSE, |deadline| deadline.min(PAUSE)))
    }

    fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.started.elapsed(), since_1970 }
    }

    fn accept(&mut self, now: Now) -> io::Result<()> {
        loop {
            let (mut socket, address) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            let Some(id) = self.server.open(Opening::client(Peer::from(address)), now) else {
                let _ = socket.write(&self.server.refusal());
                continue;
            };
            let (read_closed, write_closed, is_over) = (false, false, false);
            self.connections.push(Connection { id, socket, read_closed, write_closed, is_over });
        }
    }
}

impl Connection {
    /// Passes on a little of what has come.
    fn read(&mut self, server: &mut Server, now: Now) {
        let mut buffer = [0; 4096];
        if self.read_closed || !server.wants_read(self.id) {
            return;
        }
        match self.socket.read(&mut buffer) {
            Ok(0) => {
                self.read_closed = true;
                self.is_over = self.write_closed;
                server.half_closed(self.id, now);
            }
            Ok(_) if self.write_closed => (), // it is said to nobody
            Ok(read) => server.receive(self.id, buffer.get(..read).unwrap_or_default(), now),
            Err(error) => self.is_over |= !may_try_again(&error),
        }
    }

    /// Sends what the system takes.
    fn write(&mut self, flush: &mut Flush<'_>) {
        while !self.is_over {
            let outgoing = flush.outgoing(self.id);
            match (outgoing.then, outgoing.bytes) {
                (Then::CloseNow, _) => self.is_over = true,
                (Then::CloseWhenSent, []) if !self.write_closed => {
                    // The peer may still be sending; it ends the connection, or the server does after a while.
                    self.write_closed = true;
                    self.is_over = self.read_closed || self.socket.shutdown(Shutdown::Write).is_err();
                }
                (_, []) => return,
                (_, bytes) => match self.socket.write(bytes) {
                    Ok(sent) => flush.sent(self.id, sent),
                    Err(error) if may_try_again(&error) => return,
                    Err(_) => self.is_over = true,
                },
            }
        }
    }
}

fn may_try_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// All that a visitor says, from the first word to the last.
const VISIT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
    <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>用户1</username><password>secret</password>\
    <resource>demo</resource></query></iq><presence/></stream:stream>";

fn demo(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut host = Host::new(folder, "127.0.0.1:0".parse()?)?;
    match host.server.add_account("用户1", "secret") {
        Err(AccountError::Exists) => println!("the account is there from an earlier run"),
        made => made?,
    }
    let mut visitor = TcpStream::connect(host.listener.local_addr()?)?;
    visitor.write_all(VISIT.as_bytes())?;
    visitor.shutdown(Shutdown::Write)?;
    let mut pause = host.turn()?;
    while !host.connections.is_empty() {
        sleep(pause);
        pause = host.turn()?;
    }
    let mut heard = String::new();
    visitor.read_to_string(&mut heard)?;
    println!("the visitor got: {heard}");
    Ok(())
}
