//! Who is to be read from: all who are logged in, and a few others, so that a storm of logins makes nobody wait.
//!
//! Left out on purpose: fairness among those who are logged in; each of them is read from once a turn.

use std::collections::VecDeque;

use crate::server::StreamId;

/// Connections read from in one turn that are not logged in. Proving a password can take a millisecond.
pub(super) const MAX_UNAUTHENTICATED: usize = 16;

/// Connections that may have more to read.
#[derive(Default)]
pub(super) struct ReadQueue {
    authenticated: Vec<StreamId>,
    unauthenticated: VecDeque<StreamId>,
}

impl ReadQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.authenticated.is_empty() && self.unauthenticated.is_empty()
    }

    pub(super) fn push(&mut self, id: StreamId, is_authenticated: bool) {
        match is_authenticated {
            true => self.authenticated.push(id),
            false => self.unauthenticated.push_back(id),
        }
    }

    /// Those who are read from in this turn.
    pub(super) fn take_turn(&mut self) -> Vec<StreamId> {
        let mut turn = std::mem::take(&mut self.authenticated);
        let others = MAX_UNAUTHENTICATED.min(self.unauthenticated.len());
        turn.extend(self.unauthenticated.drain(..others));
        turn
    }
}
