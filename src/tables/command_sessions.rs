//! Commands that are being executed: somebody was given a form and is filling it out.
//!
//! Read first: XEP-0050 3.3 (how long that lasts). There is room for so many; the oldest makes room for the newest.
//! Those that are over stay until then, so that one who comes too late can be told so. Left out on purpose: what was
//! filled in; a form comes back whole.

use std::collections::VecDeque;
use std::time::Duration;

use crate::xmpp::jid::Jid;

struct CommandSession {
    id: Box<str>,
    /// The full address that it is for.
    owner: Jid,
    node: &'static str,
    /// When it is given up; `None` once it is over.
    until: Option<Duration>,
}

/// Why an execution does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCommandSession {
    /// There is none of this id, or it is another's, or of another command.
    Unknown,
    /// It was completed, cancelled or given up.
    Over,
}

/// The executions of all commands.
pub(crate) struct CommandSessions {
    command_sessions: VecDeque<CommandSession>,
    limit: usize,
}

impl CommandSessions {
    pub(crate) fn new(limit: usize) -> Self {
        Self { command_sessions: VecDeque::new(), limit }
    }

    pub(crate) fn begin(&mut self, id: &str, owner: &Jid, node: &'static str, until: Duration) {
        self.command_sessions.push_back(CommandSession {
            id: id.into(),
            owner: owner.clone(),
            node,
            until: Some(until),
        });
        while self.command_sessions.len() > self.limit {
            self.command_sessions.pop_front();
        }
    }

    /// Whether it may go on.
    pub(crate) fn check(
        &self,
        id: &str,
        owner: &Jid,
        node: &str,
        now: Duration,
    ) -> Result<(), NoCommandSession> {
        let mut command_sessions = self.command_sessions.iter();
        let found = command_sessions.find(|e| *e.id == *id && e.owner == *owner && e.node == node);
        match found.ok_or(NoCommandSession::Unknown)?.until {
            Some(until) if now < until => Ok(()),
            _ => Err(NoCommandSession::Over),
        }
    }

    /// It is completed or cancelled.
    pub(crate) fn end(&mut self, id: &str) {
        if let Some(execution) = self.command_sessions.iter_mut().find(|execution| *execution.id == *id) {
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
        let mut command_sessions = CommandSessions::new(9);
        command_sessions.begin("1", &owner(), "x", SECOND * 2);
        assert_eq!(command_sessions.check("1", &owner(), "x", SECOND), Ok(()));
        assert_eq!(command_sessions.check("1", &owner(), "x", SECOND * 2), Err(NoCommandSession::Over));
        assert_eq!(command_sessions.check("2", &owner(), "x", SECOND), Err(NoCommandSession::Unknown));
        assert_eq!(command_sessions.check("1", &owner(), "y", SECOND), Err(NoCommandSession::Unknown));
        assert_eq!(
            command_sessions.check("1", &owner().to_bare(), "x", SECOND),
            Err(NoCommandSession::Unknown)
        );
        command_sessions.end("1");
        assert_eq!(command_sessions.check("1", &owner(), "x", SECOND), Err(NoCommandSession::Over));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut command_sessions = CommandSessions::new(2);
        let check = |command_sessions: &CommandSessions, id| {
            command_sessions.check(id, &owner(), "x", Duration::ZERO)
        };
        for id in ["1", "2"] {
            command_sessions.begin(id, &owner(), "x", SECOND);
        }
        assert_eq!((check(&command_sessions, "1"), check(&command_sessions, "2")), (Ok(()), Ok(())));
        command_sessions.begin("3", &owner(), "x", SECOND);
        assert_eq!(check(&command_sessions, "1"), Err(NoCommandSession::Unknown));
        assert_eq!((check(&command_sessions, "2"), check(&command_sessions, "3")), (Ok(()), Ok(())));
    }
}
