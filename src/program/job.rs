//! A command as a job: the same code runs it in a server, and in a process of its own on a folder that no server uses.
//!
//! ```text
//! request   its name and arguments, separated by tabs
//! answer    lines of output, each with `=` in front; then `ok`, or `no` and the reason
//! ```
//!
//! An import sends more lines after its request: each is a host, a tab, and a `<user/>` element without line breaks.
//! Each is answered with `+` if the account was made, `~` if it is at another domain, or `-` and the reason; when the
//! lines end, the answer is `ok`.
//!
//! A job is done in small steps, so that the server's streams do not wait for it.
//! Left out on purpose: how lines are transported ([`super::control`] and [`super::backend`]).

use std::time::Instant;

use loquat::{AccountError, Export, ImportError, Reactor};

/// What a command asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    AddUser { name: String, password: String },
    SetPassword { name: String, password: String },
    RemoveUser { name: String },
    ListUsers,
    Export,
    Import { as_domain: Option<String> },
    Status,
    Stop,
}

impl Request {
    /// The request as a line. `None` if a name or a password contains a tab, a line break or another control character.
    pub(super) fn to_line(&self) -> Option<String> {
        let words: Vec<&str> = match self {
            Self::AddUser { name, password } => vec!["add", name, password],
            Self::SetPassword { name, password } => vec!["password", name, password],
            Self::RemoveUser { name } => vec!["remove", name],
            Self::ListUsers => vec!["list"],
            Self::Export => vec!["export"],
            Self::Import { as_domain: None } => vec!["import"],
            Self::Import { as_domain: Some(domain) } => vec!["import", domain],
            Self::Status => vec!["status"],
            Self::Stop => vec!["stop"],
        };
        words.iter().all(|word| !word.contains(char::is_control)).then(|| words.join("\t"))
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        Some(match words.as_slice() {
            ["add", name, password] => Self::AddUser { name: (*name).into(), password: (*password).into() },
            ["password", name, password] => {
                Self::SetPassword { name: (*name).into(), password: (*password).into() }
            }
            ["remove", name] => Self::RemoveUser { name: (*name).into() },
            ["list"] => Self::ListUsers,
            ["export"] => Self::Export,
            ["import"] => Self::Import { as_domain: None },
            ["import", domain] => Self::Import { as_domain: Some((*domain).into()) },
            ["status"] => Self::Status,
            ["stop"] => Self::Stop,
            _ => return None,
        })
    }
}

/// What a job does next.
#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// It has work to do at once: call [`Job::step`].
    Busy,
    /// It waits for the next line of its input: call [`Job::take_line`] or [`Job::end_input`].
    NeedsLine,
    /// Its answer is complete.
    Done,
    /// The server is to stop, and to answer once it has.
    Stop,
}

/// A request in progress.
pub(super) struct Job {
    work: Work,
}

enum Work {
    /// Names that are still to be listed, the last one first.
    Names(Vec<String>),
    Export(Export),
    Import(Option<String>),
    Done,
    Stop,
}

impl Job {
    /// Starts to work on a request. `started` is when the server was started, if one runs.
    pub(super) fn start(
        request: Request,
        reactor: &mut Reactor,
        started: Option<Instant>,
        answer: &mut Vec<u8>,
    ) -> Self {
        let now = reactor.now();
        let server = reactor.server();
        let work = match request {
            Request::AddUser { name, password } => write_result(server.add_account(&name, &password), answer),
            Request::SetPassword { name, password } => {
                write_result(server.set_password(&name, &password), answer)
            }
            Request::RemoveUser { name } => write_result(server.remove_account(&name, now), answer),
            Request::ListUsers => {
                let mut names = server.account_names();
                names.reverse();
                Work::Names(names)
            }
            Request::Export => Work::Export(server.export()),
            Request::Import { as_domain } => Work::Import(as_domain),
            Request::Status => {
                status(reactor, started, answer);
                write_line(answer, "ok", "");
                Work::Done
            }
            Request::Stop => Work::Stop,
        };
        Self { work }
    }

    /// A job whose answer is complete.
    pub(super) fn finished() -> Self {
        Self { work: Work::Done }
    }

    pub(super) fn state(&self) -> State {
        match self.work {
            Work::Names(_) | Work::Export(_) => State::Busy,
            Work::Import(_) => State::NeedsLine,
            Work::Done => State::Done,
            Work::Stop => State::Stop,
        }
    }

    /// Does a little of the work, if it is [`State::Busy`].
    pub(super) fn step(&mut self, reactor: &mut Reactor, answer: &mut Vec<u8>) {
        let more = match &mut self.work {
            Work::Names(names) => names.pop().map(|name| write_line(answer, "=", &name)).is_some(),
            Work::Export(export) => {
                let mut lines = Vec::new();
                let more = reactor.server().write_export(export, &mut lines);
                for line in lines.split_inclusive(|&byte| byte == b'\n') {
                    answer.push(b'=');
                    answer.extend_from_slice(line);
                }
                more
            }
            Work::Import(_) | Work::Done | Work::Stop => true,
        };
        if !more {
            write_line(answer, "ok", "");
            self.work = Work::Done;
        }
    }

    /// Takes a line of input.
    pub(super) fn take_line(&mut self, line: &str, reactor: &mut Reactor, answer: &mut Vec<u8>) {
        let Work::Import(as_domain) = &self.work else { return };
        let (host, user) = line.split_once('\t').unwrap_or_default();
        match reactor.server().import(user, host, as_domain.as_deref()) {
            Ok(()) => write_line(answer, "+", ""),
            Err(ImportError::OtherDomain) => write_line(answer, "~", ""),
            Err(error) => write_line(answer, "-", &error.to_string()),
        }
    }

    /// The input has ended.
    pub(super) fn end_input(&mut self, answer: &mut Vec<u8>) {
        if matches!(self.work, Work::Import(_)) {
            write_line(answer, "ok", "");
            self.work = Work::Done;
        }
    }
}

fn write_result(result: Result<(), AccountError>, answer: &mut Vec<u8>) -> Work {
    match result {
        Ok(()) => write_line(answer, "ok", ""),
        Err(error) => write_line(answer, "no ", &error.to_string()),
    }
    Work::Done
}

/// Appends a line of an answer.
pub(super) fn write_line(answer: &mut Vec<u8>, kind: &str, text: &str) {
    answer.extend_from_slice(kind.as_bytes());
    answer.extend_from_slice(text.as_bytes());
    answer.push(b'\n');
}

fn status(reactor: &mut Reactor, started: Option<Instant>, answer: &mut Vec<u8>) {
    let mut line =
        |name: &str, value: &dyn std::fmt::Display| write_line(answer, "=", &format!("{name} {value}"));
    line("version", &env!("CARGO_PKG_VERSION"));
    line("domain", &reactor.server().config().domain());
    for address in reactor.local_addresses() {
        line("listen", &address);
    }
    if let Some(started) = started {
        line("up-seconds", &started.elapsed().as_secs());
    }
    let status = reactor.server().status();
    line("accounts", &status.accounts);
    line("streams", &status.streams);
    line("sessions", &status.sessions);
    if let Some(storage) = status.storage {
        line("journal-bytes", &storage.journal_bytes);
        line("snapshot-bytes", &storage.snapshot_bytes);
        line("changes", &if storage.refuses { "refused" } else { "recorded" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_and_back() {
        let (name, password) = ("用户".to_owned(), " p w ".to_owned());
        for request in [
            Request::AddUser { name: name.clone(), password: password.clone() },
            Request::SetPassword { name: name.clone(), password },
            Request::RemoveUser { name },
            Request::ListUsers,
            Request::Export,
            Request::Import { as_domain: None },
            Request::Import { as_domain: Some("a".into()) },
            Request::Status,
            Request::Stop,
        ] {
            assert_eq!(Request::parse(&request.to_line().unwrap()), Some(request));
        }
        assert_eq!(Request::RemoveUser { name: "a\tb".into() }.to_line(), None);
        for line in ["", "x", "add", "add\ta", "list\tx", "remove\ta\tb"] {
            assert_eq!(Request::parse(line), None, "{line}");
        }
    }
}
