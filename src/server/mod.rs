//! The server without sockets and without a clock: bytes and the time go in, bytes come out.
//!
//! Whoever owns connections opens a stream for each, passes on what it receives, and sends what is outgoing.
//! Everything that tests, embeds or simulates a server stands on this. There is no thread, no lock, no callback: each
//! call does all that follows from it and returns.
//!
//! Left out on purpose: errors of peers. They are on the wire when a call returns, never in its result.

mod accounts;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::io;
use std::time::Duration;

use crate::crypto::random::{Random, RandomSource};
use crate::im::ctx::{Ctx, Now};
use crate::im::events::{Event, Events};
use crate::im::subscriptions;
use crate::outbox::{Outboxes, Outgoing};
use crate::routing::dispatch;
use crate::storage::{Storage, StorageError};
use crate::streams::{self, Stream};
use crate::tables::{
    AccountError, Accounts, CommandSessions, InFlight, LoginThrottle, PasswordRules, RateLimiter, Sessions,
    Tables, SALT_BYTES,
};
use crate::xml::ns;
use crate::xml::{Reader, XmlError};
use crate::xmpp::config::Config;
use crate::xmpp::jid::{Jid, JidError};
use crate::xmpp::peer::Peer;
use crate::xmpp::slab::{Key, Slab};
use crate::xmpp::stanza::{Refusal, Stanza};

pub use accounts::{ImportError, Status};

/// Which stream. One that is no more is ignored wherever it is said.
pub type StreamId = Key;

/// Bytes of the secret that makes the salts of names that nobody has.
const DECOY_BYTES: usize = 20;

/// So many timers may be stale, and some more for each stream.
const STALE_TIMERS: usize = 64;

/// How many streams in use are passed over in the search for one that may rest.
const RESTLESS: usize = 4;

/// An XMPP server that does no input or output.
pub struct Server {
    config: Config,
    streams: Slab<Box<Stream>>,
    outboxes: Outboxes,
    tables: Tables,
    events: Events,
    random: Random,
    /// When which stream wants [`Stream::due`]; what it wants no more is skipped when it comes up.
    timers: BinaryHeap<Reverse<(Duration, Key)>>,
    /// When the server was first told the time ([`Now::monotonic`]).
    started: Option<Duration>,
    /// Streams with a parser at hand, in the order in which they are asked to let go of it.
    awake: VecDeque<Key>,
    /// The buffer that whichever stream is reading has, so that idle ones need none.
    spare: Vec<u8>,
    /// When it was called last.
    now: Now,
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
            outboxes: Outboxes::new(config.limits.outbox_bytes),
            events: Events::new(config.limits.events),
            streams: Slab::new(),
            tables,
            random,
            timers: BinaryHeap::new(),
            awake: VecDeque::new(),
            spare: Vec::new(),
            now: Now::default(),
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

    /// Makes what changed as safe as was asked for. To be called before anything outgoing is sent.
    ///
    /// # Errors
    /// If that cannot be done. Then nothing may be sent any more: it would acknowledge what may be lost.
    pub fn commit(&mut self, now: Now) -> io::Result<()> {
        self.tables.commit(now.monotonic)
    }

    /// When [`Server::commit`] has something to do ([`Now::monotonic`]): [`Server::tick`] knows nothing of what is changed
    /// after it.
    pub fn next_commit(&self) -> Option<Duration> {
        self.tables.recorder.as_ref().and_then(|recorder| recorder.next_commit())
    }

    /// Does a little of the work that can wait. `false` if there is more of it. To be called after what was outgoing has been
    /// sent: that messages wait no longer is recorded here.
    pub fn maintain(&mut self) -> bool {
        self.tables.record_sent();
        self.tables.maintain()
    }

    /// What the server was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A connection came. `None` if there are [`crate::Limits::connections`] already: end it.
    pub fn open(&mut self, peer: Peer, now: Now) -> Option<StreamId> {
        if self.streams.len() >= self.config.limits.connections {
            log::warn!("{peer} refused: there are {} connections", self.streams.len());
            return None;
        }
        let (streams, mut ctx) = self.lend(now);
        let key = streams.insert_with(|key| {
            ctx.outboxes.open(key);
            Box::new(Stream::open(&mut ctx, key, peer))
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
        while self.with(id, now, Stream::step) == Some(true) {
            self.finish_closing(now);
        }
        if self.streams.get(id).and_then(|stream| stream.deadline()) != deadline {
            self.set_timer(id);
        }
        if let Some(stream) = self.streams.get_mut(id) {
            self.spare = stream.take_spare();
            stream.used = true;
            if !std::mem::replace(&mut stream.in_line, true) {
                self.awake.push_back(id);
                self.hibernate_one();
            }
        }
    }

    /// Only so many streams have a parser at hand; the one that was used least lately lets go of its own.
    fn hibernate_one(&mut self) {
        if self.awake.len() > 2 * self.streams.len() + RESTLESS {
            let Self { awake, streams, .. } = self;
            awake.retain(|key| streams.get(*key).is_some());
        }
        if self.awake.len() <= self.config.limits.parsers {
            return;
        }
        for _ in 0..RESTLESS {
            let Some(key) = self.awake.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(key) else { return };
            if !std::mem::take(&mut stream.used) && stream.rest() {
                stream.in_line = false;
                return;
            }
            self.awake.push_back(key);
        }
    }

    /// A connection will bring no more bytes, but may still take some (its peer closed its half). The stream ends, unless
    /// it may go on over another connection.
    pub fn half_closed(&mut self, id: StreamId, now: Now) {
        self.with(id, now, Stream::half_closed);
        self.finish_closing(now);
    }

    /// A connection is gone, whoever ended it. To be called once for each.
    pub fn hung_up(&mut self, id: StreamId, now: Now) {
        if self.with(id, now, Stream::lose_connection) == Some(true) {
            return self.set_timer(id);
        }
        self.outboxes.end(id, None);
        self.finish_closing(now);
        self.forget(id);
    }

    /// Whether a stream is a connected resource's.
    pub(crate) fn is_logged_in(&self, id: StreamId) -> bool {
        self.streams.get(id).is_some_and(|stream| stream.is_bound())
    }

    /// The next stream that has bytes to send or is to be closed, if any has since it was last named here.
    pub fn next_dirty(&mut self) -> Option<StreamId> {
        self.outboxes.next_dirty()
    }

    /// What a stream's connection is to do now.
    pub fn outgoing(&self, id: StreamId) -> Outgoing<'_> {
        self.outboxes.outgoing(id)
    }

    /// A connection took so many bytes of [`Server::outgoing`].
    pub fn sent(&mut self, id: StreamId, bytes: usize) {
        self.outboxes.sent(id, bytes);
    }

    /// Does what is due, and says when to be called next ([`Now::monotonic`]).
    pub fn tick(&mut self, now: Now) -> Option<Duration> {
        self.started.get_or_insert(now.monotonic);
        while let Some(&Reverse((deadline, key))) = self.timers.peek() {
            let wanted = self.streams.get(key).and_then(|stream| stream.deadline()) == Some(deadline);
            if wanted && deadline > now.monotonic {
                break;
            }
            self.timers.pop();
            if wanted {
                self.with(key, now, Stream::due);
                self.finish_closing(now);
                self.set_timer(key);
            }
        }
        let timer = self.timers.peek().map(|Reverse((deadline, _))| *deadline);
        // What is to be committed at once is, before anything is sent.
        let commit = self.next_commit().filter(|commit| !commit.is_zero());
        timer.into_iter().chain(commit).min()
    }

    /// Ends all streams with `system-shutdown`, and takes no more connections. What is outgoing then is the last; once it
    /// is sent, [`Server::sync`] and be gone.
    pub fn shut_down(&mut self, now: Now) {
        self.config.limits.connections = 0;
        for key in self.streams.keys() {
            self.with(key, now, Stream::shut_down);
        }
        self.finish_closing(now);
    }

    /// Makes all that changed safe, whatever was asked for.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn sync(&mut self) -> io::Result<()> {
        self.tables.sync()
    }

    /// Whether a call has left something to send.
    pub fn is_dirty(&self) -> bool {
        self.outboxes.is_dirty()
    }

    /// Makes an account. `name` is the part before the `@`.
    ///
    /// # Errors
    /// If the name or the password cannot be one, or the name is taken.
    pub fn add_account(&mut self, name: &str, password: &str) -> Result<(), AccountError> {
        let address = self.address_of(name)?;
        let salt = self.random.bytes::<SALT_BYTES>().map_err(|_| AccountError::NoRandom)?;
        self.tables.create_account(address.local().unwrap_or_default(), password, &salt)
    }

    /// Lets one account see another's presence, and puts each into the other's roster. Whoever is connected is told.
    ///
    /// # Errors
    /// If either is not an account.
    pub fn subscribe(&mut self, watcher: &str, watched: &str) -> Result<(), AccountError> {
        let (watcher, watched) = (self.address_of(watcher)?, self.address_of(watched)?);
        let exists = |address: &Jid| self.tables.accounts.exists(address.local().unwrap_or_default());
        if !exists(&watcher) || !exists(&watched) {
            return Err(AccountError::Unknown);
        }
        if watcher == watched {
            return Ok(()); // which it does anyway
        }
        let now = self.now;
        let agreed = subscriptions::agree(&mut self.lend(now).1, &watcher, &watched);
        self.finish_closing(now);
        agreed.map_err(|_| AccountError::NotRecorded)
    }

    fn address_of(&self, name: &str) -> Result<Jid, AccountError> {
        Jid::new(Some(name), self.config.domain(), None).map_err(|_| AccountError::BadName)
    }

    /// Claims an address for the host program: a bare address, or a whole domain. What is sent there comes out of
    /// [`Server::next_event`]; [`Server::inject`] answers. An account of the same address is no longer reached.
    ///
    /// # Errors
    /// If it is no address, has a resource, or is the server's own domain.
    pub fn claim(&mut self, address: &str) -> Result<(), ClaimError> {
        let address: Jid = address.parse().map_err(ClaimError::Address)?;
        if !address.is_bare() {
            return Err(ClaimError::Full);
        }
        if address.local().is_none() && self.config.is_ours(address.domain()) {
            return Err(ClaimError::Own);
        }
        self.events.claim(address);
        Ok(())
    }

    /// From now on [`Server::next_event`] also tells who comes and goes.
    pub fn watch_sessions(&mut self) {
        self.events.watch();
    }

    /// The next thing that the host asked to be told.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.next()
    }

    /// Sends a stanza from an address that the host claimed, as XML; where it declares no namespace it is in
    /// `jabber:client`. It goes the way of all stanzas, so an error may come back as an event.
    ///
    /// # Errors
    /// If it is no stanza, or its `from` is not claimed.
    pub fn inject(&mut self, stanza: &str, now: Now) -> Result<(), InjectError> {
        let element = Reader::read_one(stanza, ns::CLIENT, self.config.limits.after_login())
            .map_err(InjectError::Xml)?;
        let from = element.attr("from").and_then(|from| from.parse::<Jid>().ok());
        let from = from.filter(|from| self.events.is_claimed(from)).ok_or(InjectError::NotClaimed)?;
        let stanza = Stanza::read(element).map_err(|refusal| match refusal {
            Refusal::NoStanza(_) => InjectError::NoStanza,
            Refusal::Answer(_) | Refusal::Silence => InjectError::BadStanza,
        })?;
        if stanza.to.is_none() {
            return Err(InjectError::BadStanza);
        }
        dispatch::dispatch(&mut self.lend(now).1, &from, &stanza);
        self.finish_closing(now);
        Ok(())
    }

    /// The streams, and beside them all that their handlers may touch.
    fn lend(&mut self, now: Now) -> (&mut Slab<Box<Stream>>, Ctx<'_>) {
        self.now = now;
        let uptime = now.monotonic.saturating_sub(*self.started.get_or_insert(now.monotonic));
        let Self { config, streams, outboxes, tables, events, random, .. } = self;
        outboxes.set_time(now.monotonic);
        (streams, Ctx { config, tables, outboxes, events, random, now, uptime })
    }

    fn with<T>(&mut self, id: Key, now: Now, act: impl FnOnce(&mut Stream, &mut Ctx<'_>) -> T) -> Option<T> {
        let (streams, mut ctx) = self.lend(now);
        streams.get_mut(id).map(|stream| act(stream, &mut ctx))
    }

    /// Finishes the streams that are closing. Each tells others, which may close some of them; the loop ends when none is left.
    fn finish_closing(&mut self, now: Now) {
        while let Some(key) = self.outboxes.next_closing() {
            match self.with(key, now, Stream::finish) {
                Some(true) => self.set_timer(key),
                Some(false) | None => self.forget(key),
            }
        }
    }

    fn forget(&mut self, key: Key) {
        self.streams.remove(key);
        self.outboxes.forget(key);
        if self.streams.len() == 0 {
            self.awake = VecDeque::new();
            self.timers = BinaryHeap::new();
        }
    }

    fn set_timer(&mut self, key: Key) {
        let Self { streams, timers, .. } = self;
        let deadline = |key| streams.get(key).and_then(|stream| stream.deadline());
        if let Some(deadline) = deadline(key) {
            timers.push(Reverse((deadline, key)));
        }
        // Those that nobody wants any more go when they come up, or when they are too many.
        if timers.len() > STALE_TIMERS + 4 * streams.len() {
            timers.retain(|Reverse((at, key))| deadline(*key) == Some(*at));
        }
    }
}

/// How passwords rest on a server that was told this.
fn password_rules(config: &Config) -> PasswordRules {
    PasswordRules { iterations: config.scram_iterations, keeps_passwords: config.legacy_auth }
}

/// Why an address cannot be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// It is not an address.
    Address(JidError),
    /// It has a resource; claim the bare address.
    Full,
    /// It is the server's own domain.
    Own,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Full => f.write_str("a claim is for a bare address: leave the resource out"),
            Self::Own => f.write_str("the server's own domain cannot be claimed"),
        }
    }
}

impl std::error::Error for ClaimError {}

/// Why a stanza of the host program is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectError {
    /// It is not one whole element that may be on a stream.
    Xml(XmlError),
    /// It is not a message, a presence or an iq.
    NoStanza,
    /// It has no `to`, or something else that every stanza of its kind needs is missing or wrong.
    BadStanza,
    /// Its `from` is missing, or not an address that was claimed.
    NotClaimed,
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml(error) => write!(f, "{error}"),
            Self::NoStanza => f.write_str("only a message, a presence or an iq can be sent"),
            Self::BadStanza => f.write_str("the stanza lacks a to, a type, an id or its one child"),
            Self::NotClaimed => f.write_str("the stanza must be from an address that was claimed"),
        }
    }
}

impl std::error::Error for InjectError {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::tables::StorageStatus;
    use crate::tables::{AccountChange, Change, Kept, Recorder, Subscription};

    fn server(set: impl FnOnce(&mut Config)) -> Server {
        let mut config = Config::new("localhost").unwrap();
        set(&mut config);
        Server::new(config, Box::new(|_| Ok(()))).unwrap()
    }

    #[test]
    fn connections_are_limited() {
        let mut server = server(|config| config.limits.connections = 2);
        let mut open = || server.open(Peer::default(), Now::default());
        let (first, second) = (open(), open());
        assert!(first.is_some() && second.is_some() && open().is_none());
        server.hung_up(first.unwrap(), Now::default());
        assert!(server.open(Peer::default(), Now::default()).is_some(), "there is room again");
    }

    #[test]
    fn a_stream_that_has_ended_keeps_nothing_of_what_it_is_sent() {
        let (mut server, now) = (server(|_| ()), Now::default());
        let id = server.open(Peer::default(), now).unwrap();
        server.receive(id, b"oops", now);
        for _ in 0..100 {
            server.receive(id, &[b'x'; 1000], now);
        }
        let kept = server.streams.get_mut(id).unwrap().take_spare().capacity();
        assert!(kept.max(server.spare.capacity()) < 2000, "{kept} bytes");
    }

    #[test]
    fn a_subscription_is_between_accounts() {
        let mut server = server(|_| ());
        server.add_account("a", "secret").unwrap();
        assert_eq!(server.add_account("A", "secret"), Err(AccountError::Exists));
        assert_eq!(server.subscribe("a", "b"), Err(AccountError::Unknown));
        assert_eq!(server.subscribe("b", "a"), Err(AccountError::Unknown));
        assert_eq!(server.subscribe("a", "b@c"), Err(AccountError::BadName));
        server.add_account("b", "secret").unwrap();
        assert_eq!(server.subscribe("a", "B"), Ok(()));
    }

    /// Takes down so many changes and no more, and the kind of each.
    #[derive(Default)]
    struct Diary {
        left: usize,
        entries: Rc<RefCell<Vec<&'static str>>>,
    }

    fn forgetful(left: usize) -> Option<Box<dyn Recorder>> {
        Some(Box::new(Diary { left, ..Diary::default() }))
    }

    impl Recorder for Diary {
        fn record_all(&mut self, changes: &[Change<'_>]) -> io::Result<()> {
            self.left = self.left.checked_sub(changes.len()).ok_or(io::ErrorKind::WriteZero)?;
            self.entries.borrow_mut().extend(changes.iter().map(|change| match change {
                Change::Account(_, AccountChange::Offline(_)) => "a message waits",
                Change::Account(_, AccountChange::OfflineSent(_)) => "it was sent",
                Change::Account(_, AccountChange::Removed) => "the account goes",
                _ => "something else",
            }));
            Ok(())
        }

        fn status(&self) -> StorageStatus {
            StorageStatus { journal_bytes: 0, snapshot_bytes: 0, recorded_bytes: 0, refuses: false }
        }

        fn commit(&mut self, _: Duration) -> io::Result<()> {
            self.entries.borrow_mut().push("commit");
            Ok(())
        }

        fn next_commit(&self) -> Option<Duration> {
            None
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn maintain(&mut self, _: Kept<'_>) -> bool {
            true
        }
    }

    /// Romeo says something while the change that comes after so many cannot be recorded. What he was answered, and what
    /// his roster and Juliet's say of each other then.
    fn forgets_after(changes: usize, before: &str, said: &str) -> (String, [Option<Subscription>; 2]) {
        let (mut server, now) = (server(|config| config.scram_iterations = 1), Now::default());
        server.add_account("romeo", "secret").unwrap();
        server.add_account("juliet", "secret").unwrap();
        let id = server.open(Peer::default(), now).unwrap();
        let login = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                     <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>romeo</username>\
                     <password>secret</password><resource>x</resource></query></iq>";
        server.receive(id, login.as_bytes(), now);
        server.receive(id, before.as_bytes(), now);
        let heard = server.outgoing(id).bytes.len();
        server.sent(id, heard);
        server.tables.recorder = forgetful(changes);
        server.receive(id, said.as_bytes(), now);
        let heard = String::from_utf8_lossy(server.outgoing(id).bytes).into_owned();
        let state = |owner: &str, contact: &str| {
            server.tables.accounts.contact(owner, contact).map(|contact| contact.subscription)
        };
        (heard, [state("romeo", "juliet@localhost"), state("juliet", "romeo@localhost")])
    }

    #[test]
    fn a_subscription_is_recorded_on_both_sides_or_on_none() {
        const ASK: &str = "<presence to='juliet@localhost' type='subscribe' id='2'/>";
        for changes in 0..2 {
            let (heard, states) = forgets_after(changes, "", ASK);
            assert!(heard.contains("<resource-constraint "), "{changes}: {heard}");
            assert_eq!(states, [None, None], "{changes}");
        }
        let (heard, states) = forgets_after(2, "", ASK);
        assert_eq!((heard.as_str(), states[0]), ("", Some(Subscription::NonePendingOut)));
        assert_eq!(states[1], Some(Subscription::NonePendingIn));
    }

    /// Romeo and Juliet, who see each other, are there; the nurse is not. Juliet is an administrator.
    fn house() -> (Server, [StreamId; 2]) {
        let (mut server, now) = (
            server(|config| {
                config.scram_iterations = 1;
                config.add_admin("juliet").unwrap();
            }),
            Now::default(),
        );
        for name in ["romeo", "juliet", "nurse"] {
            server.add_account(name, "secret").unwrap();
        }
        server.subscribe("romeo", "juliet").unwrap();
        server.subscribe("juliet", "romeo").unwrap();
        let streams = ["romeo", "juliet"].map(|name| {
            let id = server.open(Peer::default(), now).unwrap();
            let login = format!(
                "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>\
                 <iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>{name}</username>\
                 <password>secret</password><resource>x</resource></query></iq>\
                 <iq type='get' id='2'><query xmlns='jabber:iq:roster'/></iq><presence/>"
            );
            server.receive(id, login.as_bytes(), now);
            id
        });
        for id in streams {
            heard(&mut server, id);
        }
        (server, streams)
    }

    fn heard(server: &mut Server, id: StreamId) -> String {
        let text = String::from_utf8_lossy(server.outgoing(id).bytes).into_owned();
        server.sent(id, text.len());
        text
    }

    fn states(server: &Server) -> [Option<Subscription>; 2] {
        [("romeo", "juliet@localhost"), ("juliet", "romeo@localhost")]
            .map(|(owner, contact)| server.tables.accounts.contact(owner, contact).map(|c| c.subscription))
    }

    /// Else a kill between the two would lose what was acknowledged to its sender.
    #[test]
    fn that_a_message_waits_no_longer_is_recorded_after_it_was_sent() {
        const AWAY: &str =
            "<presence type='unavailable'/><message to='romeo@localhost'><body>1</body></message>";
        for removed in [false, true] {
            let (mut server, [romeo, _]) = house();
            let (diary, now) = (Rc::new(RefCell::new(Vec::new())), Now::default());
            server.tables.recorder = Some(Box::new(Diary { left: usize::MAX, entries: diary.clone() }));
            server.receive(romeo, AWAY.as_bytes(), now);
            heard(&mut server, romeo);
            diary.borrow_mut().clear();
            server.receive(romeo, b"<presence/>", now);
            server.commit(now).unwrap();
            assert_eq!(heard(&mut server, romeo).matches("<body>1</body>").count(), 1);
            assert_eq!(*diary.borrow(), ["commit"]);
            if removed {
                server.remove_account("romeo", now).unwrap();
                server.add_account("romeo", "secret").unwrap();
            } else {
                server.receive(romeo, b"<presence type='unavailable'/><presence/>", now);
                assert!(!heard(&mut server, romeo).contains("<body>"), "it came twice");
            }
            server.maintain();
            server.commit(now).unwrap();
            let sent = diary.borrow().iter().filter(|entry| **entry == "it was sent").count();
            assert_eq!(sent, usize::from(!removed), "{:?}", diary.borrow());
        }
    }

    /// A way to remove something, asked for on one of the two streams. `false` if it was refused with
    /// `resource-constraint`, and the stream went on.
    type Way = fn(&mut Server, [StreamId; 2]) -> bool;

    /// XEP-0077 3.2.
    fn by_itself(server: &mut Server, [romeo, _]: [StreamId; 2]) -> bool {
        const END: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:register'><remove/></query></iq>";
        server.receive(romeo, END.as_bytes(), Now::default());
        let heard = heard(server, romeo);
        let refused = heard.contains("<resource-constraint ");
        assert_eq!(refused, !heard.contains("</s:stream>") && !heard.contains("</stream:stream>"), "{heard}");
        !refused
    }

    fn by_the_host_program(server: &mut Server, _: [StreamId; 2]) -> bool {
        match server.remove_account("romeo", Now::default()) {
            Err(error) => error != AccountError::NotRecorded,
            Ok(()) => true,
        }
    }

    /// XEP-0133 4.2, with the nurse beside him.
    fn by_the_administrator(server: &mut Server, [_, juliet]: [StreamId; 2]) -> bool {
        const COMMAND: &str = "<command xmlns='http://jabber.org/protocol/commands' \
                               node='http://jabber.org/protocol/admin#delete-user'";
        let mut ask = |rest: &str| {
            let request = format!("<iq type='set' id='3' to='localhost'>{COMMAND} {rest}</iq>");
            server.receive(juliet, request.as_bytes(), Now::default());
            heard(server, juliet)
        };
        let form = ask("/>");
        let (_, session) = form.split_once("sessionid='").unwrap();
        let session = session.split_once('\'').unwrap().0;
        let heard = ask(&format!(
            "sessionid='{session}'><x xmlns='jabber:x:data' type='submit'><field var='accountjids'>\
             <value>romeo@localhost</value><value>nurse@localhost</value><value>romeo@localhost</value>\
             </field></x></command>"
        ));
        !heard.contains("<resource-constraint ")
    }

    /// RFC 6121 2.5.2.
    fn from_the_roster(server: &mut Server, [romeo, _]: [StreamId; 2]) -> bool {
        const REMOVE: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:roster'>\
                              <item jid='juliet@localhost' subscription='remove'/></query></iq>";
        server.receive(romeo, REMOVE.as_bytes(), Now::default());
        let heard = heard(server, romeo);
        let refused = heard.contains("<resource-constraint ");
        assert_eq!(refused, !heard.contains("unavailable"), "{heard}");
        !refused
    }

    #[test]
    fn a_removal_is_recorded_whole_before_anybody_is_told() {
        let ways: [(Way, usize); 4] =
            [(by_itself, 2), (by_the_host_program, 2), (by_the_administrator, 3), (from_the_roster, 2)];
        for (number, (remove, changes)) in ways.into_iter().enumerate() {
            let (mut server, [romeo, juliet]) = house();
            for left in 0..changes {
                server.tables.recorder = forgetful(left);
                assert!(!remove(&mut server, [romeo, juliet]), "way {number}, after {left}");
                let both = Some(Subscription::Both);
                assert_eq!(states(&server), [both, both], "way {number}, after {left}");
                let told = [romeo, juliet].map(|id| heard(&mut server, id));
                assert_eq!(told, ["", ""], "way {number}, after {left}");
                assert_eq!((server.status().sessions, server.status().accounts), (2, 3));
            }
            server.tables.recorder = forgetful(changes);
            assert!(remove(&mut server, [romeo, juliet]), "way {number}");
            assert_eq!(states(&server), [None, Some(Subscription::None)], "way {number}");
        }
    }

    #[test]
    fn what_cannot_be_recorded_is_not_in_the_roster_either() {
        const SET: &str = "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query></iq>";
        const REMOVE: &str = "<iq type='set' id='3'><query xmlns='jabber:iq:roster'>\
                              <item jid='juliet@localhost' subscription='remove'/></query></iq>";
        let (heard, states) = forgets_after(0, "", SET);
        assert!(heard.contains("<resource-constraint ") && states == [None, None], "{heard}");
        let (heard, states) = forgets_after(0, SET, REMOVE);
        assert!(heard.contains("<resource-constraint "), "{heard}");
        assert_eq!(states, [Some(Subscription::None), None]);
        const END: &str = "<iq type='set' id='4'><query xmlns='jabber:iq:register'><remove/></query></iq>";
        let (heard, states) = forgets_after(0, SET, END);
        assert!(heard.contains("<resource-constraint ") && !heard.contains("</stream:stream>"), "{heard}");
        assert_eq!(states, [Some(Subscription::None), None]);
    }
}
