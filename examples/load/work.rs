//! What clients do with what comes, and what was seen of it.

use std::time::{Duration, Instant};

use crate::net::Net;
use crate::{Result, PATIENCE};

/// What is done with what comes.
pub(crate) trait Work {
    /// A client has got a child of its stream.
    fn hear(&mut self, net: &mut Net, who: usize, stanza: &str) -> Result<()>;
    /// Does what must be done before.
    fn prepare(&mut self, _: &mut Net) -> Result<()> {
        Ok(())
    }
    /// Says what is first.
    fn begin(&mut self, _: &mut Net) {}
    /// Does what is due, and says how long the next can wait.
    fn wake(&mut self, _: &mut Net) -> Duration {
        PATIENCE
    }
    /// From now on only what is under way comes.
    fn end(&mut self) {}
    fn is_done(&self) -> bool {
        true
    }
    /// Whatever is under way now is missing.
    fn missing(&mut self) {}
    fn tally(&mut self) -> &mut Tally;
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) what: &'static str,
    pub(crate) counted: usize,
    /// Microseconds that each took.
    pub(crate) times: Vec<u32>,
    pub(crate) wrong: usize,
    pub(crate) first_wrong: Option<String>,
    pub(crate) missing: usize,
}

impl Tally {
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, ..Self::default() }
    }

    /// From now on it counts; what was wrong before stays so.
    pub(crate) fn reset(&mut self) {
        self.counted = 0;
        self.times.clear();
    }

    pub(crate) fn is_right(&self) -> bool {
        self.wrong == 0 && self.missing == 0
    }

    pub(crate) fn took(&mut self, since: Instant) {
        self.times.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn note_wrong(&mut self, stanza: &str) {
        self.wrong += 1;
        self.first_wrong.get_or_insert_with(|| stanza.to_owned());
    }
}

/// Nothing.
#[derive(Default)]
pub(crate) struct Idle {
    tally: Tally,
}

impl Work for Idle {
    fn hear(&mut self, _: &mut Net, _: usize, _: &str) -> Result<()> {
        Ok(())
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}
