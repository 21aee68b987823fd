//! Copies of a conversation for those of its owners' resources that are not in it.
//!
//! Read first: XEP-0280 sections 4 and 5 (who wants copies), 6 (of which messages), 7 (received), 8 (sent) and 9 (how a
//! sender avoids it). A message is written once for all of an account's copies. [`crate::routing::router`] says when
//! one was accepted; what was refused, or comes back from a lost stream, is not copied. Left out on purpose: errors,
//! since nobody remembers what they answer, and so the promise of `urn:xmpp:carbons:rules:0`; and who is in which room.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::im::sender::Sender;
use crate::outbox::{Hold, Moment, Outbound};
use crate::tables::{Session, User};
use crate::xml::ns;
use crate::xml::writer::Broadcast;
use crate::xml::Element;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Kind, MessageType, Stanza};

const NS: &str = "urn:xmpp:carbons:2";
/// XEP-0297.
const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0184 and XEP-0333; XEP-0085 is in [`ns`].
const RECEIPTS: &str = "urn:xmpp:receipts";
const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// What a room says of a message (XEP-0045), and an invitation to one (XEP-0249).
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
const INVITATION: &str = "jabber:x:conference";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0280: Message Carbons",
    disco: &[NS],
    iq: &[
        Route { name: "enable", ns: NS, at: Target::Account, kind: IqType::Set, handler: set },
        Route { name: "disable", ns: NS, at: Target::Account, kind: IqType::Set, handler: set },
    ],
    ..Feature::NOTHING
};

/// XEP-0280 10.1: as often as it likes.
fn set(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let enabled = set.payload().is_some_and(|payload| payload.name() == "enable");
    let written = ctx.outboxes.stanzas();
    if let Some(session) = ctx.tables.session_mut(ctx.config, sender.address()) {
        session.carbons = enabled.then(|| session.carbons.unwrap_or(written));
    }
    Ok(None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Received,
    Sent,
}

/// XEP-0280 section 7: copies a message that was accepted for `user` to those of its resources that have not got it.
/// One that wrote it itself has.
pub(crate) fn received(ctx: &mut Ctx<'_>, user: User<'_>, reached: &[Key], message: &Stanza) {
    let (domain, from) = (ctx.config.domain(), message.element.attr("from").unwrap_or_default());
    let own = from.strip_prefix(user.as_str()).and_then(|rest| rest.strip_prefix('@')?.strip_prefix(domain));
    let author = own.and_then(|rest| rest.strip_prefix('/'));
    let has_it = |session: &Session| reached.contains(&session.stream) || author == Some(&*session.resource);
    copy(ctx, user, Way::Received, message, has_it);
}

/// XEP-0280 section 8: copies a message of `from` that was accepted to its account's other resources. What one sends to
/// oneself they have received.
pub(crate) fn sent(ctx: &mut Ctx<'_>, from: &Jid, to: &Jid, message: &Stanza) {
    let Some(user) = User::at(ctx.config, from).filter(|_| from.bare_str() != to.bare_str()) else { return };
    copy(ctx, user, Way::Sent, message, |session| from.resource() == Some(&*session.resource));
}

fn copy(ctx: &mut Ctx<'_>, user: User<'_>, way: Way, message: &Stanza, has_it: impl Fn(&Session) -> bool) {
    let Kind::Message(kind) = message.kind else { return };
    let wants = |session: &&Session| session.carbons.is_some() && !has_it(session);
    let mut wanting = ctx.tables.sessions.of(user).iter().filter(wants).peekable();
    let returned = || delay::is_noted(ctx.config, &message.element);
    if wanting.peek().is_none() || !is_eligible(kind, way, &message.element) || returned() {
        return;
    }
    let account = format!("{user}@{}", ctx.config.domain());
    let copy = wrapped(&account, way, &message.element);
    for session in wanting {
        let to = format!("{account}/{}", session.resource);
        let hold = Hold::CopyOf(&message.element);
        ctx.outboxes.send(session.stream, Outbound::Broadcast(&copy, &to, hold));
    }
}

/// Whether another device of `user` has a copy of a message that was written to a lost one: who reads it there has it.
/// Copies are written right behind their message. One that is itself not acknowledged may be lost as well, and does not
/// count.
pub(crate) fn is_known(ctx: &Ctx<'_>, user: User<'_>, message: &Stanza, written: Moment) -> bool {
    let Kind::Message(kind) = message.kind else { return false };
    let sessions = ctx.tables.sessions.of(user);
    let last = written.number + sessions.len() as u64;
    let has_copy = |session: &Session| {
        session.carbons.is_some_and(|since| since <= written.number)
            && ctx.outboxes.has_taken_through(session.stream, last)
    };
    sessions.iter().any(has_copy) && is_eligible(kind, Way::Received, &message.element)
}

/// XEP-0280 section 6.1.
fn is_eligible(kind: MessageType, way: Way, message: &Element) -> bool {
    let has = |name, ns| message.child(name, ns).is_some();
    if has("private", NS) || has("no-copy", ns::HINTS) {
        return false;
    }
    let mut payloads = message.children().map(Element::ns);
    match kind {
        MessageType::Groupchat | MessageType::Error => false,
        // A room sends what one of its users says in private to each of the other's resources that is there.
        MessageType::Chat => way == Way::Sent || !has("x", ROOM_USER) || is_invitation(message),
        MessageType::Normal if has("body", ns::CLIENT) => true,
        MessageType::Normal | MessageType::Headline => {
            payloads.any(|ns| matches!(ns, RECEIPTS | ns::CHAT_STATES | MARKERS)) || is_invitation(message)
        }
    }
}

/// XEP-0249, or XEP-0045 7.8.2: an invitation to a room.
fn is_invitation(message: &Element) -> bool {
    let mediated = message.child("x", ROOM_USER).and_then(|x| x.child("invite", ROOM_USER));
    mediated.is_some() || message.child("x", INVITATION).is_some()
}

fn wrapped(account: &str, way: Way, message: &Element) -> Broadcast {
    let mut outer = Element::new("message", ns::CLIENT).with_attr("from", account.to_owned());
    if let Some(kind) = message.attr("type") {
        outer.set_attr("type", kind.to_owned());
    }
    let way = match way {
        Way::Received => "received",
        Way::Sent => "sent",
    };
    let frames = [outer, Element::new(way, NS), Element::new("forwarded", FORWARD)];
    Broadcast::framed(&frames, message, ns::CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eligible(kind: MessageType, way: Way, payloads: &[Element]) -> bool {
        let message = payloads.iter().cloned().fold(Element::new("message", ns::CLIENT), Element::with);
        is_eligible(kind, way, &message)
    }

    #[test]
    fn which_messages() {
        use MessageType::{Chat, Error, Groupchat, Headline, Normal};
        let body = || Element::new("body", ns::CLIENT);
        let of = |ns: &'static str| Element::new("x", ns);
        let table: [(_, &[Element], _); 16] = [
            (Chat, &[], true),
            (Chat, &[body(), Element::new("private", NS)], false),
            (Chat, &[body(), Element::new("no-copy", ns::HINTS)], false),
            (Chat, &[body(), Element::new("no-store", ns::HINTS)], true),
            (Normal, &[], false),
            (Normal, &[body()], true),
            (Normal, &[of("urn:x")], false),
            (Normal, &[of(RECEIPTS)], true),
            (Normal, &[of(MARKERS)], true),
            (Normal, &[of(ns::CHAT_STATES)], true),
            (Normal, &[of(INVITATION)], true),
            (Normal, &[of(ROOM_USER).with(Element::new("invite", ROOM_USER))], true),
            (Headline, &[body()], false),
            (Groupchat, &[body()], false),
            (Groupchat, &[of(INVITATION)], false),
            (Error, &[body()], false),
        ];
        for (kind, payloads, wanted) in table {
            for way in [Way::Received, Way::Sent] {
                assert_eq!(eligible(kind, way, payloads), wanted, "{kind:?} {payloads:?}");
            }
        }
        assert!(!eligible(Chat, Way::Received, &[body(), of(ROOM_USER)]));
        assert!(eligible(Chat, Way::Sent, &[body(), of(ROOM_USER)]));
    }
}
