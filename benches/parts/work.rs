//! The parts, each a piece of work that can be done again and again.
//!
//! Read first: [`PARTS`]. Preparing a part makes what it works on: a parser, a server with people in it.

// A panic is how a measurement fails.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::path::PathBuf;

use loquat::xml::{self, Element, Item, Reader, XmlLimits};
use loquat::{Durability, Folder, Server, Storage};

use crate::bare::{Bare, HEADER, SEED, SMALL};
use crate::room::{between, config, no_random, Room, Visit, ONLINE, PASSWORD};
use crate::scram;

const CLIENT: &str = "jabber:client";

/// Contacts of one whose presence changes.
const CONTACTS: u32 = 200;
/// Others who are online while two chat.
const CROWD: u32 = 100_000;
/// Contacts of two who chat.
const MANY_CONTACTS: u32 = 1_000;
/// Other accounts beside the one whose roster changes.
const MANY_ACCOUNTS: u32 = 100_000;
/// Rounds of key derivation, as by default.
const ITERATIONS: u32 = 4_096;

/// A part of what the server does.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// The part that is the bare parser on the same bytes.
    pub(crate) beside: Option<&'static str>,
    /// How many of what is counted are done at a time.
    pub(crate) each: u32,
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
}

pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "bare-small",
        what: "the bare parser, a small message (196 B)",
        beside: Some("bare-small"),
        each: 1,
        prepare: || bare(SMALL),
    },
    Part {
        name: "parse-small",
        what: "feed and parse to a tree, small",
        beside: Some("bare-small"),
        each: 1,
        prepare: || parse(SMALL),
    },
    Part {
        name: "write-small",
        what: "serialise a tree, small",
        beside: Some("bare-small"),
        each: 1,
        prepare: || write(SMALL),
    },
    Part {
        name: "route-small",
        what: "a message from one to another, bytes to bytes, small",
        beside: Some("bare-small"),
        each: 1,
        prepare: || route(SMALL, |_| ()),
    },
    Part {
        name: "crowd-small",
        what: "the same with 100,000 others online",
        beside: Some("bare-small"),
        each: 1,
        prepare: || route(SMALL, crowd),
    },
    Part {
        name: "contacts-small",
        what: "the same between two who have 1,000 contacts each",
        beside: Some("bare-small"),
        each: 1,
        prepare: || route(SMALL, contacts),
    },
    Part {
        name: "bare-seed",
        what: "the bare parser, a message with an extension (559 B)",
        beside: Some("bare-seed"),
        each: 1,
        prepare: || bare(SEED),
    },
    Part {
        name: "parse-seed",
        what: "feed and parse to a tree, with an extension",
        beside: Some("bare-seed"),
        each: 1,
        prepare: || parse(SEED),
    },
    Part {
        name: "write-seed",
        what: "serialise a tree, with an extension",
        beside: Some("bare-seed"),
        each: 1,
        prepare: || write(SEED),
    },
    Part {
        name: "route-seed",
        what: "a message from one to another, with an extension",
        beside: Some("bare-seed"),
        each: 1,
        prepare: || route(SEED, |_| ()),
    },
    Part {
        name: "presence",
        what: "presence to 200 contacts, each",
        beside: None,
        each: CONTACTS,
        prepare: presence,
    },
    Part {
        name: "bare-login",
        what: "the bare parser, what a digest login says",
        beside: Some("bare-login"),
        each: 1,
        prepare: bare_login,
    },
    Part {
        name: "login-digest",
        what: "a login by digest with roster and presence, and its end",
        beside: Some("bare-login"),
        each: 1,
        prepare: login_by_digest,
    },
    Part {
        name: "login-scram",
        what: "a login by SCRAM-SHA-1 with roster and presence, and its end",
        beside: None,
        each: 1,
        prepare: login_by_scram,
    },
    Part {
        name: "derive",
        what: "an account, all of it key derivation in 4,096 rounds",
        beside: None,
        each: 1,
        prepare: derive,
    },
    Part {
        name: "subscribe",
        what: "a subscription changed, in memory",
        beside: None,
        each: 1,
        prepare: || subscribe(Room::new(), None),
    },
    Part {
        name: "subscribe-many",
        what: "the same beside 100,000 accounts",
        beside: None,
        each: 1,
        prepare: || subscribe(with_accounts(), None),
    },
    Part {
        name: "journal",
        what: "the same, with the journal appended to (not synced)",
        beside: None,
        each: 1,
        prepare: journal,
    },
];

fn bare(stanza: &'static str) -> Box<dyn FnMut()> {
    let mut bare = Bare::new();
    Box::new(move || {
        black_box(bare.read(stanza.as_bytes()));
    })
}

fn parse(stanza: &'static str) -> Box<dyn FnMut()> {
    let mut reader = Reader::new(XmlLimits::default());
    reader.push(HEADER.as_bytes());
    assert!(matches!(reader.next_item(), Ok(Some(Item::Header(_)))));
    Box::new(move || {
        reader.push(stanza.as_bytes());
        while let Some(item) = reader.next_item().expect("it is a stanza") {
            black_box(item);
        }
    })
}

fn write(stanza: &'static str) -> Box<dyn FnMut()> {
    let element: Element = Reader::read_one(stanza, CLIENT, XmlLimits::default()).expect("it is a stanza");
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        xml::write(black_box(&element), CLIENT, &mut out);
        black_box(&out);
    })
}

/// From `u0` to `u1`, beside whatever else is in the room.
fn route(stanza: &'static str, furnish: fn(&mut Room)) -> Box<dyn FnMut()> {
    let mut config = config(1);
    config.limits.connections = 2 * CROWD as usize;
    let mut room = Room::with(config);
    let from = room.enter("u0");
    room.enter("u1");
    furnish(&mut room);
    room.say(from, stanza);
    assert!(room.deliver() > stanza.len(), "it arrives, with a `from`");
    Box::new(move || {
        room.say(from, stanza);
        black_box(room.deliver());
    })
}

/// Others who are online.
fn crowd(room: &mut Room) {
    for i in 0..CROWD {
        room.enter(&format!("other{i}"));
    }
}

/// Contacts of `u0` and `u1` alike.
fn contacts(room: &mut Room) {
    for name in (0..MANY_CONTACTS).map(|i| format!("contact{i}")) {
        room.add_account(&name);
        for owner in ["u0", "u1"] {
            room.server.subscribe(owner, &name).expect("both have an account");
            room.server.subscribe(&name, owner).expect("both have an account");
        }
    }
}

fn with_accounts() -> Room {
    let mut room = Room::new();
    for i in 0..MANY_ACCOUNTS {
        room.add_account(&format!("other{i}"));
    }
    room
}

/// One who is away and back, and whose contacts are told.
fn presence() -> Box<dyn FnMut()> {
    let mut room = Room::new();
    let from = room.enter("u0");
    for i in 1..=CONTACTS {
        let name = format!("u{i}");
        room.enter(&name);
        room.server.subscribe(&name, "u0").expect("both have an account");
    }
    let mut shows = ["away", "dnd"].map(|show| format!("<presence><show>{show}</show></presence>"));
    room.deliver();
    Box::new(move || {
        shows.rotate_left(1);
        room.say(from, &shows[0]);
        black_box(room.deliver());
    })
}

/// One who comes and leaves, always the same.
fn visitor() -> (Room, Visit) {
    let mut room = Room::new();
    let visit = room.invite("u0");
    (room, visit)
}

fn bare_login() -> Box<dyn FnMut()> {
    let (_, visit) = visitor();
    let said = visit.packets[1..].concat();
    let mut bare = Bare::new();
    Box::new(move || {
        black_box(bare.read(said.as_bytes()));
    })
}

fn login_by_digest() -> Box<dyn FnMut()> {
    let (room, visit) = visitor();
    come_and_go(room, visit)
}

/// What the client derives and proves is the same each time, so it was done before.
fn login_by_scram() -> Box<dyn FnMut()> {
    const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    const HEAD: &str = "n,,n=u0";
    let mut room = Room::new();
    room.add_account("u0");
    let header = HEADER.replace('>', " version='1.0'>");
    let auth = format!("<auth {SASL} mechanism='SCRAM-SHA-1'>{}</auth>", scram::first(HEAD));
    let id = room.connect();
    room.ask(id, &header);
    let challenge = room.ask(id, &auth);
    let proof = scram::last(between(&challenge, ">", "<"), HEAD, PASSWORD, None).expect("it is a challenge");
    let response = format!("<response {SASL}>{proof}</response>");
    let answer = room.ask(id, &response);
    assert!(answer.contains("<success"), "{answer}");
    room.end(id);
    let bind = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>";
    let packets = vec![header.clone(), auth, response, header, bind.into(), ONLINE.into()];
    come_and_go(room, Visit { packets })
}

fn come_and_go(mut room: Room, visit: Visit) -> Box<dyn FnMut()> {
    let id = room.begin(&visit);
    let answer = room.ask(id, "<presence to='u0@localhost/x'/>");
    assert!(answer.contains("from='u0@localhost/x'"), "one who is logged in hears itself: {answer}");
    room.end(id);
    Box::new(move || {
        let id = room.begin(&visit);
        room.end(id);
        room.turn();
    })
}

fn derive() -> Box<dyn FnMut()> {
    let mut room = Room::with(config(ITERATIONS));
    let mut made = 0;
    Box::new(move || {
        made += 1;
        room.add_account(&format!("u{made}"));
    })
}

/// Subscriptions are changed by the host.
fn subscribe(mut room: Room, folder: Option<Temporary>) -> Box<dyn FnMut()> {
    for i in 0..=CONTACTS {
        room.add_account(&format!("u{i}"));
    }
    let mut next = 0;
    Box::new(move || {
        let _in_use = &folder;
        next = next % CONTACTS + 1;
        room.server.subscribe("u0", &format!("u{next}")).expect("both have an account");
        room.turn();
    })
}

/// The same on a server with a journal, which the system writes when it likes.
fn journal() -> Box<dyn FnMut()> {
    let temporary = Temporary::new();
    let folder = Folder::open(&temporary.0).expect("there is room for temporary files");
    let config = config(1);
    let storage = Storage::new(folder, config.domain(), Durability::Never);
    let server = Server::open_storage(config, no_random(), storage).expect("the folder is empty");
    subscribe(Room::of(server), Some(temporary))
}

/// A folder of ours that goes with us.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("loquat-bench-{}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is in the folder for what may be lost.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
