//! The sockets of attackers, victims and newcomers: many of them in one thread, none of which waits for another.
//!
//! What is said is made once and sent as often as wanted; what comes is counted, not kept.
//! Left out on purpose: what is said ([`crate::wire`]) and why (the attacks).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Result;

const READ_BYTES: usize = 65_536;
/// How much one client sends before the next has its turn.
const SENT_AT_ONCE: usize = 262_144;
/// How much is kept of the last words that a client heard.
const LAST_WORDS: usize = 300;

/// All clients, by their number.
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// Whoever has something to say and a socket that may take it.
    speakers: Vec<usize>,
    scratch: Box<[u8]>,
    /// Bytes that were given to the system.
    pub(crate) sent: u64,
}

struct Client {
    /// None, once either side has ended it.
    socket: Option<TcpStream>,
    says: VecDeque<Load>,
    is_deaf: bool,
    /// One who reads all that comes and must not be cut off.
    is_watched: bool,
    was_cut_off: bool,
    /// What is counted of what comes.
    wanted: &'static str,
    found: usize,
    last_words: Vec<u8>,
}

/// Bytes that are sent several times.
struct Load {
    bytes: Rc<[u8]>,
    /// How many of them were sent this time.
    at: usize,
    times: u64,
}

impl Net {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            speakers: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            sent: 0,
        })
    }

    /// A new client; what it says is sent once it is connected.
    pub(crate) fn connect(&mut self, address: SocketAddr) -> Result<usize> {
        let who = self.clients.len();
        let mut socket = TcpStream::connect(address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(who), interest)?;
        // That it is not connected yet is no matter.
        let _ = socket.set_nodelay(true);
        self.clients.push(Client::new(socket));
        Ok(who)
    }

    /// Says something in the next turn.
    pub(crate) fn say(&mut self, who: usize, text: &str) {
        self.say_often(who, &Rc::from(text.as_bytes()), 1);
    }

    /// Says the same so many times.
    pub(crate) fn say_often(&mut self, who: usize, bytes: &Rc<[u8]>, times: u64) {
        if let Some(client) = self.clients.get_mut(who) {
            client.says.push_back(Load { bytes: Rc::clone(bytes), at: 0, times });
            self.speakers.push(who);
        }
    }

    /// From now on counts this in what comes to a client; it must not contain itself in part.
    pub(crate) fn count(&mut self, who: usize, wanted: &'static str) {
        if let Some(client) = self.clients.get_mut(who) {
            (client.wanted, client.found) = (wanted, 0);
            client.last_words.clear();
        }
    }

    /// How often it has come since.
    pub(crate) fn found(&self, who: usize) -> usize {
        self.clients.get(who).map_or(0, |client| client.found)
    }

    /// From now on this client does not read.
    pub(crate) fn deafen(&mut self, who: usize) {
        if let Some(client) = self.clients.get_mut(who) {
            client.is_deaf = true;
        }
    }

    /// It counts if this client is cut off, provided that it reads.
    pub(crate) fn watch(&mut self, who: usize) {
        if let Some(client) = self.clients.get_mut(who) {
            client.is_watched = !client.is_deaf;
        }
    }

    /// How many of those who read were cut off, and what the last of them heard at the end.
    pub(crate) fn cut_off(&self) -> (usize, Option<String>) {
        let mut cut_off = self.clients.iter().filter(|client| client.is_watched && client.was_cut_off);
        let last = cut_off.next_back();
        let words = last.map(|client| reason(&String::from_utf8_lossy(&client.last_words)));
        (cut_off.count() + usize::from(words.is_some()), words)
    }

    pub(crate) fn is_over(&self, who: usize) -> bool {
        self.clients.get(who).map_or(true, |client| client.socket.is_none())
    }

    /// A client vanishes.
    pub(crate) fn drop_client(&mut self, who: usize) {
        if let Some(client) = self.clients.get_mut(who) {
            client.socket = None;
            client.says.clear();
        }
    }

    /// Nobody says anything any more.
    pub(crate) fn silence(&mut self) {
        self.clients.iter_mut().for_each(|client| client.says.clear());
        self.speakers.clear();
    }

    /// Sends what sockets take, and reads what comes within this time.
    pub(crate) fn turn(&mut self, patience: Duration) -> Result<()> {
        let patience = if self.speakers.is_empty() { patience } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => (),
        }
        for event in &self.events {
            let Some(client) = self.clients.get_mut(event.token().0) else { continue };
            if event.is_writable() && !client.says.is_empty() {
                self.speakers.push(event.token().0);
            }
            if event.is_readable() && !client.is_deaf {
                client.read(&mut self.scratch);
            }
        }
        self.send();
        Ok(())
    }

    fn send(&mut self) {
        let mut speakers = std::mem::take(&mut self.speakers);
        speakers.sort_unstable();
        speakers.dedup();
        speakers.retain(|&who| {
            let Some(client) = self.clients.get_mut(who) else { return false };
            let (sent, takes_more) = client.send();
            self.sent += sent as u64;
            takes_more
        });
        self.speakers = speakers;
    }
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket: Some(socket),
            says: VecDeque::new(),
            is_deaf: false,
            is_watched: false,
            was_cut_off: false,
            wanted: "",
            found: 0,
            last_words: Vec::new(),
        }
    }

    /// How many bytes were sent, and whether there are more and the socket might take them.
    fn send(&mut self) -> (usize, bool) {
        let mut sent = 0;
        while sent < SENT_AT_ONCE {
            let (Some(socket), Some(load)) = (&mut self.socket, self.says.front_mut()) else {
                return (sent, false);
            };
            match socket.write(load.bytes.get(load.at..).unwrap_or_default()) {
                Ok(n) => {
                    sent += n;
                    if load.is_done_after(n) {
                        self.says.pop_front();
                    }
                }
                Err(error) if is_for_later(error.kind()) => return (sent, false),
                // The other side has closed it; what it said last is still read.
                Err(_) => {
                    self.says.clear();
                    return (sent, false);
                }
            }
        }
        (sent, true)
    }

    fn read(&mut self, scratch: &mut [u8]) {
        while let Some(socket) = &mut self.socket {
            match socket.read(scratch) {
                Ok(n) if n > 0 => self.hear(scratch.get(..n).unwrap_or_default()),
                Err(error) if is_for_later(error.kind()) => return,
                Ok(_) | Err(_) => {
                    self.was_cut_off = true;
                    self.socket = None;
                }
            }
        }
    }

    /// Counts what is wanted, also where it comes in two pieces.
    fn hear(&mut self, bytes: &[u8]) {
        let seam = self.wanted.len().saturating_sub(1).min(self.last_words.len());
        let kept = self.last_words.len() - seam;
        let mut joined = self.last_words.split_off(kept);
        let behind = bytes.len().min(seam);
        joined.extend_from_slice(bytes.get(..behind).unwrap_or_default());
        self.found += occurrences(&joined, self.wanted) + occurrences(bytes, self.wanted);
        joined.truncate(seam);
        self.last_words.append(&mut joined);
        self.last_words
            .extend_from_slice(bytes.get(bytes.len().saturating_sub(LAST_WORDS)..).unwrap_or_default());
        let too_many = self.last_words.len().saturating_sub(LAST_WORDS);
        self.last_words.drain(..too_many);
    }
}

impl Load {
    /// Whether all of it was sent as often as wanted, with so many bytes more.
    fn is_done_after(&mut self, sent: usize) -> bool {
        self.at += sent;
        if self.at == self.bytes.len() {
            self.at = 0;
            self.times = self.times.saturating_sub(1);
        }
        self.times == 0
    }
}

/// It is not connected yet, it is full, it is empty: an event will tell.
fn is_for_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

fn occurrences(bytes: &[u8], wanted: &str) -> usize {
    match wanted.as_bytes() {
        [] => 0,
        wanted => bytes.windows(wanted.len()).filter(|window| *window == wanted).count(),
    }
}

/// The condition of a stream error at the end of what was heard, and its text.
fn reason(last_words: &str) -> String {
    let Some((_, error)) = last_words.rsplit_once("<stream:error><") else { return "without a word".into() };
    let condition = error.split([' ', '/', '>']).next().unwrap_or_default();
    let text = error.split_once("<text").and_then(|(_, text)| text.split(['<', '>']).nth(1));
    text.map_or_else(|| condition.to_owned(), |text| format!("{condition}: {text}"))
}
