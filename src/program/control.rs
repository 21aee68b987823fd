//! The control socket of a running server: a Unix socket `control` in the data folder, for its owner only.
//!
//! A client sends a request, reads the answer, and the connection ends; [`super::job`] has the format of both.
//! Commands must not make the server's streams wait: sockets do not block, one turn works a few milliseconds, and
//! buffers and idle time have limits. What an answer says was committed before it is sent.
//! Left out on purpose: authentication. Only the folder's owner can open the socket, and may change the folder anyway.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loquat::Reactor;

use super::job::{write_line, Job, Request, State};

const NAME: &str = "control";

/// Clients at a time; others wait to be accepted.
const MAX_CLIENTS: usize = 4;
/// A client that neither sends nor reads for so long is disconnected.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one turn works for all clients together.
const SLICE: Duration = Duration::from_millis(5);
/// Bytes read at a time, and bytes of an answer that may wait to be sent.
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of a line: the biggest account that can be imported.
const LINE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a path that the system's socket addresses have room for, with some to spare.
const PATH_BYTES: usize = 100;

/// Connects to the server that uses a folder; `None` if no server does.
pub(super) fn connect(folder: &Path) -> io::Result<Option<UnixStream>> {
    match with_socket_path(folder, |path| UnixStream::connect(path)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls `act` with a path to the folder's socket that fits into a socket address.
fn with_socket_path<T>(folder: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if folder.as_os_str().len() + NAME.len() < PATH_BYTES {
        return act(&folder.join(NAME));
    }
    let folder = File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd())))
}

/// The listening socket and its clients.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
    started: Instant,
    /// Clients may be waiting to be accepted.
    acceptable: bool,
}

impl Control {
    /// Opens the socket in a folder that this process has locked.
    pub(super) fn open(folder: &Path, reactor: &Reactor) -> io::Result<Self> {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let listener = with_socket_path(folder, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        reactor.watch(&listener)?;
        Ok(Self { listener, path, clients: Vec::new(), started: Instant::now(), acceptable: true })
    }

    /// How long the loop may sleep.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.clients.iter().any(|client| client.busy) {
            return Some(Duration::ZERO);
        }
        (!self.clients.is_empty()).then_some(Duration::from_secs(1))
    }

    /// Accepts clients, works on their requests, commits, and sends the answers. `woken` says that any socket may be
    /// ready. `true` if a client asks the server to stop.
    ///
    /// # Errors
    /// If what changed cannot be made safe.
    pub(super) fn turn(&mut self, reactor: &mut Reactor, woken: bool) -> io::Result<bool> {
        if woken {
            self.acceptable = true;
            self.clients.iter_mut().for_each(Client::wake);
        }
        self.accept(reactor);
        if self.clients.is_empty() {
            return Ok(false);
        }
        let until = Instant::now() + SLICE;
        for client in &mut self.clients {
            client.busy = client.work(reactor, self.started, until);
        }
        let now = reactor.now();
        reactor.server().commit(now)?;
        for client in &mut self.clients {
            client.busy |= client.send();
        }
        self.clients.retain(|client| !client.is_finished());
        Ok(self.clients.iter().any(Client::requests_stop))
    }

    fn accept(&mut self, reactor: &Reactor) {
        while self.acceptable && self.clients.len() < MAX_CLIENTS {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => {
                    self.acceptable = error.kind() == ErrorKind::Interrupted;
                    continue;
                }
            };
            match socket.set_nonblocking(true).and_then(|()| reactor.watch(&socket)) {
                Ok(()) => self.clients.push(Client::new(socket)),
                Err(error) => log::error!("a command cannot be taken: {error}"),
            }
        }
    }

    /// Removes the socket's name. The folder must still be locked: the next server puts its own socket there.
    pub(super) fn unlink(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Answers the clients that asked the server to stop, and closes the socket.
    pub(super) fn close(mut self, done: &io::Result<()>) {
        let answer = match done {
            Ok(()) => "ok\n".to_owned(),
            Err(error) => format!("no {error}\n"),
        };
        for client in self.clients.iter_mut().filter(|client| client.requests_stop()) {
            // A client that does not read this does without it.
            let _ = client.socket.set_nonblocking(false);
            let _ = client.socket.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = client.socket.write_all(answer.as_bytes());
        }
    }
}

struct Client {
    socket: UnixStream,
    input: Vec<u8>,
    /// How far `input` was searched for the end of a line.
    searched: usize,
    answer: Vec<u8>,
    job: Option<Job>,
    /// There may be more to read.
    readable: bool,
    /// The client sends no more.
    input_ended: bool,
    /// The socket takes no bytes now.
    blocked: bool,
    broken: bool,
    /// There is work that can be done at once.
    busy: bool,
    active_at: Instant,
}

impl Client {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            input: Vec::new(),
            searched: 0,
            answer: Vec::new(),
            job: None,
            readable: true,
            input_ended: false,
            blocked: false,
            broken: false,
            busy: true,
            active_at: Instant::now(),
        }
    }

    fn wake(&mut self) {
        self.readable = true;
        self.blocked = false;
    }

    fn requests_stop(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.state() == State::Stop) && self.answer.is_empty()
    }

    fn is_finished(&self) -> bool {
        let is_answered =
            self.answer.is_empty() && self.job.as_ref().is_some_and(|job| job.state() == State::Done);
        self.broken || is_answered || self.active_at.elapsed() > IDLE_TIMEOUT
    }

    /// Works until `until`, or until there is nothing to do at once. `true` if there is more to do.
    fn work(&mut self, reactor: &mut Reactor, started: Instant, until: Instant) -> bool {
        while self.answer.len() < BUFFER_BYTES && self.step(reactor, started) {
            self.active_at = Instant::now();
            if self.active_at >= until {
                return true;
            }
        }
        false
    }

    /// Does one step. `false` if there is nothing to do at once.
    fn step(&mut self, reactor: &mut Reactor, started: Instant) -> bool {
        match self.job.as_ref().map(Job::state) {
            Some(State::Busy) => {
                if let Some(job) = &mut self.job {
                    job.step(reactor, &mut self.answer);
                }
                true
            }
            Some(State::Done | State::Stop) => false,
            None | Some(State::NeedsLine) => match self.next_line() {
                Some(line) => {
                    self.take(&line, reactor, started);
                    true
                }
                None if self.input_ended => {
                    match &mut self.job {
                        Some(job) => job.end_input(&mut self.answer),
                        None => self.broken = true,
                    }
                    !self.broken
                }
                None => self.read(),
            },
        }
    }

    fn take(&mut self, line: &str, reactor: &mut Reactor, started: Instant) {
        match &mut self.job {
            Some(job) => job.take_line(line, reactor, &mut self.answer),
            None => match Request::parse(line) {
                Some(request) => {
                    self.job = Some(Job::start(request, reactor, Some(started), &mut self.answer));
                }
                None => self.refuse("this is not understood; is it from another version?"),
            },
        }
    }

    fn refuse(&mut self, why: &str) {
        write_line(&mut self.answer, "no ", why);
        self.job = Some(Job::finished());
    }

    /// The next complete line of what was read.
    fn next_line(&mut self) -> Option<String> {
        let end = self.input.get(self.searched..)?.iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            self.searched = self.input.len();
            return None;
        };
        let line: Vec<u8> = self.input.drain(..=self.searched + end).collect();
        self.searched = 0;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned())
    }

    /// Reads once. `false` if there was nothing to read.
    fn read(&mut self) -> bool {
        if !self.readable {
            return false;
        }
        if self.input.len() > LINE_BYTES {
            self.refuse("a line is too long");
            return true;
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.input_ended = true,
            Ok(n) => self.input.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => {
                self.readable = false;
                self.broken = error.kind() != ErrorKind::WouldBlock;
                return false;
            }
        }
        true
    }

    /// Writes what waits to be sent. `true` if there may be more to do at once.
    fn send(&mut self) -> bool {
        if self.answer.is_empty() || self.blocked || self.broken {
            return false;
        }
        match self.socket.write(&self.answer) {
            Ok(n) => {
                self.answer.drain(..n);
                self.active_at = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(_) => self.broken = true,
        }
        !self.blocked
    }
}
