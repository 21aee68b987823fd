//! Every transcript in `tests/transcripts`, in memory whole, in memory byte by byte, and over sockets.
//!
//! How a transcript is written stands at the head of `support/script.rs`.

#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

mod support;

use std::fs;
use std::path::PathBuf;

use support::player::{config, play};
use support::script::Script;
#[cfg(feature = "net")]
use support::sockets::Sockets;
use support::wire::Memory;

fn transcripts() -> Vec<(PathBuf, Script)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| {
        let script = Script::parse(&fs::read_to_string(&path).unwrap());
        (path.clone(), script.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    paths.into_iter().map(read).collect()
}

/// Plays all, and tells of all that went wrong.
fn play_all(wanted: fn(&Script) -> bool, how: impl Fn(&Script) -> Result<(), String>) {
    let faults: Vec<String> = transcripts()
        .iter()
        .filter(|(_, script)| wanted(script))
        .filter_map(|(path, script)| how(script).err().map(|error| format!("{}: {error}", path.display())))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn whole() {
    play_all(|_| true, |script| play(script, Memory::new(config(script)?, usize::MAX)));
}

#[test]
fn byte_by_byte() {
    play_all(|_| true, |script| play(script, Memory::new(config(script)?, 1)));
}

#[cfg(feature = "net")]
#[test]
fn over_sockets() {
    play_all(Script::is_for_sockets, |script| play(script, Sockets::new(config(script)?)));
}
