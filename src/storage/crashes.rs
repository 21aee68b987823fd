//! What is left when the power goes: a disk that stops at any operation, and all that it may then have forgotten.
//!
//! For a scripted run of changes and commits, and for each operation that the disk is asked for: the disk stops there,
//! having done some of it; what was not synced is lost, kept, or kept with holes, as a seed says; then the folder is
//! read again. What was committed must be there, in the order in which it was made, and nothing that was never asked
//! for.

#![allow(clippy::cast_possible_truncation)] // tests run where addresses are long

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::disk::Disk;
use super::error::StorageError;
use super::files::MAX_LINE_BYTES;
use super::repair::repair;
use super::store::{Durability, Storage};
use crate::tables::notes::NoteChange;
use crate::tables::{
    AccountChange, Accounts, Change, Contact, Credential, KeptTables, LastSeen, OfflineMessage,
    PasswordRules, Recorder, StoredXml, Subscription, SubscriptionState, COLLECTIONS,
};
use crate::xml::Element;
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::SubscriptionType;

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
    /// What a failed sync was for: the system has it, the disk never will (fsync(2), "EIO").
    never: Vec<Range<usize>>,
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
    /// How many bytes its files may have in all.
    size: Option<usize>,
    /// While it is asked for these operations it fails, or has no space.
    ill: Range<usize>,
    illness: Illness,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Illness {
    /// What takes space is done in part.
    #[default]
    Full,
    /// Nothing is done.
    Refuses,
    /// All is done, and said not to be.
    Lies,
}

impl Platter {
    /// Counts an operation. `Err` once the disk has stopped, `Ok(true)` for the one that it stops in: it does some of
    /// it and fails.
    fn count(&mut self) -> io::Result<bool> {
        self.operations += 1;
        let is_ill = self.ill.contains(&self.operations);
        match self.operations.cmp(&self.stop_at) {
            Ordering::Less if is_ill && self.illness == Illness::Refuses => Err(ErrorKind::Other.into()),
            Ordering::Less => Ok(is_ill && self.illness == Illness::Lies),
            Ordering::Equal => Ok(true),
            Ordering::Greater => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn is_full(&self) -> bool {
        self.full || (self.ill.contains(&self.operations) && self.illness == Illness::Full)
    }

    /// How many more bytes it takes.
    fn room(&self) -> usize {
        let used = |file: &usize| self.files.get(*file).map_or(0, |file| file.content.len());
        self.size.map_or(usize::MAX, |size| size.saturating_sub(self.names.values().map(used).sum()))
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
            for never in file.never.drain(..) {
                let len = file.content.len();
                file.content[never.start.min(len)..never.end.min(len)].fill(0);
            }
            file.synced = file.content.len();
        }
        self.heal();
    }

    fn heal(&mut self) {
        self.stop_at = usize::MAX;
        self.ill = 0..0;
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
struct FakeDisk(Arc<RwLock<Platter>>);

impl FakeDisk {
    fn file(&self, name: &str) -> io::Result<usize> {
        self.0.read().unwrap().names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for FakeDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.read().unwrap().names.keys().cloned().collect())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        let file = self.file(name)?;
        Ok(self.0.read().unwrap().files[file].content.len() as u64)
    }

    fn read(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        let file = self.file(name)?;
        let content = self.0.read().unwrap().files[file].content.clone();
        Ok(Box::new(io::Cursor::new(content)))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.write().unwrap();
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
        let room = platter.room();
        let incomplete = stops || platter.is_full() || room < bytes.len();
        let taken = if incomplete { room.min(bytes.len() / 2) } else { bytes.len() };
        platter.files[file].content.extend_from_slice(&bytes[..taken]);
        if incomplete {
            Err(ErrorKind::WriteZero.into())
        } else {
            Ok(())
        }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = self.file(name)?;
        let mut platter = self.0.write().unwrap();
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
        let mut platter = self.0.write().unwrap();
        let done = platter.count();
        let file = &mut platter.files[file];
        let unsynced = file.synced..file.content.len();
        file.synced = unsynced.end;
        if let Ok(false) = done {
            return Ok(());
        }
        file.never.push(unsynced);
        Err(ErrorKind::BrokenPipe.into())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.0.write().unwrap();
        let stops = platter.count()?;
        platter.change_names(NameChange::Renamed(from.into(), to.into()));
        if stops {
            Err(ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?;
        let mut platter = self.0.write().unwrap();
        let stops = platter.count()?;
        platter.change_names(NameChange::Removed(name.into()));
        if stops {
            Err(ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut platter = self.0.write().unwrap();
        if platter.count()? {
            return Err(ErrorKind::BrokenPipe.into());
        }
        platter.unsafe_changes.clear();
        platter.safe_names = platter.names.clone();
        Ok(())
    }
}

const RULES: PasswordRules = PasswordRules { iterations: 1, keeps_passwords: true };

fn nothing() -> KeptTables {
    KeptTables::new(Accounts::new(RULES, b"decoy"))
}

/// What changes in the n-th step of the script: a few accounts that come, meet, rename each other, say and keep things,
/// and go. A new kind of change gets a line here, and one in [`kind`].
fn step(n: usize) -> Vec<Change<'static>> {
    let users = ["罗密欧", "juliet", "nurse", "tybalt"];
    let (user, other) = (users[n % 4], users[(n / 4 + 1) % 4]);
    let address = |user| format!("{user}@localhost").parse::<Jid>().unwrap();
    let credential =
        |password: String| AccountChange::Credential(Credential::new(&password, b"salt", RULES).unwrap());
    let contact = || {
        let name = Some(format!("number {n}\nof many"));
        Some(Contact {
            listed: true,
            name,
            groups: vec!["朋友".into(), " synced='9999999'".into()],
            ..Contact::default()
        })
    };
    let element = |name: &'static str, ns: &'static str| {
        Element::new(name, ns).with(Element::new("x", "urn:x").with_text(format!("number {n}\nof many")))
    };
    let change = match n % 19 {
        _ if n < 4 => credential(format!("password {n}")),
        0 => AccountChange::Removed,
        1 | 16 => credential(format!("new {n}")),
        2 => AccountChange::Contact(address(other), None),
        // Two accounts in one line: both or none.
        3 => {
            return vec![
                Change::Account(user, AccountChange::Contact(address(other), contact())),
                Change::Account(other, AccountChange::Contact(address(user), contact())),
            ]
        }
        4 | 5 => {
            let bytes = element("message", "jabber:client").to_string().into_bytes().into();
            AccountChange::Offline(OfflineMessage { number: n as u64, bytes })
        }
        6 if n % 2 == 0 => AccountChange::OfflineSent(n as u64 - 1),
        // The one before, which is not this user's.
        6 => {
            return vec![Change::Account(
                users[(n - 1) % 4],
                AccountChange::OfflineRemoved([n as u64 - 1].into()),
            )]
        }
        7 | 8 => AccountChange::VCard(StoredXml::of(&element("vCard", "vcard-temp"))),
        9 => AccountChange::VCard(None),
        10 => AccountChange::Private(element("a", "urn:a")),
        11 => AccountChange::Private(element("b", "urn:a")),
        12 => AccountChange::Private(Element::new("a", "urn:a")),
        13 => AccountChange::LastSeen(LastSeen { at: n as u64, status: Some("再见\n'".into()) }),
        14 => AccountChange::LastSeen(LastSeen { at: n as u64, status: None }),
        17 | 18 => AccountChange::Subscription(address(other), step_of_subscription(n, &address(other))),
        15 => AccountChange::Blocked(address(other), n % 2 == 0),
        _ => AccountChange::Contact(address(other), contact()),
    };
    // Another kind of owner, alone and together with an account.
    let note = |change| Change::Note("a <note>", change);
    match n % 19 {
        10 => vec![note(NoteChange::Text(format!("number {n}\nof many")))],
        11 => vec![Change::Account(user, change), note(NoteChange::Text(format!("number {n}")))],
        12 if n > 19 => vec![note(NoteChange::Removed)],
        _ => vec![Change::Account(user, change)],
    }
}

/// A step of a subscription: now a request comes, now it is granted.
fn step_of_subscription(n: usize, from: &Jid) -> SubscriptionState {
    let request = Element::new("presence", "jabber:client")
        .with_attr("type", "subscribe")
        .with_attr("from", from.as_str().to_owned())
        .with(Element::new("status", "jabber:client").with_text(format!("number {n}\nof many")));
    let asks = n % 2 == 0;
    SubscriptionState {
        listed: !asks,
        subscription: if asks { Subscription::NonePendingIn } else { Subscription::From },
        approved: n % 4 == 0,
        request: asks.then(|| Box::new(request)),
    }
}

/// How many kinds of changes there are.
const KINDS: usize = 13;
const LAST_SEEN: usize = 7;

/// Which kind it is. One that is new does not compile until it is here, and then the script must have it.
fn kind(change: &Change<'_>) -> usize {
    match change {
        Change::Account(_, change) => match change {
            AccountChange::Credential(_) => 0,
            AccountChange::Removed => 1,
            AccountChange::Contact(..) => 2,
            AccountChange::Offline(_) => 3,
            AccountChange::OfflineSent(_) => 4,
            AccountChange::VCard(_) => 5,
            AccountChange::Private(_) => 6,
            AccountChange::LastSeen(_) => LAST_SEEN,
            AccountChange::Blocked(..) => 8,
            AccountChange::Subscription(..) => 9,
            AccountChange::OfflineRemoved(_) => 12,
        },
        Change::Note(_, NoteChange::Text(_)) => 10,
        Change::Note(_, NoteChange::Removed) => 11,
    }
}

/// All that is kept as text, to be compared.
fn state(tables: &KeptTables) -> String {
    let owners = COLLECTIONS.iter().flat_map(|collection| {
        let names = (collection.names)(tables.kept()).into_iter();
        names.filter_map(|name| Some((collection.write)(tables.kept(), &name)?.to_string()))
    });
    let mut owners: Vec<String> = owners.collect();
    owners.sort();
    owners.concat()
}

fn storage(disk: &FakeDisk) -> Storage {
    Storage::on(Box::new(disk.clone()), "localhost", Durability::Always)
}

const STEPS: usize = 120;

/// The states that the script goes through, the empty one first.
fn states() -> Vec<String> {
    let mut tables = nothing();
    let mut states = vec![state(&tables)];
    for n in 0..STEPS {
        step(n).into_iter().for_each(|change| tables.apply(change));
        states.push(state(&tables));
    }
    states
}

/// How far a run came.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Steps that are safe.
    safe: usize,
    /// Steps that were begun. What could not be recorded may still be there after a crash, if it was written.
    begun: usize,
}

/// Runs the script until the disk stops. A second passes with each step.
fn run(disk: &FakeDisk, durability: Durability, steps: usize, dice: &mut Dice) -> Progress {
    let (mut tables, mut safe) = (nothing(), 0);
    let mut storage = Storage::on(Box::new(disk.clone()), "localhost", durability);
    if storage.load_into(&mut tables).is_err() {
        return Progress { safe, begun: 0 };
    }
    for n in 0..steps {
        if !take(&mut storage, &mut tables, n) {
            return Progress { safe, begun: n + 1 };
        }
        if dice.throw(3) == 0 {
            if storage.commit(Duration::from_secs(n as u64)).is_err() {
                return Progress { safe, begun: n + 1 };
            }
            let is_safe = durability != Durability::Never && storage.next_commit().is_none();
            // When somebody was last here waits for a sync that somebody else waits for.
            let waited_for = (0..=n).rev().find(|&n| step(n).iter().any(|change| kind(change) != LAST_SEEN));
            safe = if is_safe { waited_for.map_or(0, |n| n + 1) } else { safe };
            storage.maintain(tables.kept());
        }
    }
    Progress { safe, begun: steps }
}

/// Records a step and does it. `false` if it is refused.
fn take(storage: &mut Storage, tables: &mut KeptTables, n: usize) -> bool {
    let step = step(n);
    let recorded = storage.record_all(&step).is_ok();
    if recorded {
        step.into_iter().for_each(|change| tables.apply(change));
    }
    recorded
}

fn healthy() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.0.write().unwrap().heal();
    disk
}

const DURABILITIES: [Durability; 3] =
    [Durability::Always, Durability::Every(Duration::from_secs(7)), Durability::Never];

/// Each kind, and each of them to an account that is there: a step that changes nothing would prove nothing.
#[test]
fn the_script_has_all_kinds_of_changes() {
    let (mut tables, mut had) = (nothing(), [0; KINDS]);
    for n in 0..STEPS {
        let before = state(&tables);
        for change in step(n) {
            let kind = kind(&change);
            tables.apply(change);
            had[kind] += usize::from(state(&tables) != before);
        }
    }
    assert!(had.iter().all(|&times| times > 1), "{had:?}");
}

#[test]
fn the_disk_stops_at_each_operation() {
    let states = states();
    for durability in DURABILITIES {
        let disk = healthy();
        run(&disk, durability, STEPS, &mut Dice(1));
        let operations = disk.0.read().unwrap().operations;
        assert!(operations > 100, "{operations}");
        for (stop_at, seed) in (1..=operations).flat_map(|stop_at| (1..=3).map(move |seed| (stop_at, seed))) {
            let disk = healthy();
            disk.0.write().unwrap().stop_at = stop_at;
            let progress = run(&disk, durability, STEPS, &mut Dice(1));
            disk.0.write().unwrap().lose_power(&mut Dice(seed * 7919));
            let told = format!("{durability:?}, stopped at operation {stop_at}, seed {seed}, {progress:?}");
            let mut tables = nothing();
            let loaded = storage(&disk).load_into(&mut tables);
            assert!(loaded.is_ok(), "{told}: {loaded:?}");
            let possible = states.get(progress.safe..=progress.begun).unwrap_or_default();
            let found = state(&tables);
            assert!(possible.contains(&found), "{told}: this is there:\n{found}");
        }
    }
}

/// All that was asked for in the last seconds may be lost, and nothing else.
#[test]
fn seconds_of_durability_are_the_most_that_is_lost() {
    let disk = healthy();
    let durability = Durability::Every(Duration::from_secs(7));
    let mut storage = Storage::on(Box::new(disk.clone()), "localhost", durability);
    let mut tables = nothing();
    storage.load_into(&mut tables).unwrap();
    for n in 0..STEPS {
        assert!(take(&mut storage, &mut tables, n));
        let now = Duration::from_secs(n as u64);
        storage.commit(now).unwrap();
        let due = storage.next_commit().unwrap_or(now);
        assert!(due <= now + Duration::from_secs(7), "at {now:?} the next commit is due at {due:?}");
    }
}

/// The disk is ill for a while and then well again, while the server runs on as long as it may: nothing that was safe
/// is lost, then or after a loss of power, and what was refused did not happen.
#[test]
fn the_disk_is_ill_for_a_while() {
    let disk = healthy();
    run(&disk, Durability::Always, STEPS, &mut Dice(1));
    let operations = disk.0.read().unwrap().operations;
    // Each beginning is tried with one way of being ill; with all of them where there is time for it.
    let ways = [Illness::Full, Illness::Refuses, Illness::Lies].into_iter().flat_map(|illness| {
        DURABILITIES
            .into_iter()
            .flat_map(move |durability| [1, 2, 4, 9].map(|time| (illness, durability, time)))
    });
    let ways: Vec<_> = ways.collect();
    let all = std::env::var_os("LOQUAT_LONG_TESTS").is_some();
    for from in 4..operations {
        for number in 0..if all { ways.len() } else { 1 } {
            let (illness, durability, time) = ways[(from * 5 + number) % ways.len()];
            let disk = healthy();
            disk.0.write().unwrap().ill = from..from + time;
            disk.0.write().unwrap().illness = illness;
            live_through(&disk, durability, from as u64);
        }
    }
}

fn live_through(disk: &FakeDisk, durability: Durability, seed: u64) {
    let mut tables = nothing();
    let mut running = Storage::on(Box::new(disk.clone()), "localhost", durability);
    if running.load_into(&mut tables).is_err() {
        return;
    }
    // The states since the last one that is safe.
    let mut possible = vec![state(&tables)];
    for n in 0..STEPS {
        let recorded = take(&mut running, &mut tables, n);
        possible.push(state(&tables));
        if running.commit(Duration::from_secs(n as u64)).is_err() {
            // The server stops here. It has told nobody.
            break;
        }
        let waits = recorded && step(n).iter().any(|change| kind(change) != LAST_SEEN);
        if waits && running.next_commit().is_none() && durability != Durability::Never {
            possible.drain(..possible.len() - 1);
        }
        running.maintain(tables.kept());
        running.maintain(tables.kept());
    }
    disk.0.write().unwrap().heal();
    if running.sync().is_ok() {
        possible = vec![state(&tables)];
    }
    disk.0.write().unwrap().lose_power(&mut Dice(seed));
    let mut again = nothing();
    let loaded = storage(disk).load_into(&mut again);
    assert!(loaded.is_ok(), "{durability:?}, {seed}: {loaded:?}");
    assert!(possible.contains(&state(&again)), "{durability:?}, {seed}: this is there:\n{}", state(&again));
}

/// A folder after a whole run.
fn finished(steps: usize) -> FakeDisk {
    let disk = healthy();
    assert_eq!(run(&disk, Durability::Always, steps, &mut Dice(3)).begun, steps);
    disk
}

fn newest(disk: &FakeDisk, kind: &str) -> (String, usize) {
    let platter = disk.0.read().unwrap();
    let files = platter.names.iter().filter(|(name, _)| name.starts_with(kind) && name.ends_with(".xml"));
    files.max_by_key(|(_, file)| **file).map(|(name, file)| (name.clone(), *file)).unwrap()
}

fn content(disk: &FakeDisk, file: usize) -> Vec<u8> {
    disk.0.read().unwrap().files[file].content.clone()
}

fn set_content(disk: &FakeDisk, file: usize, content: Vec<u8>) {
    disk.0.write().unwrap().files[file].content = content;
}

#[test]
fn a_journal_cut_at_any_byte_is_read_up_to_there() {
    // Too few for a snapshot, which would need what its journal says of the time when it was written.
    let (disk, states) = (finished(6), states());
    let (name, file) = newest(&disk, "journal");
    let content = content(&disk, file);
    assert!(content.len() > 300, "{name}: {}", content.len());
    for len in 0..content.len() {
        set_content(&disk, file, content[..len].to_vec());
        let mut tables = nothing();
        storage(&disk).load_into(&mut tables).unwrap();
        assert!(states.contains(&state(&tables)), "cut at {len}");
    }
}

#[test]
fn damage_in_what_was_synced_stops_the_start() {
    let disk = finished(STEPS);
    let (_, file) = newest(&disk, "journal");
    let content = content(&disk, file);
    let text = String::from_utf8_lossy(&content).into_owned();
    let marks = text.split(" synced='").skip(1).filter_map(|rest| rest.split_once('\'')?.0.parse().ok());
    let synced: usize = marks.filter(|mark| *mark < content.len()).max().unwrap();
    // The line break before the mark is left out: with it the mark itself is damaged, and nothing behind it says more.
    for at in 0..synced - 1 {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        set_content(&disk, file, damaged);
        let error = storage(&disk).load_into(&mut nothing()).expect_err(&format!("damaged at {at}"));
        let StorageError::Damaged { at: said, .. } = error else { continue };
        assert!(said <= at as u64, "{said} is said, {at} it is");
    }
}

/// Whatever was asked for in the way of durability: all that was there when it was closed is there, or the start stops.
#[test]
fn damage_in_what_was_closed_stops_the_start() {
    for durability in DURABILITIES {
        let disk = healthy();
        let (mut tables, mut running) =
            (nothing(), Storage::on(Box::new(disk.clone()), "localhost", durability));
        running.load_into(&mut tables).unwrap();
        assert!((0..6).all(|n| take(&mut running, &mut tables, n)));
        running.sync().unwrap();
        let operations = disk.0.read().unwrap().operations;
        running.sync().unwrap();
        assert_eq!(disk.0.read().unwrap().operations, operations, "it was closed already");
        let (_, file) = newest(&disk, "journal");
        let closed = content(&disk, file);
        let marks = String::from_utf8_lossy(&closed).find("<users").unwrap();
        for at in 0..closed.len() {
            let mut damaged = closed.clone();
            damaged[at] ^= 1;
            set_content(&disk, file, damaged);
            let mut again = nothing();
            match storage(&disk).load_into(&mut again) {
                Err(StorageError::Damaged { at: said, .. }) => assert!(said <= at as u64),
                // A mark has the damage itself.
                Ok(()) => assert!(at >= marks && state(&again) == state(&tables), "{durability:?}, {at}"),
                Err(other) => panic!("{other}"),
            }
            set_content(&disk, file, closed.clone());
        }
    }
}

/// It was never closed: damage in the last line cannot be told from a line that was being written; any other stops the
/// start. What is cut off is put aside.
#[test]
fn damage_in_what_was_not_closed_stops_the_start_or_is_put_aside() {
    let disk = healthy();
    let (mut tables, mut running) =
        (nothing(), Storage::on(Box::new(disk.clone()), "localhost", Durability::Never));
    running.load_into(&mut tables).unwrap();
    assert!((0..6).all(|n| take(&mut running, &mut tables, n)));
    let (name, file) = newest(&disk, "journal");
    let whole = content(&disk, file);
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        set_content(&disk, file, damaged.clone());
        match storage(&disk).load_into(&mut nothing()) {
            // With the line break before it, it is the last line that has the damage.
            Ok(()) => {
                let aside = disk.0.write().unwrap().names.remove(&format!("{name}.damaged")).unwrap();
                let from = content(&disk, file).len();
                assert!(at + 1 >= last && content(&disk, aside) == damaged[from..], "{at}");
            }
            Err(StorageError::Damaged { at: said, .. }) => assert!(said <= at as u64 && at < last, "{at}"),
            Err(other) => panic!("{other}"),
        }
        set_content(&disk, file, whole.clone());
    }
}

/// A loss of power may leave a hole: what is behind it was acknowledged to nobody, so the start goes on, and puts it
/// aside.
#[test]
fn what_is_behind_a_hole_is_put_aside() {
    let disk = healthy();
    let (mut tables, mut running) =
        (nothing(), Storage::on(Box::new(disk.clone()), "localhost", Durability::Never));
    running.load_into(&mut tables).unwrap();
    assert!((0..6).all(|n| take(&mut running, &mut tables, n)));
    let (name, file) = newest(&disk, "journal");
    let mut holed = content(&disk, file);
    let head = holed.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    holed[head + 100..head + 120].fill(0);
    set_content(&disk, file, holed.clone());
    let mut again = nothing();
    storage(&disk).load_into(&mut again).unwrap();
    assert_eq!((again.accounts.len(), content(&disk, file).len()), (0, head));
    let aside = disk.0.read().unwrap().names[&format!("{name}.damaged")];
    assert_eq!(content(&disk, aside), holed[head..]);
    // A head is synced before anything is written behind it.
    holed[10] = 0;
    set_content(&disk, file, holed);
    assert!(matches!(storage(&disk).load_into(&mut nothing()), Err(StorageError::Damaged { at: 0, .. })));
}

/// The process is killed, another one goes on, and then the power goes: what the first had not synced is not taken for
/// damage because the second has counted it as safe.
#[test]
fn the_next_process_makes_safe_what_it_has_read() {
    for seed in 1..200 {
        let disk = healthy();
        for from in [0, 5] {
            let mut running = Storage::on(Box::new(disk.clone()), "localhost", Durability::Never);
            let mut tables = nothing();
            running.load_into(&mut tables).unwrap();
            (from..from + 5).for_each(|n| assert!(take(&mut running, &mut tables, n)));
        }
        disk.0.write().unwrap().lose_power(&mut Dice(seed * 7919));
        let mut found = nothing();
        let loaded = storage(&disk).load_into(&mut found);
        assert!(loaded.is_ok() && states()[5..=10].contains(&state(&found)), "{seed}: {loaded:?}");
    }
}

#[test]
fn damage_in_a_snapshot_stops_the_start() {
    let disk = finished(STEPS);
    let (name, file) = newest(&disk, "snapshot");
    let content = content(&disk, file);
    assert!(content.len() > 500, "{name}: {}", content.len());
    for at in 0..content.len() {
        let mut damaged = content.clone();
        damaged[at] ^= 1;
        set_content(&disk, file, damaged);
        let error = storage(&disk).load_into(&mut nothing()).expect_err(&format!("damaged at {at}"));
        let StorageError::Damaged { at: said, file } = error else { continue };
        assert!(said <= at as u64 && file == name, "{said} is said, {at} it is");
    }
    for cut in 0..content.len() {
        set_content(&disk, file, content[..cut].to_vec());
        storage(&disk).load_into(&mut nothing()).expect_err(&format!("cut at {cut}"));
    }
}

/// Somebody has removed a file, or put an older one in its place. Only the last journal, if no snapshot needs it, is
/// missed by nobody.
#[test]
fn a_missing_file_stops_the_start() {
    let disk = finished(STEPS);
    let (snapshot, _) = newest(&disk, "snapshot");
    let journal = snapshot.replace("snapshot", "journal");
    for name in [&snapshot, &journal] {
        let file = disk.0.write().unwrap().names.remove(name).unwrap();
        let error = storage(&disk).load_into(&mut nothing()).expect_err(name);
        assert!(matches!(error, StorageError::Missing { .. }), "{name}: {error:?}");
        disk.0.write().unwrap().names.insert(name.clone(), file);
    }
    let file = disk.0.read().unwrap().names[&journal];
    let head = content(&disk, file).iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let short = content(&disk, file)[..head].to_vec();
    set_content(&disk, file, short);
    let error = storage(&disk).load_into(&mut nothing()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_full_disk_refuses_changes_and_heals() {
    let disk = healthy();
    let mut tables = nothing();
    let mut storage_in_use = storage(&disk);
    storage_in_use.load_into(&mut tables).unwrap();
    for n in 0..STEPS {
        disk.0.write().unwrap().full = n % 3 == 1;
        assert_eq!(take(&mut storage_in_use, &mut tables, n), n % 3 != 1);
        storage_in_use.commit(Duration::ZERO).unwrap();
        while !storage_in_use.maintain(tables.kept()) {}
    }
    let mut again = nothing();
    storage(&disk).load_into(&mut again).unwrap();
    assert_eq!(state(&again), state(&tables));
}

/// Accounts whose passwords change for ever, on a disk with room for them and one snapshot more: a change is refused
/// now and then, but the journal is always made smaller again, also after a start.
#[test]
fn what_a_full_disk_leaves_can_be_made_smaller() {
    for (size, restarts) in (4_100..9_000).step_by(97).flat_map(|size| [(size, false), (size, true)]) {
        let disk = healthy();
        disk.0.write().unwrap().size = Some(size);
        let (mut tables, mut running) = (nothing(), storage(&disk));
        running.load_into(&mut tables).unwrap();
        let (mut refused, mut in_a_row) = (0, 0);
        for n in 0..300 {
            let credential = Credential::new(&"x".repeat(1 + n % 50), b"salt", RULES).unwrap();
            let recorded = record(&mut running, &mut tables, ["a", "b", "c"][n % 3], credential);
            running.commit(Duration::ZERO).unwrap();
            in_a_row = if recorded { 0 } else { in_a_row + 1 };
            assert!(in_a_row < 3, "{size}: no more changes are recorded after {n}");
            if recorded {
                continue;
            }
            refused += 1;
            if restarts {
                running = restarted(&disk, &mut tables);
                // It learns that the disk is full.
                let credential = Credential::new(&"x".repeat(50), b"salt", RULES).unwrap();
                record(&mut running, &mut tables, "a", credential);
            }
            while !running.maintain(tables.kept()) {}
        }
        assert!(refused > 0 || size > 6_000, "{size} bytes are too many to prove anything");
        restarted(&disk, &mut tables);
    }
}

/// Records a password. `false` if it is refused.
fn record(storage: &mut Storage, tables: &mut KeptTables, name: &str, credential: Credential) -> bool {
    let change = [Change::Account(name, AccountChange::Credential(credential))];
    let recorded = storage.record_all(&change).is_ok();
    if recorded {
        change.into_iter().for_each(|change| tables.apply(change));
    }
    recorded
}

/// The storage of another process, which finds all that is there.
fn restarted(disk: &FakeDisk, tables: &mut KeptTables) -> Storage {
    let (mut storage, known) = (storage(disk), state(tables));
    *tables = nothing();
    storage.load_into(tables).unwrap();
    assert_eq!(state(tables), known);
    storage
}

/// A step of a subscription is short, however long the contact's name, groups and request are.
#[test]
fn what_a_step_of_a_subscription_writes() {
    let disk = healthy();
    let (mut tables, mut running) = (nothing(), storage(&disk));
    running.load_into(&mut tables).unwrap();
    let request = Element::new("presence", "jabber:client").with_text("x".repeat(10_000));
    let before = Contact {
        listed: true,
        name: Some("x".repeat(10_000)),
        groups: vec!["x".repeat(10_000)],
        subscription: Subscription::NonePendingIn,
        approved: false,
        request: Some(Box::new(request)),
    };
    let after = before.after(before.subscription.outbound(SubscriptionType::Subscribe));
    let address: Jid = "juliet@localhost".parse().unwrap();
    let steps = [
        AccountChange::Contact(address.clone(), Some(before.clone())),
        AccountChange::Subscription(address, after.state_since(&before)),
    ];
    let [whole, step] = steps.map(|change| {
        let before = running.status().recorded_bytes;
        running.record_all(&[Change::Account("romeo", change)]).unwrap();
        running.status().recorded_bytes - before
    });
    assert!(whole > 30_000 && step < 250, "{whole}, then {step}");
}

/// When somebody was last here is written at once, and synced with what comes next or at the end.
#[test]
fn what_nobody_waits_for_is_synced_with_the_next() {
    for durability in DURABILITIES {
        let disk = healthy();
        let (mut tables, mut running) =
            (nothing(), Storage::on(Box::new(disk.clone()), "localhost", durability));
        running.load_into(&mut tables).unwrap();
        let gone = |at| Change::Account("a", AccountChange::LastSeen(LastSeen { at, status: None }));
        let synced = || {
            let (_, file) = newest(&disk, "journal");
            disk.0.read().unwrap().files[file].synced
        };
        let (head, hour) = (synced(), Duration::from_secs(3_600));
        running.record_all(&[gone(1)]).unwrap();
        running.commit(hour).unwrap();
        assert_eq!((running.next_commit(), synced()), (None, head));
        let text = NoteChange::Text(String::new());
        running.record_all(&[gone(2), Change::Note("a", text)]).unwrap();
        running.commit(2 * hour).unwrap();
        let all = content(&disk, newest(&disk, "journal").1).len();
        let wanted = if durability == Durability::Never { head } else { all };
        assert_eq!((running.next_commit(), synced()), (None, wanted));
        running.record_all(&[gone(3)]).unwrap();
        running.sync().unwrap();
        assert_eq!(synced(), content(&disk, newest(&disk, "journal").1).len());
    }
}

/// Nothing is recorded that could not be read.
#[test]
fn what_is_too_long_for_a_line_is_refused_or_written_as_several() {
    let disk = healthy();
    let (mut tables, mut running) = (nothing(), storage(&disk));
    running.load_into(&mut tables).unwrap();
    let called = |bytes: usize| {
        let contact = Contact { listed: true, name: Some("x".repeat(bytes)), ..Contact::default() };
        AccountChange::Contact(format!("a{bytes}@b").parse().unwrap(), Some(contact))
    };
    let mut takes = |change: AccountChange| {
        let change = [Change::Account("juliet", change)];
        let recorded = running.record_all(&change).is_ok();
        change.into_iter().filter(|_| recorded).for_each(|change| tables.apply(change));
        recorded
    };
    assert!(takes(AccountChange::Credential(Credential::new("secret", b"salt", RULES).unwrap())));
    let longest = (0..MAX_LINE_BYTES).rev().find(|&bytes| takes(called(bytes))).unwrap();
    assert!(longest > MAX_LINE_BYTES - 300 && !takes(called(longest + 1)));
    assert_eq!(
        content(&disk, newest(&disk, "journal").1).split(|byte| *byte == b'\n').map(<[u8]>::len).max(),
        Some(MAX_LINE_BYTES - 1)
    );
    // All is in one account, which is longer than a line.
    assert!((1..6).all(|n| takes(called(longest - n))));
    running.commit(Duration::ZERO).unwrap();
    while !running.maintain(tables.kept()) {}
    let snapshot = content(&disk, newest(&disk, "snapshot").1);
    assert!(snapshot.len() > 5 * MAX_LINE_BYTES);
    let mut again = nothing();
    storage(&disk).load_into(&mut again).unwrap();
    assert_eq!(state(&again), state(&tables));
    assert!(!running.status().refuses);
}

/// Once a sync has failed, what it was for may be lost, whatever a later one says.
#[test]
fn a_sync_that_failed_is_not_tried_again() {
    for durability in [Durability::Always, Durability::Every(Duration::from_secs(1))] {
        let disk = healthy();
        let (mut tables, mut storage) =
            (nothing(), Storage::on(Box::new(disk.clone()), "localhost", durability));
        storage.load_into(&mut tables).unwrap();
        assert!(take(&mut storage, &mut tables, 0));
        let next = disk.0.read().unwrap().operations + 1;
        disk.0.write().unwrap().ill = next..next + 1;
        disk.0.write().unwrap().illness = Illness::Refuses;
        for second in 1..4 {
            assert!(storage.commit(Duration::from_secs(second)).is_err() && storage.sync().is_err());
        }
    }
}

/// A disk that has no space for a snapshot is not asked for one in each turn.
#[test]
fn a_snapshot_that_failed_is_not_tried_in_each_turn() {
    let disk = healthy();
    let (mut tables, mut storage) = (nothing(), storage(&disk));
    storage.load_into(&mut tables).unwrap();
    for n in 0.. {
        take(&mut storage, &mut tables, n);
        storage.commit(Duration::ZERO).unwrap();
        if content(&disk, newest(&disk, "journal").1).len() > 1_000 {
            break;
        }
    }
    disk.0.write().unwrap().full = true;
    for _ in 0..10 {
        storage.maintain(tables.kept());
    }
    let before = disk.0.read().unwrap().operations;
    for _ in 0..10 {
        assert!(storage.maintain(tables.kept()));
    }
    assert_eq!(disk.0.read().unwrap().operations, before);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    for kind in ["journal", "snapshot"] {
        let disk = finished(STEPS);
        let (_, file) = newest(&disk, kind);
        let text = String::from_utf8(content(&disk, file)).unwrap().replacen("version='2'", "version='3'", 1);
        // It may be that this version understands nothing of it.
        let newer = text.replace("sum=", "other=").into_bytes();
        set_content(&disk, file, newer.clone());
        let error = storage(&disk).load_into(&mut nothing()).unwrap_err();
        assert!(matches!(error, StorageError::Newer { .. }), "{kind}: {error:?}");
        assert_eq!(content(&disk, file), newer);
    }
}

#[test]
fn the_accounts_of_another_domain_are_not_ours() {
    for steps in [6, STEPS] {
        let disk = finished(steps);
        assert_eq!(super::files::domain(&mut disk.clone()).unwrap().as_deref(), Some("localhost"));
        let mut other = Storage::on(Box::new(disk.clone()), "chat.lan", Durability::Always);
        let error = other.load_into(&mut nothing()).unwrap_err();
        assert!(matches!(error, StorageError::OtherDomain { .. }), "{error:?}");
    }
}

fn repaired(disk: &FakeDisk) -> (Vec<String>, KeptTables) {
    let report = repair(Box::new(disk.clone()), "localhost").unwrap();
    let mut tables = nothing();
    storage(disk).load_into(&mut tables).unwrap();
    (report, tables)
}

#[test]
fn a_repair_keeps_every_line_that_is_whole() {
    let mut wanted = nothing();
    let whole = finished(STEPS);
    storage(&whole).load_into(&mut wanted).unwrap();
    assert_eq!(repaired(&whole).0, [format!("all is whole: {} accounts", wanted.accounts.len())]);
    let (journal, journal_file) = newest(&whole, "journal");
    let (snapshot, snapshot_file) = newest(&whole, "snapshot");
    for (name, file) in [(snapshot, snapshot_file), (journal, journal_file)] {
        let before = content(&whole, file);
        for at in (0..before.len()).step_by(3) {
            // A disk of its own: each repair writes.
            let disk = healthy();
            disk.0.write().unwrap().files = whole.0.read().unwrap().files.clone();
            disk.0.write().unwrap().names = whole.0.read().unwrap().names.clone();
            let mut damaged = before.clone();
            damaged[at] ^= 1;
            set_content(&disk, file, damaged.clone());
            if !matches!(storage(&disk).load_into(&mut nothing()), Err(StorageError::Damaged { .. })) {
                continue;
            }
            let (report, tables) = repaired(&disk);
            assert!(report.len() >= 3 && report[0].contains(&name), "{report:?}");
            let aside = disk.0.read().unwrap().names[&format!("{name}.damaged")];
            assert_eq!(content(&disk, aside), damaged);
            // A line is of two accounts at most, and two lines are one if what is damaged is what parts them.
            let lost =
                wanted.accounts.names().iter().filter(|name| tables.accounts.named(name).is_none()).count();
            assert!(lost <= 2, "damaged at {at} of {name}: {lost} accounts are lost");
            assert_eq!(repaired(&disk).0, [format!("all is whole: {} accounts", tables.accounts.len())]);
        }
    }
}

#[test]
fn a_repair_stops_at_any_operation_and_is_done_again() {
    let damaged = || {
        let disk = finished(STEPS);
        let (_, file) = newest(&disk, "snapshot");
        let mut damage = content(&disk, file);
        let middle = damage.len() / 2;
        damage[middle] ^= 1;
        set_content(&disk, file, damage);
        disk.0.write().unwrap().operations = 0;
        disk
    };
    let disk = damaged();
    repair(Box::new(disk.clone()), "localhost").unwrap();
    let operations = disk.0.read().unwrap().operations;
    for (stop_at, seed) in (1..=operations).flat_map(|stop_at| (1..=3).map(move |seed| (stop_at, seed))) {
        let disk = damaged();
        disk.0.write().unwrap().stop_at = stop_at;
        // Accounts have no order, so it may be done a little earlier.
        let _ = repair(Box::new(disk.clone()), "localhost");
        disk.0.write().unwrap().lose_power(&mut Dice(seed * 31));
        let (report, tables) = repaired(&disk);
        assert!(tables.accounts.len() >= 2, "stopped at {stop_at}: {report:?}");
    }
}

#[test]
fn a_repair_without_a_file_keeps_the_rest() {
    let disk = finished(STEPS);
    let (name, _) = newest(&disk, "journal");
    let snapshot = newest(&disk, "snapshot").0.replace("snapshot", "journal");
    disk.0.write().unwrap().names.remove(&snapshot).unwrap();
    let (report, tables) = repaired(&disk);
    assert_eq!(report[0], format!("{snapshot} is missing"));
    assert!(tables.accounts.len() > 1, "{name}: {report:?}");
}
