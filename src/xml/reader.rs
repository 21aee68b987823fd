//! A stream's bytes to its items: the header, each stanza as a tree, the close.
//!
//! Read first: RFC 6120 4.2 (a stream is one document, its root is the header) and [`super::feed`], which guards
//! what this reads. One xml-rs parser reads each stream; its events go to [`super::tree`], and the limits of namespaces
//! in scope are held here.
//! Left out on purpose: what an item means. Everything that is well-formed XMPP framing comes out.

use std::fmt;
use std::io::ErrorKind as IoErrorKind;

use xml_rs::attribute::OwnedAttribute;
use xml_rs::common::XmlVersion;
use xml_rs::name::OwnedName;
use xml_rs::namespace::Namespace;
use xml_rs::reader::{ErrorKind, EventReader, ParserConfig, XmlEvent};
use xml_rs::Encoding;

use super::element::Element;
use super::feed::{Fault, Feed};
use super::limits::{Limit, XmlLimits};
use super::tree::{is_reserved, Tree};
use crate::xml::ns;

/// What a stream is made of.
#[derive(Debug)]
pub enum Item {
    /// The root's start tag.
    Header(Header),
    /// A child of the root, complete.
    Stanza(Element),
    /// The root's end tag.
    Close,
}

/// The start tag of a stream's root.
#[derive(Debug)]
#[non_exhaustive]
pub struct Header {
    /// Name, namespace and attributes, without content.
    pub element: Element,
    /// The default namespace inside (RFC 6120 4.8.2, the content namespace).
    pub content_ns: String,
}

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// Not well-formed, or names that not every parser takes.
    NotWellFormed,
    /// XML that RFC 6120 11.1 forbids: comments, processing instructions, DTDs, other entities.
    Restricted,
    /// Not UTF-8.
    Encoding,
    /// Character data between stanzas.
    StrayText,
    /// More than allowed.
    Limit(Limit),
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWellFormed => "not well-formed XML",
            Self::Restricted => "XML that XMPP forbids (comment, processing instruction, DTD or entity)",
            Self::Encoding => "not UTF-8",
            Self::StrayText => "text between stanzas",
            Self::Limit(Limit::StanzaBytes) => "a stanza with too many bytes",
            Self::Limit(Limit::Depth) => "elements nested too deeply",
            Self::Limit(Limit::Elements) => "too many elements in one stanza",
            Self::Limit(Limit::Attributes) => "too many attributes in one tag",
            Self::Limit(Limit::AttributeBytes) => "an attribute with too many bytes",
            Self::Limit(Limit::Namespaces) => "too many namespace declarations in scope",
            Self::Limit(Limit::NamespaceBytes) => "namespace names that are too long",
            Self::Limit(Limit::TreeBytes) => "a stanza that takes too much memory for its length",
            Self::Limit(Limit::WrittenBytes) => "a stanza that becomes too long when it is written again",
        })
    }
}

impl std::error::Error for XmlError {}

/// The parser counts `xml`, `xmlns` and a default of its own.
const BUILT_IN_NAMESPACES: usize = 3;
const BUILT_IN_BYTES: usize = "xml".len() + ns::XML.len() + "xmlns".len() + ns::XMLNS.len();

/// Memory that whoever reads works in: one is enough for many streams that are read one after the other.
#[derive(Default)]
pub(crate) struct Spare {
    bytes: Vec<u8>,
    tree: Tree,
}

impl Spare {
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Reads one stream.
pub struct Reader {
    /// Made when bytes come; `None` before that, and while the reader rests.
    parser: Option<Box<EventReader<Feed>>>,
    /// The root's start tag with just its namespaces, to begin another parser with.
    root: Box<str>,
    /// The next header is such a beginning.
    again: bool,
    limits: XmlLimits,
    /// How many elements stand around a stanza: the root of a stream.
    levels: usize,
    /// How many of them are open.
    inside: usize,
    tree: Tree,
    /// The parser's errors are not sticky when it may resume, so the first one is kept here.
    failed: Option<XmlError>,
}

impl Reader {
    /// A reader of a new stream.
    pub fn new(limits: XmlLimits) -> Self {
        Self::nested(1, limits)
    }

    /// A reader of a document whose stanzas stand in so many elements, one in the other; each of these gives a header
    /// and a close.
    pub(crate) fn nested(levels: usize, limits: XmlLimits) -> Self {
        Self {
            parser: None,
            root: Box::default(),
            again: false,
            limits,
            levels,
            inside: 0,
            tree: Tree::default(),
            failed: None,
        }
    }

    fn parser(&mut self) -> &mut EventReader<Feed> {
        let Self { parser, limits, .. } = self;
        parser.get_or_insert_with(|| Self::parse(Feed::new(limits)))
    }

    fn parse(feed: Feed) -> Box<EventReader<Feed>> {
        let config = ParserConfig::new()
            .ignore_end_of_stream(true)
            .cdata_to_characters(true)
            .whitespace_to_characters(true)
            .coalesce_characters(true)
            .ignore_comments(false)
            .trim_whitespace(false)
            .allow_multiple_root_elements(false)
            .override_encoding(Some(Encoding::Utf8))
            .ignore_invalid_encoding_declarations(true) // `start_document` has the say
            .max_entity_expansion_depth(1)
            .max_entity_expansion_length(1);
        Box::new(EventReader::new_with_config(feed, config))
    }

    /// Reads one element that stands by itself; where it declares no namespace it is in `default_ns`.
    pub fn read_one(text: &str, default_ns: &str, limits: XmlLimits) -> Result<Element, XmlError> {
        let mut reader = Self::new(limits);
        let mut header = Vec::new();
        super::writer::attribute("xmlns", default_ns, &mut header);
        reader.push(&[b"<root", header.as_slice(), b">", text.as_bytes()].concat());
        let mut only = None;
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Header(_) => (),
                Item::Stanza(element) if only.is_none() => only = Some(element),
                Item::Stanza(_) | Item::Close => return Err(XmlError::NotWellFormed),
            }
        }
        only.filter(|_| reader.tree.is_empty()).ok_or(XmlError::NotWellFormed)
    }

    /// Begins a new stream with what was not read yet (RFC 6120 4.3.3).
    pub fn restart(&mut self) {
        let limits = self.limits;
        let feed = self.parser().source_mut().restarted(&limits);
        *self = Self { parser: Some(Self::parse(feed)), ..Self::nested(self.levels, limits) };
    }

    /// Changes the limits, between two stanzas: those of one who has logged in are wider.
    pub fn set_limits(&mut self, limits: XmlLimits) {
        self.limits = limits;
        self.parser().source_mut().set_limits(&limits);
    }

    /// Takes what a socket gave.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_into(bytes, Spare::default());
    }

    /// The same, with memory to work in until [`Reader::take_spare`].
    pub(crate) fn push_into(&mut self, bytes: &[u8], spare: Spare) {
        if !self.tree.has_room() {
            self.tree = spare.tree;
        }
        if self.parser.is_some() || self.inside == 0 {
            return self.parser().source_mut().push(bytes, spare.bytes);
        }
        self.again = true;
        let bytes = [self.root.as_bytes(), bytes].concat();
        self.parser().source_mut().push(&bytes, spare.bytes);
    }

    /// Gives the memory of [`Reader::push_into`] back, once [`Reader::next_item`] wants more; but for what a stanza
    /// needs that is not complete.
    pub(crate) fn take_spare(&mut self) -> Spare {
        let tree = if self.tree.is_empty() { std::mem::take(&mut self.tree) } else { Tree::default() };
        let bytes = self.parser.as_mut().map(|parser| parser.source_mut().take_spare()).unwrap_or_default();
        Spare { bytes, tree }
    }

    /// Bytes of memory that the stanza takes that is being read, as far as it has come: the tree, what the parser keeps
    /// of it, and the root's namespaces. Not counted are the parser itself and the tag that is not complete (15 KB at
    /// most, and twice the bytes that came of it). At most [`XmlLimits::GROWTH`] for each byte of the stanza and
    /// [`XmlLimits::growth_bytes`] beyond the root's.
    pub fn held(&self) -> usize {
        self.root.len() + self.tree.held()
    }

    #[cfg(test)]
    pub(super) fn tree_declarations(&self) -> usize {
        self.tree.declarations()
    }

    /// How many bytes of what was pushed have not been read.
    pub(crate) fn unread(&self) -> usize {
        self.parser.as_ref().map_or(0, |parser| parser.source().unread())
    }

    /// Lets go of everything: nothing more will be read.
    pub(crate) fn stop(&mut self) {
        self.parser = None;
        self.tree = Tree::default();
    }

    /// Between two stanzas, lets go of the parser, which is most of what an idle stream costs. The next bytes make
    /// another, which reads the root's start tag again. `false` if this is no time for it.
    pub(crate) fn rest(&mut self) -> bool {
        let idle = |parser: &EventReader<Feed>| parser.source().is_idle();
        let may_rest = self.inside == self.levels
            && !self.root.is_empty()
            && self.tree.is_empty()
            && self.failed.is_none()
            && self.parser.as_deref().is_some_and(idle);
        if may_rest {
            self.parser = None;
        }
        may_rest
    }

    /// The next item; `None` when more bytes are needed.
    pub fn next_item(&mut self) -> Result<Option<Item>, XmlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.pull();
        self.failed = result.as_ref().err().copied();
        result
    }

    fn pull(&mut self) -> Result<Option<Item>, XmlError> {
        loop {
            let Some(parser) = &mut self.parser else { return Ok(None) };
            let event = match parser.next() {
                Ok(event) => event,
                Err(error) => return explain(parser.source().fault, &error).map(|()| None),
            };
            let item = match event {
                XmlEvent::StartDocument { version, encoding, .. } => start_document(version, &encoding)?,
                XmlEvent::StartElement { name, attributes, namespace } => {
                    self.start(name, attributes, namespace)?
                }
                XmlEvent::EndElement { .. } => self.end(),
                XmlEvent::Characters(text) | XmlEvent::CData(text) | XmlEvent::Whitespace(text) => {
                    self.text(text)?
                }
                XmlEvent::EndDocument => return Ok(None),
                XmlEvent::Comment(_) | XmlEvent::ProcessingInstruction { .. } | XmlEvent::Doctype { .. } => {
                    return Err(XmlError::Restricted)
                }
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn start(
        &mut self,
        name: OwnedName,
        attributes: Vec<OwnedAttribute>,
        namespace: Namespace,
    ) -> Result<Option<Item>, XmlError> {
        let feed = self.parser().source();
        let (declared, received) = (feed.attributes().saturating_sub(attributes.len()), feed.used());
        if declared > 0 {
            self.check_scope(&namespace)?;
        }
        if std::mem::take(&mut self.again) {
            self.parser().source_mut().root_opened();
            return Ok(None);
        }
        if self.inside < self.levels {
            self.root = root(&name, &namespace);
            let element = self.tree.element(name, attributes)?;
            self.tree.clear();
            self.inside += 1;
            self.parser().source_mut().root_opened();
            let content_ns = namespace.get("").unwrap_or_default().to_owned();
            return Ok(Some(Item::Header(Header { element, content_ns })));
        }
        self.tree.start(name, attributes, declared, &self.limits, received)?;
        Ok(None)
    }

    /// Holds the limits of all namespaces in scope.
    fn check_scope(&self, namespace: &Namespace) -> Result<(), XmlError> {
        let XmlLimits { namespaces, namespace_bytes, namespace_name_bytes, .. } = self.limits;
        if namespace.0.len() > namespaces.saturating_add(BUILT_IN_NAMESPACES) {
            return Err(XmlError::Limit(Limit::Namespaces));
        }
        let bytes: usize = namespace.0.iter().map(|(prefix, ns)| prefix.len() + ns.len()).sum();
        let longest = namespace.0.values().map(String::len).max().unwrap_or_default();
        if longest > namespace_name_bytes || bytes > namespace_bytes.saturating_add(BUILT_IN_BYTES) {
            return Err(XmlError::Limit(Limit::NamespaceBytes));
        }
        Ok(())
    }

    fn end(&mut self) -> Option<Item> {
        if self.tree.is_empty() {
            self.inside = self.inside.saturating_sub(1);
            self.parser().source_mut().stanza_ended();
            return Some(Item::Close);
        }
        let stanza = self.tree.end()?;
        self.parser().source_mut().stanza_ended();
        Some(Item::Stanza(stanza))
    }

    fn text(&mut self, text: String) -> Result<Option<Item>, XmlError> {
        let received = self.parser().source().used();
        self.tree.text(text, &self.limits, received).map(|()| None)
    }
}

/// Why the parser stopped; `Ok` if it only wants more.
fn explain(fault: Option<Fault>, error: &xml_rs::reader::Error) -> Result<(), XmlError> {
    match (fault, error.kind()) {
        (Some(Fault::Encoding), _) => Err(XmlError::Encoding),
        (Some(Fault::Restricted), _) => Err(XmlError::Restricted),
        (Some(Fault::Malformed), _) => Err(XmlError::NotWellFormed),
        (Some(Fault::StrayText), _) => Err(XmlError::StrayText),
        (Some(Fault::Limit(limit)), _) => Err(XmlError::Limit(limit)),
        (None, ErrorKind::Io(io)) if io.kind() == IoErrorKind::WouldBlock => Ok(()),
        (None, _) => Err(XmlError::NotWellFormed),
    }
}

fn start_document(version: XmlVersion, encoding: &str) -> Result<Option<Item>, XmlError> {
    match version {
        XmlVersion::Version10 if encoding.eq_ignore_ascii_case("utf-8") => Ok(None),
        XmlVersion::Version10 => Err(XmlError::Encoding),
        XmlVersion::Version11 => Err(XmlError::NotWellFormed),
    }
}

/// A root's start tag with the namespaces that are in scope in it.
fn root(name: &OwnedName, namespace: &Namespace) -> Box<str> {
    let mut tag = Vec::from(format!("<{}", name.borrow().to_repr()));
    for (prefix, ns) in namespace.0.iter().filter(|(_, ns)| !is_reserved(ns)) {
        let declaration = if prefix.is_empty() { "xmlns".into() } else { format!("xmlns:{prefix}") };
        super::writer::attribute(&declaration, ns, &mut tag);
    }
    tag.push(b'>');
    String::from_utf8(tag).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits {
        stanza_bytes: 400,
        depth: 4,
        elements: 6,
        attributes: 5,
        namespaces: 4,
        ..XmlLimits::NONE
    };
    const ROOT: &str = "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>";

    /// Everything that comes out of `parts`, as text, until the first error.
    fn read_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<XmlError>) {
        let (mut reader, mut items) = (Reader::new(LIMITS), Vec::new());
        for part in parts {
            reader.push(part);
            loop {
                match reader.next_item() {
                    Ok(Some(Item::Header(h))) => items.push(format!("{} {}", h.element, h.content_ns)),
                    Ok(Some(Item::Stanza(s))) => items.push(s.to_string()),
                    Ok(Some(Item::Close)) => items.push("close".into()),
                    Ok(None) => break,
                    Err(error) => return (items, Some(error)),
                }
            }
        }
        (items, None)
    }

    fn read(text: &str) -> (Vec<String>, Option<XmlError>) {
        read_parts([text.as_bytes()])
    }

    fn error_in_stanza(stanza: &str) -> Option<XmlError> {
        read(&format!("{ROOT}{stanza}")).1
    }

    #[test]
    fn every_split_gives_the_same_items() {
        let text = format!(
            "<?xml version='1.0'?>{ROOT} <message to='用户1@本地'>\n <body>你好😀 &amp; &#x1F600;</body>\
             <ü:x xmlns:ü='U' ü:消息='值'>𠀀<![CDATA[<&]]]]></ü:x></message>  <presence/></s:stream>"
        );
        let whole = read(&text);
        assert_eq!((whole.0.len(), whole.1), (4, None), "{whole:?}");
        for split in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(split);
            assert_eq!(read_parts([a, b]), whole, "split at byte {split}");
        }
        assert_eq!(read_parts(text.as_bytes().chunks(1)), whole, "byte by byte");
    }

    #[test]
    fn a_rest_changes_nothing() {
        let text = format!("{ROOT}<a/> <x xmlns='X'/><s:b/><c>用</c></s:stream>");
        let whole = read(&text);
        assert_eq!((whole.0.len(), whole.1), (6, None), "{whole:?}");
        let (mut reader, mut items, mut rests) = (Reader::new(LIMITS), Vec::new(), 0);
        for byte in text.as_bytes() {
            reader.push(&[*byte]);
            while let Some(item) = reader.next_item().unwrap() {
                items.push(match item {
                    Item::Header(h) => format!("{} {}", h.element, h.content_ns),
                    Item::Stanza(s) => s.to_string(),
                    Item::Close => "close".into(),
                });
            }
            rests += usize::from(reader.rest());
        }
        assert_eq!((items, rests), (whole.0, 6), "behind the header, each stanza, and the white space");
    }

    #[test]
    fn what_rfc_6120_11_1_forbids() {
        for text in [
            "<!-- a -->",
            "<?php ?>",
            "<!DOCTYPE a>",
            "<a>&nbsp;</a>",
            "<a b='&x;'/>",
            "<?xml version='1.0'?>",
        ] {
            assert_eq!(error_in_stanza(text), Some(XmlError::Restricted), "{text}");
        }
        for text in ["<!DOCTYPE a [<!ENTITY b 'c'>]>", "<!-- a -->", "<?xml version='1.0'?><?a?>"] {
            assert_eq!(read(text).1, Some(XmlError::Restricted), "{text}");
        }
    }

    #[test]
    fn what_is_not_well_formed() {
        let bad = [
            "<a b='<!-- '/>",
            "<a></b>",
            "<p:a/>",
            "<1/>",
            "<a:1x xmlns:a='A'/>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a>]]></a>",
            "<a>\u{1}</a>",
            "<a xmlns:p='A' xmlns:q='A' p:x='' q:x=''/>",
            "<a>& </a>",
            "<a>&#;</a>",
            "<a>&#0;</a>",
            "<x:a xmlns:x='http://www.w3.org/XML/1998/namespace'/>",
            "<a>&#xD800;</a>",
            "</a>",
            "<a>\u{0}</a>",
            "<a><b></a></b>",
            "<a b=''c=''/>",
            "<a xmlns:b=''/>",
            "<😀/>",
        ];
        for text in bad {
            assert_eq!(error_in_stanza(text), Some(XmlError::NotWellFormed), "{text}");
        }
        for text in ["GET / HTTP/1.1\r\n", "<?xml version='1.1'?><a>", "\u{FEFF}<a>"] {
            assert_eq!(read(text).1, Some(XmlError::NotWellFormed), "{text}");
        }
    }

    #[test]
    fn encodings() {
        assert_eq!(read("<?xml version='1.0' encoding='ISO-8859-1'?><a>").1, Some(XmlError::Encoding));
        assert_eq!(read("<?xml version='1.0' encoding='utf-8'?><a>").1, None);
        let (items, error) = read_parts([ROOT.as_bytes(), b"<a/><b>\xC0\x80</b>"]);
        assert_eq!((items.len(), error), (2, Some(XmlError::Encoding)), "what came before is still read");
        assert_eq!(read_parts([ROOT.as_bytes(), b"\xFF"]).1, Some(XmlError::Encoding));
    }

    #[test]
    fn text_between_stanzas() {
        assert_eq!(error_in_stanza(" \n\t<a/> \n<a/> x"), Some(XmlError::StrayText));
        assert_eq!(error_in_stanza("<![CDATA[x]]><a/>"), Some(XmlError::StrayText));
    }

    /// Holds that `at` passes and `over` does not.
    fn check_limit(at: &str, over: &str, limit: Limit) {
        assert_eq!(error_in_stanza(at), None, "{at}");
        assert_eq!(error_in_stanza(over), Some(XmlError::Limit(limit)), "{over}");
    }

    #[test]
    fn limits_hold_at_their_figure_and_not_over_it() {
        let long = |n: usize| format!("<a>{}</a>", "x".repeat(n - 7));
        check_limit(&long(400).repeat(3), &long(401), Limit::StanzaBytes);
        check_limit("<a><a><a><a/></a></a></a>", "<a><a><a><a><a/>", Limit::Depth);
        check_limit(
            &format!("<a>{}</a>", "<a/>".repeat(5)),
            &format!("<a>{}", "<a/>".repeat(6)),
            Limit::Elements,
        );
        check_limit("<a a='' b='' c='' d='' e=''/>", "<a a='' b='' c='' d='' e='' f=''/>", Limit::Attributes);
        let declare = |prefixes: &str| {
            let all: String = prefixes.chars().map(|p| format!(" xmlns:{p}='{p}'")).collect();
            format!("<a{all}/>")
        };
        check_limit(&declare("abc"), &declare("abcd"), Limit::Namespaces);
        let limits = XmlLimits {
            attribute_bytes: 50,
            namespace_name_bytes: 40,
            namespace_bytes: ROOT_NAMESPACE_BYTES + 45,
            ..XmlLimits::NONE
        };
        let check = |stanza: &dyn Fn(usize) -> String, most: usize, limit: Limit| {
            assert_eq!(error_within(limits, &stanza(most)), None, "{limit:?}");
            assert_eq!(error_within(limits, &stanza(most + 1)), Some(XmlError::Limit(limit)));
        };
        check(&|n| format!("<a b='{}' c='{}'/>", "x".repeat(n), "x".repeat(n)), 50, Limit::AttributeBytes);
        check(&|n| format!("<a b=\"{}\"/>", "&lt;".repeat(9) + &"'".repeat(n)), 14, Limit::AttributeBytes);
        check(&|n| format!("<a xmlns:p='{}'/>", "x".repeat(n)), 40, Limit::NamespaceBytes);
        check(&|n| format!("<a xmlns='{}'/>", "x".repeat(n)), 40, Limit::NamespaceBytes);
        let two = |n: usize| {
            format!("<a xmlns:p='{}'><a xmlns:q='12345678901'/><a xmlns:q='1'/></a>", "x".repeat(n))
        };
        check(&two, 32, Limit::NamespaceBytes);
    }

    const ROOT_NAMESPACE_BYTES: usize = "s".len() + ns::STREAM.len() + ns::CLIENT.len();

    fn error_within(limits: XmlLimits, stanza: &str) -> Option<XmlError> {
        let mut reader = Reader::new(limits);
        reader.push(format!("<s:stream xmlns:s='{}'>", ns::STREAM).as_bytes());
        reader.push(format!("<a xmlns='{}'>{stanza}", ns::CLIENT).as_bytes());
        loop {
            match reader.next_item() {
                Ok(Some(_)) => (),
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    }

    #[test]
    fn tokens_without_end_run_into_the_limit() {
        let x = "x".repeat(400);
        for start in ["<![CDATA[", "<a>", "<", "<a b='", "<a ", "<a></"] {
            assert_eq!(
                error_in_stanza(&format!("{start}{x}")),
                Some(XmlError::Limit(Limit::StanzaBytes)),
                "{start}"
            );
        }
        assert_eq!(error_in_stanza(&format!("<a>&{x}")), Some(XmlError::Restricted));
        assert_eq!(error_in_stanza(&format!("<a>&#{x}")), Some(XmlError::NotWellFormed));
    }

    #[test]
    fn white_space_between_stanzas_costs_nothing() {
        assert_eq!(error_in_stanza(&" ".repeat(10_000)), None);
    }

    #[test]
    fn one_element_by_itself() {
        let one = |text| {
            Reader::read_one(text, "jabber:client", LIMITS)
                .map(|e| (e.ns().to_owned(), e.text().into_owned()))
        };
        assert_eq!(one(" <a>b</a> "), Ok(("jabber:client".into(), "b".into())));
        for bad in ["", "<a>", "<a/><b/>", "<a/></root>", "<a/></root><b/>", "x", "<a/>x"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }
}
