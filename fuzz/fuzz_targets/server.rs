//! Whatever clients do, in whatever order: nothing panics, everybody gets well-formed streams and no more than fits
//! into an outbox, and two bystanders go on chatting.
//!
//! Read first: `tests/mutations/written.rs` (what an input means), `tests/mutations/crowd.rs` (what is looked at).

#![no_main]
#![allow(dead_code, unreachable_pub)] // of the tests' modules, each has its users elsewhere

#[path = "../../tests/mutations/bystanders.rs"]
mod bystanders;
#[path = "../../tests/mutations/crowd.rs"]
mod crowd;
#[path = "../../tests/support/strict.rs"]
mod strict;
#[path = "../../tests/mutations/written.rs"]
mod written;

use crowd::{Crowd, Deed};
use libfuzzer_sys::fuzz_target;
use loquat::Config;
use written::Piece;

fuzz_target!(|data: &[u8]| {
    let heard = run(data, 100);
    if let Err(fault) = &heard {
        panic!("{fault}");
    }
    if data.len() % 4 == 0 {
        assert_eq!(run(data, 0), heard, "a server that keeps no parser says something else");
    }
});

fn run(data: &[u8], parsers: usize) -> Result<Vec<String>, String> {
    let mut crowd = Crowd::new(config(data, parsers)?);
    // What is random in a recorded session is repeated here.
    let asked = crowd.asked();
    bystanders::arrive(&mut crowd)?;
    crowd.set_asked(asked);
    for piece in written::read(data) {
        match piece {
            Piece::Do(deed) => act(&mut crowd, &deed, usize::MAX),
            Piece::Crumble(deed) => act(&mut crowd, &deed, 1),
            Piece::Tell(words) => tell(&mut crowd, &words),
        }
    }
    bystanders::chat(&mut crowd, 1)?;
    for name in crowd.names().into_iter().filter(|name| !bystanders::NAMES.contains(&name.as_str())) {
        act(&mut crowd, &Deed::HangUp(name), usize::MAX);
    }
    bystanders::chat(&mut crowd, 2)?;
    let time = crowd.server.config().limits.resumption_time;
    act(&mut crowd, &Deed::Tick(time), usize::MAX);
    bystanders::chat(&mut crowd, 3)?;
    crowd.check()
}

fn act(crowd: &mut Crowd, deed: &Deed, piece: usize) {
    crowd.act(deed, &mut |_| piece);
    if matches!(deed, Deed::Tick(_)) {
        bystanders::breathe(crowd);
    }
}

/// Small limits, so that inputs reach them.
fn config(data: &[u8], parsers: usize) -> Result<Config, String> {
    let mut config = Config::new("localhost").map_err(|error| error.to_string())?;
    config.scram_iterations = 1;
    config.registration = data.len() % 8 != 0;
    config.limits.parsers = parsers;
    config.limits.connections = 6;
    config.limits.outbox_bytes = 8_000;
    config.limits.stanza_bytes = 4_000;
    config.limits.elements = 100;
    config.limits.depth = 16;
    config.limits.events = 4;
    for piece in written::read(data) {
        if let Piece::Tell(words) = piece {
            if let [first, alias] = words.as_slice() {
                // What is no alias is the host program's to notice.
                let _ = if first == "alias" { config.add_alias(alias) } else { Ok(()) };
            }
        }
    }
    Ok(config)
}

/// A host program that ignores each `Err`. Bystanders and their domain are none of its business.
fn tell(crowd: &mut Crowd, words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.iter().any(|word| word.contains("bystander")) {
        return;
    }
    let now = crowd.now;
    let server = &mut crowd.server;
    match words.as_slice() {
        ["account", name, password] => drop(server.add_account(name, password)),
        ["subscribe", watcher, watched] => drop(server.subscribe(watcher, watched)),
        ["claim", address] => drop(server.claim(address)),
        ["watch"] => server.watch_sessions(),
        ["pull"] => drop(server.next_event()),
        ["inject", rest @ ..] => drop(server.inject(&rest.join(" "), now)),
        _ => (),
    }
}
