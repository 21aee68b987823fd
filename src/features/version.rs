//! Which program this is.
//!
//! Read first: XEP-0092. Left out on purpose: the operating system, which would help nobody but an attacker.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::Element;
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "jabber:iq:version";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0092: Software Version",
    disco: &[NS],
    iq: &[Route { name: "query", ns: NS, at: Target::Host, kind: IqType::Get, handler: version }],
    ..Feature::NOTHING
};

fn version(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(Some(
        Element::new("query", NS)
            .with(Element::new("name", NS).with_text("loquat"))
            .with(Element::new("version", NS).with_text(env!("CARGO_PKG_VERSION"))),
    ))
}
