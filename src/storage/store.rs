//! Changes recorded, synced, and put together again.
//!
//! A change is appended to the journal before it happens. At the end of each turn of the loop what was appended is
//! synced, and only then is anything sent that may speak of it. Once the journal has outgrown the snapshot, or the disk
//! is full, the next pair is begun.
//!
//! Read first: [`super`] for the files, [`super::files`] for what is in them, [`super::journal`] for what is safe,
//! [`super::reserve`] for full disks. Left out on purpose: reading it all at a start ([`super::load`]); when a turn
//! ends, which [`crate::server`] says.

use std::io;
use std::time::Duration;

use super::disk::{Disk, Folder};
use super::files::{self, MAX_LINE_BYTES, UNFINISHED};
use super::journal::{remove_if_there, Journal};
use super::line;
use super::reserve::Reserve;
use crate::tables::portable::NS;
use crate::tables::{Change, Collection, Kept, Recorder, StorageStatus, COLLECTIONS};
use crate::xml::Element;

/// The smallest journal that a snapshot is made for. Tests make many of few changes.
const MIN_JOURNAL_BYTES: u64 = if cfg!(test) { 1_000 } else { 1 << 20 };
/// While the disk is full, a snapshot is made for this part of such a journal.
const FULL_DISK_PART: u64 = 8;
/// Bytes of a snapshot that are written in one turn.
const SLICE_BYTES: usize = if cfg!(test) { 100 } else { 128 * 1024 };

/// When a change is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    pub(super) disk: Box<dyn Disk>,
    pub(super) durability: Durability,
    pub(super) domain: String,
    pub(super) journal: Journal,
    /// Bytes of the journals before it that no snapshot has made useless.
    pub(super) older_bytes: u64,
    pub(super) reserve: Reserve,
    /// Bytes that were written into journals since the start.
    recorded_bytes: u64,
    synced_at: Duration,
    pub(super) snapshot_bytes: u64,
    snapshot: Option<Snapshot>,
    /// After a snapshot has failed: how long the journals are to be for another try.
    retry_at: u64,
    /// That the disk takes nothing was said.
    complained: bool,
}

/// A snapshot that is being written.
struct Snapshot {
    /// Who is still to be written, by kinds of owners.
    left: Vec<(&'static Collection, Vec<Box<str>>)>,
    lines: u64,
    bytes: u64,
}

impl Snapshot {
    fn next(&mut self) -> Option<(&'static Collection, Box<str>)> {
        self.left.iter_mut().find_map(|(collection, names)| Some((*collection, names.pop()?)))
    }
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
            journal: Journal::default(),
            older_bytes: 0,
            reserve: Reserve::default(),
            recorded_bytes: 0,
            synced_at: Duration::ZERO,
            snapshot_bytes: 0,
            snapshot: None,
            retry_at: 0,
            complained: false,
        }
    }

    pub(super) fn disk(&mut self) -> &mut dyn Disk {
        &mut *self.disk
    }

    /// Bytes of the journals that the next snapshot makes useless.
    fn journals_bytes(&self) -> u64 {
        self.older_bytes + self.journal.bytes
    }

    /// Bytes that the next snapshot may need: no more than what it is made of.
    fn needed_bytes(&self) -> u64 {
        self.snapshot_bytes + self.journals_bytes()
    }

    fn record(&mut self, element: Element, due: bool) -> io::Result<()> {
        let line = self.journal.line(element);
        if line.len() > MAX_LINE_BYTES {
            log::warn!("a change of {} bytes is too long to be recorded and is refused", line.len());
            return Err(io::Error::other("it is too long for a line"));
        }
        let recorded = self.append(&line, due);
        match &recorded {
            Ok(()) if std::mem::replace(&mut self.complained, false) => {
                log::info!("changes can be recorded again");
            }
            Ok(()) => (),
            Err(error) => self.complain(error),
        }
        recorded
    }

    fn append(&mut self, line: &[u8], due: bool) -> io::Result<()> {
        let needed = self.needed_bytes() + line.len() as u64;
        self.reserve.cover(&mut *self.disk, needed)?;
        self.journal.append(&mut *self.disk, line, due)?;
        self.recorded_bytes += line.len() as u64;
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            log::error!("a change cannot be recorded: {error}; all are refused until one can");
        }
    }

    /// How long the journals may grow before a snapshot is made.
    fn most_journals_bytes(&self) -> u64 {
        let wanted = self.snapshot_bytes.max(MIN_JOURNAL_BYTES);
        let wanted = if self.complained { wanted / FULL_DISK_PART } else { wanted };
        wanted.max(self.retry_at)
    }

    /// Goes on with a new journal, or with the old one if there can be none.
    pub(super) fn next_journal(&mut self) -> io::Result<()> {
        let (old, number) = (self.journal, self.journal.number + 1);
        let begun = Journal::begin(&mut *self.disk, number, &self.domain, old.bytes);
        self.journal = begun.map_err(|error| {
            // What there is of it does no harm: nothing was written into it.
            let _ = self.disk.remove(&files::journal(number));
            error
        })?;
        self.older_bytes += old.bytes;
        Ok(())
    }

    /// Begins the next pair. From here on changes go to the new journal; the snapshot follows, slice by slice.
    fn begin_snapshot(&mut self, kept: Kept<'_>) -> io::Result<()> {
        self.journal.mend(&mut *self.disk)?;
        self.journal.sync(&mut *self.disk)?;
        self.next_journal()?;
        self.open_snapshot(kept)
    }

    fn open_snapshot(&mut self, kept: Kept<'_>) -> io::Result<()> {
        remove_if_there(&mut *self.disk, UNFINISHED)?;
        let head = files::snapshot_head(&self.domain);
        self.disk.append(UNFINISHED, &head)?;
        let left = COLLECTIONS.iter().map(|collection| (collection, (collection.names)(kept))).collect();
        self.snapshot = Some(Snapshot { left, lines: 0, bytes: head.len() as u64 });
        Ok(())
    }

    /// Writes the next slice of a snapshot. `true` once it is finished and has its name.
    fn write_slice(&mut self, kept: Kept<'_>) -> io::Result<bool> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(true) };
        let mut slice = Vec::new();
        while slice.len() < SLICE_BYTES {
            let Some((collection, name)) = snapshot.next() else { break };
            // It may have gone since.
            let Some(element) = (collection.write)(kept, &name) else { continue };
            snapshot.lines += write_whole(collection, &element, &mut slice);
        }
        let finished = snapshot.left.iter().all(|(_, names)| names.is_empty());
        if finished {
            files::snapshot_end(snapshot.lines, self.journal.bytes, &mut slice);
        }
        snapshot.bytes += slice.len() as u64;
        self.disk.append(UNFINISHED, &slice)?;
        self.disk.sync(UNFINISHED)?;
        if finished {
            self.finish_snapshot()?;
        }
        Ok(finished)
    }

    /// Gives the snapshot its name. It has seen changes that were made while it was written, so those must be safe
    /// first.
    fn finish_snapshot(&mut self) -> io::Result<()> {
        self.journal.sync(&mut *self.disk)?;
        self.disk.rename(UNFINISHED, &files::snapshot(self.journal.number))?;
        self.disk.sync_names()?;
        self.snapshot_bytes = self.snapshot.take().map_or(0, |snapshot| snapshot.bytes);
        self.older_bytes = 0;
        Ok(())
    }

    /// Removes what a snapshot that has its name has made useless.
    fn remove_old(&mut self) {
        let most = self.snapshot_bytes + self.snapshot_bytes.max(MIN_JOURNAL_BYTES);
        self.reserve.reclaim();
        let removed = self.disk.names().and_then(|names| self.clean_up(&names, self.journal.number));
        if let Err(error) = removed.and_then(|()| self.reserve.shrink(&mut *self.disk, most)) {
            log::warn!("what a snapshot has made useless cannot be removed: {error}");
        }
    }

    /// Writes a whole pair with a number that nobody had, and nothing else: repairs.
    pub(super) fn write_anew(&mut self, number: u64, kept: Kept<'_>) -> io::Result<()> {
        self.journal = Journal::begin(&mut *self.disk, number, &self.domain, 0)?;
        self.open_snapshot(kept)?;
        while !self.write_slice(kept)? {}
        Ok(())
    }

    /// The journals since the last whole snapshot have it all. `true` if it is worth another try only once there is
    /// more; the first time there is the reserve.
    fn snapshot_failed(&mut self, error: &io::Error) -> bool {
        self.snapshot = None;
        // So that it takes no space; the next one begins anew in any case.
        let _ = self.disk.remove(UNFINISHED);
        if self.reserve.release(&mut *self.disk) {
            log::warn!("a snapshot finds no room: {error}; it gets what is kept for one");
            return false;
        }
        log::error!("no snapshot can be made: {error}; the journal goes on");
        self.reserve.reclaim();
        self.retry_at = self.journals_bytes() + MIN_JOURNAL_BYTES;
        true
    }

    /// Whether a snapshot is to be begun.
    fn wants_snapshot(&self) -> bool {
        let wanted = self.journals_bytes() > self.most_journals_bytes() || self.reserve.is_released();
        wanted && !self.journal.is_lost()
    }

    /// Lets the reserve of a folder that has none grow little by little, lest a change waits for it. `true` if it is
    /// done.
    fn grow_reserve(&mut self) -> bool {
        let needed = self.needed_bytes();
        let grown = match self.complained {
            true => Ok(true),
            false => self.reserve.approach(&mut *self.disk, needed),
        };
        grown.unwrap_or_else(|error| {
            self.complain(&error);
            true
        })
    }
}

impl Recorder for Storage {
    fn record_all(&mut self, changes: &[Change<'_>]) -> io::Result<()> {
        let Some(element) = element_of(changes) else { return Ok(()) };
        self.record(element, !changes.iter().all(Change::can_wait))
    }

    fn commit(&mut self, now: Duration) -> io::Result<()> {
        let is_time = match self.durability {
            Durability::Always => true,
            Durability::Every(time) => now >= self.synced_at + time,
            Durability::Never => false,
        };
        if is_time {
            self.synced_at = now;
        }
        if self.journal.is_lost() || (is_time && self.journal.is_due()) {
            return self.journal.sync(&mut *self.disk);
        }
        Ok(())
    }

    fn next_commit(&self) -> Option<Duration> {
        match self.durability {
            _ if !self.journal.is_due() => None,
            Durability::Always => Some(Duration::ZERO),
            Durability::Every(time) => Some(self.synced_at + time),
            Durability::Never => None,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.journal.close(&mut *self.disk)
    }

    fn status(&self) -> StorageStatus {
        StorageStatus {
            journal_bytes: self.journal.bytes,
            snapshot_bytes: self.snapshot_bytes,
            recorded_bytes: self.recorded_bytes,
            refuses: self.complained,
        }
    }

    fn maintain(&mut self, kept: Kept<'_>) -> bool {
        let done = if self.snapshot.is_some() {
            self.write_slice(kept).map(|finished| {
                if finished {
                    self.remove_old();
                }
                finished
            })
        } else if self.wants_snapshot() {
            self.retry_at = 0;
            self.begin_snapshot(kept).map(|()| false)
        } else {
            Ok(self.grow_reserve())
        };
        done.unwrap_or_else(|error| self.snapshot_failed(&error))
    }
}

/// Appends the lines of all that is kept for an owner, and tells how many they are: one, or else one for each thing in
/// it.
fn write_whole(collection: &Collection, element: &Element, out: &mut Vec<u8>) -> u64 {
    let start = out.len();
    line::write(element, out);
    if out.len() - start <= MAX_LINE_BYTES {
        return 1;
    }
    out.truncate(start);
    let mut lines = 0;
    (collection.read)(element, &mut |change| {
        line::write(&change.to_element(), out);
        lines += 1;
    });
    lines
}

/// One line for changes that happen together.
fn element_of(changes: &[Change<'_>]) -> Option<Element> {
    let mut elements = changes.iter().map(Change::to_element);
    match changes {
        [] | [_] => elements.next(),
        _ => Some(elements.fold(Element::new("users", NS), Element::with)),
    }
}
