//! The server without sockets and without a clock: bytes and the time go in, bytes come out.
//!
//! Whoever owns connections opens a stream for each, passes on what it receives, and sends what is outgoing.
//! Everything that tests, embeds or simulates a server stands on this. There is no thread, no lock, no callback: each
//! call does all that follows from it and returns.
//!
//! Left out on purpose: errors of peers. They are on the wire when a call returns, never in its result.

mod accounts;
mod flush;
mod local;
mod parsers;
mod timers;
mod work;

use std::io;
use std::time::Duration;

use self::parsers::Parsers;
use self::timers::Timers;
use self::work::Budget;
use crate::crypto::random::{Random, RandomSource};
use crate::im::ctx::{Ctx, Now};
use crate::im::events::Events;
use crate::outbox::Outboxes;
use crate::storage::{Storage, StorageError};
use crate::streams::{self, Stream};
use crate::tables::{
    Accounts, CommandSessions, Hosts, InFlight, LoginThrottle, PasswordRules, RateLimiter, Sessions, Tables,
};
use crate::xml::Spare;
use crate::xmpp::config::Config;
use crate::xmpp::opening::Opening;
use crate::xmpp::slab::{Key, Slab};

pub use accounts::{ImportError, Status};
pub use flush::Flush;
pub use local::{ClaimError, InjectError};

/// Which stream. One that is no more is ignored wherever it is said.
pub type StreamId = Key;

/// Bytes of the secret that makes the salts of names that nobody has.
const DECOY_BYTES: usize = 20;

/// An XMPP server that does no input or output.
pub struct Server {
    config: Config,
    streams: Slab<Box<Stream>>,
    outboxes: Outboxes,
    tables: Tables,
    events: Events,
    random: Random,
    timers: Timers,
    /// When the server was first told the time ([`Now::monotonic`]).
    started: Option<Duration>,
    parsers: Parsers,
    /// The memory that whichever stream is reading has, so that idle ones need none.
    spare: Spare,
    /// When it was called last.
    now: Now,
    /// What may still be done in this turn.
    budget: Budget,
    /// The last flush has left work that can wait, but not for ever.
    has_work: bool,
}

impl Server {
    /// A server with nobody in it. `random` gives stream ids, so it must be unpredictable: the system's own source.
    ///
    /// # Errors
    /// If `random` gives none.
    pub fn new(config: Config, random: RandomSource) -> io::Result<Self> {
        let mut random = Random::new(random);
        let limits = &config.limits;
        let tables = Tables {
            hosts: Hosts::default(),
            accounts: Accounts::new(password_rules(&config), &random.bytes::<DECOY_BYTES>()?),
            sessions: Sessions::default(),
            login_throttle: LoginThrottle::new(
                limits.failed_logins_by_address,
                limits.failed_logins_of_account,
            ),
            registrations: RateLimiter::new(limits.registrations_by_address),
            command_sessions: CommandSessions::new(limits.commands),
            recorder: None,
            in_flight: InFlight::default(),
        };
        Ok(Self {
            outboxes: Outboxes::new((&config.limits).into()),
            events: Events::new(config.limits.events),
            streams: Slab::new(),
            tables,
            random,
            timers: Timers::default(),
            parsers: Parsers::default(),
            spare: Spare::default(),
            now: Now::default(),
            budget: Budget::default(),
            has_work: false,
            started: None,
            config,
        })
    }

    /// A server with the accounts of a data folder, in which it records what changes.
    ///
    /// # Errors
    /// If `random` gives nothing, or the folder cannot be read.
    pub fn open_storage(
        config: Config,
        random: RandomSource,
        mut storage: Storage,
    ) -> Result<Self, StorageError> {
        let mut server = Self::new(config, random)?;
        storage.load(&mut |change| server.tables.apply(change))?;
        log::info!("{} accounts were read", server.tables.accounts.len());
        server.tables.recorder = Some(Box::new(storage));
        Ok(server)
    }

    /// What the server was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A connection came. `None` if there are [`crate::Limits::connections`] already: end it.
    pub fn open(&mut self, opening: Opening, now: Now) -> Option<StreamId> {
        if self.streams.len() >= self.config.limits.connections {
            log::warn!("{} refused: there are {} connections", opening.peer, self.streams.len());
            return None;
        }
        let (streams, mut ctx) = self.context(now);
        let key = streams.insert_with(|key| {
            ctx.outboxes.open(key);
            Box::new(Stream::open(&mut ctx, key, opening))
        });
        self.set_timer(key);
        Some(key)
    }

    /// What a connection that [`Server::open`] refused may be told before it is ended (RFC 6120 4.9.3.17).
    pub fn refusal(&self) -> Vec<u8> {
        streams::refusal(&self.config)
    }

    /// A connection brought bytes; they are acted upon at once. Pass on at most some 16 KB at a time, so that no peer
    /// keeps the others waiting.
    pub fn receive(&mut self, id: StreamId, bytes: &[u8], now: Now) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.reads()) else { return };
        let deadline = stream.deadline();
        stream.push(bytes, std::mem::take(&mut self.spare), now.monotonic);
        self.act(id, now);
        if self.streams.get(id).and_then(|stream| stream.deadline()) != deadline {
            self.set_timer(id);
        }
        if let Some(stream) = self.streams.get_mut(id) {
            self.spare = stream.take_spare();
            self.parsers.used(id, &mut self.streams, self.config.limits.parsers);
        }
        self.work(now);
    }

    /// A connection will bring no more bytes, but may still take some (its peer closed its half). The stream ends,
    /// unless it may go on over another connection.
    pub fn half_closed(&mut self, id: StreamId, now: Now) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.ended_by_peer = true;
            self.outboxes.make_ready(id);
        }
        self.work(now);
    }

    /// A connection is gone, whoever ended it. To be called once for each.
    pub fn hung_up(&mut self, id: StreamId, now: Now) {
        if self.with(id, now, Stream::lose_connection) == Some(true) {
            return self.set_timer(id);
        }
        self.outboxes.end(id, None);
        self.finish_all(now);
        self.lose(id);
        self.work(now);
    }

    /// Whether a stream is a connected resource's. A host that is busy reads from those first.
    pub fn is_logged_in(&self, id: StreamId) -> bool {
        self.streams.get(id).is_some_and(|stream| stream.is_bound())
    }

    /// Ends all streams with `system-shutdown`, and takes no more connections. What is outgoing then is the last;
    /// once it is sent, [`Server::sync`] and be gone.
    pub fn shut_down(&mut self, now: Now) {
        self.config.limits.connections = 0;
        // What was received before is acted upon.
        self.work_off(now);
        for key in self.streams.keys() {
            self.with(key, now, Stream::shut_down);
        }
        self.finish_all(now);
        self.work_off(now);
    }

    /// The streams, and beside them all that their handlers may touch.
    fn context(&mut self, now: Now) -> (&mut Slab<Box<Stream>>, Ctx<'_>) {
        self.now = now;
        let uptime = now.monotonic.saturating_sub(*self.started.get_or_insert(now.monotonic));
        let Self { config, streams, outboxes, tables, events, random, .. } = self;
        outboxes.set_time(now.monotonic);
        (streams, Ctx { config, tables, outboxes, events, random, now, uptime })
    }

    fn with<T>(&mut self, id: Key, now: Now, act: impl FnOnce(&mut Stream, &mut Ctx<'_>) -> T) -> Option<T> {
        let (streams, mut ctx) = self.context(now);
        streams.get_mut(id).map(|stream| act(stream, &mut ctx))
    }

    fn set_timer(&mut self, key: Key) {
        self.timers.set(key, &self.streams);
    }

    fn forget(&mut self, key: Key) {
        self.streams.remove(key);
        self.outboxes.forget(key);
        if self.streams.len() == 0 {
            (self.parsers, self.timers) = Default::default();
        }
    }
}

/// How passwords rest on a server that was told this.
fn password_rules(config: &Config) -> PasswordRules {
    PasswordRules { iterations: config.scram_iterations, keeps_passwords: config.legacy_auth }
}

#[cfg(test)]
mod tests;
