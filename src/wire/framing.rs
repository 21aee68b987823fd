//! The framing of a stream over TCP: header, children, end.
//!
//! Read first: RFC 6120 section 4.2 (a stream is one XML document). Another framing, such as that of WebSockets
//! (RFC 7395), has the same words in another form and would stand beside this.
//! Left out on purpose: which word is due; [`crate::streams`] knows that.

use crate::xml::ns;
use crate::xml::writer::{attribute, write_in_stream};
use crate::xml::Element;

/// What our header of a stream says (RFC 6120 4.7).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    pub(crate) from: &'a str,
    pub(crate) id: &'a str,
    pub(crate) to: Option<&'a str>,
    /// None for a peer of the age before 1.0 (4.7.5).
    pub(crate) version: Option<&'a str>,
}

/// Opens the stream.
pub(crate) fn header(header: &Header<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
    let attributes = [
        ("xmlns", Some(ns::CLIENT)),
        ("xmlns:stream", Some(ns::STREAM)),
        ("from", Some(header.from)),
        ("id", Some(header.id)),
        ("to", header.to),
        ("version", header.version),
        ("xml:lang", Some("en")),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            attribute(name, value, out);
        }
    }
    out.push(b'>');
}

/// A child of the stream: a stanza, an error, what a feature says.
pub(crate) fn child(element: &Element, out: &mut Vec<u8>) {
    write_in_stream(element, ns::CLIENT, out);
}

/// Asks for an acknowledgement (XEP-0198 section 4).
pub(crate) fn acknowledgement_request(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
}

/// Acknowledges so many of the peer's stanzas.
pub(crate) fn acknowledgement(h: u32, out: &mut Vec<u8>) {
    let element = Element::new("a", ns::STREAM_MANAGEMENT).with_attr("h", h.to_string());
    child(&element, out);
}

/// Ends the stream (RFC 6120 4.4).
pub(crate) fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</stream:stream>");
}
