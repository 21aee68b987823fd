//! Sessions gone wrong: what clients of the transcripts do, changed at random, in a server with bystanders.
//!
//! Whatever they do: nothing panics, everybody gets well-formed streams and no more than fits into an outbox, the
//! bystanders go on chatting, and nothing is left of those who are gone. Each run has a number, from which everything
//! in it follows. A failure names it; `LOQUAT_SEED=number` repeats that run alone and shows what was sent,
//! `LOQUAT_RUNS=1000000` makes as many. Read first: [`crowd`], [`change`]. Left out on purpose: guidance by coverage;
//! `fuzz/` has that.

// A panic is how a test fails, and a module of tests has no outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, unreachable_pub)]

mod bystanders;
mod change;
mod crowd;
mod random;
mod recording;
mod seeds;
mod session;
#[path = "../support/strict.rs"]
mod strict;
#[allow(dead_code)] // each test uses its part of it
#[path = "../support/mod.rs"]
mod support;
mod written;

use std::panic::{catch_unwind, AssertUnwindSafe};

use loquat::{Limits, Opening, Peer};

use crowd::{Crowd, Deed};
use random::Random;
use recording::Recording;
use session::{sessions, Session, SCRAM_ITERATIONS};
use support::player::{config, play};
use written::Piece;

/// Runs of a plain `cargo test`.
const RUNS: u64 = 1_000;
/// Changes to a session.
const CHANGES: usize = 6;
/// Bytes that may wait for a client: little, so that some have too many.
const OUTBOX: usize = 20_000;
/// Connections at a time, bystanders included.
const CONNECTIONS: usize = 9;

#[test]
fn whatever_clients_do_the_others_go_on() {
    let sessions = sessions();
    let seeds = match (setting("LOQUAT_SEED"), setting("LOQUAT_RUNS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, runs) => 0..runs.unwrap_or(RUNS),
    };
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&sessions, seed)));
        let fault = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(_) => "it panicked; see above".into(),
        };
        panic!("{fault}\nrepeat with LOQUAT_SEED={seed} cargo test --test mutations -- --nocapture");
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// One run: everything in it follows from `seed`.
fn run(sessions: &[Session], seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let session = random.pick(sessions);
    let others = &random.pick(sessions).deeds;
    let mut deeds = session.deeds.clone();
    for _ in 0..random.below(CHANGES + 1) {
        change::change(&mut deeds, others, &mut random);
    }
    if setting("LOQUAT_SEED").is_some() {
        show(&session.name, &deeds);
    }
    let heard = live(session, &deeds, random.clone(), Limits::default().parsers)?;
    if seed % 4 == 0 && live(session, &deeds, random, 0)? != heard {
        return Err("a server that keeps no parser says something else".into());
    }
    Ok(())
}

/// The life of one server; what everybody heard in it.
fn live(
    session: &Session,
    deeds: &[Deed],
    mut random: Random,
    parsers: usize,
) -> Result<Vec<String>, String> {
    let mut crowd = crowd_with_bystanders(session, parsers)?;
    bystanders::chat(&mut crowd, 1)?;
    for deed in deeds {
        act(&mut crowd, deed, &mut random);
    }
    bystanders::chat(&mut crowd, 2)?;
    send_home(&mut crowd);
    outlive_resumption(&mut crowd);
    check_room(&mut crowd)?;
    bystanders::chat(&mut crowd, 3)?;
    crowd.check()
}

fn crowd_with_bystanders(session: &Session, parsers: usize) -> Result<Crowd, String> {
    let mut config = config(&session.setup)?;
    // By which the bystanders log in.
    config.legacy_auth = true;
    config.plaintext = loquat::Plaintext::Always;
    config.limits.outbox_bytes = OUTBOX;
    config.limits.unacknowledged_bytes = OUTBOX;
    config.limits.connections = CONNECTIONS;
    config.limits.parsers = parsers;
    config.scram_iterations = SCRAM_ITERATIONS;
    let mut recording = Recording::new(config);
    play(&session.setup, &mut recording)?;
    let mut crowd = recording.crowd;
    let asked = crowd.asked();
    bystanders::arrive(&mut crowd)?;
    crowd.set_asked(asked);
    Ok(crowd)
}

/// Whole, byte by byte, or at random: each deed in its own way.
fn act(crowd: &mut Crowd, deed: &Deed, random: &mut Random) {
    match random.below(3) {
        0 => crowd.act(deed, &mut |len| len),
        1 => crowd.act(deed, &mut |_| 1),
        _ => crowd.act(deed, &mut |_| 1 + random.below(64)),
    }
    if matches!(deed, Deed::Tick(_)) {
        bystanders::breathe(crowd);
    }
}

/// All but the bystanders hang up.
fn send_home(crowd: &mut Crowd) {
    let names = crowd.names();
    for name in names.into_iter().filter(|name| !bystanders::NAMES.contains(&name.as_str())) {
        crowd.act(&Deed::HangUp(name), &mut |len| len);
    }
}

/// Nobody can come back to a lost stream any more (XEP-0198 section 5).
fn outlive_resumption(crowd: &mut Crowd) {
    let time = crowd.server.config().limits.resumption_time;
    crowd.act(&Deed::Tick(time), &mut |len| len);
    bystanders::breathe(crowd);
}

/// There is room for all but the bystanders, and not for one more: nothing is left of those who are gone.
fn check_room(crowd: &mut Crowd) -> Result<(), String> {
    let room = CONNECTIONS - bystanders::NAMES.len();
    let opened: Vec<_> =
        (0..=room).map_while(|_| crowd.server.open(Opening::client(Peer::default()), crowd.now)).collect();
    opened.iter().for_each(|&id| crowd.server.hung_up(id, crowd.now));
    match opened.len() {
        n if n == room => Ok(()),
        n => Err(format!("there is room for {n} more connections, not for {room}")),
    }
}

/// So that a fuzzer begins with what the transcripts do.
#[test]
fn a_written_session_is_read_as_the_same() {
    for session in sessions() {
        let bytes = written::write(&session.setup.setup, &session.deeds);
        let (mut setup, mut deeds) = (Vec::new(), Vec::new());
        for piece in written::read(&bytes) {
            match piece {
                Piece::Do(deed) | Piece::Crumble(deed) => deeds.push(deed),
                Piece::Tell(words) => setup.push(words),
            }
        }
        let again = written::write(&setup, &deeds);
        assert_eq!(again.escape_ascii().to_string(), bytes.escape_ascii().to_string(), "{}", session.name);
    }
}

fn show(name: &str, deeds: &[Deed]) {
    println!("{name}");
    for deed in deeds {
        match deed {
            Deed::Send(client, bytes) => println!("{client} C: {}", bytes.escape_ascii()),
            other => println!("{other:?}"),
        }
    }
}
