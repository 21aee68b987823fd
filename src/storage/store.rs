//! Changes recorded, synced, and put together again.
//!
//! A change is appended to the journal before it happens. At the end of each turn of the loop what was appended is
//! synced, and only then is anything sent that may speak of it. Each journal's first line of a turn says how far the
//! journal was synced before: so a loss of power, which may leave anything behind that point, is told from damage
//! before it. Once the journal has outgrown the snapshot, the next pair is begun.
//!
//! Read first: [`super`] for the files. Left out on purpose: when a turn ends; [`crate::server`] says so.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use super::disk::{Disk, Folder};
use super::line;
use super::portable::{self, read_user};
use crate::tables::{Accounts, Change, Recorder};
use crate::xml::{Element, Item, Reader, XmlError, XmlLimits};

/// The version of the journal's format; a newer one is refused.
const VERSION: &str = "1";
/// The smallest journal that a snapshot is made for. Tests make many of few changes.
const MIN_JOURNAL_BYTES: u64 = if cfg!(test) { 1_000 } else { 1 << 20 };
/// Bytes of a snapshot that are written in one turn.
const SLICE_BYTES: usize = if cfg!(test) { 100 } else { 128 * 1024 };
/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// What one account may have in a file. Whoever may write the files may do anything, so this only stops what is damaged.
const LIMITS: XmlLimits =
    XmlLimits { stanza_bytes: 1 << 28, depth: 256, elements: 1 << 24, attributes: 256, namespaces: 256 };

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

/// Why a folder's accounts cannot be read.
#[derive(Debug)]
pub enum StorageError {
    /// The system said so.
    Io(io::Error),
    /// What was synced has changed since.
    Damaged {
        /// Which file.
        file: String,
        /// Bytes before the damage.
        at: u64,
    },
    /// A newer version of this program has written it.
    Newer {
        /// Which file.
        file: String,
    },
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Damaged { file, at } => {
                write!(f, "{file} is damaged at byte {at}; `loquat repair` keeps what is whole and puts the rest aside")
            }
            Self::Newer { file } => write!(f, "{file} was written by a newer loquat"),
        }
    }
}

impl std::error::Error for StorageError {}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
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
    snapshot_bytes: u64,
    snapshot: Option<Snapshot>,
    /// That the disk takes nothing was said.
    complained: bool,
}

/// A snapshot that is being written.
struct Snapshot {
    names: Vec<Box<str>>,
    bytes: u64,
}

impl Storage {
    /// The storage of a server called `domain` in a folder; [`crate::Server::open`] reads what is there.
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
            snapshot_bytes: 0,
            snapshot: None,
            complained: false,
        }
    }

    /// Reads all accounts, and goes on with the newest journal.
    pub(crate) fn load(&mut self, accounts: &mut Accounts) -> Result<(), StorageError> {
        let names = self.disk.names()?;
        let newest = numbers(&names, "snapshot").max();
        if let Some(number) = newest {
            self.snapshot_bytes = self.read_snapshot(&file("snapshot", number), accounts)?;
        }
        let from = newest.unwrap_or_default();
        let mut journals: Vec<u64> = numbers(&names, "journal").filter(|number| *number >= from).collect();
        journals.sort_unstable();
        self.number = journals.last().copied().unwrap_or(from);
        for number in journals {
            self.replay(number, accounts)?;
        }
        self.clean_up(&names, from)?;
        if self.journal_bytes == 0 {
            self.begin_journal()?;
        }
        Ok(())
    }

    /// Reads a snapshot, which is whole or damaged: it got its name when it was complete.
    fn read_snapshot(&mut self, name: &str, accounts: &mut Accounts) -> Result<u64, StorageError> {
        let mut source = self.disk.read(name)?;
        let mut reader = Reader::nested(2, LIMITS);
        let (mut buffer, mut read, mut open) = (vec![0; READ_BYTES], 0, 0);
        let damaged = |at| StorageError::Damaged { file: name.to_owned(), at };
        let mut complete = false;
        loop {
            let n = source.read(&mut buffer)?;
            reader.push(buffer.get(..n).unwrap_or_default());
            while let Some(item) = reader.next_item().map_err(|_: XmlError| damaged(read))? {
                match item {
                    Item::Header(_) => open += 1,
                    Item::Close => open -= 1,
                    Item::Stanza(element) => apply(accounts, &element).ok_or_else(|| damaged(read))?,
                }
                complete = open == 0;
            }
            if n == 0 {
                return if complete { Ok(read) } else { Err(damaged(read)) };
            }
            read += n as u64;
        }
    }

    /// Does again what a journal says. Of the newest one, what was not synced may be torn; that is cut off.
    fn replay(&mut self, number: u64, accounts: &mut Accounts) -> Result<(), StorageError> {
        let name = file("journal", number);
        let mut bytes = Vec::new();
        self.disk.read(&name)?.read_to_end(&mut bytes)?;
        let whole = whole_lines(&bytes);
        if whole < bytes.len() {
            let rest = bytes.get(whole..).unwrap_or_default();
            let damage_was_synced = lines(rest).filter_map(synced_in).any(|synced| synced > whole as u64);
            if number < self.number || damage_was_synced {
                return Err(StorageError::Damaged { file: name, at: whole as u64 });
            }
            log::warn!("{name}: {} bytes at its end were not written whole and are dropped", rest.len());
            self.disk.truncate(&name, whole as u64)?;
            self.disk.sync(&name)?;
        }
        if lines(&bytes).next().and_then(version_in).is_some_and(|version| version != VERSION) {
            return Err(StorageError::Newer { file: name });
        }
        let mut reader = Reader::nested(1, LIMITS);
        reader.push(bytes.get(..whole).unwrap_or_default());
        // Each line is as it was written, so what is no XML, or no user, is of our own making.
        while let Some(item) =
            reader.next_item().map_err(|_| StorageError::Damaged { file: name.clone(), at: 0 })?
        {
            if let Item::Stanza(element) = item {
                apply(accounts, &element);
            }
        }
        self.journal_bytes = whole as u64;
        self.synced_bytes = self.journal_bytes;
        Ok(())
    }

    /// Removes what an interrupted snapshot left, and what a finished one has made useless.
    fn clean_up(&mut self, names: &[String], from: u64) -> io::Result<()> {
        let stale = |name: &&String| {
            let old = |kind| number_of(name, kind).is_some_and(|number| number < from);
            name.as_str() == UNFINISHED || old("snapshot") || old("journal")
        };
        names.iter().filter(stale).try_for_each(|name| self.disk.remove(name))
    }

    /// Goes on with a new journal, or with the old one if there can be none.
    fn next_journal(&mut self) -> io::Result<()> {
        let old = (self.journal_bytes, self.synced_bytes);
        self.number += 1;
        self.begin_journal().map_err(|error| {
            // What there is of the new one must not be taken for the newest.
            let _ = self.disk.remove(&file("journal", self.number));
            self.number -= 1;
            (self.journal_bytes, self.synced_bytes) = old;
            error
        })
    }

    fn begin_journal(&mut self) -> io::Result<()> {
        let name = file("journal", self.number);
        let head = format!("{HEAD}{VERSION}'>\n");
        self.disk.append(&name, head.as_bytes())?;
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
            self.disk.truncate(&file("journal", self.number), self.journal_bytes)?;
            self.torn = false;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.disk.append(&file("journal", self.number), bytes).map_err(|error| {
            self.torn = true;
            error
        })?;
        self.journal_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Begins the next pair. From here on changes go to the new journal; the snapshot follows, slice by slice.
    fn begin_snapshot(&mut self, accounts: &Accounts) -> io::Result<()> {
        self.mend()?;
        self.disk.sync(&file("journal", self.number))?;
        self.next_journal()?;
        let head = format!(
            "<?xml version='1.0'?>\n<server-data xmlns='{}'>\n<host jid='{}'>\n",
            portable::NS,
            self.domain
        );
        self.disk.append(UNFINISHED, head.as_bytes())?;
        self.snapshot = Some(Snapshot { names: accounts.names(), bytes: head.len() as u64 });
        Ok(())
    }

    /// Writes the next slice of a snapshot. `true` once it is finished.
    fn write_slice(&mut self, accounts: &Accounts) -> io::Result<bool> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(true) };
        let mut slice = Vec::new();
        while slice.len() < SLICE_BYTES {
            let Some(name) = snapshot.names.pop() else { break };
            let Some(account) = accounts.get(&name) else { continue };
            crate::xml::writer::write(
                &portable::account_to_element(&name, account),
                portable::NS,
                &mut slice,
            );
            slice.push(b'\n');
        }
        let finished = snapshot.names.is_empty();
        if finished {
            slice.extend_from_slice(b"</host>\n</server-data>\n");
        }
        self.disk.append(UNFINISHED, &slice)?;
        self.disk.sync(UNFINISHED)?;
        snapshot.bytes += slice.len() as u64;
        if finished {
            self.snapshot_bytes = snapshot.bytes;
            self.snapshot = None;
            self.disk.rename(UNFINISHED, &file("snapshot", self.number))?;
            self.disk.sync_names()?;
            let names = self.disk.names()?;
            self.clean_up(&names, self.number)?;
        }
        Ok(finished)
    }

    fn complain(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            log::error!("{what}: {error}; changes are refused until it can be done again");
        }
    }
}

impl Recorder for Storage {
    fn record(&mut self, user: &str, change: &Change) -> io::Result<()> {
        let mut element = portable::change_to_element(user, change);
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
                self.complain("a change cannot be recorded", &error);
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
        if !due {
            return Ok(());
        }
        self.synced_at = now;
        self.sync()
    }

    fn next_commit(&self) -> Option<Duration> {
        match self.durability {
            Durability::Every(time) if self.synced_bytes < self.journal_bytes => Some(self.synced_at + time),
            _ => None,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.synced_bytes < self.journal_bytes {
            self.disk.sync(&file("journal", self.number))?;
            self.synced_bytes = self.journal_bytes;
            self.says_synced = true;
        }
        Ok(())
    }

    fn maintain(&mut self, accounts: &Accounts) -> bool {
        let done = if self.snapshot.is_some() {
            self.write_slice(accounts)
        } else if self.journal_bytes > self.snapshot_bytes.max(MIN_JOURNAL_BYTES) {
            self.begin_snapshot(accounts).map(|()| false)
        } else {
            Ok(true)
        };
        done.unwrap_or_else(|error| {
            // The journals since the last whole snapshot have it all; the next start cleans up.
            self.snapshot = None;
            self.complain("no snapshot can be made", &error);
            true
        })
    }
}

/// The first line of a journal, up to its version.
const HEAD: &str = "<journal xmlns='urn:xmpp:pie:0' version='";

const UNFINISHED: &str = "snapshot.unfinished";

fn file(kind: &str, number: u64) -> String {
    format!("{kind}.{number}.xml")
}

fn number_of(name: &str, kind: &str) -> Option<u64> {
    name.strip_prefix(kind)?.strip_prefix('.')?.strip_suffix(".xml")?.parse().ok()
}

fn numbers<'n>(names: &'n [String], kind: &'n str) -> impl Iterator<Item = u64> + 'n {
    names.iter().filter_map(move |name| number_of(name, kind))
}

/// Does what a `<user/>` element says. `None` if it is none.
fn apply(accounts: &mut Accounts, element: &Element) -> Option<()> {
    let user = read_user(element)?;
    user.changes.into_iter().for_each(|change| accounts.apply(&user.name, change));
    Some(())
}

/// Lines without their breaks.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n')
}

/// Up to where a line says that its journal was synced, if it is whole and says so.
fn synced_in(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok().filter(|_| line::is_whole(line))?;
    let (_, rest) = text.split_once(" synced='")?;
    rest.split_once('\'')?.0.parse().ok()
}

/// The version that a journal's first line gives.
fn version_in(head: &[u8]) -> Option<&str> {
    std::str::from_utf8(head).ok()?.strip_prefix(HEAD)?.strip_suffix("'>")
}

/// How far a journal is whole: its head, and lines that are as they were written.
fn whole_lines(bytes: &[u8]) -> usize {
    let mut whole = 0;
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let good = match line.strip_suffix(b"\n") {
            Some(head) if number == 0 => version_in(head).is_some(),
            Some(line) => line::is_whole(line),
            None => false,
        };
        if !good {
            break;
        }
        whole += line.len();
    }
    whole
}
