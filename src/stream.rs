//! One client's stream, from its header to its end.
//!
//! Read first: RFC 6120 section 4 (streams), XEP-0078 (how one logs in).
//!
//! ```text
//!             header            login               </stream:stream>, error, conflict, hang-up
//!   Waiting ---------> Login ---------> Bound ---------------------------------------------> Ended
//!      |                 |  too slow, too many failures                                        ^
//!      +-----------------+---------------------------------------------------------------------+
//! ```
//!
//! Each phase carries what is known in it. Whoever ends a stream only marks its outbox ([`crate::outbox`]); the server
//! then calls [`Stream::bury`], the one way into `Ended`.
//! Left out on purpose: what stanzas mean ([`crate::features`]), and how bytes come and go ([`crate::net`]).

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::ctx::Ctx;
use crate::error::{Condition, StanzaError, StreamError};
use crate::events::Event;
use crate::features::{self, Login, FEATURES};
use crate::jid::Jid;
use crate::ns;
use crate::presence;
use crate::slab::Key;
use crate::stanza::{Kind, PresenceType, Refusal, Stanza};
use crate::xml::writer::{attribute, write_in_stream};
use crate::xml::{Element, Header, Item, Reader};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its address, if the connection has one.
    pub address: Option<SocketAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("a local peer"),
        }
    }
}

enum Phase {
    /// For the stream header.
    Waiting,
    /// The headers are exchanged.
    Login(Login),
    /// Logged in, with this full address.
    Bound(Jid),
    /// Nothing more is read.
    Ended,
}

pub(crate) struct Stream {
    key: Key,
    peer: Peer,
    reader: Reader,
    phase: Phase,
    /// When [`Stream::due`] is to be called, if anything is to happen then.
    deadline: Option<Duration>,
}

impl Stream {
    /// A new connection's stream.
    pub(crate) fn open(ctx: &mut Ctx<'_>, key: Key, peer: Peer) -> Self {
        log::debug!("{key} {peer} connected");
        let reader = Reader::new(ctx.config.limits.before_login());
        let deadline = Some(ctx.now.monotonic + ctx.config.limits.login_time);
        Self { key, peer, reader, phase: Phase::Waiting, deadline }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether it still reads what it is sent.
    pub(crate) fn reads(&self) -> bool {
        !matches!(self.phase, Phase::Ended)
    }

    /// The reader, to be fed before [`Stream::step`].
    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
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
            (Phase::Waiting, Item::Header(header)) => self.greet(ctx, &header),
            (Phase::Login(_), Item::Stanza(element)) => self.log_in(ctx, element),
            (Phase::Bound(address), Item::Stanza(element)) => stanza(ctx, self.key, address, element),
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
        if matches!(self.phase, Phase::Waiting) {
            let id = ctx.random.token().unwrap_or_default();
            write_header(ctx, self.key, &id, Some("1.0"), None);
        }
        ctx.outboxes.end(self.key, Some(error));
    }

    /// RFC 6120 4.2 and 4.7: a header is answered with ours.
    fn greet(&mut self, ctx: &mut Ctx<'_>, header: &Header) -> Result<(), StreamError> {
        check_namespaces(header)?;
        let is_1_0 = version(header.element.attr("version"))?;
        let stream_id = ctx.random.token().map_err(|error| {
            log::error!("no random bytes: {error}");
            StreamError::InternalServerError
        })?;
        let from = header.element.attr("from").and_then(|from| from.parse::<Jid>().ok());
        write_header(ctx, self.key, &stream_id, is_1_0.then_some("1.0"), from.as_ref().map(Jid::bare_str));
        self.phase = Phase::Login(Login { stream_id, ..Login::default() });
        check_host(ctx, header.element.attr("to"))?;
        if is_1_0 {
            let offers = FEATURES.iter().filter_map(|feature| (feature.stream_feature)(ctx));
            let features = offers.fold(Element::new("features", ns::STREAM), Element::with);
            ctx.outboxes.send(self.key, &features);
        }
        Ok(())
    }

    /// What may be said before login is answered, everything else ends the stream (RFC 6120 4.9.3.12).
    fn log_in(&mut self, ctx: &mut Ctx<'_>, element: Element) -> Result<(), StreamError> {
        let Phase::Login(login) = &mut self.phase else { return Err(StreamError::InternalServerError) };
        let stanza = match read(ctx, element) {
            Ok(stanza) => stanza,
            Err(Refusal::NoStanza) => return Err(StreamError::UnsupportedStanzaType),
            // A broken request may have been one that is allowed here; nothing else is looked at.
            Err(Refusal::Answer(answer)) if answer.name() == "iq" => {
                ctx.outboxes.send(self.key, &answer);
                return Ok(());
            }
            Err(Refusal::Answer(_) | Refusal::Silence) => return Err(StreamError::NotAuthorized),
        };
        let mut answer = features::before_login(ctx, login, &stanza).ok_or(StreamError::NotAuthorized)?;
        let (done, failures) = (login.done.take(), login.failures);
        if let Some(address) = &done {
            // Clients of this kind take their own address from here.
            answer.set_attr("to", address.as_str().to_owned());
        }
        ctx.outboxes.send(self.key, &answer);
        if failures > ctx.config.limits.login_attempts {
            return Err(StreamError::PolicyViolation("too many failed logins"));
        }
        if let Some(address) = done {
            self.bind(ctx, address);
        }
        Ok(())
    }

    /// RFC 6120 7.7.2.2: a login takes over a resource that is in use.
    fn bind(&mut self, ctx: &mut Ctx<'_>, address: Jid) {
        let (Some(user), Some(resource)) = (address.local(), address.resource()) else { return };
        if let Some(old) = ctx.tables.sessions.find(user, resource).map(|session| session.stream) {
            presence::gone(ctx, &address, old);
            ctx.outboxes.end(old, Some(StreamError::Conflict));
        }
        ctx.tables.sessions.add(user, resource, self.key);
        ctx.events.session(|| Event::Bound(address.clone()));
        log::info!("{} {} is {address}", self.key, self.peer);
        self.reader.set_stanza_bytes(ctx.config.limits.stanza_bytes);
        self.deadline = None;
        self.phase = Phase::Bound(address);
    }

    /// The peer sends no more. Where it has not begun a stream, there is none to end (RFC 6120 4.4).
    pub(crate) fn half_closed(&mut self, ctx: &mut Ctx<'_>) {
        match self.phase {
            Phase::Waiting => ctx.outboxes.abandon(self.key),
            _ => ctx.outboxes.end(self.key, None),
        }
    }

    /// The deadline has passed.
    pub(crate) fn due(&mut self, ctx: &mut Ctx<'_>) {
        match self.phase {
            Phase::Waiting | Phase::Login(_) => self.fail(ctx, StreamError::ConnectionTimeout),
            Phase::Ended => ctx.outboxes.abandon(self.key),
            Phase::Bound(_) => (),
        }
    }

    /// The stream has ended, whoever ended it: nothing more is read, and those who should know are told.
    pub(crate) fn bury(&mut self, ctx: &mut Ctx<'_>) {
        if let Phase::Bound(address) = std::mem::replace(&mut self.phase, Phase::Ended) {
            log::info!("{} {address} is gone", self.key);
            presence::gone(ctx, &address, self.key);
        }
        self.deadline = Some(ctx.now.monotonic + ctx.config.limits.closing_time);
    }
}

/// A stanza from one who is logged in.
fn stanza(ctx: &mut Ctx<'_>, key: Key, from: &Jid, mut element: Element) -> Result<(), StreamError> {
    check_from(ctx, from, element.attr("from"))?;
    // RFC 6120 8.1.2.1: whatever it said, it is from here, and this is where an answer goes.
    element.set_attr("from", from.as_str().to_owned());
    let mut stanza = match read(ctx, element) {
        Ok(stanza) => stanza,
        Err(Refusal::NoStanza) => return Err(StreamError::UnsupportedStanzaType),
        Err(Refusal::Answer(answer)) => {
            ctx.outboxes.send(key, &answer);
            return Ok(());
        }
        Err(Refusal::Silence) => return Ok(()),
    };
    log::debug!("{key} {from}: {:?} to {:?}", stanza.kind, stanza.to);
    // RFC 6121 3: subscriptions are between bare addresses.
    if let Kind::Presence(
        PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed,
    ) = stanza.kind
    {
        stanza.element.set_attr("from", from.bare_str().to_owned());
    }
    features::dispatch(ctx, from, &stanza);
    Ok(())
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
fn write_header(ctx: &mut Ctx<'_>, key: Key, id: &str, version: Option<&str>, to: Option<&str>) {
    let domain = ctx.config.domain();
    ctx.outboxes.write(key, |out| header(domain, id, version, to, out));
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
