//! One client's stream, from its header to its end.
//!
//! Read first: RFC 6120 sections 4 (streams), 6 and 7 (how one logs in), XEP-0078 (how one did before), XEP-0198 (how a stream
//! outlives its connection).
//!
//! ```text
//!            header            login                 </stream:stream>, error, conflict, too slow
//!   Waiting --------> Login ------------> Bound --------------------------------------------------> Ended
//!      ^                |                   |                                                         ^
//!      +----------------+                   +--------> Detached --------------------------------------+
//!         SASL: restart                 connection lost          too long, or another stream goes on
//! ```
//!
//! Each phase carries what is known in it. Whoever ends a stream only marks its outbox ([`crate::outbox`]); the server
//! then calls [`Stream::finish`], the one way into `Ended`.
//! Left out on purpose: what stanzas mean ([`crate::features`]), and how bytes come and go ([`crate::net`]).

use std::time::Duration;

use crate::features::{Login, Outcome, Proved};
use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::im::events::Event;
use crate::im::offline;
use crate::im::presence;
use crate::outbox::Unacknowledged;
use crate::routing::dispatch;
use crate::routing::router;
use crate::xml::ns;
use crate::xml::writer::{attribute, write_in_stream};
use crate::xml::{Element, Header, Item, Reader, XmlLimits};
use crate::xmpp::config::Config;
use crate::xmpp::error::{Condition, StanzaError, StreamError};
use crate::xmpp::jid::Jid;
use crate::xmpp::peer::Peer;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Kind, PresenceType, Refusal, Stanza};

enum Phase {
    /// For the stream header; SASL may have proved an account before.
    Waiting(Option<Proved>),
    /// The headers are exchanged.
    Login(Box<Login>),
    /// Logged in.
    Bound(Bound),
    /// Logged in, with this full address, and without a connection.
    Detached(Jid),
    /// Nothing more is read.
    Ended,
}

/// What is known of a stream that is logged in.
struct Bound {
    /// Its full address.
    address: Jid,
    /// When bytes came last.
    heard: Duration,
    /// We have asked since then whether anybody is there.
    asked: bool,
    /// It has answered such a question, so it can.
    answers: bool,
}

/// The id of our pings; only one is under way on a stream.
const PING_ID: &str = "are-you-there";

pub(crate) struct Stream {
    key: Key,
    peer: Peer,
    reader: Reader,
    phase: Phase,
    /// When [`Stream::due`] is to be called, if anything is to happen then.
    deadline: Option<Duration>,
    /// In line to rest; see [`Stream::rest`].
    pub(crate) in_line: bool,
    /// It was read from since it came into line.
    pub(crate) used: bool,
}

impl Stream {
    /// A new connection's stream.
    pub(crate) fn open(ctx: &mut Ctx<'_>, key: Key, peer: Peer) -> Self {
        log::debug!("{key} {peer} connected");
        let reader = Reader::new(ctx.config.limits.before_login());
        let deadline = Some(ctx.now.monotonic + ctx.config.limits.login_time);
        Self { key, peer, reader, phase: Phase::Waiting(None), deadline, in_line: false, used: false }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether it is a resource's (RFC 6120 section 7).
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self.phase, Phase::Bound(_))
    }

    /// Whether anything more is read.
    pub(crate) fn reads(&self) -> bool {
        !matches!(self.phase, Phase::Detached(_) | Phase::Ended)
    }

    /// Takes bytes, to be acted upon by [`Stream::step`]. `spare` is a buffer to keep them in until
    /// [`Stream::take_spare`].
    pub(crate) fn push(&mut self, bytes: &[u8], spare: Vec<u8>, now: Duration) {
        if let Phase::Bound(bound) = &mut self.phase {
            bound.heard = now;
            bound.asked = false;
        }
        self.reader.push_into(bytes, spare);
    }

    /// Lets go of what an idle stream does not need. `false` if this is no time for it.
    pub(crate) fn rest(&mut self) -> bool {
        !self.reads() || self.reader.rest()
    }

    /// Gives the buffer of [`Stream::push`] back.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        self.reader.take_spare()
    }

    /// Acts on the next item of what was read. `false` once there is none, or the stream has ended.
    pub(crate) fn step(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if !self.reads() {
            return false;
        }
        match self.reader.next_item() {
            Ok(None) => return false,
            Ok(Some(item)) => self.take(ctx, item),
            Err(error) => self.fail(ctx, error.into()),
        }
        true
    }

    fn take(&mut self, ctx: &mut Ctx<'_>, item: Item) {
        let done = match (&mut self.phase, item) {
            (Phase::Waiting(_), Item::Header(header)) => self.greet(ctx, &header),
            (Phase::Login(_), Item::Stanza(element)) => self.log_in(ctx, element),
            (Phase::Bound(bound), Item::Stanza(element)) => stanza(ctx, self.key, bound, element),
            (_, Item::Close) => {
                ctx.outboxes.end(self.key, None);
                Ok(())
            }
            (_, Item::Header(_) | Item::Stanza(_)) => {
                debug_assert!(false, "a reader gives one header, before all stanzas");
                Err(StreamError::InternalServerError)
            }
        };
        if let Err(error) = done {
            self.fail(ctx, error);
        }
    }

    /// RFC 6120 4.9.1.1: an error ends the stream. One that has no header from us yet gets it first (4.9.1.2).
    fn fail(&mut self, ctx: &mut Ctx<'_>, error: StreamError) {
        log::debug!("{} {}: {}", self.key, self.peer, error.name());
        if matches!(self.phase, Phase::Waiting(_)) {
            let id = ctx.random.token().unwrap_or_default();
            send_header(ctx, self.key, &id, Some("1.0"), None);
        }
        ctx.outboxes.end(self.key, Some(error));
    }

    /// RFC 6120 4.2 and 4.7: a header is answered with ours.
    fn greet(&mut self, ctx: &mut Ctx<'_>, header: &Header) -> Result<(), StreamError> {
        check_namespaces(header)?;
        let is_1_0 = version(header.element.attr("version"))?;
        let stream_id = ctx.random.token().map_err(|_| StreamError::InternalServerError)?;
        let from = header.element.attr("from").and_then(|from| from.parse::<Jid>().ok());
        send_header(ctx, self.key, &stream_id, is_1_0.then_some("1.0"), from.as_ref().map(Jid::bare_str));
        let account = match &mut self.phase {
            Phase::Waiting(account) => account.take(),
            _ => None,
        };
        let login = Login { stream_id, peer: self.peer, account, ..Login::default() };
        let offers = dispatch::offers(ctx, &login);
        self.phase = Phase::Login(Box::new(login));
        check_host(ctx, header.element.attr("to"))?;
        if is_1_0 {
            let features = offers.into_iter().fold(Element::new("features", ns::STREAM), Element::with);
            ctx.outboxes.send(self.key, &features);
        }
        Ok(())
    }

    /// What may be said before login is answered, everything else ends the stream (RFC 6120 4.9.3.12).
    fn log_in(&mut self, ctx: &mut Ctx<'_>, element: Element) -> Result<(), StreamError> {
        let Phase::Login(login) = &mut self.phase else { return Err(StreamError::InternalServerError) };
        let mut answer = match read(ctx, element) {
            Ok(stanza) => dispatch::before_login(ctx, login, &stanza)?,
            Err(Refusal::NoStanza(element)) => dispatch::element_before_login(ctx, login, &element)?,
            // A broken request may have been one that is allowed here; nothing else is looked at.
            Err(Refusal::Answer(answer)) if answer.name() == "iq" => answer,
            Err(Refusal::Answer(_) | Refusal::Silence) => return Err(StreamError::NotAuthorized),
        };
        let (outcome, failures) = (login.outcome.take(), login.failures);
        if let (Some(Outcome::Bound(address)), None) = (&outcome, &login.account) {
            // Clients of the old login take their own address from here.
            answer.set_attr("to", address.as_str().to_owned());
        }
        ctx.outboxes.send(self.key, &answer);
        match outcome {
            None if failures > ctx.config.limits.login_attempts => {
                Err(StreamError::PolicyViolation("too many failed logins"))
            }
            None => Ok(()),
            Some(outcome) => self.get_on(ctx, outcome),
        }
    }

    fn get_on(&mut self, ctx: &mut Ctx<'_>, outcome: Outcome) -> Result<(), StreamError> {
        match outcome {
            Outcome::Authenticated(account) => {
                self.reader.restart();
                self.phase = Phase::Waiting(Some(account));
            }
            Outcome::Bound(address) => self.bind(ctx, address),
            Outcome::Resumed(address, old) => self.resume(ctx, address, old),
            Outcome::Ended(error) => return Err(error),
        }
        Ok(())
    }

    /// RFC 6120 7.7.2.2: a login takes over a resource that is in use, and gets what was for it and was not acknowledged.
    fn bind(&mut self, ctx: &mut Ctx<'_>, address: Jid) {
        let (Some(user), Some(resource)) = (address.local(), address.resource()) else { return };
        let old = ctx.tables.sessions.find(user, resource).map(|session| session.stream);
        let priority = old.and_then(|old| presence::gone(ctx, &address, old));
        ctx.tables.sessions.add(user, resource, self.key);
        ctx.events.session(|| Event::Bound(address.clone()));
        log::info!("{} {} is {address}", self.key, self.peer);
        self.become_bound(ctx, address);
        if let Some(old) = old {
            ctx.outboxes.end(old, Some(StreamError::Conflict));
            give_all_back(ctx, old, priority);
        }
    }

    /// XEP-0198 section 5: the session goes on here, and whatever stream it was on ends.
    fn resume(&mut self, ctx: &mut Ctx<'_>, address: Jid, old: Key) {
        if let Some(session) = ctx.tables.sessions.at_mut(&address) {
            session.stream = self.key;
        }
        ctx.outboxes.resume(old, self.key);
        ctx.outboxes.end(old, Some(StreamError::Conflict));
        log::info!("{} {} goes on as {address}", self.key, self.peer);
        offline::deliver(ctx, &address);
        self.become_bound(ctx, address);
    }

    fn become_bound(&mut self, ctx: &mut Ctx<'_>, address: Jid) {
        self.reader.set_stanza_bytes(ctx.config.limits.stanza_bytes);
        self.deadline = ctx.config.ping_interval.map(|interval| ctx.now.monotonic + interval);
        self.phase = Phase::Bound(Bound { address, heard: ctx.now.monotonic, asked: false, answers: false });
    }

    /// The server stops (RFC 6120 4.9.3.20). One that was not said anything to is not told why.
    pub(crate) fn shut_down(&mut self, ctx: &mut Ctx<'_>) {
        match self.phase {
            Phase::Waiting(None) => ctx.outboxes.abandon(self.key),
            _ => self.fail(ctx, StreamError::SystemShutdown),
        }
    }

    /// The peer sends no more. The stream may go on over another connection, or ends. Where it has not begun a stream, there is none to end (RFC 6120 4.4).
    pub(crate) fn half_closed(&mut self, ctx: &mut Ctx<'_>) {
        match self.phase {
            Phase::Waiting(None) => ctx.outboxes.abandon(self.key),
            _ if self.can_be_resumed(ctx) => ctx.outboxes.detach(self.key),
            _ => ctx.outboxes.end(self.key, None),
        }
    }

    /// The deadline has passed.
    pub(crate) fn due(&mut self, ctx: &mut Ctx<'_>) {
        self.deadline = None;
        match &mut self.phase {
            Phase::Waiting(_) | Phase::Login(_) => self.fail(ctx, StreamError::ConnectionTimeout),
            Phase::Bound(bound) => match still_there(ctx, self.key, bound) {
                Some(deadline) => self.deadline = Some(deadline),
                None if self.can_be_resumed(ctx) => ctx.outboxes.detach(self.key),
                None => self.fail(ctx, StreamError::ConnectionTimeout),
            },
            Phase::Detached(_) => ctx.outboxes.end(self.key, None),
            Phase::Ended => ctx.outboxes.abandon(self.key),
        }
    }

    /// Whether another connection may go on with this stream (XEP-0198 section 5).
    fn can_be_resumed(&self, ctx: &Ctx<'_>) -> bool {
        self.resumption_time(ctx).is_some()
    }

    fn resumption_time(&self, ctx: &Ctx<'_>) -> Option<Duration> {
        let Phase::Bound(bound) = &self.phase else { return None };
        let session = ctx.tables.sessions.find(bound.address.local()?, bound.address.resource()?)?;
        session.resumption.as_ref().filter(|_| session.stream == self.key).map(|resumption| resumption.time)
    }

    /// The connection is gone. `true` if the stream waits for another one.
    pub(crate) fn lose_connection(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(time) = self.resumption_time(ctx) else { return false };
        let Phase::Bound(bound) = std::mem::replace(&mut self.phase, Phase::Ended) else { return false };
        log::info!("{} {} has lost its connection", self.key, bound.address);
        ctx.outboxes.detach(self.key);
        self.phase = Phase::Detached(bound.address);
        self.deadline = Some(ctx.now.monotonic + time);
        true
    }

    /// The stream has ended, whoever ended it: nothing more is read, and those who should know are told. `false` if
    /// there is no connection either, and so nothing left of it.
    pub(crate) fn finish(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let (address, connected) = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Bound(bound) => (Some(bound.address), true),
            Phase::Detached(address) => (Some(address), false),
            Phase::Waiting(_) | Phase::Login(_) | Phase::Ended => (None, true),
        };
        if let Some(address) = address {
            log::info!("{} {address} is gone", self.key);
            let priority = presence::gone(ctx, &address, self.key);
            give_all_back(ctx, self.key, priority);
        }
        self.reader.stop();
        self.deadline = Some(ctx.now.monotonic + ctx.config.limits.closing_time);
        connected
    }
}

/// XEP-0198 section 4: what a stream did not acknowledge goes where it would have gone without that stream.
fn give_all_back(ctx: &mut Ctx<'_>, stream: Key, priority: Option<i8>) {
    for stanza in ctx.outboxes.take_unacknowledged(stream) {
        give_back(ctx, &stanza, priority);
    }
}

fn give_back(ctx: &mut Ctx<'_>, stanza: &Unacknowledged, priority: Option<i8>) {
    let text = String::from_utf8_lossy(&stanza.bytes);
    // Limits are for what others wrote; escapes and declarations have made this longer than what its sender was held to.
    let element = Reader::read_one(&text, ns::CLIENT, XmlLimits::NONE);
    match element.map(Stanza::read) {
        Ok(Ok(read)) => router::give_back(ctx, read, stanza.written, priority),
        other => debug_assert!(false, "what was sent was a stanza: {other:?}"),
    }
}

/// Whether a client that is logged in is still there: asks it if it has been silent for long, and gives the time of the
/// next look; `None` if it was asked and has not answered. One that has never answered may be one that cannot.
fn still_there(ctx: &mut Ctx<'_>, key: Key, bound: &mut Bound) -> Option<Duration> {
    let (now, interval) = (ctx.now.monotonic, ctx.config.ping_interval?);
    if bound.asked && bound.answers {
        return None;
    }
    if now < bound.heard + interval {
        return Some(bound.heard + interval);
    }
    bound.asked = true;
    let ping = Element::new("iq", ns::CLIENT)
        .with_attr("type", "get")
        .with_attr("id", PING_ID)
        .with_attr("from", ctx.config.domain().to_owned())
        .with_attr("to", bound.address.as_str().to_owned())
        .with(Element::new("ping", ns::PING));
    ctx.outboxes.send(key, &ping);
    let patience = if bound.answers { ctx.config.limits.ping_time } else { interval };
    Some(now + patience)
}

/// A stanza, or another element, from one who is logged in.
fn stanza(ctx: &mut Ctx<'_>, key: Key, bound: &mut Bound, mut element: Element) -> Result<(), StreamError> {
    let from = &bound.address;
    check_from(ctx, from, element.attr("from"))?;
    // RFC 6120 8.1.2.1: whatever it said, it is from here, and this is where an answer goes.
    element.set_attr("from", from.as_str().to_owned());
    let answer = match read(ctx, element) {
        Ok(stanza) if is_pong(ctx, &stanza) => {
            bound.answers = true;
            None
        }
        Ok(stanza) => {
            log::debug!("{key} {from}: {:?} to {:?}", stanza.kind, stanza.to);
            dispatch::dispatch(ctx, from, &stamped(ctx, stanza, from));
            None
        }
        Err(Refusal::NoStanza(element)) => {
            let answer = dispatch::element(ctx, from, key, &element)?;
            answer.iter().for_each(|answer| {
                ctx.outboxes.send(key, answer);
            });
            return Ok(());
        }
        Err(Refusal::Answer(answer)) => Some(answer),
        Err(Refusal::Silence) => None,
    };
    if let Some(answer) = answer {
        ctx.outboxes.send(key, &answer);
    }
    ctx.outboxes.note_received(key);
    Ok(())
}

/// The answer to our ping; an error is as good as a result.
fn is_pong(ctx: &Ctx<'_>, stanza: &Stanza) -> bool {
    let for_us = stanza.to.as_ref().map_or(true, |to| to.as_str() == ctx.config.domain());
    let is_answer = matches!(stanza.kind, Kind::Iq(IqType::Result | IqType::Error));
    for_us && is_answer && stanza.element.attr("id") == Some(PING_ID)
}

/// RFC 6121 section 3: subscriptions are between bare addresses; RFC 6120 10.3.1: a message for nobody is for the sender's
/// own account; and only we say since when we have had it.
fn stamped(ctx: &Ctx<'_>, mut stanza: Stanza, from: &Jid) -> Stanza {
    match stanza.kind {
        Kind::Presence(PresenceType::Subscription(_)) => {
            stanza.element.set_attr("from", from.bare_str().to_owned())
        }
        Kind::Message(_) if stanza.to.is_none() => {
            stanza.element.set_attr("to", from.bare_str().to_owned());
            stanza.to = Some(from.to_bare());
        }
        _ => (),
    }
    delay::remove_forged(ctx.config, &mut stanza.element);
    stanza
}

/// Reads a stanza; an address at another name of this host becomes one at its true name.
fn read(ctx: &Ctx<'_>, element: Element) -> Result<Stanza, Refusal> {
    let mut stanza = Stanza::read(element)?;
    let alias = stanza.to.as_ref().filter(|to| ctx.config.is_alias(to.domain()));
    match alias.map(|to| to.at_domain(ctx.config.domain())) {
        None => Ok(stanza),
        Some(Ok(to)) => {
            stanza.element.set_attr("to", to.as_str().to_owned());
            stanza.to = Some(to);
            Ok(stanza)
        }
        Some(Err(error)) => {
            let error = StanzaError::because(Condition::JidMalformed, format!("to: {error}"));
            Err(stanza.refused(&error).map_or(Refusal::Silence, Refusal::Answer))
        }
    }
}

/// RFC 6120 8.1.2.1: a client may say its own full or bare address in `from`, and nothing else.
fn check_from(ctx: &Ctx<'_>, own: &Jid, said: Option<&str>) -> Result<(), StreamError> {
    let Some(said) = said else { return Ok(()) };
    if said == own.as_str() {
        return Ok(());
    }
    let said: Jid = said.parse().map_err(|_| StreamError::InvalidFrom)?;
    let same_account = said.local() == own.local() && ctx.config.is_ours(said.domain());
    let same_resource = said.is_bare() || said.resource() == own.resource();
    if same_account && same_resource {
        Ok(())
    } else {
        Err(StreamError::InvalidFrom)
    }
}

/// RFC 6120 4.8.1 and 4.8.2: the root is in the stream namespace, under whatever prefix; the default namespace is ours,
/// or is not declared for content at all.
fn check_namespaces(header: &Header) -> Result<(), StreamError> {
    if header.element.ns() != ns::STREAM {
        return Err(StreamError::InvalidNamespace);
    }
    if header.element.name() != "stream" {
        return Err(StreamError::BadFormat);
    }
    match header.content_ns.as_str() {
        ns::CLIENT | ns::STREAM | "" => Ok(()),
        _ => Err(StreamError::InvalidNamespace),
    }
}

/// RFC 6120 4.7.5: whether both sides speak 1.0 or later. A stream without a version, or with 0.9, is of the age before.
fn version(version: Option<&str>) -> Result<bool, StreamError> {
    let Some(version) = version else { return Ok(false) };
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let parts = version.split_once('.').and_then(|(major, minor)| number(major).zip(number(minor)));
    parts.map(|(major, _)| major >= 1).ok_or(StreamError::UnsupportedVersion)
}

/// RFC 6120 4.9.3.6. A header that names no host means the only one there is.
fn check_host(ctx: &Ctx<'_>, to: Option<&str>) -> Result<(), StreamError> {
    let Some(to) = to else { return Ok(()) };
    let host: Jid = to.parse().map_err(|_| StreamError::HostUnknown)?;
    let known = host.local().is_none() && host.is_bare() && ctx.config.is_ours(host.domain());
    known.then_some(()).ok_or(StreamError::HostUnknown)
}

/// RFC 6120 4.7: our header.
fn send_header(ctx: &mut Ctx<'_>, key: Key, id: &str, version: Option<&str>, to: Option<&str>) {
    let domain = ctx.config.domain();
    ctx.outboxes.send_header(key, |out| header(domain, id, version, to, out));
}

fn header(from: &str, id: &str, version: Option<&str>, to: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
    let attributes = [
        ("xmlns", Some(ns::CLIENT)),
        ("xmlns:stream", Some(ns::STREAM)),
        ("from", Some(from)),
        ("id", Some(id)),
        ("to", to),
        ("version", version),
        ("xml:lang", Some("en")),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            attribute(name, value, out);
        }
    }
    out.push(b'>');
}

/// What a connection is told for which there is no room.
pub(crate) fn refusal(config: &Config) -> Vec<u8> {
    let mut out = Vec::new();
    header(config.domain(), "", Some("1.0"), None, &mut out);
    let error = StreamError::ResourceConstraint("there are too many connections; try again later");
    write_in_stream(&error.to_element(), ns::CLIENT, &mut out);
    out.extend_from_slice(b"</stream:stream>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, is_1_0) in [("1.0", true), ("1.1", true), ("2.0", true), ("01.0", true), ("0.9", false)] {
            assert_eq!(version(Some(text)), Ok(is_1_0), "{text}");
        }
        for text in ["", "1", "1.", ".0", "1.0.0", "a.b", "-1.0", "+1.0", "99999.0", "1,0"] {
            assert_eq!(version(Some(text)), Err(StreamError::UnsupportedVersion), "{text}");
        }
        assert_eq!(version(None), Ok(false));
    }
}
