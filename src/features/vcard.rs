//! What people say of themselves: name, address, picture.
//!
//! Read first: XEP-0054 section 3. A vCard is public; whoever asks gets it. It is kept as it was sent. Left out on
//! purpose: what stands in it, a vCard of the host, and the hash of its picture in presence (XEP-0153), which is the
//! client's to put there.

use super::{Answer, Feature, Route, Target};
use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::tables::{AccountChange, StoredXml, User};
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;
use crate::xmpp::stanza::{IqType, Stanza};

const NS: &str = "vcard-temp";

pub(super) const FEATURE: Feature = Feature {
    spec: "XEP-0054: vcard-temp",
    disco: &[NS],
    account_disco: &[NS],
    iq: &[
        Route { name: "vCard", ns: NS, at: Target::Account, kind: IqType::Get, handler: own },
        Route { name: "vCard", ns: NS, at: Target::Account, kind: IqType::Set, handler: publish },
        Route { name: "vCard", ns: NS, at: Target::Other, kind: IqType::Get, handler: others },
        Route { name: "vCard", ns: NS, at: Target::Other, kind: IqType::Set, handler: refuse },
    ],
    ..Feature::NOTHING
};

/// XEP-0054 3.1: of two answers to one who has no vCard, the one that old clients take as well.
fn own(ctx: &mut Ctx<'_>, sender: &Sender<'_>, _: &Stanza) -> Answer {
    Ok(Some(vcard(ctx, sender.address()).unwrap_or_else(|| Element::new("vCard", NS))))
}

/// XEP-0054 3.3: one who has no vCard and one who is not there get the same answer.
fn others(ctx: &mut Ctx<'_>, _: &Sender<'_>, get: &Stanza) -> Answer {
    let vcard = get.to.as_ref().and_then(|owner| vcard(ctx, owner));
    Ok(Some(vcard.ok_or(Condition::ServiceUnavailable)?))
}

fn vcard(ctx: &Ctx<'_>, owner: &Jid) -> Option<Element> {
    ctx.tables.accounts.get(User::at(ctx.config, owner)?)?.vcard()?.to_element()
}

/// XEP-0054 3.2: the whole of it; an empty one takes it away.
fn publish(ctx: &mut Ctx<'_>, sender: &Sender<'_>, set: &Stanza) -> Answer {
    let user = Some(sender.user()?).filter(|user| ctx.tables.accounts.exists(*user));
    let user = user.ok_or(Condition::ServiceUnavailable)?;
    let vcard = set.payload().and_then(StoredXml::of);
    let most = ctx.config.limits.vcard_bytes;
    if vcard.as_ref().is_some_and(|vcard| vcard.bytes() > most) {
        let text = format!("a vCard has at most {most} bytes");
        return Err(StanzaError::because(Condition::NotAcceptable, text));
    }
    ctx.tables.change(user, AccountChange::VCard(vcard))?;
    Ok(None)
}

fn refuse(_: &mut Ctx<'_>, _: &Sender<'_>, _: &Stanza) -> Answer {
    Err(Condition::Forbidden.into())
}
