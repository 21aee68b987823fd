//! Whoever is gone leaves nothing behind: ten thousand logins more cost no memory more.
//!
//! One test, since every allocation of the process counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // it is how a test fails

#[path = "support/scram.rs"]
#[allow(dead_code)] // transcripts need more of it
#[allow(unreachable_pub, clippy::expect_used, clippy::indexing_slicing)]
mod scram;

use std::alloc::System;
use std::time::Duration;

use loquat::{legacy_digest, Config, Now, Opening, Peer, Server, StreamId};
use stats_alloc::{StatsAlloc, INSTRUMENTED_SYSTEM};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

const HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
const SM: &str = "xmlns='urn:xmpp:sm:3'";

/// A server, and the time that it is told.
struct World {
    server: Server,
    now: Now,
}

impl World {
    fn new() -> Self {
        let mut config = Config::new("localhost").unwrap();
        config.scram_iterations = 1;
        config.limits.resumption_time = Duration::from_secs(3);
        // Nobody acknowledges anything here, so each login gets what the one before did not.
        config.limits.offline_messages = 3;
        let mut next = 0u64;
        let random = move |bytes: &mut [u8]| {
            next += 1;
            bytes.fill(0);
            bytes[..8].copy_from_slice(&next.to_le_bytes());
            Ok(())
        };
        let mut server = Server::new(config, Box::new(random)).unwrap();
        server.add_account("romeo", "secret").unwrap();
        Self { server, now: Now::default() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        let mut flush = self.server.flush(self.now).unwrap();
        while flush.next().is_some() {}
    }

    fn open(&mut self) -> StreamId {
        self.server.open(Opening::client(Peer::default()), self.now).unwrap()
    }

    /// Says something, and gives what comes back.
    fn say(&mut self, id: StreamId, text: &str) -> String {
        self.server.receive(id, text.as_bytes(), self.now);
        let mut flush = self.server.flush(self.now).unwrap();
        while flush.next().is_some() {}
        let answer = String::from_utf8(flush.outgoing(id).bytes.to_vec()).unwrap();
        flush.sent(id, answer.len());
        answer
    }

    fn log_in_by_digest(&mut self, id: StreamId, resource: usize) {
        let header = self.say(id, HEADER);
        let digest = legacy_digest(between(&header, " id='", "'"), "secret");
        let fields =
            format!("<username>romeo</username><digest>{digest}</digest><resource>{resource}</resource>");
        let answer = self
            .say(id, &format!("<iq type='set' id='1'><query xmlns='jabber:iq:auth'>{fields}</query></iq>"));
        assert!(answer.contains("type='result'"), "{answer}");
    }

    fn log_in_by_plain(&mut self, id: StreamId, resource: usize) {
        self.prove(id);
        self.bind(id, resource);
    }

    fn prove(&mut self, id: StreamId) {
        self.say(id, HEADER);
        let message = scram::base64("\0romeo\0secret");
        let answer = self.say(id, &format!("<auth {SASL} mechanism='PLAIN'>{message}</auth>"));
        assert!(answer.contains("<success"), "{answer}");
    }

    fn log_in_by_scram(&mut self, id: StreamId, resource: usize) {
        self.say(id, HEADER);
        let first = scram::first("n,,n=romeo");
        let challenge = self.say(id, &format!("<auth {SASL} mechanism='SCRAM-SHA-1'>{first}</auth>"));
        let last = scram::last(between(&challenge, ">", "<"), "n,,n=romeo", "secret", None).unwrap();
        let answer = self.say(id, &format!("<response {SASL}>{last}</response>"));
        assert!(answer.contains("<success"), "{answer}");
        self.bind(id, resource);
    }

    fn bind(&mut self, id: StreamId, resource: usize) {
        let bind =
            format!("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>");
        let answer = self.say(id, &format!("{HEADER}<iq type='set' id='1'>{bind}</iq>"));
        assert!(answer.contains("<jid>"), "{answer}");
    }

    /// All that makes a server keep something for a client. Gives the name of the stream.
    fn live(&mut self, id: StreamId) -> String {
        let enabled = self.say(id, &format!("<enable {SM} resume='true'/>"));
        assert!(enabled.contains("<enabled"), "{enabled}");
        self.say(id, "<presence/><inactive xmlns='urn:xmpp:csi:0'/>");
        self.say(id, "<presence to='romeo@localhost'><show>away</show></presence>");
        // Of a kind that is not kept for one who is not there.
        self.say(id, "<message to='romeo@localhost' type='headline'><body>hello</body></message>");
        self.say(
            id,
            "<message to='nobody@localhost'/><iq type='get' id='2' to='localhost'><x xmlns='x'/></iq>",
        );
        between(&enabled, " id='", "'").to_owned()
    }

    /// Three logins, one in each way, each to its orderly end.
    fn come_and_go(&mut self, n: usize) {
        for log_in in [World::log_in_by_digest, World::log_in_by_plain, World::log_in_by_scram] {
            let id = self.open();
            log_in(self, id, n);
            self.live(id);
            let answer = self.say(id, "</stream:stream>");
            assert!(answer.ends_with("</stream:stream>"), "{answer}");
            self.server.hung_up(id, self.now);
        }
    }

    /// A login whose connection is lost, comes back, and is lost for good; and one that fails.
    fn come_to_grief(&mut self, n: usize) {
        let lost = self.open();
        self.log_in_by_plain(lost, n);
        let previd = self.live(lost);
        self.server.hung_up(lost, self.now);
        let again = self.open();
        self.prove(again);
        let answer = self.say(again, &format!("{HEADER}<resume {SM} previd='{previd}' h='0'/>"));
        assert!(answer.contains("<resumed") && answer.contains("hello"), "{answer}");
        self.server.hung_up(again, self.now);
        let failing = self.open();
        let wrong = scram::base64("\0romeo\0wrong");
        self.say(failing, &format!("{HEADER}<auth {SASL} mechanism='PLAIN'>{wrong}</auth>"));
        self.server.hung_up(failing, self.now);
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0
}

/// What may be different: a buffer here, a digit there.
const SLACK: usize = 4_096;

/// Five connections a second, and then rest.
fn live_after(world: &mut World, rounds: std::ops::Range<usize>) -> usize {
    for n in rounds {
        world.come_and_go(n);
        world.come_to_grief(n);
        world.pass(1);
    }
    world.pass(3_600);
    world.pass(3_600);
    live_bytes()
}

/// All at once, while somebody else stays.
fn live_in_storm(world: &mut World, rounds: std::ops::Range<usize>) -> usize {
    rounds.for_each(|n| world.come_and_go(n));
    world.pass(0);
    live_bytes()
}

#[test]
fn whoever_is_gone_leaves_nothing_behind() {
    // Five connections a round. With LOQUAT_LONG, and best with --release, there are more than ten thousand.
    let scale = if std::env::var_os("LOQUAT_LONG").is_some() { 10 } else { 1 };
    let mut world = World::new();
    let before = live_after(&mut world, 0..20 * scale);
    let after = live_after(&mut world, 20 * scale..220 * scale);
    assert!(
        after < before + SLACK,
        "{before} bytes after {} connections, {after} after {}",
        100 * scale,
        1_100 * scale
    );

    let resident = world.open();
    world.log_in_by_plain(resident, 1_000_000);
    let before = live_in_storm(&mut world, 0..40 * scale);
    let after = live_in_storm(&mut world, 40 * scale..240 * scale);
    assert!(after < before + SLACK, "{before} bytes after a storm, {after} after a longer one");
}
