//! What clients say, and the names they say it under.
//!
//! Read first: RFC 6120 sections 4, 6 and 7. Accounts are `u0`, `u1` and so on, all with one password.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

pub(crate) const DOMAIN: &str = "localhost";
pub(crate) const PASSWORD: &str = "secret";

/// XEP-0198, as one who wants to come back and as one who does not.
pub(crate) const ENABLE_RESUME: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
pub(crate) const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";

/// What the answer to [`ping`] contains.
pub(crate) const PONG: &str = "id='pong'";

/// The name of an account.
pub(crate) fn user(number: usize) -> String {
    format!("u{number}")
}

pub(crate) fn header() -> String {
    format!(
        "<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

/// SASL PLAIN (RFC 4616).
pub(crate) fn plain(name: &str, password: &str) -> String {
    let message = STANDARD.encode(format!("\0{name}\0{password}"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>")
}

/// The first message of SCRAM-SHA-1 (RFC 5802).
pub(crate) fn scram_first(name: &str) -> String {
    let message = STANDARD.encode(format!("n,,n={name},r=nonce"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>{message}</auth>")
}

/// A whole login that waits for no answer.
pub(crate) fn login(name: &str, resource: &str) -> String {
    let (header, auth) = (header(), plain(name, PASSWORD));
    format!(
        "{header}{auth}{header}<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>{resource}</resource></bind></iq>"
    )
}

/// XEP-0199: its answer comes behind those of all that was asked before.
pub(crate) fn ping() -> String {
    format!("<iq type='get' id='pong' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
}

/// XEP-0077: an account.
pub(crate) fn register(name: &str) -> String {
    format!(
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
         <password>{PASSWORD}</password></query></iq>"
    )
}

/// A chat message whose text has so many bytes.
pub(crate) fn message(to: &str, bytes: usize) -> String {
    format!("<message type='chat' to='{to}'><body>{}</body></message>", "x".repeat(bytes))
}

/// RFC 6121 section 3.
pub(crate) fn subscription(kind: &str, to: &str) -> String {
    format!("<presence to='{to}@{DOMAIN}' type='{kind}'/>")
}

pub(crate) fn roster_get() -> String {
    "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>".into()
}

/// A contact with a name and 16 groups, each of `text` and a number.
pub(crate) fn roster_set(contact: &str, text: &str) -> String {
    let groups: String = (10..26).map(|group| format!("<group>{text}{group}</group>")).collect();
    format!(
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='{contact}' name='{text}'>{groups}</item>\
         </query></iq>"
    )
}

/// XEP-0054: a vCard with a photo of so many bytes.
pub(crate) fn vcard_set(photo: usize) -> String {
    let photo = "A".repeat(photo);
    format!(
        "<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>{photo}</BINVAL></PHOTO></vCard></iq>"
    )
}

pub(crate) fn vcard_get(of: &str) -> String {
    format!("<iq type='get' id='card' to='{of}@{DOMAIN}'><vCard xmlns='vcard-temp'/></iq>")
}

/// Attributes without a value, as many as a tag may have beside a namespace: `aa='' ab=''` and so on.
pub(crate) fn attributes(prefix: &str) -> String {
    let letters = || 'a'..='z';
    let names = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    names.take(63).map(|name| format!(" {prefix}{name}=''")).collect()
}
