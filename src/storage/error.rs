//! Why a data folder cannot be used, and what can be done.
//!
//! Left out on purpose: a change that cannot be recorded, which is refused and changes nothing ([`crate::tables`]).

use std::fmt;
use std::io;

/// Why a folder's accounts cannot be read.
#[derive(Debug)]
#[non_exhaustive]
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
    /// A file that others need is not there.
    Missing {
        /// Which file.
        file: String,
    },
    /// A newer version of this program has written it.
    Newer {
        /// Which file.
        file: String,
    },
    /// The accounts are at another domain.
    OtherDomain {
        /// Which domain.
        domain: String,
    },
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REPAIR: &str = "`loquat repair` keeps what is whole and puts the rest aside";
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Damaged { file, at } => write!(f, "{file} is damaged at byte {at}; {REPAIR}"),
            Self::Missing { file } => write!(f, "{file} is missing; {REPAIR}"),
            Self::Newer { file } => write!(f, "{file} was written by a newer loquat"),
            Self::OtherDomain { domain } => write!(
                f,
                "the accounts in the data folder are at {domain}; to move them to another domain, export them and \
                 import them into a new folder with --as-domain {domain}"
            ),
        }
    }
}

impl std::error::Error for StorageError {}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
