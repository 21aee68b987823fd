//! Is anybody there?
//!
//! Read first: XEP-0199 section 4. Left out on purpose: our own pings, which are a matter of the stream
//! ([`crate::streams`]).

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::ns;
use crate::xmpp::stanza::{IqType, Stanza};

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0199: XMPP Ping",
    iq: &[
        Route { name: "ping", ns: ns::PING, at: Target::Host, kind: IqType::Get, handler: pong },
        Route { name: "ping", ns: ns::PING, at: Target::Account, kind: IqType::Get, handler: pong },
    ],
    disco: &[ns::PING],
    ..Feature::NOTHING
};

fn pong(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(None)
}
