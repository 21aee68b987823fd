//! Who is here: counted, listed, told something, sent away.
//!
//! Read first: XEP-0133 4.5, 4.15, 4.20, 4.23. A user is online who has a connected resource.
//! Left out on purpose: who is idle, which the server does not know.

use super::{accounts, is_admin, list, with_rest, within_room, ACCOUNTS, LIST_FORM, NS};
use crate::features::{Command, Done};
use crate::im::ctx::Ctx;
use crate::im::removal;
use crate::tables::{Session, User};
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::error::{StanzaError, StreamError};
use crate::xmpp::form::{self, Field, Filled, Form};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

const ANNOUNCEMENT: Field = Field {
    var: "announcement",
    kind: "text-multi",
    label: "What to announce",
    required: true,
    options: &[],
};

pub(super) const NUMBER: Command = Command {
    node: "http://jabber.org/protocol/admin#get-online-users-num",
    name: "Count who is online",
    allowed: is_admin,
    form: None,
    run: number,
};

pub(super) const LIST_USERS: Command = Command {
    node: "http://jabber.org/protocol/admin#get-online-users-list",
    name: "List who is online",
    allowed: is_admin,
    form: Some(&LIST_FORM),
    run: list_users,
};

/// XEP-0133 has none that shows full addresses.
pub(super) const LIST: Command = Command {
    node: "loquat#sessions",
    name: "List all sessions",
    allowed: is_admin,
    form: None,
    run: list_sessions,
};

pub(super) const END: Command = Command {
    node: "http://jabber.org/protocol/admin#end-user-session",
    name: "End sessions",
    allowed: is_admin,
    form: Some(&Form {
        kind: NS,
        title: "Sessions to end",
        instructions: "Which accounts shall have no session, or which sessions shall end?",
        fields: &[ACCOUNTS],
    }),
    run: end,
};

pub(super) const ANNOUNCE: Command = Command {
    node: "http://jabber.org/protocol/admin#announce",
    name: "Announce something to who is online",
    allowed: is_admin,
    form: Some(&Form {
        kind: NS,
        title: "An announcement",
        instructions: "What shall be announced to all who are online?",
        fields: &[ANNOUNCEMENT],
    }),
    run: announce,
};

fn number(ctx: &mut Ctx<'_>, _: &Jid, _: &Filled<'_>) -> Result<Done, StanzaError> {
    let number = ctx.tables.sessions.users().count().to_string();
    Ok(Done::form(form::result(NS, [("onlineusersnum", "Users who are online", vec![number])])))
}

fn list_users(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let names = ctx.tables.sessions.users().map(|user| user.as_str().into()).collect();
    list(ctx, filled, "onlineuserjids", "Users who are online", names)
}

/// Each session with its priority, if it is available.
fn list_sessions(ctx: &mut Ctx<'_>, _: &Jid, _: &Filled<'_>) -> Result<Done, StanzaError> {
    let (domain, sessions) = (ctx.config.domain(), &ctx.tables.sessions);
    let of = |user: User<'_>| sessions.of(user).iter().map(|s| row(user, domain, s)).collect::<Vec<_>>();
    let mut rows: Vec<_> = sessions.users().flat_map(of).collect();
    rows.sort_unstable();
    let all = rows.len();
    let shown: Vec<_> = within_room(ctx, rows.into_iter(), |[address, _]| address.len() + 100).collect();
    let left_out = all - shown.len();
    let table = form::table([("jid", "Address"), ("priority", "Priority")], shown);
    Ok(with_rest(Done::form(table), left_out))
}

fn row(user: User<'_>, domain: &str, session: &Session) -> [String; 2] {
    let priority = session.presence.as_ref().map(|_| session.priority.to_string());
    [format!("{user}@{domain}/{}", session.resource), priority.unwrap_or_default()]
}

/// Of a bare address all sessions, of a full one that one.
fn end(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    const WHY: StreamError = StreamError::PolicyViolation("an administrator has ended the session");
    let mut ended = 0;
    for address in accounts(ctx, filled, ACCOUNTS.var)? {
        let Some(user) = User::at(ctx.config, &address) else { continue };
        ended += removal::end_sessions(ctx, user, address.resource(), WHY);
    }
    Ok(Done::default().with_note("info", format!("sessions ended: {ended}")))
}

/// XEP-0133 4.23: to each resource that is available.
fn announce(ctx: &mut Ctx<'_>, _: &Jid, filled: &Filled<'_>) -> Result<Done, StanzaError> {
    let text = filled.all(ANNOUNCEMENT.var).join("\n");
    let body = Element::new("body", ns::CLIENT).with_text(text);
    let mut message = Element::new("message", ns::CLIENT)
        .with_attr("from", ctx.config.domain().to_owned())
        .with_attr("type", "headline")
        .with(body);
    for (to, stream) in available(ctx) {
        message.set_attr("to", to);
        ctx.outboxes.send(stream, &message);
    }
    Ok(Done::default())
}

fn available(ctx: &Ctx<'_>) -> Vec<(String, Key)> {
    let (domain, sessions) = (ctx.config.domain(), &ctx.tables.sessions);
    let of =
        |user| sessions.available(user).map(move |s| (format!("{user}@{domain}/{}", s.resource), s.stream));
    sessions.users().flat_map(of).collect()
}
