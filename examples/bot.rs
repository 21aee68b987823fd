//! A bot that lives in the server's own process, at the address `bot.localhost`.
//!
//! ```text
//! cargo run --example bot               serves on 127.0.0.1:5222 until it is stopped; anybody may make an account
//! cargo run --example bot -- --demo     lets one client talk to the bot, and ends
//! ```
//!
//! What is sent to an address that the host has claimed comes out of `next_event`, and what the bot says goes in by
//! `inject`. Nothing is called back: the bot looks when it has time to look, between two turns of the loop.
//!
//! Read first: `answer_to`, which is all that the bot is. RFC 6120 8.2.3 says why each request gets an answer.
//! Left out on purpose: presence. The bot is always there, whatever anybody subscribes to.

#![allow(clippy::print_stdout, clippy::print_stderr)] // to show the exchange is what it is for

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use loquat::xml::Element;
use loquat::{Config, Event, Reactor};

const BOT: &str = "bot.localhost";
const CLIENT: &str = "jabber:client";
const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const VERSION: &str = "jabber:iq:version";

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|arg| arg == "--demo") {
        return demo();
    }
    let mut reactor = start("127.0.0.1:5222".parse()?)?;
    println!("{BOT} waits for you on 127.0.0.1:5222");
    loop {
        turn(&mut reactor, None)?;
    }
}

/// A server with a bot in it.
fn start(address: SocketAddr) -> Result<Reactor, Box<dyn Error>> {
    let mut config = Config::new("localhost")?;
    config.registration = true;
    let mut reactor = Reactor::bind(config, &[address])?;
    reactor.server().claim(BOT)?;
    Ok(reactor)
}

/// A turn of the server, then one of the bot.
fn turn(reactor: &mut Reactor, timeout: Option<Duration>) -> io::Result<()> {
    reactor.poll_once(timeout)?;
    while let Some(event) = reactor.server().next_event() {
        let Event::Stanza(stanza) = event else { continue };
        if let Some(answer) = answer_to(&stanza) {
            // A text may be just short enough to be sent, and too long with what the bot adds. No reason to stop.
            if let Err(error) = reactor.inject(&answer.to_string()) {
                eprintln!("no answer to {:?}: {error}", stanza.attr("from"));
            }
        }
    }
    Ok(())
}

/// The bot says what it was told, and that it is a bot to whoever asks. An error or a result is itself an answer:
/// two bots that answered those would never stop.
fn answer_to(stanza: &Element) -> Option<Element> {
    match (stanza.name(), stanza.attr("type")) {
        ("message", kind) if !matches!(kind, Some("error" | "groupchat" | "headline")) => {
            let text = stanza.child_text("body", CLIENT)?;
            let body = Element::new("body", CLIENT).with_text(format!("你说：{text}"));
            Some(turned_back(stanza, kind).with(body))
        }
        ("iq", Some("get")) if stanza.child("query", VERSION).is_some() => {
            let name = Element::new("name", VERSION).with_text("a bot of loquat");
            let version = Element::new("version", VERSION).with_text(env!("CARGO_PKG_VERSION"));
            let query = Element::new("query", VERSION).with(name).with(version);
            Some(turned_back(stanza, Some("result")).with(query))
        }
        ("iq", Some("get" | "set")) => {
            let condition = Element::new("service-unavailable", STANZA_ERRORS);
            let error = Element::new("error", CLIENT).with_attr("type", "cancel").with(condition);
            Some(turned_back(stanza, Some("error")).with(error))
        }
        _ => None,
    }
}

/// An empty stanza like the one given, back to its sender.
fn turned_back(stanza: &Element, kind: Option<&str>) -> Element {
    let attributes =
        [("from", stanza.attr("to")), ("to", stanza.attr("from")), ("id", stanza.attr("id")), ("type", kind)];
    let mut answer = Element::new(stanza.name().to_owned(), CLIENT);
    for (name, value) in attributes {
        if let Some(value) = value {
            answer.set_attr(name, value.to_owned());
        }
    }
    answer
}

/// What the client of the demonstration says, and how it knows that the answer is there.
const EXCHANGE: [(&str, &str); 6] = [
    ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "<stream:stream"),
    (
        "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>用户1</username><password>secret</password>\
         <resource>demo</resource></query></iq>",
        "id='1'",
    ),
    ("<message to='bot.localhost' type='chat' id='2'><body>你好</body></message>", "id='2'"),
    ("<iq to='bot.localhost' type='get' id='3'><query xmlns='jabber:iq:version'/></iq>", "id='3'"),
    ("<iq to='bot.localhost' type='set' id='4'><launch xmlns='urn:example'/></iq>", "id='4'"),
    ("</stream:stream>", "</stream:stream>"),
];

/// A client in the very thread of the server, so it must not wait for it: it asks, and lets the server turn.
fn demo() -> Result<(), Box<dyn Error>> {
    let mut reactor = start("127.0.0.1:0".parse()?)?;
    reactor.server().add_account("用户1", "secret")?;
    let address = reactor.local_addresses().next().ok_or("nothing is listened on")?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_nonblocking(true)?;
    for (say, wait_for) in EXCHANGE {
        println!("C: {say}");
        socket.write_all(say.as_bytes())?;
        let (start, mut heard) = (Instant::now(), Vec::new());
        while !String::from_utf8_lossy(&heard).contains(wait_for) {
            if start.elapsed() > Duration::from_secs(5) {
                return Err("there is no answer".into());
            }
            turn(&mut reactor, Some(Duration::from_millis(10)))?;
            read_what_is_there(&mut socket, &mut heard)?;
        }
        println!("S: {}", String::from_utf8_lossy(&heard));
    }
    Ok(())
}

/// Reads what has come, and does not wait for more.
fn read_what_is_there(socket: &mut TcpStream, heard: &mut Vec<u8>) -> io::Result<()> {
    match socket.read_to_end(heard) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
