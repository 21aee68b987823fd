//! A client that nobody looks at says so, and gets what can wait later.
//!
//! Read first: XEP-0352. What can wait is decided in [`crate::outbox`]. Left out on purpose: everything but presence
//! and chat states; a message with content never waits.

use super::{Feature, Login};
use crate::im::ctx::Ctx;
use crate::xml::Element;
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

const NS: &str = "urn:xmpp:csi:0";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0352: Client State Indication",
    stream_feature: |_, login: &Login| login.account.as_ref().map(|_| Element::new("csi", NS)),
    elements: &[(NS, set_state)],
    ..Feature::NOTHING
};

/// XEP-0352 section 4.
fn set_state(
    ctx: &mut Ctx<'_>,
    _: &Jid,
    stream: Key,
    element: &Element,
) -> Result<Option<Element>, StreamError> {
    match element.name() {
        "active" => ctx.outboxes.set_active(stream, true),
        "inactive" => ctx.outboxes.set_active(stream, false),
        _ => return Err(StreamError::UnsupportedStanzaType),
    }
    Ok(None)
}
