//! Commands: sent to the server that uses the data folder, or run in this process if no server does.
//!
//! Read first: [`super::job`], which does the work in either case. Left out on purpose: serving.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loquat::{account_line, Document, Folder, Part, Reactor, Storage};

use super::flags::Command;
use super::job::{Job, Request, State};
use super::settings::Settings;
use super::{control, password};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Lines of an import that are sent before their answers are read: few enough that both fit into the socket's buffers.
const LINES_AHEAD: usize = 64;
/// How deeply files may include each other.
const INCLUDE_DEPTH: usize = 4;

/// Runs a command. An error is a line for people.
pub(super) fn run(command: Command, settings: &Settings) -> Result<(), String> {
    if settings.in_memory {
        return Err("what is in memory has no commands".into());
    }
    let folder = settings.folder();
    if !folder.exists() && !matches!(command, Command::AddUser(_) | Command::Import(..)) {
        return Err(named(folder, &"there is no such folder"));
    }
    match command {
        Command::AddUser(name) => {
            let password = password::new(&name)?;
            run_request(settings, &Request::AddUser { name, password })
        }
        Command::SetPassword(name) => {
            let password = password::new(&name)?;
            run_request(settings, &Request::SetPassword { name, password })
        }
        Command::RemoveUser(name) => run_request(settings, &Request::RemoveUser { name }),
        Command::ListUsers => run_request(settings, &Request::ListUsers),
        Command::Status => {
            let is_running = control::connect(folder).map_err(|error| named(folder, &error))?.is_some();
            print(if is_running { "server runs" } else { "server does not run" })?;
            run_request(settings, &Request::Status)
        }
        Command::Export(file) => export(settings, &file),
        Command::Import(file, as_domain) => import(settings, &file, as_domain),
        Command::Stop => stop(settings),
        Command::Repair => repair(settings),
        Command::Serve | Command::Check => Err("that is no command for a folder".into()),
    }
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn print(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| error.to_string())
}

fn run_request(settings: &Settings, request: &Request) -> Result<(), String> {
    let mut backend = Backend::open(settings)?;
    backend.send_request(request)?;
    backend.read_answer(print)?;
    backend.close()
}

/// What runs a request.
enum Backend {
    /// A running server.
    Server(BufReader<UnixStream>),
    /// This process, which has locked the folder.
    Local(Box<Local>),
}

struct Local {
    reactor: Reactor,
    job: Job,
    answer: Vec<u8>,
}

impl Backend {
    fn open(settings: &Settings) -> Result<Self, String> {
        let folder = settings.folder();
        if let Some(socket) = control::connect(folder).map_err(|error| named(folder, &error))? {
            let set = socket.set_read_timeout(Some(TIMEOUT));
            set.and_then(|()| socket.set_write_timeout(Some(TIMEOUT))).map_err(|error| error.to_string())?;
            return Ok(Self::Server(BufReader::new(socket)));
        }
        let mut files = Folder::open(folder).map_err(|error| named(folder, &error))?;
        let domain = domain(settings, &mut files)?;
        let config = settings.config(&domain)?;
        let storage = Storage::new(files, &domain, settings.durability());
        let reactor =
            Reactor::bind_with_storage(config, &[], storage).map_err(|error| named(folder, &error))?;
        Ok(Self::Local(Box::new(Local { reactor, job: Job::finished(), answer: Vec::new() })))
    }

    fn send_request(&mut self, request: &Request) -> Result<(), String> {
        match self {
            Self::Server(socket) => {
                let line = request.to_line().ok_or("names and passwords have no control characters")?;
                writeln!(socket.get_mut(), "{line}").map_err(|error| no_answer(&error))
            }
            Self::Local(local) => {
                local.job = Job::start(request.clone(), &mut local.reactor, None, &mut local.answer);
                Ok(())
            }
        }
    }

    /// Sends a line of an import. The answer is read later, by [`Backend::read_line`].
    fn send_line(&mut self, line: &str) -> Result<(), String> {
        match self {
            Self::Server(socket) => writeln!(socket.get_mut(), "{line}").map_err(|error| no_answer(&error)),
            Self::Local(local) => {
                local.job.take_line(line, &mut local.reactor, &mut local.answer);
                Ok(())
            }
        }
    }

    /// Ends the lines of an import.
    fn end_input(&mut self) -> Result<(), String> {
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
    fn read_line(&mut self) -> Result<String, String> {
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
    fn read_answer(&mut self, mut pass_on: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
        loop {
            let line = self.read_line()?;
            match line.strip_prefix('=') {
                Some(text) => pass_on(text)?,
                None => return final_line(&line),
            }
        }
    }

    /// Makes durable what was done in this process.
    fn close(self) -> Result<(), String> {
        let Self::Local(mut local) = self else { return Ok(()) };
        let server = local.reactor.server();
        server.sync().map_err(|error| error.to_string())?;
        while !server.maintain() {}
        server.sync().map_err(|error| error.to_string())
    }
}

/// The domain of a folder's accounts: the one that is set, else the one that the folder has already.
pub(super) fn domain(settings: &Settings, folder: &mut Folder) -> Result<String, String> {
    let stored = folder.domain().map_err(|error| named(folder.path(), &error))?;
    Ok(settings.domain.clone().or(stored).unwrap_or_else(|| "localhost".into()))
}

fn no_answer(error: &io::Error) -> String {
    format!("the server does not answer: {error}")
}

/// What the last line of an answer means.
fn final_line(line: &str) -> Result<(), String> {
    match line.strip_prefix("no ") {
        None if line == "ok" => Ok(()),
        None => Err("the server's answer is not understood; is it from another version?".into()),
        Some(why) => Err(why.to_owned()),
    }
}

fn export(settings: &Settings, file: &Path) -> Result<(), String> {
    let mut backend = Backend::open(settings)?;
    backend.send_request(&Request::Export)?;
    if file == Path::new("-") {
        backend.read_answer(print)?;
        return backend.close();
    }
    if file.is_dir() {
        export_each(&mut backend, file)?;
    } else {
        // It gets its name when it is complete.
        let unfinished = PathBuf::from(format!("{}.unfinished", file.display()));
        let out = create(&unfinished).map_err(|error| named(&unfinished, &error))?;
        let mut out = io::BufWriter::new(out);
        backend.read_answer(|line| writeln!(out, "{line}").map_err(|error| named(&unfinished, &error)))?;
        let out = out.into_inner().map_err(|error| named(&unfinished, error.error()))?;
        out.sync_all().map_err(|error| named(&unfinished, &error))?;
        fs::rename(&unfinished, file).map_err(|error| named(file, &error))?;
    }
    backend.close()
}

/// A file that its owner only can read: it has passwords, or what stands for them.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes a document for each account, as Prosody reads them: `name@domain.xml`.
fn export_each(backend: &mut Backend, folder: &Path) -> Result<(), String> {
    let (mut head, mut domain) = (String::new(), String::new());
    backend.read_answer(|line| {
        // Neither a localpart nor a domain has anything in it that would be escaped.
        let value = |start| line.strip_prefix(start).and_then(|rest| Some(rest.split_once('\'')?.0));
        if let Some(name) = value("<user name='") {
            let path = folder.join(format!("{name}@{domain}.xml"));
            let document = format!("{head}{line}\n</host>\n</server-data>\n");
            let written = create(&path).and_then(|mut file| file.write_all(document.as_bytes()));
            return written.map_err(|error| named(&path, &error));
        }
        if let Some(jid) = value("<host jid='") {
            domain = jid.to_owned();
        }
        head.push_str(line);
        head.push('\n');
        Ok(())
    })
}

fn import(settings: &Settings, file: &Path, as_domain: Option<String>) -> Result<(), String> {
    let files = documents(file).map_err(|error| named(file, &error))?;
    let mut backend = Backend::open(settings)?;
    backend.send_request(&Request::Import { as_domain })?;
    let mut import = Import {
        backend,
        unanswered: Vec::new(),
        made: 0,
        elsewhere: BTreeMap::new(),
        others: BTreeMap::new(),
    };
    for file in files {
        let source = File::open(&file).map_err(|error| named(&file, &error))?;
        import.document(&file, source, None, 0)?;
    }
    import.report()
}

/// A file, or all documents in a folder.
fn documents(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "xml"));
    files.sort_unstable();
    Ok(files)
}

/// An import in progress.
struct Import {
    backend: Backend,
    /// Accounts that were sent and not answered yet, with their hosts.
    unanswered: Vec<(String, String)>,
    made: usize,
    /// How many accounts were at hosts that are not ours.
    elsewhere: BTreeMap<String, usize>,
    /// Elements that are no accounts, and how many there were of each.
    others: BTreeMap<String, usize>,
}

impl Import {
    fn document(
        &mut self,
        path: &Path,
        source: impl Read,
        host: Option<String>,
        depth: usize,
    ) -> Result<(), String> {
        let mut document = Document::new(source, host).map_err(|error| named(path, &error))?;
        while let Some(part) = document.next_part().map_err(|error| named(path, &error))? {
            match part {
                Part::User(user, host) => {
                    let name = user.attr("name").unwrap_or_default().to_owned();
                    self.backend.send_line(&format!("{host}\t{}", account_line(&user)))?;
                    self.unanswered.push((name, host));
                    if self.unanswered.len() == LINES_AHEAD {
                        self.read_answers()?;
                    }
                }
                Part::Include(href, host) if depth < INCLUDE_DEPTH => {
                    let path = path.with_file_name(href);
                    let source = File::open(&path).map_err(|error| named(&path, &error))?;
                    self.document(&path, source, host, depth + 1)?;
                }
                Part::Include(..) => return Err(named(path, &"files include each other too deeply")),
                Part::Other(name) => *self.others.entry(name).or_default() += 1,
            }
        }
        Ok(())
    }

    /// Reads the answers to all lines that were sent.
    fn read_answers(&mut self) -> Result<(), String> {
        for (name, host) in std::mem::take(&mut self.unanswered) {
            let answer = self.backend.read_line()?;
            match (answer.as_str(), answer.strip_prefix('-')) {
                ("+", _) => self.made += 1,
                ("~", _) => *self.elsewhere.entry(host).or_default() += 1,
                (_, Some(why)) => print(&format!("skipped {name}: {why}"))?,
                _ => return final_line(&answer),
            }
        }
        Ok(())
    }

    fn report(mut self) -> Result<(), String> {
        self.read_answers()?;
        self.backend.end_input()?;
        self.backend.read_answer(print)?;
        for (name, times) in &self.others {
            print(&format!("skipped <{name}>, {times} times"))?;
        }
        for (host, accounts) in &self.elsewhere {
            print(&format!("skipped {accounts} accounts at {host}; --as-domain {host} imports them"))?;
        }
        print(&format!("imported {} accounts", self.made))?;
        self.backend.close()
    }
}

fn stop(settings: &Settings) -> Result<(), String> {
    let folder = settings.folder();
    let is_running = control::connect(folder).map_err(|error| named(folder, &error))?.is_some();
    if !is_running {
        return Err(named(folder, &"no server has this folder"));
    }
    run_request(settings, &Request::Stop)
}

fn repair(settings: &Settings) -> Result<(), String> {
    let folder = settings.folder();
    let mut files = Folder::open(folder).map_err(|error| named(folder, &error))?;
    let domain = domain(settings, &mut files)?;
    for line in Storage::repair(files, &domain).map_err(|error| named(folder, &error))? {
        print(&line)?;
    }
    Ok(())
}
