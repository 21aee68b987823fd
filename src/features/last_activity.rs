//! How long somebody has been away, and how long the server has been up.
//!
//! Read first: XEP-0012; its section 8 says who may know: those who see the presence of the account, which would tell
//! them anyway. Anybody else gets the same answer, whether there is such an account or not. Left out on purpose: how
//! long a connected resource has been idle; it answers for itself.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::tables::User;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "jabber:iq:last";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0012: Last Activity",
    disco: &[NS],
    account_disco: &[NS],
    iq: &[
        Route { name: "query", ns: NS, at: Target::Host, kind: IqType::Get, handler: uptime },
        Route { name: "query", ns: NS, at: Target::Account, kind: IqType::Get, handler: own },
        Route { name: "query", ns: NS, at: Target::Other, kind: IqType::Get, handler: others },
    ],
    guards: &[Route { name: "query", ns: NS, at: (), kind: IqType::Get, handler: check }],
    ..Feature::NOTHING
};

/// XEP-0012 section 5.
fn uptime(ctx: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(Some(seconds(ctx.uptime.as_secs())))
}

fn own(ctx: &mut Ctx<'_>, sender: &Sender<'_>, _: &Stanza) -> Answer {
    last_seen(ctx, sender.user()?)
}

fn others(ctx: &mut Ctx<'_>, sender: &Sender<'_>, get: &Stanza) -> Answer {
    let to = get.to.as_ref().ok_or(Condition::BadRequest)?;
    check(ctx, sender.address(), to)?;
    last_seen(ctx, User::at(ctx.config, to).ok_or(Condition::ServiceUnavailable)?)
}

/// XEP-0012 sections 3 and 4: the same for an account and for each of its resources.
fn check(ctx: &Ctx<'_>, from: &Jid, to: &Jid) -> Result<(), StanzaError> {
    let is_seen = |user| ctx.tables.accounts.is_seen_by(user, from);
    if from.bare_str() == to.bare_str() || User::at(ctx.config, to).is_some_and(is_seen) {
        Ok(())
    } else {
        Err(Condition::Forbidden.into())
    }
}

/// XEP-0012 section 3: nothing has passed for one who is here; of one who was never here nothing is known.
fn last_seen(ctx: &Ctx<'_>, user: User<'_>) -> Answer {
    if !ctx.tables.sessions.of(user).is_empty() {
        return Ok(Some(seconds(0)));
    }
    let seen = ctx.tables.accounts.get(user).and_then(|account| account.last_seen());
    let seen = seen.ok_or(Condition::ItemNotFound)?;
    let answer = seconds(seen.seconds_ago(ctx.now.since_1970));
    Ok(Some(match &seen.status {
        Some(status) => answer.with_text(status.to_string()),
        None => answer,
    }))
}

fn seconds(seconds: u64) -> Element {
    Element::new("query", NS).with_attr("seconds", seconds.to_string())
}
