//! The core alone: two people chat inside one process, without a socket, and time passes when we say so.
//!
//! ```text
//! cargo run --example in_memory
//! ```
//!
//! `Server` takes bytes and the time and gives bytes back. Whoever has another way to carry bytes (a serial line, a
//! pipe, a test) does for it what `Room` does here, and has an XMPP server. Left out on purpose: everything that a
//! `Reactor` would do.

#![allow(clippy::print_stdout)] // to show what each one gets is what it is for

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use loquat::{Config, Now, Opening, Peer, Server, StreamId, Then};

const HEADER: &str = "<stream:stream to='localhost' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

fn main() -> Result<(), Box<dyn Error>> {
    let mut urandom = File::open("/dev/urandom")?;
    let mut server =
        Server::new(Config::new("localhost")?, Box::new(move |bytes| urandom.read_exact(bytes)))?;
    server.add_account("罗密欧", "secret")?;
    server.add_account("朱丽叶", "secret")?;
    // Each sees whether the other is there.
    server.subscribe("罗密欧", "朱丽叶")?;
    server.subscribe("朱丽叶", "罗密欧")?;

    let mut room = Room { server, names: HashMap::new(), now: Now::default() };
    let romeo = room.enter("罗密欧")?;
    let juliet = room.enter("朱丽叶")?;
    room.say(romeo, "<message to='朱丽叶@localhost' type='chat'><body>你好！</body></message>")?;
    room.say(juliet, "<message to='罗密欧@localhost' type='chat'><body>是你吗，罗密欧？</body></message>")?;
    room.say(romeo, "</stream:stream>")?;
    // What is said to one who is not there waits.
    room.say(juliet, "<message to='罗密欧@localhost' type='chat'><body>你在哪儿？</body></message>")?;
    room.enter("罗密欧")?;

    // One who comes and says nothing is shown the door after a minute, which is over at once.
    room.open("somebody")?;
    room.wait(Duration::from_secs(60))?;
    Ok(())
}

/// What a host is to a server: it carries bytes, and has a clock.
struct Room {
    server: Server,
    /// Whose each stream is.
    names: HashMap<StreamId, &'static str>,
    now: Now,
}

impl Room {
    /// Connects somebody and logs them in.
    fn enter(&mut self, name: &'static str) -> Result<StreamId, Box<dyn Error>> {
        let id = self.open(name)?;
        self.say(id, HEADER)?;
        self.say(
            id,
            &format!(
                "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
                 <password>secret</password><resource>home</resource></query></iq>"
            ),
        )?;
        self.say(id, "<presence/>")?;
        Ok(id)
    }

    fn open(&mut self, name: &'static str) -> Result<StreamId, Box<dyn Error>> {
        let id =
            self.server.open(Opening::client(Peer::default()), self.now).ok_or("there are too many here")?;
        self.names.insert(id, name);
        Ok(id)
    }

    /// The way in. It may come in pieces of any size; a whole stanza is acted upon before the call returns.
    fn say(&mut self, id: StreamId, text: &str) -> io::Result<()> {
        println!("{} C: {text}", self.name(id));
        self.server.receive(id, text.as_bytes(), self.now);
        self.deliver()
    }

    /// Lets time pass. A host with a clock asks `next_deadline` when to come again.
    fn wait(&mut self, time: Duration) -> io::Result<()> {
        println!("({} s pass)", time.as_secs());
        self.now.monotonic += time;
        self.deliver()
    }

    /// The way out: whoever has something waiting gets it, and whose stream has ended is let go.
    fn deliver(&mut self) -> io::Result<()> {
        let Self { server, names, now } = self;
        let mut over = Vec::new();
        let mut flush = server.flush(*now)?;
        while let Some((id, outgoing)) = flush.next() {
            let (sent, then) = (outgoing.bytes.len(), outgoing.then);
            let name = names.get(&id).copied().unwrap_or_default();
            println!("{name} S: {}", String::from_utf8_lossy(outgoing.bytes));
            flush.sent(id, sent);
            if then != Then::GoOn {
                over.push(id);
            }
        }
        drop(flush);
        over.into_iter().for_each(|id| server.hung_up(id, *now));
        Ok(())
    }

    fn name(&self, id: StreamId) -> &'static str {
        self.names.get(&id).copied().unwrap_or_default()
    }
}
