//! What runs a request: the server that uses the folder, over its control socket, or this process.
//!
//! Left out on purpose: what the requests do ([`super::job`]).

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loquat::{Folder, Reactor, Storage};

use super::job::{Job, Request, State};
use super::settings::Settings;
use super::{control, named, places};

/// How long a server may take for the next line of an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take to stop: it waits for peers to take their last bytes, and for the disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// What runs a request.
pub(super) enum Backend {
    /// A running server.
    Server(BufReader<UnixStream>),
    /// This process, which has locked the folder.
    Local(Box<Local>),
}

pub(super) struct Local {
    folder: PathBuf,
    reactor: Reactor,
    job: Job,
    answer: Vec<u8>,
}

impl Drop for Local {
    fn drop(&mut self) {
        places::leave_to_owner(&self.folder);
    }
}

impl Backend {
    pub(super) fn open(settings: &Settings) -> Result<Self, String> {
        let folder = settings.folder();
        if let Some(socket) = control::connect(folder).map_err(|error| unusable(folder, error))? {
            let set = socket.set_write_timeout(Some(TIMEOUT));
            set.map_err(|error| error.to_string())?;
            return Ok(Self::Server(BufReader::new(socket)));
        }
        let mut files = open_folder(folder)?;
        let domain = domain(settings, &mut files)?;
        let config = settings.config(&domain)?;
        let storage = Storage::new(files, &domain, settings.durability());
        let reactor =
            Reactor::bind_with_storage(config, &[], storage).map_err(|error| named(folder, &error))?;
        Ok(Self::Local(Box::new(Local {
            folder: folder.to_owned(),
            reactor,
            job: Job::finished(),
            answer: Vec::new(),
        })))
    }

    pub(super) fn send_request(&mut self, request: &Request) -> Result<(), String> {
        match self {
            Self::Server(socket) => {
                let line = request.to_line().ok_or("names and passwords have no control characters")?;
                let timeout = if *request == Request::Stop { STOP_TIMEOUT } else { TIMEOUT };
                socket.get_ref().set_read_timeout(Some(timeout)).map_err(|error| no_answer(&error))?;
                writeln!(socket.get_mut(), "{line}").map_err(|error| no_answer(&error))
            }
            Self::Local(local) => {
                local.job = Job::start(request.clone(), &mut local.reactor, None, &mut local.answer);
                Ok(())
            }
        }
    }

    /// Sends a line of an import. The answer is read later, by [`Backend::read_line`].
    pub(super) fn send_line(&mut self, line: &str) -> Result<(), String> {
        match self {
            Self::Server(socket) => writeln!(socket.get_mut(), "{line}").map_err(|error| no_answer(&error)),
            Self::Local(local) => {
                local.job.take_line(line, &mut local.reactor, &mut local.answer);
                Ok(())
            }
        }
    }

    /// Ends the lines of an import.
    pub(super) fn end_input(&mut self) -> Result<(), String> {
        match self {
            Self::Server(socket) => {
                socket.get_mut().shutdown(Shutdown::Write).map_err(|error| no_answer(&error))
            }
            Self::Local(local) => {
                local.job.end_input(&mut local.answer);
                Ok(())
            }
        }
    }

    /// Reads the next line of the answer.
    pub(super) fn read_line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        match self {
            Self::Server(socket) => {
                socket.read_until(b'\n', &mut line).map_err(|error| no_answer(&error))?;
            }
            Self::Local(local) => {
                while local.answer.is_empty() && local.job.state() == State::Busy {
                    local.job.step(&mut local.reactor, &mut local.answer);
                }
                let end = local.answer.iter().position(|&byte| byte == b'\n');
                line = local.answer.drain(..end.map_or(0, |end| end + 1)).collect();
            }
        }
        match line.pop() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).into_owned()),
            _ => Err("the server has gone away in the midst of it".into()),
        }
    }

    /// Reads the answer to its end and passes each line of output on.
    pub(super) fn read_answer(
        &mut self,
        mut pass_on: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        loop {
            let line = self.read_line()?;
            match line.strip_prefix('=') {
                Some(text) => pass_on(text)?,
                None => return final_line(&line),
            }
        }
    }

    /// Makes durable what was done in this process.
    pub(super) fn close(self) -> Result<(), String> {
        let Self::Local(mut local) = self else { return Ok(()) };
        let said = |error: io::Error| error.to_string();
        local.reactor.server().sync().map_err(said)?;
        while local.reactor.next_deadline() == Some(Duration::ZERO) {
            local.reactor.poll_once(None).map_err(said)?;
        }
        local.reactor.server().sync().map_err(said)
    }
}

/// Locks a data folder. One that is not there is made, and the user is told where.
pub(super) fn open_folder(path: &Path) -> Result<Folder, String> {
    let is_new = !path.exists();
    let folder = Folder::open(path).map_err(|error| unusable(path, error))?;
    if is_new {
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let _ = writeln!(io::stderr(), "loquat: made the data folder {}", place.display());
    }
    Ok(folder)
}

/// Why a folder cannot be used, and what can be done.
pub(super) fn unusable(folder: &Path, error: io::Error) -> String {
    if folder.exists() && !folder.is_dir() {
        return named(folder, &"this is no folder; --data names another place");
    }
    match error.kind() {
        ErrorKind::PermissionDenied => named(
            folder,
            &format!("{error}; run this as the folder's owner, or name another place by --data"),
        ),
        _ => named(folder, &error),
    }
}

/// The domain of a folder's accounts: the one that is set, else the one that the folder has already.
pub(super) fn domain(settings: &Settings, folder: &mut Folder) -> Result<String, String> {
    let stored = folder.domain().map_err(|error| named(folder.path(), &error))?;
    Ok(settings.domain.clone().or(stored).unwrap_or_else(|| "localhost".into()))
}

fn no_answer(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            "the server has not answered in time; its process may be stopped, or its disk very slow"
                .to_owned()
        }
        _ => format!("the server does not answer: {error}"),
    }
}

/// What the last line of an answer means.
pub(super) fn final_line(line: &str) -> Result<(), String> {
    match line.strip_prefix("no ") {
        None if line == "ok" => Ok(()),
        None => Err("the server's answer is not understood; is it from another version?".into()),
        Some(why) => Err(why.to_owned()),
    }
}
