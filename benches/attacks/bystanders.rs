//! Two who chat, beside whatever happens: how long one waits for the other's answer.
//!
//! A question is due every few milliseconds. While one waits, those that would have been asked meanwhile wait, too, and
//! count: else a server that stands still for a second would spoil one question in a thousand.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wire::{login, ping, DOMAIN, PONG};
use crate::Result;

/// Their accounts.
pub(crate) const NAMES: [&str; 2] = ["romeo", "juliet"];

/// How often one asks the other.
const INTERVAL: Duration = Duration::from_millis(5);
/// How long they wait before they take it that the server is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two bystanders in a thread of their own, until this is dropped.
pub(crate) struct Bystanders {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    is_enough: AtomicBool,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    /// When each question was due, and how long the answer took.
    over: Vec<(Instant, Duration)>,
    /// When the next one is, or was, due.
    due: Option<Instant>,
    /// Why they do not chat any more.
    end: Option<String>,
}

impl Bystanders {
    /// They are logged in when this returns.
    pub(crate) fn start(address: SocketAddr) -> Result<Self> {
        let [first, second] = NAMES;
        let mut pair = (Client::log_in(address, first)?, Client::log_in(address, second)?);
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let end = chat(&mut pair, &theirs).err().map(|error| error.to_string());
            theirs.waits().end = end;
        });
        Ok(Self { seen, thread: Some(thread) })
    }

    /// How long those waited whose question was due in this time, the shortest first.
    pub(crate) fn waits(&self, from: Instant, to: Instant) -> Vec<Duration> {
        let waits = self.seen.waits();
        let over = waits.over.iter().filter(|(due, _)| (from..to).contains(due)).map(|(_, wait)| *wait);
        let mut all: Vec<Duration> = over.collect();
        // Who still waits has waited so long.
        let mut due = waits.due.unwrap_or(to);
        while due + INTERVAL < to {
            all.push(to - due);
            due += INTERVAL;
        }
        all.sort_unstable();
        all
    }

    /// Why they do not chat any more, if they do not.
    pub(crate) fn end(&self) -> Option<String> {
        self.seen.waits().end.clone()
    }

    /// They stop when they have their answer, or the server is gone.
    pub(crate) fn stop(&self) {
        self.seen.is_enough.store(true, Ordering::Relaxed);
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.stop();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Seen {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chat((asks, answers): &mut (Client, Client), seen: &Seen) -> Result<()> {
    let mut due = Instant::now();
    for number in 0_u64.. {
        seen.waits().due = Some(due);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if seen.is_enough.load(Ordering::Relaxed) {
            break;
        }
        asks.ask(answers, number)?;
        answers.ask(asks, number)?;
        let now = Instant::now();
        let mut waits = seen.waits();
        while due <= now {
            waits.over.push((due, now - due));
            due += INTERVAL;
        }
    }
    Ok(())
}

struct Client {
    name: &'static str,
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Client {
    fn log_in(address: SocketAddr, name: &'static str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { name, socket, heard: Vec::new() };
        client.socket.write_all(format!("{}<presence/>{}", login(name, "x"), ping()).as_bytes())?;
        client.wait_for(PONG)?;
        Ok(client)
    }

    fn ask(&mut self, other: &mut Self, number: u64) -> Result<()> {
        let to = other.name;
        let message = format!(
            "<message type='chat' id='n{number}' to='{to}@{DOMAIN}/x'><body>Are you there?</body></message>"
        );
        self.socket.write_all(message.as_bytes())?;
        other.wait_for(&format!("id='n{number}'"))
    }

    fn wait_for(&mut self, wanted: &str) -> Result<()> {
        let mut scratch = [0; 4_096];
        while !String::from_utf8_lossy(&self.heard).contains(wanted) {
            let read = match self.socket.read(&mut scratch) {
                Ok(0) => return Err("a bystander was cut off".into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err("a bystander has waited in vain".into())
                }
                read => read?,
            };
            self.heard.extend_from_slice(scratch.get(..read).unwrap_or_default());
        }
        self.heard.clear();
        Ok(())
    }
}
