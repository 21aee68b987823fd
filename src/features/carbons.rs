//! A client says whether it wants copies of what its account's other clients send and get.
//!
//! Read first: XEP-0280 sections 4 and 5. Who gets which copy is in [`crate::im::carbons`].
//! Left out on purpose: the promise of `urn:xmpp:carbons:rules:0`; errors are not copied.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::ns::CARBONS as NS;

use crate::xmpp::stanza::{IqType, Stanza};

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
