//! How often memory is asked for where it counts: for each message, for each who is told of a presence, and for each
//! who is logged in.
//!
//! The parser allocates for what it reads, so a message is held to what the bare parser needs for the same bytes and a
//! few more. A clone that creeps in breaks that. When a figure here can be lowered, lower it.
//! Left out on purpose: time; `benches` has it.

#![allow(clippy::expect_used)] // it is how a test fails

#[path = "support/bare.rs"]
mod bare;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/room.rs"]
mod room;

use bare::{Bare, SEED, SMALL};
use counting::{allocations, live_bytes, Counting};
use loquat::StreamId;
use room::{Room, Visit};

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often until every buffer has its size.
const WARM_UP: usize = 100;

fn of_the_bare_parser(stanza: &str) -> usize {
    let mut bare = Bare::new();
    for _ in 0..WARM_UP {
        bare.read(stanza.as_bytes());
    }
    allocations(|| bare.read(stanza.as_bytes()))
}

/// From one who is logged in to another, by full address.
fn of_a_message(stanza: &str) -> usize {
    let mut room = Room::new();
    let from = room.enter("u0");
    room.enter("u1");
    let mut send = || {
        room.say(from, stanza);
        assert!(room.deliver() > stanza.len(), "it arrives, with a `from`");
    };
    (0..WARM_UP).for_each(|_| send());
    allocations(send)
}

/// What a server adds to the parser: a tree's lists of children, a `from`, an address.
#[test]
fn a_message_costs_little_more_than_to_parse_it() {
    for (stanza, more) in [(SMALL, 6), (SEED, 16)] {
        let (bare, whole) = (of_the_bare_parser(stanza), of_a_message(stanza));
        assert!(whole <= bare + more, "{whole} allocations; the bare parser has {bare}: {stanza}");
    }
}

/// Somebody who has so many contacts, all of whom are there.
fn with_contacts(contacts: usize) -> (Room, StreamId) {
    let mut room = Room::new();
    let from = room.enter("u0");
    for i in 1..=contacts {
        let name = format!("u{i}");
        room.enter(&name);
        room.server.subscribe(&name, "u0").expect("both have an account");
    }
    (room, from)
}

/// A presence that all contacts are told of.
fn of_a_presence(contacts: usize) -> usize {
    let (mut room, from) = with_contacts(contacts);
    let mut change = || {
        room.say(from, "<presence><show>away</show></presence>");
        assert!(room.deliver() > contacts * 40, "all are told");
    };
    (0..WARM_UP).for_each(|_| change());
    allocations(change)
}

/// It is written once, into buffers that were used before. More streams than there are such buffers grow new ones.
#[test]
fn a_presence_costs_the_same_for_one_and_for_many() {
    assert_eq!(of_a_presence(1), of_a_presence(10));
    let (few, many, growing) = (of_a_presence(10), of_a_presence(200), 4);
    assert!(many <= few + 190 * growing, "{many} allocations for 200 contacts, {few} for 10");
}

/// Connected, with a roster and presence, as most are most of the time.
#[test]
fn a_session_is_small_while_nothing_happens() {
    const SESSIONS: usize = 1_000;
    const BYTES: usize = 5_400;
    let mut room = Room::new();
    let visits: Vec<Visit> = (0..SESSIONS).map(|i| room.invite(&format!("user{i}"))).collect();
    let before = live_bytes();
    for visit in &visits {
        room.begin(visit);
    }
    let each = live_bytes().abs_diff(before) / SESSIONS;
    assert!(each <= BYTES, "{each} bytes for each session");
}

#[test]
fn whoever_has_left_leaves_nothing_behind() {
    let mut room = Room::new();
    let visit = room.invite("u0");
    let mut come_and_go = |times| {
        for _ in 0..times {
            let id = room.begin(&visit);
            room.end(id);
            room.turn();
        }
    };
    come_and_go(WARM_UP);
    let before = live_bytes();
    come_and_go(WARM_UP);
    assert_eq!(live_bytes(), before);
}
