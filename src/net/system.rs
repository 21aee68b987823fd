//! What the core wants from the system: the time, and bytes that nobody can predict.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::crypto::random::RandomSource;
use crate::im::ctx::Now;

/// The system's random source. Opened once, so that running out of descriptors cannot take it away.
pub(super) fn random() -> io::Result<RandomSource> {
    let mut file = File::open("/dev/urandom")
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open /dev/urandom: {error}")))?;
    Ok(Box::new(move |buffer| file.read_exact(buffer)))
}

/// The clocks of the system. Boards without a battery start in 1970 and jump, so deadlines use the first only.
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic: self.started.elapsed(),
            since_1970: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }
}
