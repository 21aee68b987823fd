//! A stream gives the same items however it is cut, and each stanza, once written, is read as the same tree.
//!
//! The first byte of an input says how the rest is cut, the second after how many stanzas the stream begins again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loquat::xml::{Attribute, Element, Item, Node, Reader, XmlError, XmlLimits};

/// Small ones, so that inputs reach them.
fn limits() -> XmlLimits {
    let mut limits = XmlLimits::default();
    (limits.stanza_bytes, limits.elements) = (2_000, 60);
    (limits.depth, limits.attributes, limits.namespaces) = (12, 12, 12);
    limits
}

fuzz_target!(|data: &[u8]| {
    let [cut, restart, bytes @ ..] = data else { return };
    let whole = read([bytes].into_iter(), *restart);
    assert_eq!(read(bytes.chunks(1), *restart), whole, "byte by byte");
    assert_eq!(read(bytes.chunks(usize::from(*cut) + 2), *restart), whole, "in pieces");
    let (head, tail) = bytes.split_at(bytes.len().min(usize::from(*cut)));
    assert_eq!(read([head, tail].into_iter(), *restart), whole, "in two");
});

/// What came out, as text, and why it ended.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, restart: u8) -> (Vec<String>, Option<XmlError>) {
    let (mut reader, mut items, mut stanzas) = (Reader::new(limits()), Vec::new(), 0);
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next_item() {
                Ok(Some(Item::Header(header))) => {
                    items.push(format!("{} {}", header.element, header.content_ns))
                }
                Ok(Some(Item::Close)) => items.push("close".into()),
                Ok(Some(Item::Stanza(stanza))) => {
                    items.push(check(&stanza));
                    stanzas += 1;
                    if stanzas == restart {
                        reader.restart();
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.next_item().err(), Some(error), "an error is final");
                    return (items, Some(error));
                }
            }
        }
    }
    (items, None)
}

/// Holds that a stanza survives being written, and that another parser takes it.
fn check(stanza: &Element) -> String {
    let text = stanza.to_string();
    if let Err(error) = roxmltree::Document::parse(&text) {
        panic!("{error}: {text}");
    }
    let again = match Reader::read_one(&text, "", XmlLimits::NONE) {
        Ok(again) => again,
        Err(error) => panic!("{error}: {text}"),
    };
    assert!(same(stanza, &again), "{text} became {again}");
    text
}

fn same(a: &Element, b: &Element) -> bool {
    let (ours, theirs) = (content(a), content(b));
    a.is(b.name(), b.ns())
        && a.attributes().len() == b.attributes().len()
        && a.attributes().iter().zip(b.attributes()).all(|(a, b)| same_attribute(a, b))
        && ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|pair| match pair {
            (Node::Element(a), Node::Element(b)) => same(a, b),
            (Node::Text(a), Node::Text(b)) => a == b,
            _ => false,
        })
}

/// Prefixes mean nothing.
fn same_attribute(a: &Attribute, b: &Attribute) -> bool {
    let ns = |attribute: &Attribute| attribute.qualifier.as_ref().map(|qualifier| qualifier.ns.clone());
    a.name == b.name && a.value == b.value && ns(a) == ns(b)
}

/// Neighbouring texts are one once they are written, and empty ones are none.
fn content(element: &Element) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for node in element.nodes() {
        match (nodes.last_mut(), node) {
            (Some(Node::Text(last)), Node::Text(text)) => *last = format!("{last}{text}").into(),
            (_, Node::Text(text)) if text.is_empty() => (),
            _ => nodes.push(node.clone()),
        }
    }
    nodes
}
