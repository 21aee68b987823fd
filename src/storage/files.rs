//! The files of a data folder: what they are called, how they begin and end, and reading them piece by piece.
//!
//! ```text
//! <journal sum=.. xmlns=.. version='1' domain='chat.lan' follows='4711'>     journal.8.xml: what changed, a line each
//! <user sum=.. xmlns=.. synced='120' name='romeo'> .. </user>
//!
//! <?xml version='1.0'?>                                                     snapshot.8.xml: all accounts, a line each
//! <server-data sum=.. xmlns=.. version='1'>
//! <host sum=.. jid='chat.lan'>
//! <user sum=.. xmlns=.. name='romeo' password=..> .. </user>
//! <end sum=.. xmlns=.. users='1' journal='290'/>
//! </host>
//! </server-data>
//! ```
//!
//! `follows` says how long the journal before was and `journal` how long the snapshot's own was, each when it was last
//! known to be safe: a loss of power, which may leave anything of what came later, is told from damage.
//! A file is read one line at a time, however long it is. Left out on purpose: what a line means.

use std::io::{self, BufRead, BufReader, Read};

use super::disk::{Disk, Folder};
use super::error::StorageError;
use super::line;
use super::portable::NS;
use crate::xml::{Element, Item, Reader, XmlLimits};

/// The version of the format; a newer one is refused.
const VERSION: &str = "1";

/// A snapshot that is not complete yet.
pub(super) const UNFINISHED: &str = "snapshot.unfinished";

const XML_DECLARATION: &str = "<?xml version='1.0'?>";
const ENDS: [&str; 2] = ["</host>", "</server-data>"];

/// How many lines of a snapshot are no users and not the one that counts them.
const FRAME_LINES: usize = 5;

/// Bytes of the longest line. Whoever may write the files may do anything, so this only stops what is damaged.
const MAX_LINE_BYTES: usize = 1 << 28;

/// What one account may have in a file.
pub(crate) const LIMITS: XmlLimits = XmlLimits {
    stanza_bytes: MAX_LINE_BYTES,
    depth: 256,
    elements: 1 << 24,
    attributes: 1 << 16,
    namespaces: 1 << 16,
};

pub(super) fn journal(number: u64) -> String {
    format!("journal.{number}.xml")
}

pub(super) fn snapshot(number: u64) -> String {
    format!("snapshot.{number}.xml")
}

/// The number of a file of this kind.
pub(super) fn number_of(name: &str, kind: &str) -> Option<u64> {
    name.strip_prefix(kind)?.strip_prefix('.')?.strip_suffix(".xml")?.parse().ok()
}

/// The numbers of all files of this kind, in order.
pub(super) fn numbers(names: &[String], kind: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name, kind)).collect();
    numbers.sort_unstable();
    numbers
}

/// How a journal begins.
pub(super) fn journal_head(domain: &str, follows: u64) -> Vec<u8> {
    let mut head = Vec::new();
    let follows = follows.to_string();
    let attributes = [("xmlns", NS), ("version", VERSION), ("domain", domain), ("follows", &follows)];
    line::write_start("journal", &attributes, &mut head);
    head
}

/// How a snapshot begins.
pub(super) fn snapshot_head(domain: &str) -> Vec<u8> {
    let mut head = format!("{XML_DECLARATION}\n").into_bytes();
    line::write_start("server-data", &[("xmlns", NS), ("version", VERSION)], &mut head);
    line::write_start("host", &[("jid", domain)], &mut head);
    head
}

/// Appends how a snapshot ends that has so many users and needs so many bytes of its journal.
pub(super) fn snapshot_end(users: u64, journal: u64, out: &mut Vec<u8>) {
    let end = Element::new("end", NS)
        .with_attr("users", users.to_string())
        .with_attr("journal", journal.to_string());
    line::write(&end, out);
    ENDS.iter().for_each(|end| {
        out.extend_from_slice(end.as_bytes());
        out.push(b'\n');
    });
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Piece {
    /// A journal's first line: whose accounts it speaks of, and how long the journal before was.
    Head { domain: String, follows: u64 },
    /// Accounts, or what changed of some: a `<user/>` or several in `<users/>`.
    Users(Element),
    /// The line of a snapshot that says what it has and needs.
    End { users: u64, journal: u64 },
    /// What else a snapshot is made of; the host's line names its domain.
    Frame(Option<String>),
    /// Written by a newer version of this program.
    Newer,
    /// Not as it was written.
    Damaged,
}

/// A file, piece by piece.
pub(super) struct Pieces {
    source: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    at: u64,
    reader: Reader,
}

impl Pieces {
    pub(super) fn open(disk: &mut dyn Disk, name: &str) -> io::Result<Self> {
        let source = BufReader::new(disk.read(name)?);
        Ok(Self { source, line: Vec::new(), at: 0, reader: reader() })
    }

    /// Bytes of the pieces that were read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next piece; `None` behind the last.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        self.line.clear();
        let limit = MAX_LINE_BYTES as u64;
        let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        self.at += read as u64;
        if read == 0 {
            return Ok(None);
        }
        Ok(Some(if self.line.pop() == Some(b'\n') { self.piece() } else { Piece::Damaged }))
    }

    fn piece(&mut self) -> Piece {
        let line = self.line.as_slice();
        if [XML_DECLARATION, ENDS[0], ENDS[1]].iter().any(|frame| frame.as_bytes() == line) {
            return Piece::Frame(None);
        }
        let text = |name| line::attribute(line, name);
        let number = |name| text(name).and_then(|number| number.parse().ok());
        let name = line::name(line);
        if matches!(name, b"journal" | b"server-data")
            && text("version").is_some_and(|version| version != VERSION)
        {
            return Piece::Newer;
        }
        if !line::is_whole(line) {
            return Piece::Damaged;
        }
        match name {
            b"journal" => match (text("domain"), number("follows")) {
                (Some(domain), Some(follows)) => Piece::Head { domain: domain.to_owned(), follows },
                _ => Piece::Damaged,
            },
            b"end" => match (number("users"), number("journal")) {
                (Some(users), Some(journal)) => Piece::End { users, journal },
                _ => Piece::Damaged,
            },
            b"server-data" => Piece::Frame(None),
            b"host" => Piece::Frame(text("jid").map(str::to_owned)),
            _ => self.element().map_or(Piece::Damaged, Piece::Users),
        }
    }

    fn element(&mut self) -> Option<Element> {
        let spare = self.reader.take_spare();
        self.reader.push_into(&self.line, spare);
        if let Ok(Some(Item::Stanza(element))) = self.reader.next_item() {
            return Some(element);
        }
        self.reader = reader();
        None
    }
}

/// A reader that takes lines for the children of one root.
fn reader() -> Reader {
    let mut reader = Reader::nested(1, LIMITS);
    reader.push(b"<lines>");
    let root = reader.next_item();
    debug_assert!(matches!(root, Ok(Some(Item::Header(_)))));
    reader
}

/// A snapshot that was read.
pub(super) struct ReadSnapshot {
    pub(super) domain: String,
    pub(super) bytes: u64,
    /// How many bytes of its journal it needs.
    pub(super) journal: u64,
}

/// Reads a snapshot, which is whole or damaged: it got its name when it was complete. `take` says whether it understood.
pub(super) fn read_snapshot(
    disk: &mut dyn Disk,
    number: u64,
    mut take: impl FnMut(&Element) -> bool,
) -> Result<ReadSnapshot, StorageError> {
    let name = snapshot(number);
    let mut pieces = Pieces::open(disk, &name)?;
    let (mut domain, mut frames, mut users, mut end) = (None, 0, 0, None);
    loop {
        let at = pieces.at();
        let good = match pieces.next()? {
            Some(Piece::Newer) => return Err(StorageError::Newer { file: name }),
            Some(Piece::Frame(host)) => {
                domain = domain.or(host);
                frames += 1;
                true
            }
            Some(Piece::Users(element)) => {
                users += 1;
                take(&element)
            }
            Some(Piece::End { users: said, journal }) => {
                end = Some(journal);
                said == users
            }
            Some(Piece::Head { .. } | Piece::Damaged) => false,
            None => match (domain, end) {
                (Some(domain), Some(journal)) if frames == FRAME_LINES => {
                    return Ok(ReadSnapshot { domain, bytes: at, journal });
                }
                _ => return Err(StorageError::Damaged { file: name, at }),
            },
        };
        if !good {
            return Err(StorageError::Damaged { file: name, at });
        }
    }
}

/// A journal that was read.
pub(super) struct ReadJournal {
    pub(super) number: u64,
    pub(super) head: Option<JournalHead>,
    /// How far it is whole.
    pub(super) whole: u64,
    pub(super) bytes: u64,
    /// Something was written into it.
    pub(super) used: bool,
}

pub(super) struct JournalHead {
    pub(super) domain: String,
    /// How long the journal before was.
    pub(super) follows: u64,
}

/// Reads a journal as far as it is whole. What comes behind that may have been written when the power went; if it was
/// synced, which later lines tell, it is damage. `take` says whether it understood.
pub(super) fn read_journal(
    disk: &mut dyn Disk,
    number: u64,
    mut take: impl FnMut(&Element) -> bool,
) -> Result<ReadJournal, StorageError> {
    let name = journal(number);
    let mut pieces = Pieces::open(disk, &name)?;
    let mut read = ReadJournal { number, head: None, whole: 0, bytes: 0, used: false };
    while let Some(piece) = pieces.next()? {
        let torn = read.whole < read.bytes;
        let good = match piece {
            Piece::Newer => return Err(StorageError::Newer { file: name }),
            Piece::Head { domain, follows } if read.bytes == 0 => {
                read.head = Some(JournalHead { domain, follows });
                true
            }
            Piece::Users(element) if torn => {
                let synced: Option<u64> = element.attr("synced").and_then(|synced| synced.parse().ok());
                if synced.is_some_and(|synced| synced > read.whole) {
                    return Err(StorageError::Damaged { file: name, at: read.whole });
                }
                false
            }
            Piece::Users(element) if read.head.is_some() => {
                read.used = true;
                if !take(&element) {
                    return Err(StorageError::Damaged { file: name, at: read.whole });
                }
                true
            }
            _ => false,
        };
        read.bytes = pieces.at();
        if good && !torn {
            read.whole = read.bytes;
        }
    }
    Ok(read)
}

impl Folder {
    /// The domain whose accounts are in it; `None` if it has none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn domain(&mut self) -> io::Result<Option<String>> {
        domain(self)
    }
}

/// The domain whose accounts a folder has, if it has any file that says so.
pub(super) fn domain(disk: &mut dyn Disk) -> io::Result<Option<String>> {
    let names = disk.names()?;
    let journals = numbers(&names, "journal").into_iter().rev().map(journal);
    for name in journals.chain(numbers(&names, "snapshot").into_iter().rev().map(snapshot)) {
        let mut pieces = Pieces::open(disk, &name)?;
        // A snapshot says it in its third line.
        for _ in 0..3 {
            if let Some(Piece::Head { domain, .. } | Piece::Frame(Some(domain))) = pieces.next()? {
                return Ok(Some(domain));
            }
        }
    }
    Ok(None)
}
