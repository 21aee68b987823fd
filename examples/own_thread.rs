//! The server in a thread of its own, beside a program that is busy or blocks.
//!
//! ```text
//! cargo run --example own_thread               serves on 127.0.0.1:5222; each line typed is sent to all who are there
//! cargo run --example own_thread -- --demo     one visitor hears one line, and it ends
//! ```
//!
//! loquat starts no thread, but a reactor may be moved into one. From then on it is that thread's alone; what others
//! want goes through a channel, and a byte in a socket that the reactor watches wakes it, or it would sleep on.
//! Read first: `serve`. Left out on purpose: answers to the other thread; a second channel would bring them.

#![allow(clippy::print_stdout)] // to show what happens is what it is for

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::{self, JoinHandle};

use loquat::xml::Element;
use loquat::{Config, Event, Reactor};

const NEWS: &str = "news.localhost";

/// What other threads want.
enum Wish {
    /// Tell this to all who are there.
    Tell(String),
    /// Stop.
    Stop,
}

/// The other end of the thread.
struct Handle {
    address: SocketAddr,
    wishes: Sender<Wish>,
    wake: UnixStream,
    thread: JoinHandle<io::Result<()>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|arg| arg == "--demo") {
        return demo();
    }
    let mut handle = start("127.0.0.1:5222".parse()?)?;
    for line in io::stdin().lines() {
        handle.send(Wish::Tell(line?))?;
    }
    handle.stop()
}

fn start(address: SocketAddr) -> Result<Handle, Box<dyn Error>> {
    let mut config = Config::new("localhost")?;
    config.registration = true;
    let mut reactor = Reactor::bind(config, &[address])?;
    let address = reactor.local_addresses().next().ok_or("nothing is listened on")?;
    reactor.server().add_account("用户1", "secret")?;
    reactor.server().claim(NEWS)?;
    reactor.server().watch_sessions();
    let (wake, woken) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    reactor.watch(&woken)?;
    let (wishes, wished) = channel();
    let thread = thread::spawn(move || serve(reactor, &wished, woken));
    Ok(Handle { address, wishes, wake, thread })
}

/// All that the thread does.
fn serve(mut reactor: Reactor, wished: &Receiver<Wish>, mut woken: UnixStream) -> io::Result<()> {
    let mut here = Vec::new();
    loop {
        reactor.poll_once(None)?;
        while let Some(event) = reactor.server().next_event() {
            match event {
                Event::Bound(address) => here.push(address),
                Event::Gone(address) => here.retain(|other| *other != address),
                _ => (), // whatever is sent to the news stays unread
            }
        }
        if !reactor.was_woken() {
            continue;
        }
        while woken.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        for wish in wished.try_iter() {
            let Wish::Tell(text) = wish else { return reactor.shut_down() };
            for address in &here {
                let message = message(address.as_str(), &text).to_string();
                if let Err(error) = reactor.inject(&message) {
                    println!("not told: {error}");
                }
            }
        }
    }
}

fn message(to: &str, text: &str) -> Element {
    let body = Element::new("body", "jabber:client").with_text(text.to_owned());
    let message = Element::new("message", "jabber:client").with_attr("from", NEWS);
    message.with_attr("to", to.to_owned()).with_attr("type", "headline").with(body)
}

impl Handle {
    fn send(&mut self, wish: Wish) -> Result<(), Box<dyn Error>> {
        self.wishes.send(wish).map_err(|_| "the server has stopped")?;
        Ok(self.wake.write_all(b"!")?)
    }

    fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.send(Wish::Stop)?;
        Ok(self.thread.join().map_err(|_| "the server's thread has panicked")??)
    }
}

const LOGIN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
    <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>用户1</username><password>secret</password>\
    <resource>demo</resource></query></iq>";

/// A visitor may block here: the server is in another thread.
fn demo() -> Result<(), Box<dyn Error>> {
    let mut handle = start("127.0.0.1:0".parse()?)?;
    let mut visitor = TcpStream::connect(handle.address)?;
    visitor.write_all(LOGIN.as_bytes())?;
    hear(&mut visitor, "id='1'")?;
    handle.send(Wish::Tell("晚上有雨".into()))?;
    hear(&mut visitor, "</message>")?;
    handle.send(Wish::Stop)?;
    hear(&mut visitor, "</stream:stream>")?;
    drop(visitor);
    Ok(handle.thread.join().map_err(|_| "the server's thread has panicked")??)
}

fn hear(visitor: &mut TcpStream, end: &str) -> Result<(), Box<dyn Error>> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&heard).contains(end) {
        let read = visitor.read(&mut buffer)?;
        if read == 0 {
            return Err("the server has hung up".into());
        }
        heard.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    println!("S: {}", String::from_utf8_lossy(&heard));
    Ok(())
}
