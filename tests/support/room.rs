//! A server in memory and people in it, who take what they are sent and forget it.
//!
//! Nothing here is unpredictable, so that a login that was played once can be played again, byte by byte.
//! Left out on purpose: whether what they are sent is right; the transcripts see to that.

// Who includes this uses a part of it, and a panic is how a measurement fails.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::time::Duration;

use loquat::{legacy_digest, Config, Now, Opening, Peer, RandomSource, Server, StreamId, Then};

use super::bare::HEADER;

pub(crate) const PASSWORD: &str = "password";

/// What a turn of a loop takes, as far as the server's clock is concerned.
const TURN: Duration = Duration::from_millis(1);

/// A server, and the time.
pub(crate) struct Room {
    pub(crate) server: Server,
    now: Now,
}

/// What somebody says to come in, packet by packet, and to leave.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) packets: Vec<String>,
}

impl Room {
    /// An empty server. Keys are derived in one round, so that accounts cost nothing.
    pub(crate) fn new() -> Self {
        Self::with(config(1))
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::of(Server::new(config, no_random()).expect("zeroes do not run out"))
    }

    pub(crate) fn of(server: Server) -> Self {
        Self { server, now: Now::default() }
    }

    pub(crate) fn add_account(&mut self, name: &str) {
        self.server.add_account(name, PASSWORD).expect("nobody has the name");
    }

    /// An account and its only connection, at `name@localhost/x`.
    pub(crate) fn enter(&mut self, name: &str) -> StreamId {
        let visit = self.invite(name);
        self.begin(&visit)
    }

    /// An account, and how its owner comes in: by the digest of `jabber:iq:auth`, and then with roster and presence.
    pub(crate) fn invite(&mut self, name: &str) -> Visit {
        self.add_account(name);
        let id = self.connect();
        let greeting = self.ask(id, HEADER);
        self.hang_up(id);
        let stream_id = between(&greeting, " id='", "'");
        let get = format!(
            "<iq type='get' id='1'><query xmlns='jabber:iq:auth'><username>{name}</username></query></iq>"
        );
        let set = format!(
            "<iq type='set' id='2'><query xmlns='jabber:iq:auth'><username>{name}</username><digest>{}</digest>\
             <resource>x</resource></query></iq>",
            legacy_digest(stream_id, PASSWORD)
        );
        Visit { packets: vec![HEADER.into(), get, set, ONLINE.into()] }
    }

    /// Somebody comes in.
    pub(crate) fn begin(&mut self, visit: &Visit) -> StreamId {
        let id = self.connect();
        for packet in &visit.packets {
            self.say(id, packet);
            self.deliver();
        }
        id
    }

    /// Somebody leaves.
    pub(crate) fn end(&mut self, id: StreamId) {
        self.say(id, "</stream:stream>");
        self.deliver();
    }

    pub(crate) fn connect(&mut self) -> StreamId {
        self.server.open(Opening::client(Peer::default()), self.now).expect("there is room")
    }

    fn hang_up(&mut self, id: StreamId) {
        self.server.hung_up(id, self.now);
        self.deliver();
    }

    pub(crate) fn say(&mut self, id: StreamId, text: &str) {
        self.server.receive(id, text.as_bytes(), self.now);
    }

    /// All that waits is taken; gives how many bytes.
    pub(crate) fn deliver(&mut self) -> usize {
        let (mut all, mut over) = (0, Vec::new());
        loop {
            let mut flush = self.server.flush(self.now).expect("the disk works");
            while let Some((id, outgoing)) = flush.next() {
                let (bytes, then) = (black_box(outgoing.bytes).len(), outgoing.then);
                all += bytes;
                flush.sent(id, bytes);
                if then != Then::GoOn {
                    over.push(id);
                }
            }
            drop(flush);
            if over.is_empty() {
                return all;
            }
            over.drain(..).for_each(|id| self.server.hung_up(id, self.now));
        }
    }

    /// What the server says to `text`, on that stream.
    pub(crate) fn ask(&mut self, id: StreamId, text: &str) -> String {
        self.say(id, text);
        let flush = self.server.flush(self.now).expect("the disk works");
        let answer = String::from_utf8_lossy(flush.outgoing(id).bytes).into_owned();
        drop(flush);
        self.deliver();
        answer
    }

    /// What a loop does at each turn beside moving bytes.
    pub(crate) fn turn(&mut self) {
        self.now.monotonic += TURN;
        drop(self.server.flush(self.now).expect("the disk works"));
    }
}

/// What one who is logged in says first.
pub(crate) const ONLINE: &str =
    "<iq type='get' id='3'><query xmlns='jabber:iq:roster'/></iq><presence><status>here</status></presence>";

/// `localhost`, with room for a crowd.
pub(crate) fn config(scram_iterations: u32) -> Config {
    let mut config = Config::new("localhost").expect("that is a name");
    config.scram_iterations = scram_iterations;
    config.ping_interval = None;
    config
}

/// Zeroes, so that each login is like the one before.
pub(crate) fn no_random() -> RandomSource {
    Box::new(|bytes| {
        bytes.fill(0);
        Ok(())
    })
}

/// The text behind `before` and in front of `behind`.
pub(crate) fn between<'t>(text: &'t str, before: &str, behind: &str) -> &'t str {
    let rest = text.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(behind)).map(|(found, _)| found);
    found.unwrap_or_else(|| panic!("{before} is not in {text}"))
}
