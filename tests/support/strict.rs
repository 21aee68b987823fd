//! What a strict client makes of the bytes that a server sends: a second opinion, from a parser that is not ours.
//!
//! Read first: RFC 6120 4.2 (a stream is one document) and 4.8 (its namespaces). Bytes are judged as the beginning of a
//! stream that may still go on, or of several on one connection, each with its own header (4.3.3).
//! Left out on purpose: bytes that end inside of a tag. A server writes whole elements, so whoever judges adds what
//! the server still has.

#![allow(unreachable_pub)] // a module of tests has no outside

use roxmltree::{Document, Node};

const STREAM: &str = "http://etherx.jabber.org/streams";
const CLIENT: &str = "jabber:client";
const DECLARATION: &str = "<?xml ";
const CLOSE: &str = "</stream:stream>";

/// A child of the stream's root, as far as tests ask for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name without a prefix.
    pub name: String,
    /// Whom it is from.
    pub from: Option<String>,
    /// What its body says.
    pub body: Option<String>,
}

/// All that a client sees in `bytes`, or why it would hang up on the server.
pub fn read(bytes: &[u8]) -> Result<Vec<Seen>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    let starts: Vec<usize> = text.match_indices(DECLARATION).map(|(at, _)| at).collect();
    if !text.is_empty() && starts.first() != Some(&0) {
        return Err(format!("begins without a declaration: {text}"));
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let mut seen = Vec::new();
    for stream in starts.iter().zip(ends).filter_map(|(&start, end)| text.get(start..end)) {
        read_stream(stream, &mut seen).map_err(|error| format!("{error}\n{stream}"))?;
    }
    Ok(seen)
}

fn read_stream(text: &str, seen: &mut Vec<Seen>) -> Result<(), String> {
    let close = if text.ends_with(CLOSE) { "" } else { CLOSE };
    let whole = format!("{text}{close}");
    let document = Document::parse(&whole).map_err(|error| format!("not well-formed: {error}"))?;
    let root = document.root_element();
    if !root.has_tag_name((STREAM, "stream")) {
        return Err("the root is no stream".into());
    }
    for child in root.children() {
        check_child(&child, child.next_sibling().is_none())?;
        seen.push(Seen {
            name: child.tag_name().name().into(),
            from: child.attribute("from").map(Into::into),
            body: child.children().find(|c| c.has_tag_name((CLIENT, "body"))).map(text_of),
        });
    }
    Ok(())
}

/// RFC 6120 4.8.5, 4.9.1.1, 8.1: what may stand below the root, and where.
fn check_child(child: &Node<'_, '_>, is_last: bool) -> Result<(), String> {
    let name = child.tag_name();
    match (name.namespace(), name.name()) {
        _ if !child.is_element() => Err("there is something between the stanzas".into()),
        (Some(CLIENT), "message" | "presence" | "iq") => Ok(()),
        (Some(CLIENT), other) => Err(format!("<{other}/> is no stanza")),
        (Some(STREAM), "features") => Ok(()),
        (Some(STREAM), "error") if is_last => Ok(()),
        (Some(STREAM), other) => Err(format!("<stream:{other}/> does not belong here")),
        (Some(_), _) => Ok(()),
        (None, other) => Err(format!("<{other}/> has no namespace")),
    }
}

fn text_of(element: Node<'_, '_>) -> String {
    element.children().filter_map(|child| child.text()).collect()
}
