//! Elements to bytes, straight into an outbox.
//!
//! Read first: `Namespaces in XML 1.0`. Each element declares its namespace as the default where it differs from
//! its parent's, and each qualified attribute declares its prefix on its own element: no scope is tracked, and
//! any part of a tree can be written anywhere. What comes in through [`super::reader`] is always written well.
//! The parser's own writer is not used: it drops `xmlns=''` and needed redeclarations.

use std::fmt;

use super::element::{Attribute, Element, Node};
use crate::xml::ns;

/// Appends `element` where the namespace `scope` is the default.
pub fn write(element: &Element, scope: &str, out: &mut Vec<u8>) {
    whole(element, None, scope.as_bytes(), out);
}

/// How many bytes [`write()`] appends.
pub fn written_len(element: &Element, scope: &str) -> usize {
    let mut length = Length(0);
    whole(element, None, scope.as_bytes(), &mut length);
    length.0
}

/// Appends `element` with one more child behind its content.
pub(crate) fn write_with(element: &Element, child: &Element, scope: &str, out: &mut Vec<u8>) {
    whole(element, Some(child), scope.as_bytes(), out);
}

/// Appends `element` as a child of the stream root, whose prefix `stream` and default namespace are declared there
/// (RFC 6120 4.8.5: `<stream:features/>` and `<stream:error/>` are written with the prefix).
pub(crate) fn write_in_stream(element: &Element, scope: &str, out: &mut Vec<u8>) {
    if element.ns() != ns::STREAM {
        return write(element, scope, out);
    }
    put_all(out, &[b"<stream:", element.name().as_bytes()]);
    attributes(element, out);
    out.push(b'>');
    for node in element.nodes() {
        write_node(node, scope.as_bytes(), out);
    }
    put_all(out, &[b"</stream:", element.name().as_bytes(), b">"]);
}

/// The element as XML that stands by itself.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        write(self, "", &mut bytes);
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}

/// Appends ` name='value'`.
pub(crate) fn attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    qualified(b"", name.as_bytes(), value.as_bytes(), out);
}

/// Bytes of the declaration of a namespace, with a prefix or as the default.
pub(super) fn declaration_len(prefix: &str, ns: &str) -> usize {
    let mut length = Length(0);
    match prefix {
        "" => qualified(b"", XMLNS, ns.as_bytes(), &mut length),
        _ => qualified(XMLNS, prefix.as_bytes(), ns.as_bytes(), &mut length),
    }
    length.0
}

/// Where written bytes go.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
struct Length(usize);

impl Sink for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

fn put_all(out: &mut impl Sink, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.put(part));
}

/// Writes an element where `scope` is the default namespace, with one more child behind its content if there is one.
fn whole(element: &Element, last: Option<&Element>, scope: &[u8], out: &mut impl Sink) {
    out.put(b"<");
    out.put(element.name_bytes());
    tag(element, scope, out);
    if element.nodes().is_empty() && last.is_none() {
        return out.put(b"/>");
    }
    out.put(b">");
    let inside = element.shared_ns().as_bytes();
    for node in element.nodes() {
        write_node(node, inside, out);
    }
    if let Some(last) = last {
        whole(last, None, inside, out);
    }
    close(element, out);
}

/// Writes a start tag behind the name, without the `>`.
fn tag(element: &Element, scope: &[u8], out: &mut impl Sink) {
    let ns = element.shared_ns().as_bytes();
    if ns != scope {
        qualified(b"", XMLNS, ns, out);
    }
    attributes(element, out);
}

fn close(element: &Element, out: &mut impl Sink) {
    out.put(b"</");
    out.put(element.name_bytes());
    out.put(b">");
}

fn write_node(node: &Node, scope: &[u8], out: &mut impl Sink) {
    match node {
        Node::Element(child) => whole(child, None, scope, out),
        Node::Text(text) => escape(text.as_bytes(), IN_TEXT, out),
    }
}

fn attributes(element: &Element, out: &mut impl Sink) {
    let all = element.attributes();
    for (i, attr) in all.iter().enumerate() {
        let (name, value) = (attr.name.as_bytes(), attr.value.as_bytes());
        let Some(qualifier) = &attr.qualifier else {
            qualified(b"", name, value, out);
            continue;
        };
        let prefix = if qualifier.ns == *ns::XML { XML } else { qualifier.prefix.as_bytes() };
        if prefix != XML && !all.iter().take(i).any(|earlier| has_prefix(earlier, prefix)) {
            qualified(XMLNS, prefix, qualifier.ns.as_bytes(), out);
        }
        qualified(prefix, name, value, out);
    }
}

const XMLNS: &[u8] = b"xmlns";
const XML: &[u8] = b"xml";

/// Writes ` prefix:name='value'`; no prefix is an empty one.
fn qualified(prefix: &[u8], name: &[u8], value: &[u8], out: &mut impl Sink) {
    out.put(b" ");
    if !prefix.is_empty() {
        out.put(prefix);
        out.put(b":");
    }
    out.put(name);
    out.put(b"='");
    escape(value, IN_ATTRIBUTE, out);
    out.put(b"'");
}

fn has_prefix(attr: &Attribute, prefix: &[u8]) -> bool {
    attr.qualifier.as_ref().is_some_and(|q| q.prefix.as_bytes() == prefix)
}

/// A stanza, written once for many: only its `to` is still open.
#[derive(Debug)]
pub(crate) struct Broadcast {
    bytes: Box<[u8]>,
    /// Behind the name of the element.
    split: usize,
}

impl Broadcast {
    /// Writes `element`, which must have no `to`, for a stream whose default namespace is `scope`.
    pub(crate) fn new(element: &Element, scope: &str) -> Self {
        Self::of_len(element, scope, written_len(element, scope))
    }

    /// The same, if that takes no more bytes than `limit`.
    pub(crate) fn within(element: &Element, scope: &str, limit: usize) -> Option<Self> {
        let length = written_len(element, scope);
        (length <= limit).then(|| Self::of_len(element, scope, length))
    }

    fn of_len(element: &Element, scope: &str, length: usize) -> Self {
        debug_assert!(element.attr("to").is_none());
        let mut bytes = Vec::with_capacity(length);
        write(element, scope, &mut bytes);
        Self { bytes: bytes.into_boxed_slice(), split: 1 + element.name().len() }
    }

    /// Writes `content` inside the last of `frames`, each of which stands inside the one before it.
    pub(crate) fn framed(frames: &[Element], content: &Element, scope: &str) -> Self {
        let (mut bytes, mut scope) = (Vec::new(), scope);
        for frame in frames {
            put_all(&mut bytes, &[b"<", frame.name().as_bytes()]);
            tag(frame, scope.as_bytes(), &mut bytes);
            bytes.push(b'>');
            scope = frame.ns();
        }
        write(content, scope, &mut bytes);
        frames.iter().rev().for_each(|frame| close(frame, &mut bytes));
        let first = frames.first().unwrap_or(content);
        Self { bytes: bytes.into_boxed_slice(), split: 1 + first.name().len() }
    }

    /// Appends the stanza as one to `to`.
    pub(crate) fn write_to(&self, to: &str, out: &mut Vec<u8>) {
        const TO: usize = " to=''".len();
        let (name, rest) = self.bytes.split_at(self.split.min(self.bytes.len()));
        out.reserve(self.bytes.len() + TO + to.len());
        out.extend_from_slice(name);
        attribute("to", to, out);
        out.extend_from_slice(rest);
    }
}

const IN_TEXT: bool = false;
const IN_ATTRIBUTE: bool = true;

/// Writes `text` with what XML needs escaped; characters that XML cannot hold become U+FFFD.
fn escape(text: &[u8], in_attribute: bool, out: &mut impl Sink) {
    let mut rest = text;
    while let Some(plain) = rest.iter().position(|&byte| needs_a_look(byte)) {
        let (before, special) = rest.split_at(plain);
        let (escaped, length): (&[u8], usize) = match *special {
            [b'<', ..] => (b"&lt;", 1),
            [b'>', ..] => (b"&gt;", 1),
            [b'&', ..] => (b"&amp;", 1),
            [b'\r', ..] => (b"&#13;", 1),
            [b'\'', ..] if in_attribute => (b"&apos;", 1),
            [b'\n', ..] if in_attribute => (b"&#10;", 1),
            [b'\t', ..] if in_attribute => (b"&#9;", 1),
            [b'\'' | b'\n' | b'\t', ..] => (special.get(..1).unwrap_or_default(), 1),
            [0xEF, 0xBF, 0xBE | 0xBF, ..] => (REPLACEMENT, 3),
            [0xEF, ..] => (special.get(..1).unwrap_or_default(), 1),
            _ => (REPLACEMENT, 1),
        };
        out.put(before);
        out.put(escaped);
        rest = special.get(length..).unwrap_or_default();
    }
    out.put(rest);
}

/// Whether a byte may not be written as it is: what marks up, what is white space, what XML cannot hold, and the first
/// byte of U+FFFE and U+FFFF and of many characters that are fine.
fn needs_a_look(byte: u8) -> bool {
    #[allow(clippy::indexing_slicing)] // the compiler does it
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = byte < 0x20 || matches!(byte, 0x26 | 0x27 | 0x3C | 0x3E | 0xEF);
            byte += 1;
        }
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or_default()
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Whether text with this character can be written and read again (XML 1.0 section 2.2).
pub(crate) fn can_hold(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::element::Qualifier;
    use super::super::{Reader, XmlLimits};
    use super::*;

    fn written(element: &Element, scope: &str) -> String {
        let mut out = Vec::new();
        write_in_stream(element, scope, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn namespaces_are_declared_where_they_change() {
        let tree = Element::new("a", "A").with(Element::new("b", "B").with(Element::new("c", "A")));
        assert_eq!(written(&tree, "A"), "<a><b xmlns='B'><c xmlns='A'/></b></a>");
        assert_eq!(written(&Element::new("x", ""), "A"), "<x xmlns=''/>");
    }

    /// Many parsers, not this crate's, refuse a second declaration.
    #[test]
    fn a_prefix_is_declared_once_for_all_attributes_of_a_tag() {
        let attr = |name: &'static str, prefix: &str, ns: &str| {
            let (prefix, ns) = (prefix.to_owned().into(), ns.to_owned().into());
            let qualifier = Some(Arc::new(Qualifier { prefix, ns }));
            Attribute { name: name.into(), qualifier, value: "1".into() }
        };
        let attributes = vec![attr("b", "p", "P"), attr("c", "p", "P"), attr("lang", "xml", ns::XML)];
        let element = Element::from_parts("a".into(), "".into(), attributes);
        assert_eq!(written(&element, ""), "<a xmlns:p='P' p:b='1' p:c='1' xml:lang='1'/>");
    }

    #[test]
    fn stream_children_use_the_roots_prefix() {
        let features = Element::new("features", ns::STREAM).with(Element::new("m", "jabber:client"));
        assert_eq!(written(&features, "jabber:client"), "<stream:features><m/></stream:features>");
    }

    #[test]
    fn a_child_can_be_added_in_writing() {
        let mut out = Vec::new();
        write_with(&Element::new("a", "A").with_text("1"), &Element::new("b", "B"), "A", &mut out);
        write_with(&Element::new("a", "A"), &Element::new("b", "A"), "", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "<a>1<b xmlns='B'/></a><a xmlns='A'><b/></a>");
    }

    /// A tree that a seed makes: names in a few namespaces, and whatever needs escapes.
    fn any_tree(random: &mut u64, depth: usize) -> Element {
        let mut pick = |of: &[&'static str]| -> &'static str {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            of.get(usize::try_from(*random >> 33).unwrap_or_default() % of.len()).copied().unwrap()
        };
        let namespaces = ["", "A", "a'&<\"", "urn:a:namespace:that:is:rather:long"];
        let texts = [
            "",
            "x",
            "<'\"&\n\t\r>",
            "用户\u{FFFE}",
            "\u{1}\u{FFFF}😀",
            "plain text that is longer than short",
        ];
        let mut attributes = Vec::new();
        for name in ["a", "b", "c"] {
            let (prefix, value) = (pick(&["", "p", "q", "xml"]), pick(&texts).into());
            let ns = if prefix == "xml" { ns::XML } else { pick(&["P", "urn:p'"]) };
            // One prefix means one thing in a tag.
            let ns = if prefix == "q" { "Q" } else { ns };
            let known: Vec<Attribute> = attributes.clone();
            let same =
                known.iter().filter_map(|a: &Attribute| a.qualifier.clone()).find(|q| q.prefix == *prefix);
            let new = || Arc::new(Qualifier { prefix: prefix.into(), ns: ns.into() });
            let qualifier = (!prefix.is_empty()).then(|| same.unwrap_or_else(new));
            attributes.push(Attribute { name: name.into(), qualifier, value });
        }
        let (name, ns) = (pick(&["message", "b", "消息"]), pick(&namespaces));
        let children = if depth == 0 { 0 } else { pick(&["", ".", "..", "..."]).len() };
        let text = pick(&texts);
        let element = Element::from_parts(name.into(), ns.into(), attributes);
        let element = if text.is_empty() { element } else { element.with_text(text) };
        (0..children).fold(element, |element, _| element.with(any_tree(random, depth - 1)).with_text("&"))
    }

    #[test]
    fn the_length_is_known_before_a_byte_is_written() {
        for seed in 0..500 {
            let tree = any_tree(&mut { seed }, 4);
            for scope in ["", "A", "urn:a:namespace:that:is:rather:long"] {
                let mut out = Vec::new();
                write(&tree, scope, &mut out);
                assert_eq!(written_len(&tree, scope), out.len(), "{tree}");
            }
            let text = tree.to_string();
            let again = Reader::read_one(&text, "", XmlLimits::NONE).unwrap();
            assert_eq!(again.to_string(), text);
            let (length, mut out) = (written_len(&tree, "A"), Vec::new());
            assert!(Broadcast::within(&tree, "A", length - 1).is_none());
            Broadcast::within(&tree, "A", length).unwrap().write_to("x", &mut out);
            assert_eq!(out.len(), length + " to='x'".len());
        }
    }

    #[test]
    fn one_writing_serves_many() {
        let presence =
            Broadcast::new(&Element::new("presence", "c").with_attr("from", "a").with_text("x"), "c");
        let mut out = Vec::new();
        presence.write_to("b", &mut out);
        presence.write_to("'", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<presence to='b' from='a'>x</presence><presence to='&apos;' from='a'>x</presence>"
        );
    }

    #[test]
    fn a_tree_can_be_framed_in_writing() {
        let frames = [Element::new("a", "A").with_attr("x", "1"), Element::new("b", "B")];
        let mut out = Vec::new();
        Broadcast::framed(&frames, &Element::new("a", "A").with_text("2"), "A").write_to("c", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<a to='c' x='1'><b xmlns='B'><a xmlns='A'>2</a></b></a>"
        );
    }

    #[test]
    fn everything_special_is_escaped() {
        let element = Element::new("a", "").with_attr("b", "<'\"&\n\t\r>").with_text("<'\"&\n\t\r>\u{0}");
        assert_eq!(
            written(&element, ""),
            "<a b='&lt;&apos;\"&amp;&#10;&#9;&#13;&gt;'>&lt;'\"&amp;\n\t&#13;&gt;\u{FFFD}</a>"
        );
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        for c in ('\0'..='\u{FF}').chain('\u{F000}'..='\u{10010}') {
            let text = written(&Element::new("a", "").with_text(c.to_string()), "");
            let read = Reader::read_one(&text, "", XmlLimits::default()).unwrap();
            assert_eq!(read.text().starts_with(c), can_hold(c), "{c:?}");
        }
        assert_eq!(
            written(&Element::new("a", "").with_text("用\u{FFFE}\u{FFFD}户"), ""),
            "<a>用\u{FFFD}\u{FFFD}户</a>"
        );
    }
}
