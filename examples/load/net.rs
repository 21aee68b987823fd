//! The clients' sockets, and what comes cut into stanzas.
//!
//! Left out on purpose: what is said on them; `work` knows.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::work::Work;
use crate::Result;

const READ_BYTES: usize = 65_536;

/// All clients, by their number.
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    /// Of whom an event has come: who, and whether there is something to read.
    ready: Vec<(usize, bool)>,
    clients: Vec<Client>,
    /// Whoever has said something that was not sent.
    speakers: Vec<usize>,
    scratch: Box<[u8]>,
}

struct Client {
    socket: TcpStream,
    /// What came and is no whole stanza yet.
    heard: Vec<u8>,
    /// What was said and is not sent yet.
    said: Vec<u8>,
}

impl Net {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            ready: Vec::new(),
            clients: Vec::new(),
            speakers: Vec::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// A new client; what it says is sent once it is connected.
    pub(crate) fn connect(&mut self, address: SocketAddr) -> Result<usize> {
        let who = self.clients.len();
        let mut socket = TcpStream::connect(address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(who), interest)?;
        socket.set_nodelay(true)?;
        self.clients.push(Client { socket, heard: Vec::new(), said: Vec::new() });
        Ok(who)
    }

    /// Says something at the end of this turn.
    pub(crate) fn say(&mut self, who: usize, text: &str) {
        let Some(client) = self.clients.get_mut(who) else { return };
        if client.said.is_empty() {
            self.speakers.push(who);
        }
        client.said.extend_from_slice(text.as_bytes());
    }

    /// Sends what was said, waits until something comes, and passes it on, stanza by stanza.
    pub(crate) fn turn(&mut self, patience: Option<Duration>, work: &mut impl Work) -> Result<()> {
        self.send()?;
        self.poll.poll(&mut self.events, patience)?;
        self.ready.extend(self.events.iter().map(|event| (event.token().0, event.is_readable())));
        while let Some((who, is_readable)) = self.ready.pop() {
            if self.clients.get(who).is_some_and(|client| !client.said.is_empty()) {
                self.speakers.push(who);
            }
            if is_readable {
                self.read(who, work)?;
            }
        }
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        for who in self.speakers.drain(..) {
            if let Some(client) = self.clients.get_mut(who) {
                client.send()?;
            }
        }
        Ok(())
    }

    fn read(&mut self, who: usize, work: &mut impl Work) -> Result<()> {
        loop {
            let Some(client) = self.clients.get_mut(who) else { return Ok(()) };
            let read = match client.socket.read(&mut self.scratch) {
                Ok(0) => return Err(format!("client {who} was cut off").into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("client {who}: {error}").into()),
            };
            let mut heard = std::mem::take(&mut client.heard);
            heard.extend_from_slice(self.scratch.get(..read).unwrap_or_default());
            let mut rest = heard.as_slice();
            while let Some(length) = first_stanza(rest) {
                let (stanza, behind) = rest.split_at(length);
                work.hear(self, who, std::str::from_utf8(stanza)?.trim_start())?;
                rest = behind;
            }
            let done = heard.len() - rest.len();
            heard.drain(..done);
            if let Some(client) = self.clients.get_mut(who) {
                client.heard = heard;
            }
            // Less than there was room for: the next that comes is another event.
            if read < self.scratch.len() {
                return Ok(());
            }
        }
    }
}

impl Client {
    fn send(&mut self) -> Result<()> {
        while !self.said.is_empty() {
            match self.socket.write(&self.said) {
                Ok(sent) => drop(self.said.drain(..sent)),
                // It is not yet connected, or the server is slow; an event will tell.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// How long the first child of the stream is, if all of it is there; a header or a close counts as one.
fn first_stanza(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_usize);
    loop {
        let start = at + bytes.get(at..)?.iter().position(|byte| *byte == b'<')?;
        let tag = bytes.get(start..start + tag_length(bytes.get(start..)?)?)?;
        at = start + tag.len();
        if tag.starts_with(b"<?") || tag.starts_with(b"<stream:stream") {
            return Some(at);
        }
        if tag.starts_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if !tag.ends_with(b"/>") {
            depth += 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// How long the tag is that begins here. A value in quotes may hold a `>`.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (i, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(i + 1),
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => (),
        }
    }
    None
}

/// An attribute of the first tag.
pub(crate) fn attribute<'s>(stanza: &'s str, name: &str) -> Option<&'s str> {
    let tag = stanza.get(..tag_length(stanza.as_bytes())?)?;
    let (_, behind) = tag.match_indices(name).find_map(|(at, _)| {
        let (before, behind) = (tag.get(..at)?, tag.get(at + name.len()..)?);
        (before.ends_with(' ') && behind.starts_with('=')).then_some((before, behind))
    })?;
    let quote = behind.chars().nth(1)?;
    behind.get(2..)?.split(quote).next()
}
