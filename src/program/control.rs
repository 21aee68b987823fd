//! The control socket of a running server: a Unix socket `control` in the data folder, for its owner only.
//!
//! A visitor says a line, is answered in lines, and the connection ends; [`super::desk`] has what is said. Nobody may make
//! the server's streams wait: all is non-blocking, a turn works a few milliseconds, a visitor's buffers and patience
//! have limits. What a visitor is told was committed before.
//! Left out on purpose: passwords for the socket itself. The folder's owner may do anything to it anyway.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loquat::Reactor;

use super::desk::{say, Desk, Request, State};

const NAME: &str = "control";

/// Visitors at a time; others wait to be let in.
const VISITORS: usize = 4;
/// How long a visitor may do nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long a turn works for all visitors.
const SLICE: Duration = Duration::from_millis(5);
/// Bytes read at a time, and bytes of an answer that may wait.
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of a line: the biggest account that can be imported.
const LINE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a path that the system's socket addresses have room for, with some to spare.
const PATH_BYTES: usize = 100;

/// Connects to the server that has a folder; `None` if none has.
pub(super) fn connect(folder: &Path) -> io::Result<Option<UnixStream>> {
    match at_socket(folder, |path| UnixStream::connect(path)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls `act` with a path of the folder's socket that is short enough.
fn at_socket<T>(folder: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if folder.as_os_str().len() + NAME.len() < PATH_BYTES {
        return act(&folder.join(NAME));
    }
    let folder = File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd())))
}

/// The socket, and who is there.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    visitors: Vec<Visitor>,
    started: Instant,
    /// Visitors may be waiting to be let in.
    waiting: bool,
}

impl Control {
    /// Opens the socket of a folder that this process has.
    pub(super) fn open(folder: &Path, reactor: &Reactor) -> io::Result<Self> {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let listener = at_socket(folder, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        reactor.watch(&listener)?;
        Ok(Self { listener, path, visitors: Vec::new(), started: Instant::now(), waiting: true })
    }

    /// How long the loop may sleep.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.visitors.iter().any(|visitor| visitor.busy) {
            return Some(Duration::ZERO);
        }
        (!self.visitors.is_empty()).then_some(Duration::from_secs(1))
    }

    /// Lets visitors in, works for them, and tells them what was committed. `woken` says that any of them may be ready.
    /// `true` if one asks the server to stop.
    ///
    /// # Errors
    /// If what changed cannot be made safe.
    pub(super) fn turn(&mut self, reactor: &mut Reactor, woken: bool) -> io::Result<bool> {
        if woken {
            self.waiting = true;
            self.visitors.iter_mut().for_each(Visitor::wake);
        }
        self.let_in(reactor);
        if self.visitors.is_empty() {
            return Ok(false);
        }
        let until = Instant::now() + SLICE;
        for visitor in &mut self.visitors {
            visitor.busy = visitor.work(reactor, self.started, until);
        }
        let now = reactor.now();
        reactor.server().commit(now)?;
        for visitor in &mut self.visitors {
            visitor.busy |= visitor.send();
        }
        self.visitors.retain(|visitor| !visitor.is_gone());
        Ok(self.visitors.iter().any(Visitor::asks_to_stop))
    }

    fn let_in(&mut self, reactor: &Reactor) {
        while self.waiting && self.visitors.len() < VISITORS {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => {
                    self.waiting = error.kind() == ErrorKind::Interrupted;
                    continue;
                }
            };
            match socket.set_nonblocking(true).and_then(|()| reactor.watch(&socket)) {
                Ok(()) => self.visitors.push(Visitor::new(socket)),
                Err(error) => log::error!("a command cannot be taken: {error}"),
            }
        }
    }

    /// Tells those who have asked the server to stop that it has, and leaves.
    pub(super) fn close(mut self, done: &io::Result<()>) {
        let _ = fs::remove_file(&self.path);
        let answer = match done {
            Ok(()) => "ok\n".to_owned(),
            Err(error) => format!("no {error}\n"),
        };
        for visitor in self.visitors.iter_mut().filter(|visitor| visitor.asks_to_stop()) {
            // Whoever does not take this goes without it.
            let _ = visitor.socket.set_nonblocking(false);
            let _ = visitor.socket.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = visitor.socket.write_all(answer.as_bytes());
        }
    }
}

struct Visitor {
    socket: UnixStream,
    input: Vec<u8>,
    /// How far `input` was searched for the end of a line.
    searched: usize,
    answer: Vec<u8>,
    desk: Option<Desk>,
    /// There may be more to read.
    readable: bool,
    /// It says no more.
    ended: bool,
    /// The socket takes nothing now.
    blocked: bool,
    broken: bool,
    /// Something can be done for it at once.
    busy: bool,
    active_at: Instant,
}

impl Visitor {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            input: Vec::new(),
            searched: 0,
            answer: Vec::new(),
            desk: None,
            readable: true,
            ended: false,
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

    fn asks_to_stop(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.state() == State::Stop) && self.answer.is_empty()
    }

    fn is_gone(&self) -> bool {
        let all_said =
            self.answer.is_empty() && self.desk.as_ref().is_some_and(|desk| desk.state() == State::Done);
        self.broken || all_said || self.active_at.elapsed() > PATIENCE
    }

    /// Works until there is nothing to do at once or the time is over. `true` if it is the latter.
    fn work(&mut self, reactor: &mut Reactor, started: Instant, until: Instant) -> bool {
        while self.answer.len() < BUFFER_BYTES && self.step(reactor, started) {
            self.active_at = Instant::now();
            if self.active_at >= until {
                return true;
            }
        }
        false
    }

    /// Does one thing. `false` if there is none to do at once.
    fn step(&mut self, reactor: &mut Reactor, started: Instant) -> bool {
        match self.desk.as_ref().map(Desk::state) {
            Some(State::Busy) => {
                if let Some(desk) = &mut self.desk {
                    desk.step(reactor, &mut self.answer);
                }
                true
            }
            Some(State::Done | State::Stop) => false,
            None | Some(State::Wants) => match self.line() {
                Some(line) => {
                    self.take(&line, reactor, started);
                    true
                }
                None if self.ended => {
                    match &mut self.desk {
                        Some(desk) => desk.finish(&mut self.answer),
                        None => self.broken = true,
                    }
                    !self.broken
                }
                None => self.read(),
            },
        }
    }

    fn take(&mut self, line: &str, reactor: &mut Reactor, started: Instant) {
        match &mut self.desk {
            Some(desk) => desk.take(line, reactor, &mut self.answer),
            None => match Request::parse(line) {
                Some(request) => {
                    self.desk = Some(Desk::begin(request, reactor, Some(started), &mut self.answer));
                }
                None => self.refuse("this is not understood; is it from another version?"),
            },
        }
    }

    fn refuse(&mut self, why: &str) {
        say(&mut self.answer, "no ", why);
        self.desk = Some(Desk::done());
    }

    /// The next whole line.
    fn line(&mut self) -> Option<String> {
        let end = self.input.get(self.searched..)?.iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            self.searched = self.input.len();
            return None;
        };
        let line: Vec<u8> = self.input.drain(..=self.searched + end).collect();
        self.searched = 0;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned())
    }

    /// Reads a little. `false` if there is nothing.
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
            Ok(0) => self.ended = true,
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

    /// Writes what is to be said. `true` if there may be more to do at once.
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
