//! The wing that writes down what outlives the process.
//!
//! A data folder holds numbered pairs: `snapshot.N.xml`, all accounts in the portable format of XEP-0227, and
//! `journal.N.xml`, every change since that snapshot was begun, one to a line. A start reads the newest snapshot and
//! the journals from its number on. Changes say how things are afterwards, so a journal may tell of what its snapshot
//! already has: a snapshot is written in slices while changes go on.
//!
//! Read first: [`store`] for the order of things, [`load`] for a start, [`files`] for what the files look like,
//! [`journal`] for what in them is safe, [`line`] and [`crate::tables::portable`] for what is in a line, [`reserve`]
//! for full disks, [`disk`] for the little that is asked of a file system, [`lock`] for who may have a folder,
//! [`exchange`] for documents from and for other servers, [`repair`] for what is left after damage. Left out on
//! purpose: sockets, streams, clocks.

#[cfg(test)]
mod crashes;
mod disk;
mod error;
mod exchange;
mod files;
mod journal;
mod line;
mod load;
mod lock;
#[cfg(unix)]
mod lock_file;
mod repair;
mod reserve;
mod store;

pub use disk::Folder;
pub use error::StorageError;
pub use exchange::{account_line, Document, DocumentError, Export, Part};
pub(crate) use files::LIMITS;
pub use store::{Durability, Storage};
