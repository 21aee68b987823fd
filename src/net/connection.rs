//! One connection: what is known of its socket's two directions, each of which ends for itself.
//!
//! Read first: epoll(7) on edge-triggered readiness. A read that does not fill the buffer has emptied the socket,
//! unless the end is in sight: that is said only once, so the socket is then read to its end.
//! Left out on purpose: what the bytes mean; the server takes them and gives them.

use std::io::{ErrorKind, Read, Write};

use super::transport::Transport;
use crate::outbox::{Outgoing, Then};
use crate::server::StreamId;
use crate::xmpp::slab::drop_vacant;

pub(super) struct Connection {
    pub(super) id: StreamId,
    transport: Transport,
    /// It waits in the read queue.
    pub(super) is_queued: bool,
    /// The system took less than was offered; it says when it takes more.
    is_blocked: bool,
    /// The system says that the end of what the peer sends has arrived.
    end_in_sight: bool,
    /// The peer sends no more.
    read_closed: bool,
    /// We send no more; what still comes is thrown away.
    write_closed: bool,
}

/// What a read has brought.
pub(super) enum Input {
    /// So many bytes to act upon, and perhaps more to read at once.
    Bytes { count: usize, more: bool },
    /// The peer sends no more.
    HalfClosed,
    /// The connection is over.
    Over,
}

/// What came of sending.
pub(super) enum Output {
    /// So many bytes were taken; there may be more to do.
    Sent(usize),
    /// Nothing can be done now.
    Nothing,
    /// The connection is over.
    Over,
}

impl Connection {
    pub(super) fn new(id: StreamId, transport: Transport) -> Self {
        Self {
            id,
            transport,
            is_queued: false,
            is_blocked: false,
            end_in_sight: false,
            read_closed: false,
            write_closed: false,
        }
    }

    /// The system says that there is something to read. `true` if the connection is to be queued for it.
    pub(super) fn set_readable(&mut self, end_in_sight: bool) -> bool {
        self.end_in_sight |= end_in_sight;
        !std::mem::replace(&mut self.is_queued, true)
    }

    /// The system takes bytes. `true` if somebody waited for that.
    pub(super) fn set_writable(&mut self) -> bool {
        std::mem::take(&mut self.is_blocked)
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Input {
        const NOTHING: Input = Input::Bytes { count: 0, more: false };
        if self.read_closed {
            return NOTHING;
        }
        match self.transport.read(buffer) {
            Ok(0) => {
                self.read_closed = true;
                if self.write_closed {
                    Input::Over
                } else {
                    Input::HalfClosed
                }
            }
            Ok(read) => Input::Bytes {
                count: if self.write_closed { 0 } else { read },
                more: read == buffer.len() || self.end_in_sight,
            },
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => NOTHING,
                ErrorKind::Interrupted => Input::Bytes { count: 0, more: true },
                _ => Input::Over,
            },
        }
    }

    /// Writes what the system takes of what is outgoing.
    pub(super) fn send(&mut self, outgoing: Outgoing<'_>) -> Output {
        match (outgoing.then, outgoing.bytes) {
            (Then::CloseNow, _) => Output::Over,
            _ if self.is_blocked => Output::Nothing,
            (Then::GoOn, []) => Output::Nothing,
            (Then::CloseWhenSent, []) => self.close_write_half(),
            (_, bytes) => match self.transport.write(bytes) {
                Ok(written) => Output::Sent(written),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.is_blocked = true;
                        Output::Nothing
                    }
                    ErrorKind::Interrupted => Output::Sent(0),
                    _ => Output::Over,
                },
            },
        }
    }

    /// All is sent. To close at once could destroy what is still under way to a peer that is still sending.
    fn close_write_half(&mut self) -> Output {
        if self.read_closed {
            return Output::Over;
        }
        self.write_closed = true;
        match self.transport.shut_down_writing() {
            Ok(()) => Output::Nothing,
            Err(_) => Output::Over,
        }
    }
}

/// All connections, in the slots of their streams' ids.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
}

impl Connections {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Connection> {
        self.in_slot(id.slot()).filter(|connection| connection.id == id)
    }

    pub(super) fn in_slot(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn insert(&mut self, connection: Connection) {
        let slot = connection.id.slot();
        while self.slots.len() <= slot {
            self.slots.push(None);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(connection);
        }
    }

    /// Closes a connection. `false` if there is none of this id.
    pub(super) fn remove(&mut self, id: StreamId) -> bool {
        if self.get_mut(id).is_none() {
            return false;
        }
        if let Some(place) = self.slots.get_mut(id.slot()) {
            *place = None;
        }
        drop_vacant(&mut self.slots);
        true
    }
}
