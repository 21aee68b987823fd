//! Changes recorded, synced, and put together again.
//!
//! A change is appended to the journal before it happens. At the end of each turn of the loop what was appended is
//! synced, and only then is anything sent that may speak of it. Each journal's first line of a turn says how far the
//! journal was synced before: so a loss of power, which may leave anything behind that point, is told from damage
//! before it. Once the journal has outgrown the snapshot, the next pair is begun.
//!
//! Read first: [`super`] for the files, [`super::files`] for what is in them. Left out on purpose: when a turn ends;
//! [`crate::server`] says so.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::disk::{Disk, Folder};
use super::error::StorageError;
use super::files::{self, ReadJournal, UNFINISHED};
use super::line;
use super::portable::{self, read_user};
use crate::tables::{Accounts, Change, Recorder, StorageStatus};
use crate::xml::Element;

/// The smallest journal that a snapshot is made for. Tests make many of few changes.
const MIN_JOURNAL_BYTES: u64 = if cfg!(test) { 1_000 } else { 1 << 20 };
/// Bytes of a snapshot that are written in one turn.
const SLICE_BYTES: usize = if cfg!(test) { 100 } else { 128 * 1024 };

/// When a change is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before anybody is told of it.
    Always,
    /// At the latest after this time: kind to flash, and what happened in it may be lost with the power.
    Every(Duration),
    /// When the system likes.
    Never,
}

/// A data folder in use.
pub struct Storage {
    disk: Box<dyn Disk>,
    durability: Durability,
    domain: String,
    /// The number of the journal that is written.
    number: u64,
    /// How long it is, as far as it is whole.
    journal_bytes: u64,
    /// It may be longer than that.
    torn: bool,
    /// Up to where it is synced.
    synced_bytes: u64,
    synced_at: Duration,
    /// The next line is the first since the last sync.
    says_synced: bool,
    /// A sync has failed. What it was for may be lost although a later one succeeds, so there is none.
    lost: bool,
    snapshot_bytes: u64,
    snapshot: Option<Snapshot>,
    /// After a snapshot has failed: how long the journal is to be for another try.
    retry_at: u64,
    /// That the disk takes nothing was said.
    complained: bool,
}

/// A snapshot that is being written.
struct Snapshot {
    names: Vec<Box<str>>,
    users: u64,
    bytes: u64,
}

impl Storage {
    /// The storage of a server called `domain` in a folder; [`crate::Server::open_storage`] reads what is there.
    pub fn new(folder: Folder, domain: &str, durability: Durability) -> Self {
        Self::on(Box::new(folder), domain, durability)
    }

    pub(crate) fn on(disk: Box<dyn Disk>, domain: &str, durability: Durability) -> Self {
        Self {
            disk,
            durability,
            domain: domain.to_owned(),
            number: 0,
            journal_bytes: 0,
            torn: false,
            synced_bytes: 0,
            synced_at: Duration::ZERO,
            says_synced: true,
            lost: false,
            snapshot_bytes: 0,
            snapshot: None,
            retry_at: 0,
            complained: false,
        }
    }

    /// Reads all accounts, and goes on with the newest journal. Nothing on the disk changes before all is read.
    pub(crate) fn load(&mut self, accounts: &mut Accounts) -> Result<(), StorageError> {
        let names = self.disk.names()?;
        let newest = files::numbers(&names, "snapshot").last().copied();
        let mut take = |element: &Element| apply(accounts, element);
        let mut needed = 0;
        let mut domain = None;
        if let Some(number) = newest {
            let snapshot = files::read_snapshot(&mut *self.disk, number, &mut take)?;
            self.snapshot_bytes = snapshot.bytes;
            needed = snapshot.journal;
            domain = Some(snapshot.domain);
        }
        let from = newest.unwrap_or_default();
        let mut journals = Vec::new();
        for number in journal_numbers(&names, from, newest.is_some())? {
            journals.push(files::read_journal(&mut *self.disk, number, &mut take)?);
        }
        check_chain(&journals, needed)?;
        let said = journals.iter().filter_map(|journal| journal.head.as_ref()).map(|head| &head.domain);
        if let Some(other) = said.chain(&domain).find(|domain| **domain != self.domain) {
            return Err(StorageError::OtherDomain { domain: other.clone() });
        }
        self.clean_up(&names, from)?;
        self.go_on_with(journals, from)?;
        log::info!("{} accounts were read", accounts.len());
        Ok(())
    }

    /// Goes on with the last journal that anything was written into.
    fn go_on_with(&mut self, mut journals: Vec<ReadJournal>, from: u64) -> io::Result<()> {
        while journals.len() > 1 && journals.last().is_some_and(|journal| !journal.used) {
            if let Some(unused) = journals.pop() {
                self.disk.remove(&files::journal(unused.number))?;
            }
        }
        for torn in journals.iter().filter(|journal| journal.whole < journal.bytes) {
            let name = files::journal(torn.number);
            log::warn!(
                "{name}: {} bytes at its end were not written whole and are dropped",
                torn.bytes - torn.whole
            );
            self.disk.truncate(&name, torn.whole)?;
            self.disk.sync(&name)?;
        }
        let last = journals.last();
        self.number = last.map_or(from, |journal| journal.number);
        self.journal_bytes = last.map_or(0, |journal| journal.whole);
        self.synced_bytes = self.journal_bytes;
        match self.journal_bytes {
            0 => self.begin_journal(0),
            _ => Ok(()),
        }
    }

    /// Removes what an interrupted snapshot left, and what a finished one has made useless.
    fn clean_up(&mut self, names: &[String], from: u64) -> io::Result<()> {
        let stale = |name: &&String| {
            let old = |kind| files::number_of(name, kind).is_some_and(|number| number < from);
            name.as_str() == UNFINISHED || old("snapshot") || old("journal")
        };
        names.iter().filter(stale).try_for_each(|name| self.disk.remove(name))
    }

    /// Goes on with a new journal, or with the old one if there can be none.
    fn next_journal(&mut self) -> io::Result<()> {
        let old = (self.journal_bytes, self.synced_bytes, self.says_synced);
        self.number += 1;
        self.begin_journal(self.journal_bytes).map_err(|error| {
            // What there is of it does no harm: nothing was written into it.
            let _ = self.disk.remove(&files::journal(self.number));
            self.number -= 1;
            (self.journal_bytes, self.synced_bytes, self.says_synced) = old;
            error
        })
    }

    fn begin_journal(&mut self, follows: u64) -> io::Result<()> {
        let name = files::journal(self.number);
        let head = files::journal_head(&self.domain, follows);
        remove_if_there(&mut *self.disk, &name)?;
        self.disk.append(&name, &head)?;
        self.disk.sync(&name)?;
        self.disk.sync_names()?;
        self.journal_bytes = head.len() as u64;
        self.synced_bytes = self.journal_bytes;
        self.says_synced = true;
        Ok(())
    }

    /// Cuts off what a failed write has left.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.disk.truncate(&files::journal(self.number), self.journal_bytes)?;
            self.torn = false;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.disk.append(&files::journal(self.number), bytes).map_err(|error| {
            self.torn = true;
            error
        })?;
        self.journal_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Begins the next pair. From here on changes go to the new journal; the snapshot follows, slice by slice.
    fn begin_snapshot(&mut self, accounts: &Accounts) -> io::Result<()> {
        self.mend()?;
        self.sync()?;
        self.next_journal()?;
        self.open_snapshot(accounts)
    }

    fn open_snapshot(&mut self, accounts: &Accounts) -> io::Result<()> {
        remove_if_there(&mut *self.disk, UNFINISHED)?;
        let head = files::snapshot_head(&self.domain);
        self.disk.append(UNFINISHED, &head)?;
        self.snapshot = Some(Snapshot { names: accounts.names(), users: 0, bytes: head.len() as u64 });
        Ok(())
    }

    /// Writes the next slice of a snapshot. `true` once it is finished and has its name.
    fn write_slice(&mut self, accounts: &Accounts) -> io::Result<bool> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(true) };
        let mut slice = Vec::new();
        while slice.len() < SLICE_BYTES {
            let Some(name) = snapshot.names.pop() else { break };
            let Some(account) = accounts.get(&name) else { continue };
            line::write(&portable::account_to_element(&name, account), &mut slice);
            snapshot.users += 1;
        }
        let finished = snapshot.names.is_empty();
        if finished {
            files::snapshot_end(snapshot.users, self.journal_bytes, &mut slice);
        }
        snapshot.bytes += slice.len() as u64;
        self.disk.append(UNFINISHED, &slice)?;
        self.disk.sync(UNFINISHED)?;
        if finished {
            self.finish_snapshot()?;
        }
        Ok(finished)
    }

    /// Gives the snapshot its name. It has seen changes that were made while it was written, so those must be safe first.
    fn finish_snapshot(&mut self) -> io::Result<()> {
        self.sync()?;
        self.disk.rename(UNFINISHED, &files::snapshot(self.number))?;
        self.disk.sync_names()?;
        self.snapshot_bytes = self.snapshot.take().map_or(0, |snapshot| snapshot.bytes);
        Ok(())
    }

    /// Removes what a snapshot that has its name has made useless.
    fn remove_old(&mut self) {
        let removed = self.disk.names().and_then(|names| self.clean_up(&names, self.number));
        if let Err(error) = removed {
            log::warn!("what a snapshot has made useless cannot be removed: {error}");
        }
    }

    /// Writes a whole pair with a number that nobody had, and nothing else: repairs.
    pub(super) fn write_anew(&mut self, number: u64, accounts: &Accounts) -> io::Result<()> {
        self.number = number;
        self.begin_journal(0)?;
        self.open_snapshot(accounts)?;
        while !self.write_slice(accounts)? {}
        Ok(())
    }

    pub(super) fn disk(&mut self) -> &mut dyn Disk {
        &mut *self.disk
    }

    /// The journals since the last whole snapshot have it all. Another try is worth it once there is more.
    fn give_snapshot_up(&mut self, error: &io::Error) {
        log::error!("no snapshot can be made: {error}; the journal goes on");
        self.snapshot = None;
        self.retry_at = self.journal_bytes + MIN_JOURNAL_BYTES;
        // So that it takes no space; the next one begins anew in any case.
        let _ = self.disk.remove(UNFINISHED);
    }
}

impl Recorder for Storage {
    fn record_all(&mut self, changes: &[(&str, &Change)]) -> io::Result<()> {
        let Some(mut element) = element_of(changes) else { return Ok(()) };
        if self.says_synced {
            element.set_attr("synced", self.synced_bytes.to_string());
        }
        let mut bytes = Vec::new();
        line::write(&element, &mut bytes);
        match self.append(&bytes) {
            Ok(()) => {
                self.says_synced = false;
                if std::mem::replace(&mut self.complained, false) {
                    log::info!("changes can be recorded again");
                }
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    log::error!("a change cannot be recorded: {error}; all are refused until one can");
                }
                Err(error)
            }
        }
    }

    fn commit(&mut self, now: Duration) -> io::Result<()> {
        let due = match self.durability {
            Durability::Always => true,
            Durability::Every(time) => now >= self.synced_at + time,
            Durability::Never => false,
        };
        if !due && !self.lost {
            return Ok(());
        }
        self.synced_at = now;
        self.sync()
    }

    fn next_commit(&self) -> Option<Duration> {
        match self.durability {
            _ if self.synced_bytes == self.journal_bytes => None,
            Durability::Always => Some(Duration::ZERO),
            Durability::Every(time) => Some(self.synced_at + time),
            Durability::Never => None,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::other("the journal could not be synced before"));
        }
        if self.synced_bytes < self.journal_bytes {
            self.disk.sync(&files::journal(self.number)).map_err(|error| {
                log::error!("what changed cannot be made safe: {error}");
                self.lost = true;
                error
            })?;
            self.synced_bytes = self.journal_bytes;
            self.says_synced = true;
        }
        Ok(())
    }

    fn status(&self) -> StorageStatus {
        StorageStatus {
            journal_bytes: self.journal_bytes,
            snapshot_bytes: self.snapshot_bytes,
            refuses: self.complained,
        }
    }

    fn maintain(&mut self, accounts: &Accounts) -> bool {
        let wanted = self.snapshot_bytes.max(MIN_JOURNAL_BYTES).max(self.retry_at);
        let done = if self.snapshot.is_some() {
            self.write_slice(accounts).map(|finished| {
                if finished {
                    self.remove_old();
                }
                finished
            })
        } else if self.journal_bytes > wanted && !self.lost {
            self.retry_at = 0;
            self.begin_snapshot(accounts).map(|()| false)
        } else {
            Ok(true)
        };
        done.unwrap_or_else(|error| {
            self.give_snapshot_up(&error);
            true
        })
    }
}

/// One line for changes that happen together.
fn element_of(changes: &[(&str, &Change)]) -> Option<Element> {
    let mut elements = changes.iter().map(|(user, change)| portable::change_to_element(user, change));
    match changes {
        [] | [_] => elements.next(),
        _ => Some(elements.fold(Element::new("users", portable::NS), Element::with)),
    }
}

/// Does what an element says: a `<user/>`, or several. `false` if it is neither.
pub(super) fn apply(accounts: &mut Accounts, element: &Element) -> bool {
    if element.is("users", portable::NS) {
        return element.children().all(|user| apply(accounts, user));
    }
    let Some(user) = read_user(element) else { return false };
    user.changes.into_iter().for_each(|change| accounts.apply(&user.name, change));
    true
}

/// The numbers of the journals from the one of the newest snapshot on, all of which must be there.
fn journal_numbers(names: &[String], from: u64, has_snapshot: bool) -> Result<Vec<u64>, StorageError> {
    let mut numbers = files::numbers(names, "journal");
    numbers.retain(|number| *number >= from);
    let last = numbers.last().copied().or(has_snapshot.then_some(from));
    let wanted = last.into_iter().flat_map(|last| from..=last);
    match wanted.zip(numbers.iter().map(Some).chain(std::iter::repeat(None))).find(|(n, is)| Some(n) != *is) {
        Some((missing, _)) => Err(StorageError::Missing { file: files::journal(missing) }),
        None => Ok(numbers),
    }
}

/// Each journal must have all that was safe when the next was begun, and the first all that its snapshot needs.
fn check_chain(journals: &[ReadJournal], needed: u64) -> Result<(), StorageError> {
    let has = |journal: &ReadJournal, bytes| match journal.whole {
        whole if whole < bytes => {
            Err(StorageError::Damaged { file: files::journal(journal.number), at: whole })
        }
        _ => Ok(()),
    };
    if let Some(first) = journals.first() {
        has(first, needed)?;
    }
    for pair in journals.windows(2) {
        let [journal, next] = pair else { continue };
        match &next.head {
            Some(head) => has(journal, head.follows)?,
            // It was being begun when the power went, so there is none behind it.
            None if journals.last().is_some_and(|last| last.number == next.number) => (),
            None => has(next, 1)?,
        }
    }
    Ok(())
}

fn remove_if_there(disk: &mut dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
