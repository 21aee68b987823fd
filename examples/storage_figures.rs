//! What the data folder costs: changes a second, bytes a change, start-up, memory, the longest stall.
//!
//! ```text
//! cargo run --release --example storage_figures -- FOLDER [quick]    FOLDER is made, and removed afterwards
//! ```
//!
//! All through the public API, as a host program would. Put FOLDER on the disk that the server is to have: the first
//! figures are the disk's more than ours. Memory is what Linux says in `/proc`.
//! Left out on purpose: sockets. A change that came over one costs its share of a turn besides.

#![allow(clippy::print_stdout)] // figures are what it is for

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use loquat::{Config, Durability, Folder, Reactor, Storage};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("where? storage_figures FOLDER")?);
    let how = args.next();
    if how.as_deref() == Some("load") {
        return load(&folder);
    }
    if folder.exists() {
        return Err("that folder is there already".into());
    }
    let part = if how.as_deref() == Some("quick") { 10 } else { 1 };
    changes(&folder)?;
    accounts(&folder, 100_000 / part)?;
    stall(&folder, 10_000 / part, 100)
}

/// A server with the accounts of a folder, and no sockets.
fn open(folder: &Path, durability: Durability) -> Result<Reactor> {
    let mut config = Config::new("localhost")?;
    // Deriving keys is not what is measured.
    config.scram_iterations = 1;
    let storage = Storage::new(Folder::open(folder)?, "localhost", durability);
    Ok(Reactor::bind_with_storage(config, &[], storage)?)
}

/// What follows a turn's changes: they are committed, and what can wait gets its slice.
fn turn(reactor: &mut Reactor) -> Result<Duration> {
    let now = reactor.now();
    let flush = reactor.server().flush(now)?;
    let start = Instant::now();
    drop(flush);
    Ok(start.elapsed())
}

/// Turns until nothing is left that can wait.
fn settle(reactor: &mut Reactor) -> Result<Vec<Duration>> {
    let mut slices = Vec::new();
    while reactor.server().next_deadline() == Some(Duration::ZERO) {
        slices.push(turn(reactor)?);
    }
    Ok(slices)
}

/// A new password is a change like others: about 400 bytes.
fn changes(folder: &Path) -> Result<()> {
    let every = Durability::Every(Duration::from_secs(5));
    for (name, durability) in [("always", Durability::Always), ("5", every), ("never", Durability::Never)] {
        for changes_a_turn in [1, 64] {
            let mut reactor = open(folder, durability)?;
            reactor.server().add_account("a", "secret")?;
            let (before, start, mut changes) = (journal_bytes(&mut reactor), Instant::now(), 0u64);
            let written = written();
            let mut in_journal = before;
            while start.elapsed() < Duration::from_secs(2) {
                for n in 0..changes_a_turn {
                    reactor.server().set_password("a", &format!("password {n}"))?;
                }
                changes += changes_a_turn;
                // A snapshot begins a new journal.
                in_journal = in_journal.max(journal_bytes(&mut reactor));
                turn(&mut reactor)?;
            }
            let a_second = changes as f64 / start.elapsed().as_secs_f64();
            let on_disk = (self::written() - written) as f64 / changes as f64;
            println!(
                "durability {name}, {changes_a_turn} changes a turn: {a_second:.0} changes/s, \
                 {on_disk:.0} bytes given to the disk for each"
            );
            if changes_a_turn == 1 && durability == Durability::Never {
                let bytes = one_change(&mut reactor)?;
                println!("bytes of a change in the journal: {bytes}");
            }
            drop(reactor);
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

fn one_change(reactor: &mut Reactor) -> Result<u64> {
    settle(reactor)?;
    let before = journal_bytes(reactor);
    reactor.server().set_password("a", "password 1")?;
    Ok(journal_bytes(reactor) - before)
}

fn journal_bytes(reactor: &mut Reactor) -> u64 {
    reactor.server().status().storage.map_or(0, |storage| storage.journal_bytes)
}

/// Start-up, and what an account takes: from a journal, and from a snapshot.
fn accounts(folder: &Path, accounts: usize) -> Result<()> {
    let mut reactor = open(folder, Durability::Never)?;
    for n in 0..accounts {
        reactor.server().import(&user(n, accounts, 5), "localhost", None)?;
        turn(&mut reactor)?;
    }
    settle(&mut reactor)?;
    reactor.server().sync()?;
    drop(reactor);
    // Memory is measured where nothing else was before.
    let status = Command::new(std::env::current_exe()?).arg(folder).arg("load").status()?;
    if !status.success() {
        return Err("the folder could not be read".into());
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn load(folder: &Path) -> Result<()> {
    let size: u64 = fs::read_dir(folder)?.flatten().flat_map(|entry| entry.metadata()).map(|m| m.len()).sum();
    let (before, start) = (memory()?, Instant::now());
    let mut reactor = open(folder, Durability::Always)?;
    let time = start.elapsed();
    let accounts = reactor.server().status().accounts;
    println!(
        "start-up with {accounts} accounts of 5 contacts: {time:.2?}, of these {:.2} s of the processor, for {} MB",
        processor()?,
        size / 1_000_000
    );
    println!("memory of an account with 5 contacts: {} bytes", (memory()? - before) / accounts);
    Ok(())
}

/// How long a slice of a snapshot keeps everybody waiting.
fn stall(folder: &Path, accounts: usize, contacts: usize) -> Result<()> {
    let mut reactor = open(folder, Durability::Never)?;
    let mut slices = Vec::new();
    for n in 0..accounts {
        reactor.server().import(&user(n, accounts, contacts), "localhost", None)?;
        turn(&mut reactor)?;
    }
    settle(&mut reactor)?;
    // Enough changes for a snapshot of everything: the next journal is a short one again.
    let mut n = 0;
    loop {
        let journal = journal_bytes(&mut reactor);
        reactor.server().set_password("user0", &format!("password {n}"))?;
        n += 1;
        let slice = turn(&mut reactor)?;
        if journal_bytes(&mut reactor) < journal {
            slices.push(slice);
            break;
        }
    }
    let start = Instant::now();
    slices.append(&mut settle(&mut reactor)?);
    slices.sort_unstable();
    let slice = |at: usize| slices.get(at).copied().unwrap_or_default();
    let (half, longest) = (slice(slices.len() / 2), slice(slices.len().saturating_sub(1)));
    println!(
        "snapshot of {accounts} accounts with {contacts} contacts each: {} slices in {:.2?}; half of them in {half:.2?}, \
         the longest stall {longest:.2?}",
        slices.len(),
        start.elapsed()
    );
    drop(reactor);
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// An account as another server might have exported it, with contacts among the others.
fn user(n: usize, accounts: usize, contacts: usize) -> String {
    let mut items = String::new();
    for contact in 1..=contacts {
        let number = (n + contact * 7) % accounts;
        let _ = write!(
            items,
            "<item jid='user{number}@localhost' name='Contact {number}' subscription='both'><group>Friends</group></item>"
        );
    }
    format!(
        "<user xmlns='urn:xmpp:pie:0' name='user{n}' password='password {n}'>\
         <query xmlns='jabber:iq:roster'>{items}</query></user>"
    )
}

/// Bytes of memory that are this process's own.
fn memory() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon")).ok_or("no RssAnon")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<usize>()? * 1024)
}

/// Seconds that the processor has worked for this process.
fn processor() -> Result<f64> {
    const TICKS: f64 = 100.0; // USER_HZ of every Linux
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / TICKS)
}

/// Bytes that this process has given to disks so far.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|figure| figure.parse().ok()).unwrap_or_default()
}
