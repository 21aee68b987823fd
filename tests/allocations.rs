//! How often memory is asked for where it counts: for each message, for each who is told of a presence, and for each
//! who is logged in.
//!
//! The parser allocates for what it reads, so a message is held to what the bare parser needs for the same bytes and a
//! few more. A clone that creeps in breaks that. When a figure here can be lowered, lower it.
//! Left out on purpose: time (`benches` has it), and what is left behind (`memory.rs`).

#![allow(clippy::expect_used)] // it is how a test fails

#[path = "support/bare.rs"]
mod bare;
#[path = "support/room.rs"]
mod room;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bare::{Bare, SEED, SMALL};
use loquat::StreamId;
use room::{Room, Visit};
use stats_alloc::{StatsAlloc, INSTRUMENTED_SYSTEM};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Every allocation of the process counts, so the tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often memory is asked for by `work` once every buffer has its size; growing a block counts. What the runner of
/// tests does meanwhile it does not do each time.
fn allocations(mut work: impl FnMut()) -> usize {
    let once = |_| {
        let before = ALLOCATOR.stats();
        work();
        let after = ALLOCATOR.stats();
        after.allocations + after.reallocations - before.allocations - before.reallocations
    };
    (0..100).map(once).skip(50).min().unwrap_or_default()
}

fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn of_the_bare_parser(stanza: &str) -> usize {
    let mut bare = Bare::new();
    allocations(|| assert!(bare.read(stanza.as_bytes()) > 0))
}

/// From one who is logged in to another, by full address.
fn of_a_message(stanza: &str) -> usize {
    let mut room = Room::new();
    let from = room.enter("u0");
    room.enter("u1");
    allocations(|| {
        room.say(from, stanza);
        assert!(room.deliver() > stanza.len(), "it arrives, with a `from`");
    })
}

/// What a server adds to the parser: a tree's lists of children, a `from`, an address.
#[test]
fn a_message_costs_little_more_than_to_parse_it() {
    let _turn = alone();
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
    allocations(|| {
        room.say(from, "<presence><show>away</show></presence>");
        assert!(room.deliver() > contacts * 40, "all are told");
    })
}

/// It is written once, into buffers that were used before. More streams than there are such buffers grow new ones.
#[test]
fn a_presence_costs_the_same_for_one_and_for_many() {
    let _turn = alone();
    assert_eq!(of_a_presence(1), of_a_presence(10));
    let (few, many, growing) = (of_a_presence(10), of_a_presence(200), 4);
    assert!(many <= few + 190 * growing, "{many} allocations for 200 contacts, {few} for 10");
}

/// Bytes that each of so many more holds, when as many are there already.
fn of_a_session(sessions: usize) -> usize {
    let mut room = Room::new();
    let visits: Vec<Visit> = (0..2 * sessions).map(|i| room.invite(&format!("user{i}"))).collect();
    let (first, more) = visits.split_at(sessions);
    for visit in first {
        room.begin(visit);
    }
    let before = live_bytes();
    for visit in more {
        room.begin(visit);
    }
    live_bytes().abs_diff(before) / sessions
}

/// Connected, with a roster and presence, as most are most of the time. Those who were heard last have a parser at hand
/// (`Limits::parsers`), all others do without.
#[test]
fn a_session_is_small_while_nothing_happens() {
    let _turn = alone();
    for (sessions, most) in [(512, 5_400), (2_048, 2_000)] {
        let bytes = of_a_session(sessions);
        assert!(bytes <= most, "{bytes} bytes for each of {sessions} sessions beside as many");
    }
}
