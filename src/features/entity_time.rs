//! What time it is, as far as the server knows.
//!
//! Read first: XEP-0202. Left out on purpose: the time zone of the machine, which is nobody's business.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::Element;
use crate::xmpp::stanza::{IqType, Stanza};
use crate::xmpp::time::utc;

const NS: &str = "urn:xmpp:time";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0202: Entity Time",
    disco: &[NS],
    iq: &[Route { name: "time", ns: NS, at: Target::Host, kind: IqType::Get, handler: time }],
    ..Feature::NOTHING
};

fn time(ctx: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(Some(
        Element::new("time", NS)
            .with(Element::new("tzo", NS).with_text("+00:00"))
            .with(Element::new("utc", NS).with_text(utc(ctx.now.since_1970))),
    ))
}
