//! What is left when the power goes: a disk that stops at any operation, and all that it may then have forgotten.
//!
//! For a scripted run of changes and commits, and for each operation that the disk is asked for: the disk stops there,
//! having done some of it; what was not synced is lost, kept, or kept with holes, as a seed says; then the folder is
//! read again. What was committed must be there, in the order in which it was made, and nothing that was never asked for.

#![allow(clippy::cast_possible_truncation)] // tests run where addresses are long

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;
use std::time::Duration;

use super::disk::Disk;
use super::portable::account_to_element;
use super::store::{Durability, Storage, StorageError};
use crate::jid::Jid;
use crate::tables::{Accounts, Change, Contact, Credential, OfflineMessage, PasswordRules, Recorder};

/// Numbers that look like chance and come again with the seed (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }
}

#[derive(Clone, Default)]
struct File {
    content: Vec<u8>,
    synced: usize,
}

#[derive(Clone)]
enum NameChange {
    Made(String, usize),
    Renamed(String, String),
    Removed(String),
}

/// A disk, and what of it is safe.
#[derive(Default)]
struct Platter {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    unsafe_changes: Vec<NameChange>,
    operations: usize,
    /// The operation at which it stops.
    stop_at: usize,
    /// It refuses whatever takes space.
    full: bool,
}

impl Platter {
    /// Counts an operation. `Err` once the disk has stopped, `Ok(true)` for the one that it stops in.
    fn count(&mut self) -> io::Result<bool> {
        self.operations += 1;
        match self.operations.cmp(&self.stop_at) {
            std::cmp::Ordering::Less => Ok(false),
            std::cmp::Ordering::Equal => Ok(true),
            std::cmp::Ordering::Greater => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        follow(&mut self.names, &change);
        self.unsafe_changes.push(change);
    }

    /// The power goes, and comes again.
    fn lose_power(&mut self, dice: &mut Dice) {
        let kept = dice.throw(self.unsafe_changes.len() + 1);
        for change in self.unsafe_changes.drain(..).take(kept) {
            follow(&mut self.safe_names, &change);
        }
        self.names = self.safe_names.clone();
        for file in &mut self.files {
            let unsynced = file.content.len() - file.synced;
            file.content.truncate(file.synced + dice.throw(unsynced + 1));
            if dice.throw(3) == 0 && file.content.len() > file.synced {
                let hole = file.synced + dice.throw(file.content.len() - file.synced);
                let end = (hole + 1 + dice.throw(40)).min(file.content.len());
                file.content[hole..end].fill(0);
            }
            file.synced = file.content.len();
        }
        self.stop_at = usize::MAX;
    }
}

fn follow(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Made(name, file) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Renamed(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        NameChange::Removed(name) => {
            names.remove(name);
        }
    }
}

#[derive(Clone, Default)]
struct FakeDisk(Rc<RefCell<Platter>>);

impl FakeDisk {
    fn file(&self, name: &str) -> io::Result<usize> {
        self.0.borrow().names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for FakeDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn read(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        let file = self.file(name)?;
        let content = self.0.borrow().files[file].content.clone();
        Ok(Box::new(io::Cursor::new(content)))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        let stops = platter.count()?;
        let file = match platter.names.get(name).copied() {
            Some(file) => file,
            None => {
                platter.files.push(File::default());
                let file = platter.files.len() - 1;
                platter.change_names(NameChange::Made(name.into(), file));
                file
            }
        };
        let incomplete = stops || platter.full;
        let taken = if incomplete { bytes.len() / 2 } else { bytes.len() };
        platter.files[file].content.extend_from_slice(&bytes[..taken]);
        if incomplete {
            Err(ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = self.file(name)?;
        let mut platter = self.0.borrow_mut();
        if platter.count()? {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let file = &mut platter.files[file];
        file.content.truncate(len as usize);
        file.synced = file.synced.min(len as usize);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        let mut platter = self.0.borrow_mut();
        if platter.count()? {
            return Err(ErrorKind::BrokenPipe.into());
        }
        platter.files[file].synced = platter.files[file].content.len();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        let stops = platter.count()?;
        platter.change_names(NameChange::Renamed(from.into(), to.into()));
        if stops {
            Err(ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        let stops = platter.count()?;
        platter.change_names(NameChange::Removed(name.into()));
        if stops {
            Err(ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        if platter.count()? {
            return Err(ErrorKind::BrokenPipe.into());
        }
        platter.unsafe_changes.clear();
        platter.safe_names = platter.names.clone();
        Ok(())
    }
}

const RULES: PasswordRules = PasswordRules { iterations: 1, keeps_passwords: true };

fn no_accounts() -> Accounts {
    Accounts::new(RULES, b"decoy")
}

/// The n-th change of the script: a few accounts that come, meet, rename each other, get messages, and go.
fn change(n: usize) -> (&'static str, Change) {
    let users = ["罗密欧", "juliet", "nurse", "tybalt"];
    let (user, other) = (users[n % 4], users[(n / 4 + 1) % 4]);
    let contact: Jid = format!("{other}@localhost").parse().unwrap();
    let change = match n % 11 {
        _ if n < 4 => Change::Credential(Credential::new(&format!("password {n}"), b"salt", RULES).unwrap()),
        0 => Change::Removed,
        1 => Change::Credential(Credential::new(&format!("new {n}"), b"pepper", RULES).unwrap()),
        2 => Change::Contact(contact, None),
        3..=5 => {
            let bytes = format!("<message><body>number {n}\nof many</body></message>").into_bytes().into();
            Change::Offline(OfflineMessage { number: n as u64, bytes })
        }
        6 => Change::OfflineSent(n as u64 - 6),
        _ => {
            let name = Some(format!("number {n}\nof many"));
            Change::Contact(
                contact,
                Some(Contact { listed: true, name, groups: vec!["朋友".into()], ..Contact::default() }),
            )
        }
    };
    (user, change)
}

/// All accounts as text, to be compared.
fn state(accounts: &Accounts) -> String {
    let mut users: Vec<String> = accounts
        .names()
        .iter()
        .filter_map(|name| Some(account_to_element(name, accounts.get(name)?).to_string()))
        .collect();
    users.sort();
    users.concat()
}

fn storage(disk: &FakeDisk) -> Storage {
    Storage::on(Box::new(disk.clone()), "localhost", Durability::Always)
}

const CHANGES: usize = 120;

/// The states that the script goes through, the empty one first.
fn states() -> Vec<String> {
    let mut accounts = no_accounts();
    let mut states = vec![state(&accounts)];
    for n in 0..CHANGES {
        let (user, change) = change(n);
        accounts.apply(user, change);
        states.push(state(&accounts));
    }
    states
}

/// Runs the script until the disk stops. How many changes were committed, and how many were begun.
fn run(disk: &FakeDisk, changes: usize, dice: &mut Dice) -> (usize, usize) {
    let mut accounts = no_accounts();
    let mut storage = storage(disk);
    let mut committed = 0;
    if storage.load(&mut accounts).is_err() {
        return (0, 0);
    }
    for n in 0..changes {
        let (user, change) = change(n);
        // What could not be recorded may still be there after a crash, if it was written.
        if storage.record(user, &change).is_err() {
            return (committed, n + 1);
        }
        accounts.apply(user, change);
        if dice.throw(3) == 0 {
            if storage.commit(Duration::ZERO).is_err() {
                return (committed, n + 1);
            }
            committed = n + 1;
            storage.maintain(&accounts);
        }
    }
    (committed, changes)
}

#[test]
fn the_disk_stops_at_each_operation() {
    let states = states();
    let disk = FakeDisk::default();
    disk.0.borrow_mut().stop_at = usize::MAX;
    run(&disk, CHANGES, &mut Dice(1));
    let operations = disk.0.borrow().operations;
    assert!(operations > 100, "{operations}");
    for stop_at in 1..=operations {
        for seed in 1..=8 {
            let disk = FakeDisk::default();
            disk.0.borrow_mut().stop_at = stop_at;
            let (committed, begun) = run(&disk, CHANGES, &mut Dice(1));
            disk.0.borrow_mut().lose_power(&mut Dice(seed * 7919));
            let mut accounts = no_accounts();
            let loaded = storage(&disk).load(&mut accounts);
            assert!(loaded.is_ok(), "stopped at operation {stop_at}, seed {seed}: {loaded:?}");
            let possible = states.get(committed..=begun).unwrap_or_default();
            let found = state(&accounts);
            assert!(
                possible.contains(&found),
                "stopped at operation {stop_at}, seed {seed}: {committed} changes were committed, and this is there:\n{found}"
            );
        }
    }
}

/// A folder after a whole run.
fn finished(changes: usize) -> FakeDisk {
    let disk = FakeDisk::default();
    disk.0.borrow_mut().stop_at = usize::MAX;
    assert_eq!(run(&disk, changes, &mut Dice(3)).1, changes);
    disk
}

fn journal_of(disk: &FakeDisk) -> (String, usize) {
    let platter = disk.0.borrow();
    let journals = platter.names.iter().filter(|(name, _)| name.starts_with("journal"));
    journals.max_by_key(|(_, file)| **file).map(|(name, file)| (name.clone(), *file)).unwrap()
}

#[test]
fn a_journal_cut_at_any_byte_is_read_up_to_there() {
    // Too few for a snapshot, which would need what its journal says of the time when it was written.
    let (disk, states) = (finished(6), states());
    let (name, file) = journal_of(&disk);
    let content = disk.0.borrow().files[file].content.clone();
    assert!(content.len() > 300, "{name}: {}", content.len());
    for len in 0..content.len() {
        disk.0.borrow_mut().files[file].content = content[..len].to_vec();
        let mut accounts = no_accounts();
        storage(&disk).load(&mut accounts).unwrap();
        assert!(states.contains(&state(&accounts)), "cut at {len}");
    }
}

#[test]
fn damage_in_what_was_synced_stops_the_start() {
    let disk = finished(CHANGES);
    let (_, file) = journal_of(&disk);
    let content = disk.0.borrow().files[file].content.clone();
    let text = String::from_utf8_lossy(&content).into_owned();
    let last_mark = text.rfind(" synced='").unwrap();
    let synced: usize = text[last_mark + 9..].split('\'').next().unwrap().parse().unwrap();
    // The line break before the mark is left out: with it the mark itself is damaged, and nothing behind it says more.
    for at in 0..synced - 1 {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        disk.0.borrow_mut().files[file].content = damaged;
        let error = storage(&disk).load(&mut no_accounts()).expect_err(&format!("damaged at {at}"));
        let StorageError::Damaged { at: said, .. } = error else { continue };
        assert!(said <= at as u64, "{said} is said, {at} it is");
    }
}

#[test]
fn a_full_disk_refuses_changes_and_heals() {
    let disk = FakeDisk::default();
    disk.0.borrow_mut().stop_at = usize::MAX;
    let mut accounts = no_accounts();
    let mut storage_in_use = storage(&disk);
    storage_in_use.load(&mut accounts).unwrap();
    for n in 0..CHANGES {
        disk.0.borrow_mut().full = n % 3 == 1;
        let (user, change) = change(n);
        let recorded = storage_in_use.record(user, &change);
        assert_eq!(recorded.is_err(), n % 3 == 1);
        if recorded.is_ok() {
            accounts.apply(user, change);
        }
        storage_in_use.commit(Duration::ZERO).unwrap();
        storage_in_use.maintain(&accounts);
    }
    let mut again = no_accounts();
    storage(&disk).load(&mut again).unwrap();
    assert_eq!(state(&again), state(&accounts));
}

#[test]
fn a_newer_format_is_refused() {
    let disk = finished(CHANGES);
    let (_, file) = journal_of(&disk);
    let content = String::from_utf8(disk.0.borrow().files[file].content.clone()).unwrap();
    disk.0.borrow_mut().files[file].content = content.replacen("version='1'", "version='2'", 1).into_bytes();
    assert!(matches!(storage(&disk).load(&mut no_accounts()), Err(StorageError::Newer { .. })));
}
