//! Messages for an account that has nobody to take them.
//!
//! Read first: XEP-0160 (which are kept, and until when), XEP-0203 (how they say when they were sent), XEP-0334 (what
//! their sender may ask for). [`crate::routing::router`] says when a message comes here, [`crate::im::presence`] when
//! somebody is there. Left out on purpose: reading them one by one (XEP-0013); and a second chance for one that was
//! sent to a stream without acknowledgements (XEP-0198) which then broke.

use crate::im::blocking;
use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::outbox::Outbound;
use crate::tables::{AccountChange, OfflineMessage, Untold, User};
use crate::xml::ns;
use crate::xml::writer;
use crate::xml::{Element, Reader, XmlLimits};
use crate::xmpp::error::Condition;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{is_fleeting, Stanza};

/// Keeps a message for `user`, if it is worth it and there is room (XEP-0160 section 2: `service-unavailable` else).
/// Gives its number.
pub(crate) fn store(ctx: &mut Ctx<'_>, user: User<'_>, message: &Stanza) -> Result<u64, Condition> {
    if !is_kept(&message.element) {
        return Err(Condition::ServiceUnavailable);
    }
    let offline = ctx.tables.accounts.offline(user).ok_or(Condition::ServiceUnavailable)?;
    let limits = &ctx.config.limits;
    let bytes = written(ctx, &message.element);
    if offline.len() >= limits.offline_messages || offline.bytes() + bytes.len() > limits.offline_bytes {
        // Whoever sends them could fill a log as well.
        log::debug!("{user}: too many messages wait, one more is refused");
        return Err(Condition::ServiceUnavailable);
    }
    let number = offline.next_number();
    ctx.tables.change(user, AccountChange::Offline(OfflineMessage { number, bytes }))?;
    Ok(number)
}

/// XEP-0198: keeps a message for a stream that has no connection just now. The message is stored as others are, so that
/// it outlives the server; but nobody else gets it while the stream may be resumed. `false` if it is not taken.
pub(crate) fn store_for(ctx: &mut Ctx<'_>, user: User<'_>, stream: Key, message: &Stanza) -> bool {
    let Ok(number) = store(ctx, user, message) else { return false };
    ctx.tables.hold_offline(user, number, stream);
    let taken = ctx.outboxes.send(stream, &message.element);
    if taken {
        ctx.outboxes.note_stored(stream, number);
    } else {
        ctx.tables.acknowledge_offline(user, stream, &[number]);
    }
    taken
}

/// A stream has ended without having acknowledged a message: it waits for anybody again, and the most available
/// resource gets it. If nobody is there, it goes behind what the stream has given back before, if that waits.
pub(crate) fn release(ctx: &mut Ctx<'_>, account: &Jid, stream: Key, number: u64, is_behind: bool) {
    let Some(user) = User::at(ctx.config, account) else { return };
    if !ctx.tables.release_offline(user, stream, number) {
        return;
    }
    let connected = ctx.tables.sessions.available(user).filter(|s| ctx.outboxes.is_connected(s.stream));
    match connected.max_by_key(|session| session.priority) {
        Some(session) if session.priority >= 0 => {
            if let Ok(address) = account.with_resource(&session.resource) {
                deliver(ctx, &address);
            }
        }
        _ if is_behind => store_again(ctx, user, number),
        _ => (),
    }
}

/// Puts a message behind all others. If that cannot be recorded, it stays where it is.
fn store_again(ctx: &mut Ctx<'_>, user: User<'_>, number: u64) {
    let Some(offline) = ctx.tables.accounts.offline(user) else { return };
    let Some(message) = offline.messages().find(|message| message.number == number) else { return };
    let again = OfflineMessage { number: offline.next_number(), bytes: message.bytes.clone() };
    let removed = AccountChange::OfflineRemoved([number].into());
    if ctx.tables.change_all(vec![(user, AccountChange::Offline(again)), (user, removed)]).is_err() {
        log::warn!("{user}: a message waits before older ones, for its place could not be recorded");
    }
}

/// XEP-0160 section 2: a resource that says that it is available, at no negative priority, gets what waits for its
/// account, but for what was said by one who is blocked (XEP-0191 3.3). What its stream does not take waits on.
pub(crate) fn deliver(ctx: &mut Ctx<'_>, to: &Jid) {
    let (Some(user), Some(resource)) = (User::at(ctx.config, to), to.resource()) else { return };
    let (sessions, accounts) = (&ctx.tables.sessions, &ctx.tables.accounts);
    let willing = sessions.find(user, resource).filter(|s| s.presence.is_some() && s.priority >= 0);
    let Some(session) = willing else { return };
    let is_unwanted = |message: &OfflineMessage| {
        sender(message).is_some_and(|from| blocking::has_blocked(ctx.config, accounts, to, &from))
    };
    let blocks = accounts.get(user).is_some_and(|account| account.blocklist().len() > 0);
    let stream = session.stream;
    let is_managed = ctx.outboxes.is_managed(stream);
    let (mut reads, mut unwanted) = (true, Vec::new());
    let send = |message: &&OfflineMessage| {
        let OfflineMessage { number, bytes } = message;
        reads = !ctx.outboxes.is_throttled(stream);
        if reads && blocks && is_unwanted(message) {
            unwanted.push(*number);
            return true;
        }
        let taken = reads && ctx.outboxes.send(stream, Outbound::Bytes(bytes));
        if taken {
            ctx.outboxes.note_stored(stream, *number);
        }
        taken
    };
    let taken: Vec<u64> = ctx.tables.waiting(user).take_while(send).map(|message| message.number).collect();
    if is_managed {
        taken.iter().for_each(|number| ctx.tables.hold_offline(user, *number, stream));
        ctx.tables.acknowledge_offline(user, stream, &unwanted);
    } else {
        taken.last().into_iter().for_each(|number| ctx.tables.send_offline(user, *number));
    }
    if let Some(session) = ctx.tables.session_mut(ctx.config, to).filter(|_| !reads) {
        session.untold.push_back(Untold::Messages);
        ctx.outboxes.put_off(stream);
    }
}

fn sender(message: &OfflineMessage) -> Option<Jid> {
    let text = std::str::from_utf8(&message.bytes).ok()?;
    Reader::read_one(text, ns::CLIENT, XmlLimits::NONE).ok()?.attr("from")?.parse().ok()
}

/// Whether a message that would not be kept for its type or its content asks to be (XEP-0334 section 4.4).
pub(crate) fn is_asked_for(message: &Element) -> bool {
    message.child("store", ns::HINTS).is_some()
}

/// XEP-0160 section 3 and XEP-0334 section 4: what has content is worth keeping, unless it says no.
pub(crate) fn is_kept(message: &Element) -> bool {
    message.child("no-store", ns::HINTS).is_none() && (is_asked_for(message) || !is_fleeting(message))
}

/// The message as it will be sent, with the time of now unless it was delayed before.
fn written(ctx: &Ctx<'_>, message: &Element) -> Box<[u8]> {
    let mut out = Vec::new();
    if delay::is_noted(ctx.config, message) {
        writer::write(message, ns::CLIENT, &mut out);
    } else {
        let delay = delay::note(ctx.config, ctx.now.since_1970);
        writer::write_with(message, &delay, ns::CLIENT, &mut out);
    }
    out.into_boxed_slice()
}
