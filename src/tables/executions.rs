//! Commands that are being executed: somebody was given a form and is filling it out.
//!
//! Read first: XEP-0050 3.3 (how long that lasts). There is room for so many; the oldest makes room for the newest. Those that
//! are over stay until then, so that one who comes too late can be told so.
//! Left out on purpose: what was filled in; a form comes back whole.

use std::collections::VecDeque;
use std::time::Duration;

use crate::xmpp::jid::Jid;

struct Execution {
    id: Box<str>,
    /// The full address that it is for.
    owner: Jid,
    node: &'static str,
    /// When it is given up; `None` once it is over.
    until: Option<Duration>,
}

/// Why an execution does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoExecution {
    /// There is none of this id, or it is another's, or of another command.
    Unknown,
    /// It was completed, cancelled or given up.
    Over,
}

/// The executions of all commands.
pub(crate) struct Executions {
    executions: VecDeque<Execution>,
    limit: usize,
}

impl Executions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { executions: VecDeque::new(), limit }
    }

    pub(crate) fn begin(&mut self, id: &str, owner: &Jid, node: &'static str, until: Duration) {
        self.executions.push_back(Execution {
            id: id.into(),
            owner: owner.clone(),
            node,
            until: Some(until),
        });
        while self.executions.len() > self.limit {
            self.executions.pop_front();
        }
    }

    /// Whether it may go on.
    pub(crate) fn check(&self, id: &str, owner: &Jid, node: &str, now: Duration) -> Result<(), NoExecution> {
        let mut executions = self.executions.iter();
        let found = executions.find(|e| *e.id == *id && e.owner == *owner && e.node == node);
        match found.ok_or(NoExecution::Unknown)?.until {
            Some(until) if now < until => Ok(()),
            _ => Err(NoExecution::Over),
        }
    }

    /// It is completed or cancelled.
    pub(crate) fn end(&mut self, id: &str) {
        if let Some(execution) = self.executions.iter_mut().find(|execution| *execution.id == *id) {
            execution.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn owner() -> Jid {
        "a@b/c".parse().unwrap()
    }

    #[test]
    fn an_execution_is_one_owners_of_one_command_for_a_time() {
        let mut executions = Executions::new(9);
        executions.begin("1", &owner(), "x", SECOND * 2);
        assert_eq!(executions.check("1", &owner(), "x", SECOND), Ok(()));
        assert_eq!(executions.check("1", &owner(), "x", SECOND * 2), Err(NoExecution::Over));
        assert_eq!(executions.check("2", &owner(), "x", SECOND), Err(NoExecution::Unknown));
        assert_eq!(executions.check("1", &owner(), "y", SECOND), Err(NoExecution::Unknown));
        assert_eq!(executions.check("1", &owner().to_bare(), "x", SECOND), Err(NoExecution::Unknown));
        executions.end("1");
        assert_eq!(executions.check("1", &owner(), "x", SECOND), Err(NoExecution::Over));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut executions = Executions::new(2);
        let check = |executions: &Executions, id| executions.check(id, &owner(), "x", Duration::ZERO);
        for id in ["1", "2"] {
            executions.begin(id, &owner(), "x", SECOND);
        }
        assert_eq!((check(&executions, "1"), check(&executions, "2")), (Ok(()), Ok(())));
        executions.begin("3", &owner(), "x", SECOND);
        assert_eq!(check(&executions, "1"), Err(NoExecution::Unknown));
        assert_eq!((check(&executions, "2"), check(&executions, "3")), (Ok(()), Ok(())));
    }
}
