//! The journal that is being written: lines at its end, and how far they are safe.
//!
//! The first line after a sync says in `synced` how long the journal was when it was synced. When the storage is closed
//! in good order, a last line that changes nothing says the same of all before it. So a start knows what was safe, and
//! tells damage in it from what a loss of power may leave behind it ([`super::files::read_journal`]). Left out on
//! purpose: what the lines mean, and when they are synced ([`super::store`]).

use std::io::{self, ErrorKind};

use super::disk::Disk;
use super::files::{self, ReadJournal};
use super::line;
use crate::tables::portable::NS;
use crate::xml::Element;

/// The journal that is being written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Journal {
    pub(super) number: u64,
    /// How long it is, as far as it is whole.
    pub(super) bytes: u64,
    /// It may be longer than that.
    torn: bool,
    /// Up to where it is synced.
    synced: u64,
    /// Up to where somebody waits for it to be synced.
    due: u64,
    /// Up to where it was closed in good order.
    closed: u64,
    /// A sync has failed. What it was for may be lost although a later one succeeds, so there is none.
    lost: bool,
}

impl Journal {
    /// Begins one behind another one that is `follows` bytes long.
    pub(super) fn begin(disk: &mut dyn Disk, number: u64, domain: &str, follows: u64) -> io::Result<Self> {
        let name = files::journal(number);
        let head = files::journal_head(domain, follows);
        remove_if_there(disk, &name)?;
        disk.append(&name, &head)?;
        disk.sync(&name)?;
        disk.sync_names()?;
        let bytes = head.len() as u64;
        Ok(Self { number, bytes, synced: bytes, due: bytes, closed: bytes, ..Self::default() })
    }

    /// Goes on with one that was read. Whoever wrote it may have been killed before it was synced.
    pub(super) fn go_on(disk: &mut dyn Disk, read: &ReadJournal) -> io::Result<Self> {
        disk.sync(&files::journal(read.number))?;
        let (number, bytes) = (read.number, read.whole);
        let closed = if read.closed { bytes } else { 0 };
        Ok(Self { number, bytes, synced: bytes, due: bytes, closed, ..Self::default() })
    }

    /// The line of `element`, as it would come next.
    pub(super) fn line(&self, mut element: Element) -> Vec<u8> {
        if self.synced == self.bytes {
            element.set_attr("synced", self.synced.to_string());
        }
        let mut line = Vec::new();
        line::write(&element, &mut line);
        line
    }

    /// Appends a line. `due` says whether somebody waits for it to be synced.
    pub(super) fn append(&mut self, disk: &mut dyn Disk, line: &[u8], due: bool) -> io::Result<()> {
        self.mend(disk)?;
        disk.append(&files::journal(self.number), line).map_err(|error| {
            self.torn = true;
            error
        })?;
        self.bytes += line.len() as u64;
        if due {
            self.due = self.bytes;
        }
        Ok(())
    }

    /// Cuts off what a failed write has left.
    pub(super) fn mend(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if self.torn {
            disk.truncate(&files::journal(self.number), self.bytes)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Whether somebody waits for a sync.
    pub(super) fn is_due(&self) -> bool {
        self.synced < self.due
    }

    /// Whether a sync has failed.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Returns once all of it is safe.
    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::other("the journal could not be synced before"));
        }
        if self.synced < self.bytes {
            disk.sync(&files::journal(self.number)).map_err(|error| {
                log::error!("what changed cannot be made safe: {error}");
                self.lost = true;
                error
            })?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Makes all of it safe, and says at its end that it is.
    pub(super) fn close(&mut self, disk: &mut dyn Disk) -> io::Result<()> {
        self.sync(disk)?;
        if self.closed == self.bytes {
            return Ok(());
        }
        // Twice: without the line break before it the first would be one with the last change, and nothing behind that.
        let lines = self.line(Element::new("users", NS)).repeat(2);
        if let Err(error) = self.append(disk, &lines, false) {
            // All is safe; it only does not say so.
            log::warn!("the end of the journal cannot be marked: {error}");
            return self.mend(disk);
        }
        self.sync(disk)?;
        self.closed = self.bytes;
        Ok(())
    }
}

pub(super) fn remove_if_there(disk: &mut dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
