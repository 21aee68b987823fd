//! Whatever a few users do, in whatever order: what each is shown stays true.
//!
//! Users come and go, ask for each other's presence, grant it, refuse it, give it up, block each other and no longer,
//! sort their rosters, end their accounts, at random but always the same for the same seed. Then each logs in once more
//! and looks:
//!
//! - one sees another exactly if the other's roster says so, and one waits for an answer exactly if the other is asked,
//!   unless that was while it was blocked;
//! - who has followed the pushes has the roster that is there, and its version;
//! - who is available has been told of exactly those who are there and may be seen, which the blocked may not;
//! - and once they go, everybody is told whom they had told that they came.
//!
//! A failure prints its seed; `LOQUAT_SEED=n cargo test --test properties` plays that one alone, and prints what is
//! said.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::collections::{BTreeMap, BTreeSet};

use loquat::xml::{Element, Item, Reader, XmlLimits};
use loquat::{Config, Now, Opening, Peer, Server, StreamId, Then};

const SEQUENCES: u64 = 2_000;
const STEPS: usize = 30;
const USERS: [&str; 4] = ["romeo", "juliet", "nurse", "tybalt"];
const RESOURCES: [&str; 2] = ["home", "phone"];
const KINDS: [&str; 4] = ["subscribe", "subscribed", "unsubscribe", "unsubscribed"];
const ROSTER: &str = "jabber:iq:roster";
const BLOCKING: &str = "urn:xmpp:blocking";

#[test]
fn whatever_happens() {
    match std::env::var("LOQUAT_SEED") {
        Ok(seed) => World::new(seed.parse().expect("a seed is a number"), true).play(),
        Err(_) => (1..=SEQUENCES).for_each(|seed| World::new(seed, false).play()),
    }
}

/// Xorshift: enough for dice.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.throw(from.len())]
    }
}

struct World {
    seed: u64,
    loud: bool,
    /// Whether presence is sent to somebody in particular, too; then it cannot be foreseen who has seen whom.
    directs: bool,
    dice: Dice,
    server: Server,
    clients: Vec<Client>,
    /// Who has blocked whom, and who ever had.
    blocks: BTreeSet<(&'static str, &'static str)>,
    blocked_once: BTreeSet<(&'static str, &'static str)>,
}

/// A connected client, and what it believes.
struct Client {
    user: &'static str,
    resource: &'static str,
    id: StreamId,
    reader: Reader,
    available: bool,
    interested: bool,
    /// The roster as the result and the pushes since then have it.
    roster: BTreeMap<String, String>,
    version: String,
    /// Who is available, as far as was said since it became available itself.
    seen: BTreeSet<String>,
    /// Who has asked since then.
    requests: BTreeSet<String>,
    ended: bool,
}

impl Client {
    fn address(&self) -> String {
        format!("{}@localhost/{}", self.user, self.resource)
    }

    fn take(&mut self, element: &Element) {
        let from = element.attr("from").unwrap_or_default().to_owned();
        match (element.name(), element.attr("type")) {
            ("iq", Some("result")) if element.attr("id") == Some("roster") => {
                self.roster.clear();
                self.take_items(element);
            }
            ("iq", Some("set")) => self.take_items(element),
            ("presence", None) => {
                self.seen.insert(from);
            }
            ("presence", Some("unavailable")) => {
                self.seen.remove(&from);
            }
            ("presence", Some("subscribe")) => {
                self.requests.insert(from);
            }
            _ => (),
        }
    }

    fn take_items(&mut self, iq: &Element) {
        let query = iq.child("query", ROSTER).expect("a roster");
        self.version = query.attr("ver").expect("a version").to_owned();
        for item in query.children() {
            let jid = item.attr("jid").unwrap().to_owned();
            match item.attr("subscription") {
                Some("remove") => self.roster.remove(&jid),
                _ => self.roster.insert(jid, item.to_string()),
            };
        }
    }

    fn says(&self, contact: &str, what: &str) -> bool {
        self.roster.get(contact).is_some_and(|item| item.contains(what))
    }

    fn sees(&self, contact: &str) -> bool {
        self.says(contact, "subscription='to'") || self.says(contact, "subscription='both'")
    }

    fn is_seen_by(&self, contact: &str) -> bool {
        self.says(contact, "subscription='from'") || self.says(contact, "subscription='both'")
    }
}

impl World {
    fn new(seed: u64, loud: bool) -> Self {
        let mut config = Config::new("localhost").unwrap();
        config.scram_iterations = 1;
        let mut next = 0u64;
        let random = move |bytes: &mut [u8]| {
            next += 1;
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&next.to_le_bytes()[..chunk.len()]));
            Ok(())
        };
        let mut server = Server::new(config, Box::new(random)).unwrap();
        for user in USERS {
            server.add_account(user, "secret").unwrap();
        }
        let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (blocks, blocked_once) = Default::default();
        Self { seed, loud, directs: seed % 2 == 0, dice, server, clients: Vec::new(), blocks, blocked_once }
    }

    fn play(mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.look();
        self.leave();
    }

    /// Something happens.
    fn step(&mut self) {
        let user = self.dice.pick(&USERS);
        let other = self.dice.pick(&USERS);
        if self.clients.is_empty() || self.dice.throw(8) == 0 {
            return self.come(user);
        }
        let client = self.dice.throw(self.clients.len());
        match self.dice.throw(if self.directs { 20 } else { 17 }) {
            0..=7 => {
                let kind = self.dice.pick(&KINDS);
                let to = self.dice.pick(&[other, other, other, "nobody"]);
                let resource = self.dice.pick(&["", "", "/home"]);
                self.say(client, &format!("<presence to='{to}@localhost{resource}' type='{kind}' id='1'/>"));
            }
            8 | 9 => {
                let name = self.dice.pick(&["", "name='A'", "name='B'"]);
                let groups = self.dice.pick(&["", "<group>G</group>", "<group>G</group><group>H</group>"]);
                self.set(client, &format!("<item jid='{other}@localhost' {name}>{groups}</item>"));
            }
            10 => self.set(client, &format!("<item jid='{other}@localhost' subscription='remove'/>")),
            11 => self.become_available(client),
            12 => self.become_unavailable(client),
            13 => self.go(client),
            14 => self.get_roster(client),
            15 if self.clients[client].available => {
                self.say(client, &format!("<presence to='{other}@localhost' type='probe'/>"));
            }
            // Whoever is not available and asks is told once, and not again.
            15 => (),
            16 => match self.dice.throw(4) {
                0 => self.end_account(client),
                1 => {
                    let (one, two) = (format!("{user}@localhost"), format!("{other}@localhost"));
                    let agreed = self.server.subscribe(user, other);
                    self.tell(format!("! {one} sees {two}: {agreed:?}"));
                    self.pump();
                }
                2 => self.block(client, other),
                _ => self.unblock(client),
            },
            _ => {
                let resource = self.dice.pick(&["", "/home", "/phone"]);
                let kind = self.dice.pick(&["", "", "type='unavailable'"]);
                let to = format!("{other}@localhost{resource}");
                self.say(client, &format!("<presence to='{to}' {kind}/>"));
                if !kind.is_empty() {
                    // Whoever says goodbye is told nothing more (RFC 6121 4.6.1).
                    self.clients[client].seen.retain(|seen| !seen.starts_with(&to));
                }
            }
        }
    }

    fn come(&mut self, user: &'static str) {
        let taken = |resource: &&&str| {
            !self.clients.iter().any(|client| client.user == user && client.resource == **resource)
        };
        let Some(resource) = RESOURCES.iter().find(taken) else { return };
        let client = self.connect(user, resource);
        if self.dice.throw(4) > 0 {
            self.get_roster(client);
        }
        if self.dice.throw(4) > 0 {
            self.become_available(client);
        }
    }

    fn connect(&mut self, user: &'static str, resource: &'static str) -> usize {
        let id = self.server.open(Opening::client(Peer::default()), Now::default()).unwrap();
        self.clients.push(Client {
            user,
            resource,
            id,
            reader: Reader::new(XmlLimits::NONE),
            available: false,
            interested: false,
            roster: BTreeMap::new(),
            version: String::new(),
            seen: BTreeSet::new(),
            requests: BTreeSet::new(),
            ended: false,
        });
        let client = self.clients.len() - 1;
        self.say(
            client,
            &format!(
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                 <iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{user}</username>\
                 <password>secret</password><resource>{resource}</resource></query></iq>"
            ),
        );
        client
    }

    fn get_roster(&mut self, client: usize) {
        self.clients[client].interested = true;
        self.say(client, &format!("<iq type='get' id='roster'><query xmlns='{ROSTER}'/></iq>"));
    }

    fn set(&mut self, client: usize, item: &str) {
        self.say(client, &format!("<iq type='set' id='set'><query xmlns='{ROSTER}'>{item}</query></iq>"));
    }

    fn become_available(&mut self, client: usize) {
        if !self.clients[client].available {
            self.clients[client].available = true;
            self.clients[client].seen.clear();
            self.clients[client].requests.clear();
        }
        self.say(client, "<presence/>");
    }

    fn become_unavailable(&mut self, client: usize) {
        self.say(client, "<presence type='unavailable'/>");
        self.clients[client].available = false;
        self.clients[client].seen.clear();
    }

    /// A client goes, politely or not.
    fn go(&mut self, client: usize) {
        let id = self.clients[client].id;
        if self.dice.throw(2) == 0 {
            self.say(client, "</stream:stream>");
        }
        self.tell(format!("{} goes", self.clients[client].address()));
        self.clients.remove(client);
        self.server.hung_up(id, Now::default());
        self.pump();
    }

    /// XEP-0191: whoever is blocked is out of sight for the one who does it, who need not be told so.
    fn block(&mut self, client: usize, other: &'static str) {
        let user = self.clients[client].user;
        if user == other {
            return;
        }
        self.say(client, &format!("<iq type='set' id='x'><block xmlns='{BLOCKING}'><item jid='{other}@localhost'/></block></iq>"));
        self.blocks.insert((user, other));
        self.blocked_once.insert((user, other));
        for client in self.clients.iter_mut().filter(|client| client.user == user) {
            client.seen.retain(|seen| !seen.starts_with(&format!("{other}@")));
        }
    }

    fn unblock(&mut self, client: usize) {
        let user = self.clients[client].user;
        self.say(client, &format!("<iq type='set' id='x'><unblock xmlns='{BLOCKING}'/></iq>"));
        self.blocks.retain(|(blocker, _)| *blocker != user);
    }

    fn are_parted(&self, one: &Client, two: &Client) -> bool {
        self.blocks.contains(&(one.user, two.user)) || self.blocks.contains(&(two.user, one.user))
    }

    /// An account ends, and somebody else takes its name.
    fn end_account(&mut self, client: usize) {
        let user = self.clients[client].user;
        self.say(client, "<iq type='set' id='x'><query xmlns='jabber:iq:register'><remove/></query></iq>");
        self.clients.retain(|client| client.user != user);
        self.blocks.retain(|(blocker, _)| *blocker != user);
        self.server.add_account(user, "secret").unwrap();
    }

    fn say(&mut self, client: usize, text: &str) {
        self.tell(format!("{} C: {text}", self.clients[client].address()));
        let id = self.clients[client].id;
        self.server.receive(id, text.as_bytes(), Now::default());
        self.pump();
    }

    /// Everybody hears what there is to hear.
    fn pump(&mut self) {
        let mut flush = self.server.flush(Now::default()).unwrap();
        let mut over = Vec::new();
        while let Some((id, outgoing)) = flush.next() {
            let (bytes, then) = (outgoing.bytes.to_vec(), outgoing.then);
            flush.sent(id, bytes.len());
            if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
                if self.loud {
                    println!("{} S: {}", client.address(), String::from_utf8_lossy(&bytes));
                }
                client.reader.push(&bytes);
                while let Some(item) = client.reader.next_item().unwrap() {
                    match item {
                        Item::Stanza(element) => client.take(&element),
                        Item::Close => client.ended = true,
                        Item::Header(_) => (),
                    }
                }
            }
            if then != Then::GoOn {
                over.push(id);
            }
        }
        drop(flush);
        if !over.is_empty() {
            over.into_iter().for_each(|id| self.server.hung_up(id, Now::default()));
            self.pump();
        }
    }

    fn tell(&self, what: String) {
        if self.loud {
            println!("{what}");
        }
    }

    fn hold(&self, is: bool, what: impl FnOnce() -> String) {
        assert!(is, "seed {}: {}", self.seed, what());
    }

    /// Each user logs in once more, and looks.
    fn look(&mut self) {
        let lookers: Vec<usize> = USERS
            .map(|user| {
                let client = self.connect(user, "looker");
                self.get_roster(client);
                self.become_available(client);
                client
            })
            .into();
        for &one in &lookers {
            for &two in &lookers {
                self.compare(&self.clients[one], &self.clients[two]);
            }
        }
        for client in &self.clients {
            let looker = lookers.iter().map(|looker| &self.clients[*looker]).find(|l| l.user == client.user);
            self.compare_views(client, looker.unwrap());
        }
    }

    /// What two users' rosters say of each other.
    fn compare(&self, one: &Client, two: &Client) {
        let (a, b) = (format!("{}@localhost", one.user), format!("{}@localhost", two.user));
        let rosters = || format!("{a} has {:?}, {b} has {:?}", one.roster, two.roster);
        self.hold(one.sees(&b) == two.is_seen_by(&a), rosters);
        let waits = one.says(&b, "ask='subscribe'");
        let was_blocked = self.blocked_once.contains(&(two.user, one.user));
        self.hold(was_blocked || waits == two.requests.contains(&a), || {
            format!("{}; {b} is asked by {:?}", rosters(), two.requests)
        });
        self.hold(!(waits && one.sees(&b)), rosters);
    }

    /// What a client believes, and what is so.
    fn compare_views(&self, client: &Client, looker: &Client) {
        self.hold(!client.ended, || format!("{} was thrown out", client.address()));
        if client.interested {
            self.hold(client.roster == looker.roster && client.version == looker.version, || {
                format!("{} has {:?}, not {:?}", client.address(), client.roster, looker.roster)
            });
        }
        if client.available && !self.directs {
            let may_see = |other: &&Client| {
                let sees = other.user == client.user || looker.sees(&format!("{}@localhost", other.user));
                sees && !self.are_parted(client, other)
            };
            let there: BTreeSet<String> = (self.clients.iter())
                .filter(|other| other.available)
                .filter(may_see)
                .map(Client::address)
                .collect();
            self.hold(client.seen == there, || {
                format!("{} sees {:?}, not {there:?}", client.address(), client.seen)
            });
        }
    }

    /// One after the other goes, and nobody believes that one is still there.
    fn leave(&mut self) {
        while !self.clients.is_empty() {
            let client = self.dice.throw(self.clients.len());
            self.go(client);
            let there: BTreeSet<String> = self.clients.iter().map(Client::address).collect();
            for client in &self.clients {
                self.hold(client.seen.is_subset(&there), || {
                    format!("{} still sees one of {:?}", client.address(), client.seen)
                });
            }
        }
    }
}
