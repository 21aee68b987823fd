//! The server inside a program whose loop knows nothing of it but a descriptor: here poll(2), as any loop could do it.
//!
//! ```text
//! cargo run --example foreign_poll               serves on 127.0.0.1:5222 until a line is typed
//! cargo run --example foreign_poll -- --demo     one visitor, and it ends
//! ```
//!
//! poll(2) says for as long as it lasts that the reactor's descriptor is readable; `embed.rs` has a loop that is told
//! once. Either way the host waits for the descriptor, not longer than the reactor allows, and gives it a turn.
//! Read first: `Host::turn`. Left out on purpose: what the host would do besides.

#![allow(clippy::print_stdout)] // to show what happens is what it is for

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use loquat::{Config, Event, Reactor};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

struct Host {
    reactor: Reactor,
    gone: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|arg| arg == "--demo") {
        return demo();
    }
    let mut host = Host::new("127.0.0.1:5222".parse()?)?;
    let stdin = io::stdin();
    while !host.turn(Some(stdin.as_fd()))? {}
    Ok(host.reactor.shut_down()?)
}

impl Host {
    fn new(address: std::net::SocketAddr) -> Result<Self, Box<dyn Error>> {
        let mut config = Config::new("localhost")?;
        config.registration = true;
        let mut reactor = Reactor::bind(config, &[address])?;
        reactor.server().watch_sessions();
        Ok(Self { reactor, gone: false })
    }

    /// Waits for either descriptor, and lets the reactor do what is to be done. `true` if the other one is ready.
    fn turn(&mut self, other: Option<BorrowedFd<'_>>) -> Result<bool, Box<dyn Error>> {
        let timeout = self.reactor.next_deadline().map(Timespec::try_from).transpose()?;
        let mut ready = vec![PollFd::new(&self.reactor, PollFlags::IN)];
        ready.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        match poll(&mut ready, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
        let is_ready = ready.get(1).is_some_and(|other| !other.revents().is_empty());
        drop(ready);
        self.reactor.poll_once(Some(Duration::ZERO))?;
        while let Some(event) = self.reactor.server().next_event() {
            println!("{event:?}");
            self.gone |= matches!(event, Event::Gone(_));
        }
        Ok(is_ready)
    }
}

/// All that a visitor says, from the first word to the last.
const VISIT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
    <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>用户1</username><password>secret</password>\
    <resource>demo</resource></query></iq><presence/></stream:stream>";

fn demo() -> Result<(), Box<dyn Error>> {
    let mut host = Host::new("127.0.0.1:0".parse()?)?;
    host.reactor.server().add_account("用户1", "secret")?;
    let address = host.reactor.local_addresses().next().ok_or("nothing is listened on")?;
    let mut visitor = TcpStream::connect(address)?;
    visitor.write_all(VISIT.as_bytes())?;
    while !host.gone {
        host.turn(None)?;
    }
    let mut heard = String::new();
    visitor.read_to_string(&mut heard)?;
    println!("the visitor got: {heard}");
    Ok(())
}
