//! A session that outlives its stream: it is resumed by another one, or what was not acknowledged is given back.
//!
//! Read first: XEP-0198 sections 4 and 5. Left out on purpose: counting ([`crate::outbox`]), and who may resume
//! ([`crate::features`]).

use std::collections::VecDeque;
use std::time::Duration;

use super::Base;
use crate::im::ctx::{Ctx, Now};
use crate::im::delay;
use crate::im::offline;
use crate::outbox::Unacknowledged;
use crate::routing::router;
use crate::tables::User;
use crate::xml::ns;
use crate::xml::writer;
use crate::xml::{Reader, XmlLimits};
use crate::xmpp::config::Config;
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::Stanza;

/// XEP-0198 section 5: the session goes on here, and whatever stream it was on ends.
pub(super) fn resume(ctx: &mut Ctx<'_>, base: &Base, address: &Jid, old: Key) {
    if let Some(session) = ctx.tables.session_mut(ctx.config, address) {
        session.stream = base.key;
    }
    let (config, now) = (ctx.config, ctx.now);
    if let Some(user) = User::at(ctx.config, address) {
        ctx.tables.resume_offline(user, old, base.key);
    }
    ctx.outboxes.resume(old, base.key, |stanza| add_delay(config, now, stanza));
    ctx.outboxes.end(old, Some(StreamError::Conflict("the session goes on over another connection")));
    log::info!("{} {} goes on as {address}", base.key, base.peer);
    offline::deliver(ctx, address);
    ctx.outboxes.put_off(base.key);
}

/// An account may have so many sessions without a connection; this one is one more, and the oldest others go for it.
pub(super) fn limit_detached(ctx: &mut Ctx<'_>, stream: Key, address: &Jid) {
    let Some(user) = User::at(ctx.config, address) else { return };
    let streams = ctx.tables.sessions.of(user).iter().map(|session| session.stream);
    let others: Vec<Key> = streams.filter(|&s| s != stream && !ctx.outboxes.is_connected(s)).collect();
    let surplus = (others.len() + 1).saturating_sub(ctx.config.limits.detached_resources);
    others.iter().take(surplus).for_each(|&oldest| ctx.outboxes.end(oldest, None));
}

/// XEP-0203: a message that came while nobody was connected says when, unless it does already. It ends as we write
/// all messages that have content.
fn add_delay(config: &Config, now: Now, stanza: &mut Unacknowledged) {
    const END: &[u8] = b"</message>";
    let Some(content) = stanza.bytes.len().checked_sub(END.len()) else { return };
    if !stanza.bytes.ends_with(END) || stanza.is_delayed {
        return;
    }
    let mut note = Vec::new();
    writer::write(&delay::note(config, delay::at(now, stanza.written.time())), ns::CLIENT, &mut note);
    let ours = note.len() - " stamp='1970-01-01T00:00:00Z'/>".len();
    let is_ours = |bytes: &[u8]| note.starts_with(bytes);
    if stanza.bytes.windows(ours).any(is_ours) {
        return;
    }
    stanza.bytes.splice(content..content, note);
    stanza.is_delayed = true;
}

/// XEP-0198 section 4: what a stream did not acknowledge goes where it would have gone without that stream. There
/// may be much of it, and many streams may end at once, so that it goes one by one, in order.
pub(super) struct Returns {
    stream: Key,
    /// What it was bound to.
    address: Jid,
    stanzas: VecDeque<Unacknowledged>,
    /// Of the resource that the stream was.
    priority: Option<i8>,
    /// Some of what was given back is stored now, which was not before.
    has_stored: bool,
}

impl Returns {
    /// What a stream leaves that has ended, whose resource had this priority until now.
    pub(super) fn of(
        ctx: &mut Ctx<'_>,
        stream: Key,
        address: Jid,
        priority: Option<i8>,
    ) -> Option<Box<Self>> {
        let (stanzas, noted) = ctx.outboxes.take_unacknowledged(stream);
        let priority = priority.or(noted);
        (!stanzas.is_empty())
            .then(|| Box::new(Self { stream, address, stanzas, priority, has_stored: false }))
    }

    /// Gives the next one back. `false` if there was none.
    pub(super) fn give_one_back(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let next = self.stanzas.pop_front();
        let Some(stanza) = next else { return false };
        let Some(user) = User::at(ctx.config, &self.address) else { return false };
        let next_number =
            |ctx: &Ctx<'_>| ctx.tables.accounts.offline(user).map(|offline| offline.next_number());
        let before = next_number(ctx);
        let waits = give_back(ctx, &stanza, self.priority);
        self.has_stored |= next_number(ctx) != before;
        match stanza.stored {
            Some(number) if waits => {
                offline::release(ctx, &self.address, self.stream, number, self.has_stored);
            }
            Some(number) => {
                ctx.tables.acknowledge_offline(user, self.stream, &[number]);
            }
            None => (),
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }
}

/// Whether it is stored and is to wait on.
fn give_back(ctx: &mut Ctx<'_>, stanza: &Unacknowledged, priority: Option<i8>) -> bool {
    let text = String::from_utf8_lossy(&stanza.bytes);
    // Limits are for what others wrote; escapes and declarations have made this longer than what its sender was held
    // to.
    let element = Reader::read_one(&text, ns::CLIENT, XmlLimits::NONE);
    match element.map(Stanza::read) {
        Ok(Ok(read)) => router::give_back(ctx, read, stanza, priority),
        // The error for a request without an id has none either. It is an answer, and nobody else's.
        Ok(Err(_)) => false,
        Err(error) => {
            debug_assert!(false, "what was sent was well-formed: {error}");
            true
        }
    }
}

/// For how long the session at `address` waits for another stream, if it may and is on this one.
pub(super) fn time(ctx: &Ctx<'_>, stream: Key, address: &Jid) -> Option<Duration> {
    let session = ctx.tables.sessions.find(User::at(ctx.config, address)?, address.resource()?)?;
    session.resumption.as_ref().filter(|_| session.stream == stream).map(|resumption| resumption.time)
}
