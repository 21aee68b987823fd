//! Messages that have waited and are being sent just now.
//!
//! They wait no longer, but that is recorded only after they were sent: who is killed in between sends them twice rather than
//! never. Left out on purpose: whether a client has got what was sent (XEP-0198), which outlives no process.

/// Up to which number messages of which accounts are being sent.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Since the last commit. They are sent after the next.
    fresh: Vec<(Box<str>, u64)>,
    sent: Vec<(Box<str>, u64)>,
}

impl InFlight {
    pub(super) fn note(&mut self, user: &str, number: u64) {
        self.fresh.push((user.into(), number));
    }

    /// All that was noted is sent now.
    pub(super) fn send(&mut self) {
        self.sent.append(&mut self.fresh);
    }

    pub(super) fn take_sent(&mut self) -> Vec<(Box<str>, u64)> {
        std::mem::take(&mut self.sent)
    }
}
