//! The files of a data folder: what they are called, how they begin and end, and reading them piece by piece.
//!
//! ```text
//! <journal sum=.. xmlns=.. version='2' domain='chat.lan' follows='4711'>     journal.8.xml: what changed, a line each
//! <user sum=.. xmlns=.. synced='120' name='romeo'> .. </user>
//! <users sum=.. xmlns=.. synced='890'/>                                      the end of one that was closed in good order
//!
//! <?xml version='1.0'?>                                                     snapshot.8.xml: all accounts, a line each
//! <server-data sum=.. xmlns=.. version='2'>
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
use crate::tables::portable::NS;
use crate::xml::{Element, Item, Reader, XmlLimits};

/// The version of the format. Since the second, a journal has `<subscription/>`.
const VERSION: &str = "2";

/// The versions that are read; any other is newer and refused.
const VERSIONS: [&str; 2] = ["1", VERSION];

/// A snapshot that is not complete yet.
pub(super) const UNFINISHED: &str = "snapshot.unfinished";

const XML_DECLARATION: &str = "<?xml version='1.0'?>";
const ENDS: [&str; 2] = ["</host>", "</server-data>"];

/// How many lines of a snapshot are no users and not the one that counts them.
const FRAME_LINES: usize = 5;

/// Bytes of the longest line, its line break counted. None that is longer is written.
pub(super) const MAX_LINE_BYTES: usize = if cfg!(test) { 1 << 16 } else { 1 << 28 };

/// What one account may have in a file.
pub(crate) const LIMITS: XmlLimits = XmlLimits {
    stanza_bytes: MAX_LINE_BYTES,
    depth: 256,
    // No line has more.
    elements: MAX_LINE_BYTES / 4,
    attributes: 1 << 16,
    namespaces: 1 << 16,
    ..XmlLimits::NONE
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

/// A name for what is damaged in a file; no file has it.
pub(super) fn aside(name: &str, taken: &[String]) -> String {
    let mut aside = format!("{name}.damaged");
    while taken.contains(&aside) {
        aside.push_str(".damaged");
    }
    aside
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
    /// A journal's first line.
    Head(JournalHead),
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
    /// The same, with a zero in it, which no line has: some of it was never written, though what is behind it may have
    /// been.
    Hole,
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
        let piece = if self.line.pop() == Some(b'\n') { self.piece() } else { Piece::Damaged };
        Ok(Some(match piece {
            Piece::Damaged if self.line.contains(&0) => Piece::Hole,
            piece => piece,
        }))
    }

    fn piece(&mut self) -> Piece {
        let line = self.line.as_slice();
        if [XML_DECLARATION, ENDS[0], ENDS[1]].iter().any(|frame| frame.as_bytes() == line) {
            return Piece::Frame(None);
        }
        let text = |name| line::attribute(line, name);
        let number = |name| text(name).and_then(|number| number.parse().ok());
        let name = line::name(line);
        let is_ours = text("version").map_or(true, |version| VERSIONS.contains(&version));
        // A newer one may have another kind of checksum.
        let is_whole = line::is_whole(line);
        if matches!(name, b"journal" | b"server-data") && !is_ours && (is_whole || text("sum").is_none()) {
            return Piece::Newer;
        }
        if !is_whole {
            return Piece::Damaged;
        }
        match name {
            b"journal" => match (text("domain"), number("follows")) {
                (Some(domain), Some(follows)) => Piece::Head(JournalHead {
                    domain: domain.to_owned(),
                    follows,
                    is_old: text("version") != Some(VERSION),
                }),
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

/// Reads a snapshot, which is whole or damaged: it got its name when it was complete. `take` says whether it
/// understood.
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
            Some(Piece::Head(_) | Piece::Damaged | Piece::Hole) => false,
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

/// How a journal begins.
#[derive(Debug)]
pub(super) struct JournalHead {
    /// Whose accounts it speaks of.
    pub(super) domain: String,
    /// How long the journal before was.
    pub(super) follows: u64,
    /// It is of a version before ours, so nothing of ours may stand in it.
    pub(super) is_old: bool,
}

/// A journal that was read.
#[derive(Default)]
pub(super) struct ReadJournal {
    pub(super) number: u64,
    pub(super) head: Option<JournalHead>,
    /// How far it is whole.
    pub(super) whole: u64,
    pub(super) bytes: u64,
    /// There is a hole in the first line that is not whole.
    hole: bool,
    /// Whole lines behind that.
    pub(super) cut_off: usize,
    /// Something was written into it.
    pub(super) used: bool,
    /// It was closed in good order, and nothing was written into it since.
    pub(super) closed: bool,
}

/// Reads a journal as far as it is whole. `take` says whether it understood.
///
/// What comes behind that was being written when the process or the power went, or is damaged. It is damaged for
/// certain if
///
/// - a later line says that it was synced, or
/// - a later line is whole and it has no hole. Lines are written one after the other, so only a loss of power can leave
///   one that is whole behind one that is not: the system may write pages in any order. A page that was not written
///   reads as zeros. Anything else has been changed since, and the lines behind it may have been acknowledged.
///
/// Behind a hole nothing was safe that somebody was told of: a line that is due is synced before. So a start
/// goes on without it, lest each loss of power needs somebody to come and help; it is put aside
/// ([`super::store`]).
pub(super) fn read_journal(
    disk: &mut dyn Disk,
    number: u64,
    mut take: impl FnMut(&Element) -> bool,
) -> Result<ReadJournal, StorageError> {
    let name = journal(number);
    let mut pieces = Pieces::open(disk, &name)?;
    let mut read = ReadJournal { number, ..ReadJournal::default() };
    while let Some(piece) = pieces.next()? {
        let torn = read.whole < read.bytes;
        let is_whole = match piece {
            Piece::Newer => return Err(StorageError::Newer { file: name }),
            Piece::Head(head) if read.bytes == 0 => {
                read.head = Some(head);
                true
            }
            Piece::Users(element) if torn || read.head.is_none() => {
                if read.shows_damage(&element) {
                    return Err(StorageError::Damaged { file: name, at: read.whole });
                }
                read.cut_off += 1;
                false
            }
            Piece::Users(element) => {
                if !take(&element) {
                    return Err(StorageError::Damaged { file: name, at: read.whole });
                }
                read.used = true;
                read.closed = element.is("users", NS) && element.nodes().is_empty();
                true
            }
            Piece::Hole if !torn => {
                read.hole = true;
                false
            }
            _ => false,
        };
        read.bytes = pieces.at();
        if is_whole && !torn {
            read.whole = read.bytes;
        }
    }
    Ok(read)
}

impl ReadJournal {
    /// Whether a whole line behind what is not proves that this is damaged.
    fn shows_damage(&self, line: &Element) -> bool {
        let synced: Option<u64> = line.attr("synced").and_then(|synced| synced.parse().ok());
        // A head is synced before anything is written behind it.
        !self.hole || self.head.is_none() || synced.is_some_and(|synced| synced > self.whole)
    }
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
            if let Some(Piece::Head(JournalHead { domain, .. }) | Piece::Frame(Some(domain))) =
                pieces.next()?
            {
                return Ok(Some(domain));
            }
        }
    }
    Ok(None)
}
