//! When a stanza was sent that arrives later than that.
//!
//! Read first: XEP-0203. The server says it in its own name, so what a client says in that name is a forgery.
//! Left out on purpose: the text for people, which every client has in its user's own language.

use std::time::Duration;

use crate::im::ctx::Now;
use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::config::Config;
use crate::xmpp::jid::Jid;
use crate::xmpp::time;

/// What the server adds to a stanza that it has had since then (XEP-0203 section 2).
pub(crate) fn note(config: &Config, since_1970: Duration) -> Element {
    Element::new("delay", ns::DELAY)
        .with_attr("from", config.domain().to_owned())
        .with_attr("stamp", time::utc(since_1970))
}

/// What time it was at a moment of the past on the scale of [`Now::monotonic`].
pub(crate) fn at(now: Now, monotonic: Duration) -> Duration {
    now.since_1970.saturating_sub(now.monotonic.saturating_sub(monotonic))
}

/// Whether a stanza carries such a note already.
pub(crate) fn is_noted(config: &Config, stanza: &Element) -> bool {
    stanza.children().any(|child| is_ours(config, child))
}

/// XEP-0203 section 5: takes from a client's stanza what it says in our name.
pub(crate) fn remove_forged(config: &Config, stanza: &mut Element) {
    stanza.remove_children(|child| is_ours(config, child) || is_ours_of_old(config, child));
}

fn is_ours(config: &Config, child: &Element) -> bool {
    child.is("delay", ns::DELAY) && is_from_us(config, child)
}

/// XEP-0091, which clients of its age still read.
fn is_ours_of_old(config: &Config, child: &Element) -> bool {
    child.is("x", "jabber:x:delay") && is_from_us(config, child)
}

fn is_from_us(config: &Config, child: &Element) -> bool {
    let from = child.attr("from").and_then(|from| from.parse::<Jid>().ok());
    from.is_some_and(|from| from.local().is_none() && config.is_ours(from.domain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_in_our_name_is_forged() {
        let mut config = Config::new("chat.lan").unwrap();
        config.add_alias("192.0.2.1").unwrap();
        let from = |from: &'static str| Element::new("delay", ns::DELAY).with_attr("from", from);
        for ours in ["chat.lan", "CHAT.lan", "192.0.2.1", "chat.lan/x"] {
            let mut stanza = Element::new("message", ns::CLIENT).with(from(ours));
            assert!(is_noted(&config, &stanza));
            remove_forged(&config, &mut stanza);
            assert_eq!(stanza, Element::new("message", ns::CLIENT));
        }
        for other in [from("a@chat.lan"), from("room.chat.lan"), from(""), Element::new("delay", ns::DELAY)] {
            let mut stanza = Element::new("message", ns::CLIENT).with(other);
            assert!(!is_noted(&config, &stanza));
            remove_forged(&config, &mut stanza);
            assert_eq!(stanza.children().count(), 1);
        }
        let stanza = Element::new("message", ns::CLIENT).with(note(&config, Duration::from_secs(60)));
        assert!(is_noted(&config, &stanza));
        assert!(stanza
            .to_string()
            .contains("<delay xmlns='urn:xmpp:delay' from='chat.lan' stamp='1970-01-01T00:01:00Z'/>"));
    }
}
