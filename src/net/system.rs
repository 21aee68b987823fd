//! The system's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::im::ctx::Now;

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
