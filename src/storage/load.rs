//! A start: all that is in a folder is read, and the newest journal goes on.
//!
//! Nothing on the disk changes before all is read. What a loss of power has left behind the whole lines of a journal is
//! then put aside in a file of its own, never destroyed: the start may be wrong about it.
//!
//! Read first: [`super::files`]. Left out on purpose: what is damaged; the start stops, and [`super::repair`] is for
//! people to decide.

use std::io::{self, Read};

use super::error::StorageError;
use super::files::{self, ReadJournal, UNFINISHED};
use super::journal::Journal;
use super::reserve::Reserve;
use super::store::Storage;
use crate::tables::portable::NS;
use crate::tables::{KeptTables, Take, COLLECTIONS};
use crate::xml::Element;

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 64 * 1024;

impl Storage {
    /// Has `take` do again all that was recorded, and goes on with the newest journal.
    pub(crate) fn load(&mut self, take: &mut Take<'_>) -> Result<(), StorageError> {
        let names = self.disk.names()?;
        let newest = files::numbers(&names, "snapshot").last().copied();
        let mut take = |element: &Element| read(element, take);
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
        self.reserve = Reserve::find(&mut *self.disk, &names)?;
        self.go_on_with(journals, from)?;
        Ok(())
    }

    /// The same, into tables that are only read in.
    pub(super) fn load_into(&mut self, tables: &mut KeptTables) -> Result<(), StorageError> {
        self.load(&mut |change| tables.apply(change))
    }

    /// Goes on with the last journal that anything was written into.
    fn go_on_with(&mut self, mut journals: Vec<ReadJournal>, from: u64) -> io::Result<()> {
        for torn in journals.iter().filter(|journal| journal.whole < journal.bytes) {
            self.cut_off(torn)?;
        }
        while journals.len() > 1 && journals.last().is_some_and(|journal| !journal.used) {
            if let Some(unused) = journals.pop() {
                self.disk.remove(&files::journal(unused.number))?;
            }
        }
        let last = journals.pop().filter(|last| last.whole > 0);
        self.older_bytes = journals.iter().map(|journal| journal.whole).sum();
        self.journal = match &last {
            Some(last) => Journal::go_on(&mut *self.disk, last)?,
            // There is no other one: whoever has a head that is not whole is used by nobody.
            None => Journal::begin(&mut *self.disk, from, &self.domain, 0)?,
        };
        match last.and_then(|last| last.head) {
            Some(head) if head.is_old => self.next_journal(),
            _ => Ok(()),
        }
    }

    /// Cuts off what is not whole at the end of a journal, once it is safe in another file.
    fn cut_off(&mut self, torn: &ReadJournal) -> io::Result<()> {
        let name = files::journal(torn.number);
        let aside = files::aside(&name, &self.disk.names()?);
        self.copy(&name, torn.whole, &aside).or_else(|error| {
            match self.reserve.release(&mut *self.disk) {
                true => self.copy(&name, torn.whole, &aside),
                false => Err(error),
            }
        })?;
        self.reserve.reclaim();
        self.disk.sync(&aside)?;
        self.disk.sync_names()?;
        self.disk.truncate(&name, torn.whole)?;
        self.disk.sync(&name)?;
        let bytes = torn.bytes - torn.whole;
        match torn.cut_off {
            0 => log::warn!("{name}: {bytes} bytes at its end were not written whole; they are now in {aside}"),
            lines => log::error!(
                "{name}: {bytes} bytes at its end were being written when the power went, and {lines} changes in them \
                 are lost; they are now in {aside}"
            ),
        }
        Ok(())
    }

    /// Copies a file from a place on.
    fn copy(&mut self, from: &str, start: u64, to: &str) -> io::Result<()> {
        super::journal::remove_if_there(&mut *self.disk, to)?;
        let mut source = self.disk.read(from)?;
        io::copy(&mut source.by_ref().take(start), &mut io::sink())?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = source.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            self.disk.append(to, piece.get(..read).unwrap_or_default())?;
        }
    }

    /// Removes what an interrupted snapshot left, and what a finished one has made useless.
    pub(super) fn clean_up(&mut self, names: &[String], from: u64) -> io::Result<()> {
        let stale = |name: &&String| {
            let old = |kind| files::number_of(name, kind).is_some_and(|number| number < from);
            name.as_str() == UNFINISHED || old("snapshot") || old("journal")
        };
        names.iter().filter(stale).try_for_each(|name| self.disk.remove(name))
    }
}

/// Takes out what a line says: of one owner, or of several. `false` if that is not understood.
pub(super) fn read(line: &Element, take: &mut Take<'_>) -> bool {
    if line.is("users", NS) {
        return line.children().all(|element| read(element, take));
    }
    let collection = COLLECTIONS.iter().find(|collection| line.is(collection.element, NS));
    collection.is_some_and(|collection| (collection.read)(line, take))
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
