//! The namespaces that XMPP and its extensions live in, each with the document that defines it.
//!
//! Left out on purpose: those that a single feature uses; they stand in its file.

/// The stream's root, `<features/>` and `<error/>` (RFC 6120 4.8.1).
pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stanzas between a client and a server (RFC 6120 4.8.2).
pub(crate) const CLIENT: &str = "jabber:client";
/// Conditions of stream errors (RFC 6120 4.9.2).
pub(crate) const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions of stanza errors (RFC 6120 8.3.2).
pub(crate) const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// `xml:lang` (XML 1.0, Namespaces in XML 1.0).
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// `xmlns` itself (Namespaces in XML 1.0).
pub(crate) const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// Pings (XEP-0199), which the server sends as well as answers.
pub(crate) const PING: &str = "urn:xmpp:ping";
/// Who is typing (XEP-0085), which an inactive client need not know.
pub(crate) const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Contact lists (RFC 6121 section 2).
pub(crate) const ROSTER: &str = "jabber:iq:roster";
/// Commands (XEP-0050), which other features have and one executes.
pub(crate) const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Stream management (XEP-0198).
pub(crate) const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// What a stanza's sender would like to be done with it (XEP-0334).
pub(crate) const HINTS: &str = "urn:xmpp:hints";
/// When a stanza was sent that arrives later (XEP-0203).
pub(crate) const DELAY: &str = "urn:xmpp:delay";
/// Whom an account will have nothing to do with (XEP-0191).
pub(crate) const BLOCKING: &str = "urn:xmpp:blocking";
