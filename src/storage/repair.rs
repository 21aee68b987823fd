//! A folder with damage in it, put together again of what is whole.
//!
//! Every file that is there is read, oldest first, and every line that is as it was written is done again: since
//! changes say how things are afterwards, each line that is whole is worth having. The result is written as a new pair
//! before anything is touched; files with damage are then put aside under other names, for people. Left out on purpose:
//! guessing what a damaged line has said.

use std::io;

use super::disk::{Disk, Folder};
use super::error::StorageError;
use super::files::{self, Piece, Pieces};
use super::load::read;
use super::store::{Durability, Storage};
use crate::tables::{Accounts, KeptTables, PasswordRules};

impl Storage {
    /// Puts a folder in order that cannot be read any more, and says for people what it found and did.
    ///
    /// # Errors
    /// If the system does not let it, or a newer version or another domain has the folder. Then nothing is changed.
    pub fn repair(folder: Folder, domain: &str) -> Result<Vec<String>, StorageError> {
        repair(Box::new(folder), domain)
    }
}

/// Tables that are read and written and never asked.
fn nothing() -> KeptTables {
    KeptTables::new(Accounts::new(PasswordRules { iterations: 1, keeps_passwords: true }, b""))
}

pub(super) fn repair(disk: Box<dyn Disk>, domain: &str) -> Result<Vec<String>, StorageError> {
    let mut storage = Storage::on(disk, domain, Durability::Always);
    let mut tables = nothing();
    let mut report = match storage.load_into(&mut tables) {
        Ok(()) => return Ok(vec![format!("all is whole: {} accounts", tables.accounts.len())]),
        Err(error @ (StorageError::Damaged { .. } | StorageError::Missing { .. })) => {
            vec![error_line(&error)]
        }
        Err(error) => return Err(error),
    };
    let names = storage.disk().names()?;
    let salvage = Salvage::of(storage.disk(), &names)?;
    let mut storage = salvage.write(storage, &mut report)?;
    for name in &salvage.damaged {
        let aside = files::aside(name, &names);
        storage.disk().rename(name, &aside)?;
        report.push(format!("{name} is now {aside}"));
    }
    storage.disk().sync_names()?;
    report.push(format!("{} accounts were kept", salvage.tables.accounts.len()));
    Ok(report)
}

fn error_line(error: &StorageError) -> String {
    match error {
        StorageError::Damaged { file, at } => format!("{file} is damaged at byte {at}"),
        StorageError::Missing { file } => format!("{file} is missing"),
        other => other.to_string(),
    }
}

/// What there is of a folder.
struct Salvage {
    tables: KeptTables,
    damaged: Vec<String>,
    remarks: Vec<String>,
    /// The highest number of a file.
    last: u64,
}

impl Salvage {
    fn of(disk: &mut dyn Disk, names: &[String]) -> Result<Self, StorageError> {
        let snapshots = files::numbers(names, "snapshot");
        let journals = files::numbers(names, "journal");
        let last = snapshots.iter().chain(&journals).copied().max().unwrap_or_default();
        let mut salvage = Self { tables: nothing(), damaged: Vec::new(), remarks: Vec::new(), last };
        let mut numbers = [snapshots.as_slice(), journals.as_slice()].concat();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            if snapshots.contains(&number) {
                if files::read_snapshot(disk, number, |_| true).is_ok() {
                    // What came before is in it, or was gone when it was made.
                    salvage.tables = nothing();
                }
                salvage.read(disk, files::snapshot(number))?;
            }
            if journals.contains(&number) {
                salvage.read(disk, files::journal(number))?;
            }
        }
        Ok(salvage)
    }

    /// Does again what a file says in its whole lines.
    fn read(&mut self, disk: &mut dyn Disk, name: String) -> Result<(), StorageError> {
        let (mut pieces, mut lines, mut damaged) = (Pieces::open(disk, &name)?, 0, 0);
        while let Some(piece) = pieces.next()? {
            lines += 1;
            let good = match piece {
                Piece::Newer => return Err(StorageError::Newer { file: name }),
                Piece::Damaged | Piece::Hole => false,
                Piece::Users(element) => read(&element, &mut |change| self.tables.apply(change)),
                Piece::Head(_) | Piece::End { .. } | Piece::Frame(_) => true,
            };
            damaged += usize::from(!good);
        }
        if damaged > 0 {
            self.remarks.push(format!("{name}: {damaged} of {lines} lines are damaged"));
            self.damaged.push(name);
        }
        Ok(())
    }

    /// Writes it as a new pair.
    fn write(&self, mut storage: Storage, report: &mut Vec<String>) -> io::Result<Storage> {
        report.extend(self.remarks.iter().cloned());
        storage.write_anew(self.last + 1, self.tables.kept())?;
        Ok(storage)
    }
}
