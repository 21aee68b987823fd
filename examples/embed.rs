//! The server inside a program that has a loop of its own.
//!
//! ```text
//! cargo run --example embed               serves on 127.0.0.1:5222 and 127.0.0.1:5223 (UDP) until it is stopped
//! echo 21.5 | nc -u -q0 127.0.0.1 5223    a reading, from beside it
//! cargo run --example embed -- --demo     one reading, one visitor, and it ends
//! ```
//!
//! The program is a weather station: its loop, here a `mio::Poll`, waits for readings from a UDP socket. That it is a
//! chat server as well takes three lines, marked (1) to (3): the loop watches the reactor's descriptor, it sleeps no
//! longer than the reactor lets it, and each time it wakes it gives the reactor a turn. Any loop that can watch a
//! descriptor will do, whether it is told of readiness once (as here) or for as long as it lasts.
//!
//! Read first: `Station::new` and `Station::turn`. Left out on purpose: talking to those who come; `bot.rs` does.

#![allow(clippy::print_stdout)] // to show what happens is what it is for

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use loquat::{Config, Event, Reactor};
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const READINGS: Token = Token(0);
const CHAT: Token = Token(1);

struct Station {
    poll: Poll,
    events: Events,
    readings: UdpSocket,
    reactor: Reactor,
}

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|arg| arg == "--demo") {
        return demo();
    }
    let mut station = Station::new("127.0.0.1:5222".parse()?, "127.0.0.1:5223".parse()?)?;
    loop {
        station.turn()?;
    }
}

impl Station {
    fn new(chat: SocketAddr, readings: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let poll = Poll::new()?;
        let mut readings = UdpSocket::bind(readings)?;
        poll.registry().register(&mut readings, READINGS, Interest::READABLE)?;

        let mut config = Config::new("localhost")?;
        config.registration = true;
        let mut reactor = Reactor::bind(config, &[chat])?;
        reactor.server().watch_sessions();
        poll.registry().register(&mut SourceFd(&reactor.as_raw_fd()), CHAT, Interest::READABLE)?; // (1)
        Ok(Self { poll, events: Events::with_capacity(16), readings, reactor })
    }

    /// Sleeps until there is something to do, and does it. Tells how many visitors have left.
    fn turn(&mut self) -> io::Result<usize> {
        let timeout = self.reactor.next_deadline(); // (2): if the host has timers, the earliest of all
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => (),
        }
        self.reactor.poll_once(Some(Duration::ZERO))?; // (3): with nothing to do, it is one system call
        if self.events.iter().any(|event| event.token() == READINGS) {
            self.take_readings()?;
        }
        Ok(self.take_events())
    }

    fn take_readings(&mut self) -> io::Result<()> {
        let mut reading = [0; 64];
        loop {
            match self.readings.recv(&mut reading) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(reading.get(..n).unwrap_or_default());
                    println!("reading: {}", text.trim());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// What the reactor has to tell; it was asked by `watch_sessions`.
    fn take_events(&mut self) -> usize {
        let mut gone = 0;
        while let Some(event) = self.reactor.server().next_event() {
            match event {
                Event::Bound(address) => println!("here: {address}"),
                Event::Gone(address) => {
                    println!("gone: {address}");
                    gone += 1;
                }
                _ => (), // no stanza comes, since no address is claimed
            }
        }
        gone
    }
}

/// All that a visitor says, from the first word to the last.
const VISIT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
    <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>用户1</username><password>secret</password>\
    <resource>demo</resource></query></iq><presence/></stream:stream>";

/// A sensor and a visitor say what they have to say, and the station turns until the visitor has left.
fn demo() -> Result<(), Box<dyn Error>> {
    let any_port: SocketAddr = "127.0.0.1:0".parse()?;
    let mut station = Station::new(any_port, any_port)?;
    station.reactor.server().add_account("用户1", "secret")?;

    let sensor = std::net::UdpSocket::bind(any_port)?;
    sensor.send_to("21.5 °C".as_bytes(), station.readings.local_addr()?)?;
    let chat = station.reactor.local_addresses().next().ok_or("nothing is listened on")?;
    let mut visitor = TcpStream::connect(chat)?;
    visitor.write_all(VISIT.as_bytes())?;

    while station.turn()? == 0 {}
    let mut heard = String::new();
    visitor.read_to_string(&mut heard)?;
    println!("the visitor got: {heard}");
    Ok(())
}
