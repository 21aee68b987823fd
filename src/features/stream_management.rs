//! Stanzas acknowledged both ways, and streams that outlive their connection.
//!
//! Read first: XEP-0198. [`crate::outbox`] keeps what is not acknowledged, [`crate::streams`] waits for a lost client
//! to come back. Here is what is said about it. Left out on purpose: the attribute `location`; there is only one place.

use std::time::Duration;

use super::{ElementRoute, Feature, Login, Outcome, Stage};
use crate::im::ctx::Ctx;
use crate::outbox::Miscount;
use crate::tables::{Resumption, User};
use crate::xml::ns;
use crate::xml::ns::STREAM_MANAGEMENT as NS;
use crate::xml::Element;
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0198: Stream Management",
    stream_feature: |_, login| login.account.as_ref().map(|_| Element::new("sm", NS)),
    login_elements: &[
        ElementRoute { ns: NS, at: Stage::Start, handler: before_authentication },
        ElementRoute { ns: NS, at: Stage::Authenticated, handler: before_binding },
    ],
    elements: &[(NS, manage)],
    ..Feature::NOTHING
};

fn failed(condition: &'static str) -> Element {
    Element::new("failed", NS).with(Element::new(condition, ns::STANZA_ERRORS))
}

/// XEP-0198 section 3 and 4: one who has a resource.
fn manage(
    ctx: &mut Ctx<'_>,
    from: &Jid,
    stream: Key,
    element: &Element,
) -> Result<Option<Element>, StreamError> {
    match element.name() {
        "enable" => Ok(Some(enable(ctx, from, stream, element))),
        "r" => Ok(ctx
            .outboxes
            .take_received(stream)
            .map(|h| Element::new("a", NS).with_attr("h", h.to_string()))),
        "a" => {
            let h = number(element, "h").ok_or(StreamError::BadFormat)?;
            match ctx.outboxes.acknowledge(stream, h) {
                Err(Miscount::TooHigh { sent }) => Err(StreamError::HandledCountTooHigh { h, sent }),
                // What has been acknowledged stays so: an answer that comes late says nothing new.
                Err(Miscount::TooLow) => Ok(None),
                Ok(stored) => {
                    acknowledge(ctx, from, stream, &stored);
                    Ok(None)
                }
            }
        }
        "resume" => Ok(Some(failed("unexpected-request"))),
        _ => Err(StreamError::UnsupportedStanzaType),
    }
}

/// Messages that were stored are acknowledged, and wait no longer.
fn acknowledge(ctx: &mut Ctx<'_>, account: &Jid, stream: Key, stored: &[u64]) {
    if let Some(user) = User::at(ctx.config, account) {
        ctx.tables.acknowledge_offline(user, stream, stored);
    }
}

fn number(element: &Element, name: &str) -> Option<u32> {
    element.attr(name)?.parse().ok()
}

/// XEP-0198 section 3.
fn enable(ctx: &mut Ctx<'_>, from: &Jid, stream: Key, element: &Element) -> Element {
    if !ctx.outboxes.manage(stream) {
        return failed("unexpected-request");
    }
    let enabled = Element::new("enabled", NS);
    if !matches!(element.attr("resume"), Some("true" | "1")) {
        return enabled;
    }
    let (Some(user), Some(resource), Ok(id)) =
        (User::at(ctx.config, from), from.resource(), ctx.random.token())
    else {
        return enabled;
    };
    let wanted = number(element, "max").map(|seconds| Duration::from_secs(seconds.into()));
    let time = wanted.into_iter().chain([ctx.config.limits.resumption_time]).min().unwrap_or_default();
    if let Some(session) = ctx.tables.sessions.find_mut(user, resource) {
        session.resumption = Some(Resumption { id: id.clone().into(), time });
    }
    enabled.with_attr("id", id).with_attr("resume", "true").with_attr("max", time.as_secs().to_string())
}

/// XEP-0198 sections 3 and 5: who has proved no account may not do any of it yet, but may go on.
fn before_authentication(_: &mut Ctx<'_>, _: &mut Login, element: &Element) -> Result<Element, StreamError> {
    match element.name() {
        "enable" | "resume" | "r" => Ok(failed("unexpected-request")),
        _ => Err(StreamError::UnsupportedStanzaType),
    }
}

/// XEP-0198 section 5: one who has proved an account may go on with a session of it, instead of binding a resource.
fn before_binding(ctx: &mut Ctx<'_>, login: &mut Login, element: &Element) -> Result<Element, StreamError> {
    match element.name() {
        "resume" => resume(ctx, login, element),
        "enable" | "r" => Ok(failed("unexpected-request")),
        _ => Err(StreamError::UnsupportedStanzaType),
    }
}

fn resume(ctx: &mut Ctx<'_>, login: &mut Login, element: &Element) -> Result<Element, StreamError> {
    let (Some(account), Some(id), Some(h)) = (&login.account, element.attr("previd"), number(element, "h"))
    else {
        return Ok(failed("bad-request"));
    };
    let account = &account.address;
    let mut sessions =
        User::at(ctx.config, account).into_iter().flat_map(|user| ctx.tables.sessions.of(user));
    let session = sessions.find(|session| session.resumption.as_ref().is_some_and(|r| *r.id == *id));
    let Some((session, address)) = session.and_then(|s| Some((s, account.with_resource(&s.resource).ok()?)))
    else {
        return Ok(failed("item-not-found"));
    };
    let old = session.stream;
    match ctx.outboxes.acknowledge(old, h) {
        Ok(stored) => acknowledge(ctx, account, old, &stored),
        Err(Miscount::TooHigh { sent }) => return Err(StreamError::HandledCountTooHigh { h, sent }),
        // What it says that it lacks was acknowledged, and so is kept no longer: as if there were no such session.
        Err(Miscount::TooLow) => return Ok(failed("item-not-found")),
    }
    let received = ctx.outboxes.take_received(old).unwrap_or_default();
    login.outcome = Some(Outcome::Resumed(address, old));
    Ok(Element::new("resumed", NS).with_attr("previd", id.to_owned()).with_attr("h", received.to_string()))
}
