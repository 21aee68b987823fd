//! Who is told that somebody came, changed or went.
//!
//! Read first: RFC 6121 4.2 (initial presence), 4.3 (probes), 4.4 (updates), 4.5 (unavailable), 4.6 (directed). A
//! presence is written once and copied to each who may see it, and kept as written for those who come later. Left out
//! on purpose: how one gets to see another ([`crate::im::subscriptions`]).

use std::collections::VecDeque;
use std::time::Duration;

use crate::im::blocking;
use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::im::events::{Event, Events};
use crate::im::last_seen;
use crate::im::offline;
use crate::outbox::{Hold, Outbound, Outboxes};
use crate::tables::{Account, Accounts, Hosts, Session, Sessions, Tables, Untold, User};
use crate::xml::ns;
use crate::xml::writer::Broadcast;
use crate::xml::{Element, Reader};
use crate::xmpp::config::Config;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{PresenceType, Stanza};

/// A presence for nobody in particular: a resource says that it is here, or no longer.
pub(crate) fn broadcast(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    kind: PresenceType,
    stanza: &Stanza,
) -> Result<(), StanzaError> {
    match kind {
        PresenceType::Available => available(ctx, from, stanza)?,
        PresenceType::Unavailable => unavailable(ctx, from, &stanza.element),
        PresenceType::Subscription(_) => {
            return Err(StanzaError::because(Condition::BadRequest, "a subscription is with somebody"));
        }
        PresenceType::Probe | PresenceType::Error => (),
    }
    Ok(())
}

/// RFC 6121 4.2.2 and 4.4.2: contacts and all of one's own resources are told; a newcomer is told of them.
fn available(ctx: &mut Ctx<'_>, from: &Jid, stanza: &Stanza) -> Result<(), StanzaError> {
    let priority = stanza.priority()?;
    let (Some(user), Some(resource)) = (User::at(ctx.config, from), from.resource()) else { return Ok(()) };
    // It is kept, and sent to whoever asks.
    let Some(written) = Broadcast::within(&stanza.element, ns::CLIENT, ctx.config.limits.presence_bytes)
    else {
        return Err(StanzaError::because(Condition::NotAcceptable, "the presence is too long"));
    };
    let Some(session) = ctx.tables.sessions.find_mut(user, resource) else { return Ok(()) };
    let is_new = session.presence.is_none();
    let stream = session.stream;
    if is_new || session.priority != priority {
        session.since = ctx.outboxes.stanzas();
    }
    session.priority = priority;
    session.presence = Some(written);
    let mut untold = if is_new { tell_newcomer(ctx, from, user, stream) } else { VecDeque::new() };
    tell_watchers(ctx, from, user, None);
    if is_new {
        ask_newcomer(ctx, from, user, stream, &mut untold);
    }
    put_off(ctx, from, untold);
    offline::deliver(ctx, from);
    Ok(())
}

/// A newcomer is told the rest when it has read what it was told: however much that is, it is no reason to give it up.
fn put_off(ctx: &mut Ctx<'_>, to: &Jid, untold: VecDeque<Untold>) {
    if let Some(session) = ctx.tables.session_mut(ctx.config, to).filter(|_| !untold.is_empty()) {
        session.untold = untold;
        ctx.outboxes.put_off(session.stream);
    }
}

/// RFC 6121 4.5.2: all of one's own resources are told, the one that goes included.
fn unavailable(ctx: &mut Ctx<'_>, from: &Jid, element: &Element) {
    let (Some(user), Some(resource)) = (User::at(ctx.config, from), from.resource()) else { return };
    let Some(session) = ctx.tables.sessions.find_mut(user, resource) else { return };
    let directed = std::mem::take(&mut session.directed);
    let was_available = session.presence.is_some();
    send_unavailable(ctx, from, user, &Broadcast::new(element, ns::CLIENT), was_available, &directed);
    if let Some(session) = ctx.tables.sessions.find_mut(user, resource) {
        session.presence = None;
        session.untold.clear();
    }
    last_seen::note(ctx, user, element.child_text("status", ns::CLIENT).as_deref());
}

/// The stream is gone: disconnects the session, if it is still on that stream, and tells what priority it had if it was
/// available.
pub(crate) fn gone(ctx: &mut Ctx<'_>, from: &Jid, stream: Key) -> Option<i8> {
    let (user, resource) = (User::at(ctx.config, from)?, from.resource()?);
    ctx.tables.sessions.find(user, resource).filter(|session| session.stream == stream)?;
    let priority = leave(ctx, from);
    ctx.tables.sessions.remove(user, resource, stream);
    ctx.events.session(|| Event::Gone(from.clone()));
    priority
}

/// RFC 6121 4.5.2: the server says for a resource that it is unavailable. Tells what priority it had if it was not.
pub(crate) fn leave(ctx: &mut Ctx<'_>, from: &Jid) -> Option<i8> {
    let user = User::at(ctx.config, from)?;
    let session = ctx.tables.sessions.find_mut(user, from.resource()?)?;
    let was_available = session.presence.take().is_some();
    let priority = session.priority;
    let directed = std::mem::take(&mut session.directed);
    send_unavailable(ctx, from, user, &unavailable_from(from), was_available, &directed);
    if was_available {
        last_seen::note(ctx, user, None);
    }
    was_available.then_some(priority)
}

/// Who could see `from` is told that it goes: whom its presence was broadcast to, if it was, and whom it was sent to in
/// particular, unless that has told them (RFC 6121 4.6.3).
fn send_unavailable(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    user: User<'_>,
    presence: &Broadcast,
    was_available: bool,
    directed: &[Jid],
) {
    if was_available {
        tell_watchers(ctx, from, user, Some(presence));
    }
    let mut post = lend(ctx);
    for to in directed {
        if !(was_available && sees(post.config, post.accounts, from, to) && post.is_there(to)) {
            post.deliver(presence, from, to);
        }
    }
}

/// Copies a presence of `user`, or the one kept for `from`, to the contacts that may see it and to all of the user's
/// own available resources.
fn tell_watchers(ctx: &mut Ctx<'_>, from: &Jid, user: User<'_>, presence: Option<&Broadcast>) {
    let mut post = lend(ctx);
    let Post { accounts, sessions, .. } = post;
    let kept = || from.resource().and_then(|r| sessions.find(user, r)).and_then(|s| s.presence.as_ref());
    let Some(presence) = presence.or_else(kept) else { return };
    for session in sessions.available(user) {
        let hold = Hold::Presence(from.as_str());
        post.outboxes.send(session.stream, Outbound::Broadcast(presence, from.bare_str(), hold));
    }
    // The own list is looked up once for all.
    let blocks = accounts.get(user).map(Account::blocklist).filter(|list| list.len() > 0);
    for (contact, _) in accounts.contacts(user).filter(|(_, contact)| contact.subscription.is_from()) {
        let is_blocked = blocks.is_some_and(|list| list.means(contact.as_str()));
        if !(is_blocked || blocking::has_blocked(post.config, accounts, contact, from)) {
            post.copy(presence, from, contact);
        }
    }
}

/// RFC 6121 4.3.2: what a probe to each contact, and to one's other resources, would bring. The host program is asked.
fn tell_newcomer(ctx: &mut Ctx<'_>, to: &Jid, user: User<'_>, stream: Key) -> VecDeque<Untold> {
    let mut post = lend(ctx);
    let mut untold = VecDeque::new();
    for session in post.sessions.available(user).filter(|session| session.stream != stream) {
        let (Some(presence), Ok(from)) = (&session.presence, to.with_resource(&session.resource)) else {
            continue;
        };
        if untold.is_empty() && !post.outboxes.is_throttled(stream) {
            let hold = Hold::Presence(from.as_str());
            post.outboxes.send(stream, Outbound::Broadcast(presence, to.as_str(), hold));
        } else {
            untold.push_back(Untold::Presence(from));
        }
    }
    for (contact, _) in post.accounts.contacts(user).filter(|(_, contact)| contact.subscription.is_to()) {
        if post.is_service(contact) {
            post.probe(to, contact);
        } else if let Some(name) =
            User::at(post.config, contact).filter(|_| sees(post.config, post.accounts, contact, to))
        {
            post.deliver_while_read(name, contact, to, stream, &mut untold);
        }
    }
    untold
}

/// There is room in the outbox of one that has become available: goes on with what it has not been told.
pub(crate) fn tell_more(ctx: &mut Ctx<'_>, to: &Jid) {
    loop {
        let Some(session) = ctx.tables.session_mut(ctx.config, to) else { return };
        let stream = session.stream;
        if session.untold.is_empty() {
            return;
        }
        if ctx.outboxes.is_throttled(stream) {
            return ctx.outboxes.put_off(stream);
        }
        match session.untold.pop_front() {
            Some(Untold::Presence(from)) => tell_of(ctx, &from, to),
            Some(Untold::Request(contact)) => ask(ctx, &contact, to, stream),
            Some(Untold::Messages) => offline::deliver(ctx, to),
            None => return,
        }
    }
}

/// The presence of a resource as it is now, if it may be seen.
fn tell_of(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid) {
    let mut post = lend(ctx);
    let Some(user) = User::at(post.config, from).filter(|_| sees(post.config, post.accounts, from, to))
    else {
        return;
    };
    let session = from.resource().and_then(|resource| post.sessions.find(user, resource));
    if let Some(presence) = session.and_then(|session| session.presence.as_ref()) {
        post.deliver(presence, from, to);
    }
}

/// RFC 6121 3.1.3, rule 4: whoever is not answered yet asks again, but for one who is blocked.
fn ask_newcomer(ctx: &mut Ctx<'_>, to: &Jid, user: User<'_>, stream: Key, untold: &mut VecDeque<Untold>) {
    let contacts = ctx.tables.accounts.contacts(user).filter(|(_, contact)| contact.request.is_some());
    let asking: Vec<Jid> = contacts.map(|(address, _)| address.clone()).collect();
    for contact in asking {
        if untold.is_empty() && !ctx.outboxes.is_throttled(stream) {
            ask(ctx, &contact, to, stream);
        } else {
            untold.push_back(Untold::Request(contact));
        }
    }
}

/// RFC 6121 3.1.3, rule 4: `contact` asks again, if it still does.
fn ask(ctx: &mut Ctx<'_>, contact: &Jid, to: &Jid, stream: Key) {
    let accounts = &ctx.tables.accounts;
    let kept = User::at(ctx.config, to).and_then(|user| accounts.contact(user, contact.as_str()));
    let Some(request) = kept.and_then(|kept| kept.request.as_ref()) else { return };
    if !blocking::has_blocked(ctx.config, accounts, to, contact) {
        let request = request.clone().with_attr("to", to.bare_str().to_owned());
        ctx.outboxes.send(stream, &request);
    }
}

/// RFC 6121 3.1.5: one who may see `owner` from now on gets the current presence of all resources.
pub(crate) fn share(ctx: &mut Ctx<'_>, owner: &Jid, watcher: &Jid) {
    let mut post = lend(ctx);
    if let Some(user) =
        User::at(post.config, owner).filter(|_| sees(post.config, post.accounts, owner, watcher))
    {
        post.deliver_all(user, owner, watcher);
    }
}

/// RFC 6121 3.2.2 and 3.3.3: one who may see `owner` no longer is told that all resources went. What these had sent in
/// particular is over, too (4.6.1).
pub(crate) fn withdraw(ctx: &mut Ctx<'_>, owner: &Jid, watcher: &Jid) {
    if !blocking::are_parted(ctx.config, &ctx.tables.accounts, owner, watcher) {
        withdraw_all(ctx, owner, std::slice::from_ref(watcher), |to| to.bare_str() == watcher.as_str());
    }
}

/// Tells watchers, and those meant that were sent presence in particular, that all resources of `owner` went.
pub(crate) fn withdraw_all(
    ctx: &mut Ctx<'_>,
    owner: &Jid,
    watchers: &[Jid],
    is_meant: impl Fn(&Jid) -> bool,
) {
    let Some(user) = User::at(ctx.config, owner) else { return };
    let mut gone = Vec::new();
    for session in ctx.tables.sessions.of_mut(user) {
        let directed = std::mem::take(&mut session.directed).into_iter();
        let (also, kept): (Vec<Jid>, _) = directed.partition(&is_meant);
        session.directed = kept;
        let Ok(from) = owner.with_resource(&session.resource) else { continue };
        gone.push((from, session.presence.is_some(), also));
    }
    let mut post = lend(ctx);
    for (from, was_available, also) in gone {
        let presence = unavailable_from(&from);
        let watchers = if was_available { watchers } else { &[] };
        for watcher in watchers {
            post.copy(&presence, &from, watcher);
        }
        for to in &also {
            if !(watchers.iter().any(|watcher| watcher.as_str() == to.bare_str()) && post.is_there(to)) {
                post.copy(&presence, &from, to);
            }
        }
    }
}

/// RFC 6121 4.6.3: presence for somebody in particular. Whoever gets it, and would not hear of it otherwise, is
/// remembered.
pub(crate) fn direct(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, kind: PresenceType) -> Result<(), StanzaError> {
    let (Some(user), Some(resource)) = (User::at(ctx.config, from), from.resource()) else { return Ok(()) };
    let post = lend(ctx);
    let would_hear = sees(post.config, post.accounts, from, to) && post.is_there(to);
    let Some(session) = ctx.tables.sessions.find_mut(user, resource) else { return Ok(()) };
    if kind == PresenceType::Unavailable {
        session.directed.retain(|other| other != to);
        return Ok(());
    }
    let hears = would_hear && session.presence.is_some();
    if hears || session.directed.contains(to) {
        return Ok(());
    }
    if session.directed.len() >= ctx.config.limits.directed_presences {
        let why = "you have sent presence to too many; take it back from some";
        return Err(StanzaError::because(Condition::ResourceConstraint, why));
    }
    session.directed.push(to.clone());
    Ok(())
}

/// RFC 6121 4.6.1: `gone` has said goodbye to `to`, an address of `user`, and need not be told when that one goes.
pub(crate) fn forget(ctx: &mut Ctx<'_>, user: User<'_>, to: &Jid, gone: &Jid) {
    for session in ctx.tables.sessions.of_mut(user) {
        if to.resource().map_or(true, |resource| *session.resource == *resource) {
            session.directed.retain(|other| other != gone);
        }
    }
}

/// RFC 6121 8.5.3.1: whether `from` may know that a resource of `user` is there.
pub(crate) fn is_shared(ctx: &Ctx<'_>, session: &Session, owner: &Jid, from: &Jid) -> bool {
    sees(ctx.config, &ctx.tables.accounts, owner, from) || is_directed(session, from)
}

fn is_directed(session: &Session, to: &Jid) -> bool {
    session.directed.iter().any(|other| other == to || other.as_str() == to.bare_str())
}

/// Whether `watcher` is subscribed to `owner`, or is the same account.
fn sees(config: &Config, accounts: &Accounts, owner: &Jid, watcher: &Jid) -> bool {
    let is_seen = |user| accounts.is_seen_by(user, watcher);
    owner.bare_str() == watcher.bare_str() || User::at(config, owner).is_some_and(is_seen)
}

/// RFC 6121 4.3.2 and 4.6.6: answers a probe for an account. `false` if the prober is not to know anything.
pub(crate) fn answer_probe(ctx: &mut Ctx<'_>, prober: &Jid, to: &Jid, id: Option<&str>) -> bool {
    let mut post = lend(ctx);
    let Post { accounts, sessions, .. } = post;
    let Some(user) = User::at(post.config, to).filter(|user| accounts.exists(*user)) else { return false };
    let session = to.resource().and_then(|resource| sessions.find(user, resource));
    if sees(post.config, accounts, to, prober) {
        if to.is_bare() && post.deliver_all(user, to, prober) {
            return true;
        }
        let is_there = session.is_some_and(|session| session.presence.is_some());
        let seen = accounts.get(user).and_then(|account| account.last_seen()).filter(|_| to.is_bare());
        let since = seen.map(|seen| delay::note(post.config, Duration::from_secs(seen.at)));
        let answer = since.into_iter().fold(whether_there(is_there, to, id), Element::with);
        post.deliver(&Broadcast::new(&answer, ns::CLIENT), to, prober);
        return true;
    }
    let was_told = session.is_some_and(|session| is_directed(session, prober));
    if was_told {
        post.deliver(&Broadcast::new(&whether_there(true, to, id), ns::CLIENT), to, prober);
    }
    was_told
}

/// Whether a resource is there, and no more than that. Only the word that it is not has the id of the question
/// (RFC 6121 4.3.2.1).
fn whether_there(is_there: bool, from: &Jid, id: Option<&str>) -> Element {
    let mut element = Element::new("presence", ns::CLIENT).with_attr("from", from.as_str().to_owned());
    if !is_there {
        element.set_attr("type", "unavailable");
        if let Some(id) = id {
            element.set_attr("id", id.to_owned());
        }
    }
    element
}

/// The server's word that a resource is gone.
fn unavailable_from(from: &Jid) -> Broadcast {
    let element = Element::new("presence", ns::CLIENT).with_attr("from", from.as_str().to_owned());
    Broadcast::new(&element.with_attr("type", "unavailable"), ns::CLIENT)
}

/// How presence gets to whom it is for.
struct Post<'a> {
    config: &'a Config,
    hosts: &'a Hosts,
    accounts: &'a Accounts,
    sessions: &'a Sessions,
    outboxes: &'a mut Outboxes,
    events: &'a mut Events,
}

fn lend<'c>(ctx: &'c mut Ctx<'_>) -> Post<'c> {
    let Ctx { config, tables, outboxes, events, .. } = ctx;
    let Tables { hosts, accounts, sessions, .. } = &**tables;
    Post { config, hosts, accounts, sessions, outboxes, events }
}

impl Post<'_> {
    /// RFC 6121 4.3.1: asks the host program.
    fn probe(&mut self, from: &Jid, to: &Jid) {
        if self.are_parted(from, to) {
            return;
        }
        let probe = Element::new("presence", ns::CLIENT)
            .with_attr("from", from.bare_str().to_owned())
            .with_attr("to", to.as_str().to_owned())
            .with_attr("type", "probe");
        self.events.stanza(probe);
    }

    fn is_service(&self, address: &Jid) -> bool {
        self.hosts.service_at(address).is_some()
    }

    fn are_parted(&self, one: &Jid, other: &Jid) -> bool {
        blocking::are_parted(self.config, self.accounts, one, other)
    }

    /// Copies a presence to an address, unless a block is in its way.
    fn deliver(&mut self, presence: &Broadcast, from: &Jid, to: &Jid) {
        if !self.are_parted(from, to) {
            self.copy(presence, from, to);
        }
    }

    /// Copies a presence to an address: all available resources of a bare one, the one resource of a full one.
    fn copy(&mut self, presence: &Broadcast, from: &Jid, to: &Jid) {
        if self.is_service(to) {
            return self.hand_over(presence, to);
        }
        let Some(user) = User::at(self.config, to) else { return };
        for session in self.sessions.of(user).iter().filter(|session| is_meant(session, to)) {
            let hold = Hold::Presence(from.as_str());
            self.outboxes.send(session.stream, Outbound::Broadcast(presence, to.as_str(), hold));
        }
    }

    /// Copies the last presence of each available resource of `owner` to an address. `false` if there is none.
    fn deliver_all(&mut self, user: User<'_>, owner: &Jid, to: &Jid) -> bool {
        let mut any = false;
        for session in self.sessions.available(user) {
            let (Some(presence), Ok(from)) = (&session.presence, owner.with_resource(&session.resource))
            else {
                continue;
            };
            any = true;
            self.deliver(presence, &from, to);
        }
        any
    }

    /// The same for a newcomer as far as it reads; what is left is noted.
    fn deliver_while_read(
        &mut self,
        user: User<'_>,
        owner: &Jid,
        to: &Jid,
        stream: Key,
        untold: &mut VecDeque<Untold>,
    ) {
        for session in self.sessions.available(user) {
            let (Some(presence), Ok(from)) = (&session.presence, owner.with_resource(&session.resource))
            else {
                continue;
            };
            if untold.is_empty() && !self.outboxes.is_throttled(stream) {
                self.deliver(presence, &from, to);
            } else {
                untold.push_back(Untold::Presence(from));
            }
        }
    }

    /// Whether a broadcast to the account reaches whoever is at this address of it.
    fn is_there(&self, to: &Jid) -> bool {
        let available = |resource| {
            let session = User::at(self.config, to).and_then(|user| self.sessions.find(user, resource));
            session.is_some_and(|session| session.presence.is_some())
        };
        to.resource().map_or(true, available)
    }

    /// The host program gets it as an event.
    fn hand_over(&mut self, presence: &Broadcast, to: &Jid) {
        let mut bytes = Vec::new();
        presence.write_to(to.as_str(), &mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let element = Reader::read_one(&text, ns::CLIENT, self.config.limits.after_login());
        if !element.is_ok_and(|element| self.events.stanza(element)) {
            log::warn!("the host program misses a presence for {to}");
        }
    }
}

fn is_meant(session: &Session, to: &Jid) -> bool {
    match to.resource() {
        Some(resource) => *session.resource == *resource,
        None => session.presence.is_some(),
    }
}
