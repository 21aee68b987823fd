//! What every stanza undergoes before anybody acts on it, whoever sent it: other names of this host become its true
//! one, it is from whom its sender has proven to be, and what it says in our name is removed.
//!
//! Read first: RFC 6120 8.1. Left out on purpose: whether a client may say what it says in `from` ([`crate::streams`]).

use crate::im::ctx::Ctx;
use crate::im::delay;
use crate::im::sender::Sender;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::stanza::{Kind, PresenceType, Refusal, Stanza};

/// Reads a stanza of one who may send any.
pub(crate) fn read(ctx: &Ctx<'_>, sender: &Sender<'_>, mut element: Element) -> Result<Stanza, Refusal> {
    // RFC 6120 8.1.2.1: whatever it said, it is from here, and this is where an answer goes.
    element.set_attr("from", sender.address().as_str().to_owned());
    let mut stanza = fold_alias(ctx, element)?;
    match stanza.kind {
        // RFC 6121 section 3: subscriptions are between bare addresses.
        Kind::Presence(PresenceType::Subscription(_)) => {
            stanza.element.set_attr("from", sender.address().bare_str().to_owned());
        }
        // RFC 6120 10.3.1: a message for nobody is for the sender's own account.
        Kind::Message(_) if stanza.to.is_none() && sender.user().is_ok() => {
            let account = sender.address().to_bare();
            stanza.element.set_attr("to", account.as_str().to_owned());
            stanza.to = Some(account);
        }
        _ => (),
    }
    delay::remove_forged(ctx.config, &mut stanza.element);
    Ok(stanza)
}

/// Reads an element; an address at another name of this host becomes one at its true name.
pub(crate) fn fold_alias(ctx: &Ctx<'_>, element: Element) -> Result<Stanza, Refusal> {
    let mut stanza = Stanza::read(element)?;
    let alias = stanza.to.as_ref().filter(|to| ctx.config.is_alias(to.domain()));
    match alias.map(|to| to.at_domain(ctx.config.domain())) {
        None => Ok(stanza),
        Some(Ok(to)) => {
            stanza.element.set_attr("to", to.as_str().to_owned());
            stanza.to = Some(to);
            Ok(stanza)
        }
        Some(Err(error)) => {
            let error = StanzaError::because(Condition::JidMalformed, format!("to: {error}"));
            Err(stanza.refused(&error).map_or(Refusal::Silence, Refusal::Answer))
        }
    }
}
