//! A client's stream.
//!
//! Read first: RFC 6120 sections 6 and 7 (how one logs in), XEP-0078 (how one did before), XEP-0198 (how a stream
//! outlives its connection).
//!
//! ```text
//!            header            login                 </stream:stream>, error, conflict, too slow
//!   Header  --------> Login ------------> Bound --------------------------------------------------> Ended
//!      ^                |                   |                                                         ^
//!      +----------------+                   +--------> Detached --------------------------------------+
//!         SASL: restart                 connection lost          too long, or another stream goes on
//! ```
//!
//! Each phase carries what is known in it.
//! Left out on purpose: what is common to all streams (`mod.rs`).

use std::time::Duration;

use super::resumption::Returns;
use super::{header, resumption, Base};
use crate::features::{Login, Outcome, Proved};
use crate::im::ctx::Ctx;
use crate::im::events::Event;
use crate::im::presence;
use crate::im::sender::Sender;
use crate::routing::{dispatch, incoming};
use crate::tables::User;
use crate::xml::ns;
use crate::xml::{Element, Header, Item};
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Kind, Refusal, Stanza};

pub(super) enum Phase {
    /// The client's header is to come; SASL may have proved an account before.
    Header(Option<Proved>),
    /// The headers are exchanged.
    Login(Box<Login>),
    /// Logged in.
    Bound(Bound),
    /// Logged in, with this full address, and without a connection.
    Detached(Jid),
    /// Nothing more is read. What was not acknowledged is given back.
    Ended(Option<Box<Returns>>),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Header(None)
    }
}

/// What is known of a stream that is logged in.
pub(super) struct Bound {
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

impl Phase {
    pub(super) fn is_bound(&self) -> bool {
        matches!(self, Self::Bound(_))
    }

    pub(super) fn is_detached(&self) -> bool {
        matches!(self, Self::Detached(_))
    }

    pub(super) fn reads(&self) -> bool {
        !matches!(self, Self::Detached(_) | Self::Ended(_))
    }

    /// Bytes have come.
    pub(super) fn heard(&mut self, now: Duration) {
        if let Self::Bound(bound) = self {
            bound.heard = now;
            bound.asked = false;
        }
    }

    pub(super) fn item(self, base: &mut Base, ctx: &mut Ctx<'_>, item: Item) -> Self {
        match (self, item) {
            (Self::Header(account), Item::Header(header)) => answer_header(base, ctx, account, &header),
            (Self::Login(login), Item::Stanza(element)) => log_in(base, ctx, login, element),
            (Self::Bound(mut bound), Item::Stanza(element)) => {
                if let Err(error) = stanza(ctx, base.key, &mut bound, element) {
                    base.fail(ctx, error);
                }
                Self::Bound(bound)
            }
            (phase, Item::Close) => {
                ctx.outboxes.end(base.key, None);
                phase
            }
            (phase, Item::Header(_) | Item::Stanza(_)) => {
                debug_assert!(false, "a reader gives one header, before all stanzas");
                phase.fail(base, ctx, StreamError::InternalServerError)
            }
        }
    }

    /// RFC 6120 4.9.1.2: a stream that has no header from us yet gets it before an error.
    pub(super) fn fail(self, base: &mut Base, ctx: &mut Ctx<'_>, error: StreamError) -> Self {
        if let Self::Header(_) = self {
            let id = ctx.random.token().unwrap_or_default();
            header::send(ctx, base.key, &id, Some("1.0"), None);
        }
        base.fail(ctx, error);
        self
    }

    pub(super) fn due(self, base: &mut Base, ctx: &mut Ctx<'_>) -> Self {
        match self {
            Self::Header(_) | Self::Login(_) => self.fail(base, ctx, StreamError::ConnectionTimeout),
            Self::Bound(mut bound) => {
                base.deadline = ping_if_silent(ctx, base.key, &mut bound);
                if base.deadline.is_none() {
                    lose(ctx, base, &bound.address);
                }
                Self::Bound(bound)
            }
            Self::Detached(_) => {
                ctx.outboxes.end(base.key, None);
                self
            }
            Self::Ended(_) => {
                ctx.outboxes.abandon(base.key);
                self
            }
        }
    }

    /// One that was not said anything to is not told why.
    pub(super) fn shut_down(self, base: &mut Base, ctx: &mut Ctx<'_>) -> Self {
        if let Self::Header(None) = self {
            ctx.outboxes.abandon(base.key);
            return self;
        }
        self.fail(base, ctx, StreamError::SystemShutdown)
    }

    /// The stream may go on over another connection, or ends. Where it has not begun, there is none to end (RFC 6120
    /// 4.4).
    pub(super) fn half_closed(self, base: &mut Base, ctx: &mut Ctx<'_>) -> Self {
        match &self {
            Self::Header(None) => ctx.outboxes.abandon(base.key),
            Self::Bound(bound) if resumption::time(ctx, base.key, &bound.address).is_some() => {
                ctx.outboxes.detach(base.key);
            }
            _ => ctx.outboxes.end(base.key, None),
        }
        self
    }

    /// The connection is gone: the stream waits for another one if it may.
    pub(super) fn detach(self, base: &mut Base, ctx: &mut Ctx<'_>) -> Self {
        let Self::Bound(bound) = self else { return self };
        let Some(time) = resumption::time(ctx, base.key, &bound.address) else { return Self::Bound(bound) };
        log::info!("{} {} has lost its connection", base.key, bound.address);
        ctx.outboxes.detach(base.key);
        base.deadline = Some(ctx.now.monotonic + time);
        resumption::limit_detached(ctx, base.key, &bound.address);
        Self::Detached(bound.address)
    }

    pub(super) fn finish(self, base: &mut Base, ctx: &mut Ctx<'_>) -> Self {
        if let Self::Bound(Bound { address, .. }) | Self::Detached(address) = self {
            log::info!("{} {address} is gone", base.key);
            let priority = presence::gone(ctx, &address, base.key);
            return Self::Ended(Returns::of(ctx, base.key, address, priority));
        }
        Self::Ended(None)
    }

    /// There is room for what was put off.
    pub(super) fn tell_more(&self, ctx: &mut Ctx<'_>) {
        if let Self::Bound(bound) = self {
            presence::tell_more(ctx, &bound.address);
        }
    }

    /// Gives the next stanza back of those that were not acknowledged. `false` if there was none.
    pub(super) fn give_one_back(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Self::Ended(Some(returns)) = self else { return false };
        returns.give_one_back(ctx)
    }

    /// Whether there are such.
    pub(super) fn has_returns(&self) -> bool {
        matches!(self, Self::Ended(Some(returns)) if !returns.is_empty())
    }
}

/// RFC 6120 4.2 and 4.7: a header is answered with ours.
fn answer_header(base: &mut Base, ctx: &mut Ctx<'_>, account: Option<Proved>, header: &Header) -> Phase {
    let checked = header::check_namespaces(header)
        .and_then(|()| header::is_1_0(header.element.attr("version")))
        .and_then(|is_1_0| Ok((is_1_0, ctx.random.token().map_err(|_| StreamError::InternalServerError)?)));
    let (is_1_0, stream_id) = match checked {
        Ok(checked) => checked,
        Err(error) => return Phase::Header(account).fail(base, ctx, error),
    };
    let from = header.element.attr("from").and_then(|from| from.parse::<Jid>().ok());
    let to = from.as_ref().map(Jid::bare_str);
    header::send(ctx, base.key, &stream_id, is_1_0.then_some("1.0"), to);
    let login = Login { stream_id, peer: base.peer, account, ..Login::default() };
    let offers = dispatch::offers(ctx, &login);
    match header::check_host(ctx, header.element.attr("to")) {
        Err(error) => base.fail(ctx, error),
        Ok(()) if is_1_0 => {
            let features = offers.into_iter().fold(Element::new("features", ns::STREAM), Element::with);
            ctx.outboxes.send(base.key, &features);
        }
        Ok(()) => (),
    }
    Phase::Login(Box::new(login))
}

fn log_in(base: &mut Base, ctx: &mut Ctx<'_>, mut login: Box<Login>, element: Element) -> Phase {
    let mut answer = match answer_before_login(ctx, &mut login, element) {
        Ok(answer) => answer,
        Err(error) => return Phase::Login(login).fail(base, ctx, error),
    };
    let outcome = login.outcome.take();
    if let (Some(Outcome::Bound(address)), None) = (&outcome, &login.account) {
        // Clients of the old login take their own address from here.
        answer.set_attr("to", address.as_str().to_owned());
    }
    ctx.outboxes.send(base.key, &answer);
    match outcome {
        Some(outcome) => advance(base, ctx, login, outcome),
        None if login.failures > ctx.config.limits.login_attempts => {
            Phase::Login(login).fail(base, ctx, StreamError::PolicyViolation("too many failed logins"))
        }
        None => Phase::Login(login),
    }
}

/// What may be said before login is answered, everything else ends the stream (RFC 6120 4.9.3.12).
fn answer_before_login(
    ctx: &mut Ctx<'_>,
    login: &mut Login,
    element: Element,
) -> Result<Element, StreamError> {
    match incoming::fold_alias(ctx, element) {
        Ok(stanza) => dispatch::before_login(ctx, login, &stanza),
        Err(Refusal::NoStanza(element)) => dispatch::element_before_login(ctx, login, &element),
        // A broken request may have been one that is allowed here; nothing else is looked at.
        Err(Refusal::Answer(answer)) if answer.name() == "iq" => Ok(answer),
        Err(Refusal::Answer(_) | Refusal::Silence) => Err(StreamError::NotAuthorized),
    }
}

/// A handler has said how the login goes on.
fn advance(base: &mut Base, ctx: &mut Ctx<'_>, login: Box<Login>, outcome: Outcome) -> Phase {
    match outcome {
        Outcome::Authenticated(account) => {
            base.reader.restart();
            Phase::Header(Some(account))
        }
        Outcome::Bound(address) => bind(base, ctx, address),
        Outcome::Resumed(address, old) => {
            resumption::resume(ctx, base, &address, old);
            become_bound(base, ctx, address)
        }
        Outcome::Ended(error) => Phase::Login(login).fail(base, ctx, error),
    }
}

/// RFC 6120 7.7.2.2: a login takes over a resource that is in use, and gets what was for it and was not acknowledged.
fn bind(base: &mut Base, ctx: &mut Ctx<'_>, address: Jid) -> Phase {
    let (Some(user), Some(resource)) = (User::at(ctx.config, &address), address.resource()) else {
        return Phase::Ended(None);
    };
    let old = ctx.tables.sessions.find(user, resource).map(|session| session.stream);
    let priority = old.and_then(|old| presence::gone(ctx, &address, old));
    ctx.tables.sessions.add(user, resource, base.key);
    ctx.events.session(|| Event::Bound(address.clone()));
    log::info!("{} {} is {address}", base.key, base.peer);
    let bound = become_bound(base, ctx, address);
    if let Some(old) = old {
        ctx.outboxes.end(old, Some(StreamError::Conflict("another client has taken over this resource")));
        ctx.outboxes.note_priority(old, priority);
    }
    bound
}

fn become_bound(base: &mut Base, ctx: &Ctx<'_>, address: Jid) -> Phase {
    base.reader.set_limits(ctx.config.limits.after_login());
    base.deadline = ctx.config.ping_interval.map(|interval| ctx.now.monotonic + interval);
    Phase::Bound(Bound { address, heard: ctx.now.monotonic, asked: false, answers: false })
}

/// Nobody answers any more: the connection is lost, and the session with it unless it may be resumed.
fn lose(ctx: &mut Ctx<'_>, base: &Base, address: &Jid) {
    match resumption::time(ctx, base.key, address) {
        Some(_) => ctx.outboxes.detach(base.key),
        None => base.fail(ctx, StreamError::ConnectionTimeout),
    }
}

/// XEP-0199 4.2: asks a client that has been silent for long whether it is still there, and gives the time of the
/// next look; `None` if it was asked and has not answered. One that has never answered may be one that cannot; one
/// that manages its stream must answer our `<r/>` (XEP-0198 section 4), which follows the ping, with either or both.
fn ping_if_silent(ctx: &mut Ctx<'_>, key: Key, bound: &mut Bound) -> Option<Duration> {
    let (now, interval) = (ctx.now.monotonic, ctx.config.ping_interval?);
    let answers = bound.answers || ctx.outboxes.is_managed(key);
    if ctx.outboxes.is_throttled(key) {
        // What it says is not read just now. Whether it reads is seen elsewhere.
        return Some(now + interval);
    }
    if bound.asked && answers {
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
    let patience = if answers { ctx.config.limits.ping_time } else { interval };
    Some(now + patience)
}

/// A stanza, or another element, from one who is logged in.
fn stanza(ctx: &mut Ctx<'_>, key: Key, bound: &mut Bound, element: Element) -> Result<(), StreamError> {
    let from = &bound.address;
    check_from(ctx, from, element.attr("from"))?;
    let Some(user) = User::at(ctx.config, from) else { return Err(StreamError::InternalServerError) };
    let sender = Sender::Client { user, address: from };
    let answer = match incoming::read(ctx, &sender, element) {
        Ok(stanza) if is_pong(ctx, &stanza) => {
            bound.answers = true;
            None
        }
        Ok(stanza) => {
            log::debug!("{key} {from}: {:?} to {:?}", stanza.kind, stanza.to);
            dispatch::dispatch(ctx, &sender, &stanza);
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
