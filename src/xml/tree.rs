//! The tree of the stanza that is being read, and what it costs so far.
//!
//! Read first: [`super::reader`], which hands over what the parser reports. A namespace is held once for a stanza, and
//! a list of children has no spare room once its element has ended. What the tree takes is counted as it grows, and so
//! is what the writer will have to add to it: a short text must make neither much memory nor a long text. Left out on
//! purpose: which limit applies; [`super::limits`] has them.

use std::mem::size_of;
use std::sync::Arc;

use xml_rs::attribute::OwnedAttribute;
use xml_rs::name::OwnedName;
use xml_rs::namespace::Namespace;

use super::element::{Attribute, Element, Node, Qualifier};
use super::limits::{Limit, XmlLimits};
use super::name::is_name;
use super::reader::XmlError;
use super::text::Text;
use super::writer;
use crate::xml::ns;

/// Builds one stanza after the other.
#[derive(Default)]
pub(super) struct Tree {
    /// The element that is being read, behind the ones that it is in.
    open: Vec<Open>,
    /// The children so far of all that are open, in order.
    children: Vec<Node>,
    /// Namespaces of this stanza that have memory of their own, the latest last.
    namespaces: Vec<Text>,
    /// The same for prefixes of attributes.
    qualifiers: Vec<Arc<Qualifier>>,
    elements: usize,
    /// Bytes of strings and lists that the elements have so far.
    owned: usize,
    /// Bytes that the parser keeps of the open elements.
    in_parser: usize,
    /// Bytes of the namespace declarations in the written form.
    declarations: usize,
}

/// An element that has not ended.
struct Open {
    element: Element,
    /// Its first child among all children.
    first_child: usize,
    in_parser: usize,
}

/// A list of so many places is kept from one stanza to the next.
const KEPT: usize = 8;

/// More are not remembered. No more can be in scope of a stanza that is no attack.
const MOST_REMEMBERED: usize = 64;

impl Tree {
    /// Whether no element is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether it has lists that were used before.
    pub(super) fn has_room(&self) -> bool {
        self.open.capacity() > 0
    }

    /// Bytes of memory that the stanza takes so far: strings, lists with their spare room, what the parser keeps.
    pub(super) fn held(&self) -> usize {
        self.owned
            + self.in_parser
            + self.open.capacity().max(KEPT) * size_of::<Open>()
            + self.children.capacity().max(KEPT) * size_of::<Node>()
            + self.namespaces.capacity().max(KEPT) * size_of::<Text>()
            + self.qualifiers.capacity().max(KEPT) * size_of::<Arc<Qualifier>>()
    }

    #[cfg(test)]
    pub(super) fn declarations(&self) -> usize {
        self.declarations
    }

    /// Opens an element. `declared` is how many namespaces its tag declares, `received` how many bytes of the stanza
    /// came.
    pub(super) fn start(
        &mut self,
        name: OwnedName,
        attributes: Vec<OwnedAttribute>,
        declared: usize,
        limits: &XmlLimits,
        received: usize,
    ) -> Result<(), XmlError> {
        self.elements += 1;
        if self.elements > limits.elements {
            return Err(XmlError::Limit(Limit::Elements));
        }
        if self.open.len() >= limits.depth {
            return Err(XmlError::Limit(Limit::Depth));
        }
        let in_parser = cost_in_parser(&name, declared);
        self.in_parser += in_parser;
        let element = self.element(name, attributes)?;
        self.open.push(Open { element, first_child: self.children.len(), in_parser });
        self.check(limits, received)
    }

    /// Appends character data to the innermost element.
    pub(super) fn text(&mut self, text: String, limits: &XmlLimits, received: usize) -> Result<(), XmlError> {
        if self.open.is_empty() {
            return Err(XmlError::StrayText);
        }
        let text = Text::from(text);
        self.owned += text.heap();
        self.add_child(Node::Text(text));
        self.check(limits, received)
    }

    /// Ends the innermost element, if one is open. Gives the stanza if that was its last.
    pub(super) fn end(&mut self) -> Option<Element> {
        let Open { element, first_child, in_parser } = self.open.pop()?;
        self.in_parser -= in_parser;
        let nodes: Vec<Node> = self.children.drain(first_child.min(self.children.len())..).collect();
        self.owned += nodes.len() * size_of::<Node>();
        if self.children.len() < self.children.capacity() / 4 {
            self.children.shrink_to(KEPT.max(2 * self.children.len()));
        }
        let element = element.with_nodes(nodes);
        if self.open.is_empty() {
            self.clear();
            return Some(element);
        }
        self.add_child(Node::Element(element));
        None
    }

    /// An element by itself, with nothing in it.
    pub(super) fn element(
        &mut self,
        name: OwnedName,
        attributes: Vec<OwnedAttribute>,
    ) -> Result<Element, XmlError> {
        let ns = name.namespace.unwrap_or_default();
        if !is_name(&name.local_name) || is_reserved(&ns) {
            return Err(XmlError::NotWellFormed);
        }
        let ns = match self.open.last().map(|parent| parent.element.shared_ns()) {
            Some(parents) if *parents == *ns => parents.clone(),
            _ => {
                self.declarations += writer::declaration_len("", &ns);
                self.namespace(ns)
            }
        };
        let name = known(&name.local_name).unwrap_or_else(|| name.local_name.into());
        self.owned += name.heap();
        Ok(Element::from_parts(name, ns, self.attributes(attributes)?))
    }

    fn attributes(&mut self, attributes: Vec<OwnedAttribute>) -> Result<Vec<Attribute>, XmlError> {
        // A stanza gets a `from`.
        let room = attributes.len() + usize::from(self.open.is_empty());
        let mut list = Vec::with_capacity(room);
        self.owned += room * size_of::<Attribute>();
        for attribute in attributes {
            let attribute = self.attribute(attribute)?;
            if let Some(new) = attribute.qualifier.as_ref().filter(|own| !is_among(own, &list)) {
                self.declarations += writer::declaration_len(&new.prefix, &new.ns);
            }
            list.push(attribute);
        }
        Ok(list)
    }

    fn attribute(&mut self, attribute: OwnedAttribute) -> Result<Attribute, XmlError> {
        let OwnedName { local_name, namespace, prefix } = attribute.name;
        let qualifier = match (prefix, namespace) {
            (Some(prefix), Some(ns)) if is_name(&prefix) && ns != ns::XMLNS => {
                Some(self.qualifier(prefix, ns))
            }
            (Some(_), _) => return Err(XmlError::NotWellFormed),
            (None, _) => None,
        };
        if !is_name(&local_name) {
            return Err(XmlError::NotWellFormed);
        }
        let (name, value) = (Text::from(local_name), Text::from(attribute.value));
        self.owned += name.heap() + value.heap();
        Ok(Attribute { name, qualifier, value })
    }

    /// A namespace, held once for this stanza.
    fn namespace(&mut self, ns: String) -> Text {
        if let Some(known) = known(&ns) {
            return known;
        }
        if let Some(known) = self.namespaces.iter().rev().find(|known| **known == *ns) {
            return known.clone();
        }
        let ns = Text::from(ns);
        self.owned += ns.heap();
        if ns.heap() > 0 {
            remember(&mut self.namespaces, ns.clone());
        }
        ns
    }

    /// A prefix with its namespace, held once for this stanza.
    fn qualifier(&mut self, prefix: String, ns: String) -> Arc<Qualifier> {
        let is_it = |known: &&Arc<Qualifier>| known.prefix == *prefix && known.ns == *ns;
        if let Some(known) = self.qualifiers.iter().rev().find(is_it) {
            return Arc::clone(known);
        }
        let qualifier = Arc::new(Qualifier { prefix: prefix.into(), ns: self.namespace(ns) });
        self.owned += 2 * size_of::<usize>() + size_of::<Qualifier>() + qualifier.prefix.heap();
        remember(&mut self.qualifiers, Arc::clone(&qualifier));
        qualifier
    }

    /// Appends to the innermost element. The list grows by a quarter, so that not much of it is ever spare.
    fn add_child(&mut self, node: Node) {
        if self.children.len() == self.children.capacity() {
            self.children.reserve_exact(KEPT.max(self.children.len() / 4));
        }
        self.children.push(node);
    }

    fn check(&self, limits: &XmlLimits, received: usize) -> Result<(), XmlError> {
        if self.held() > limits.most_held(received) {
            return Err(XmlError::Limit(Limit::TreeBytes));
        }
        if self.declarations > limits.most_declared(received) {
            return Err(XmlError::Limit(Limit::WrittenBytes));
        }
        Ok(())
    }

    /// Begins the next stanza, with the lists at hand if they are short.
    pub(super) fn clear(&mut self) {
        self.open = kept(&mut self.open);
        self.children = kept(&mut self.children);
        self.namespaces = kept(&mut self.namespaces);
        self.qualifiers = kept(&mut self.qualifiers);
        (self.elements, self.owned, self.in_parser, self.declarations) = (0, 0, 0, 0);
    }
}

fn kept<T>(list: &mut Vec<T>) -> Vec<T> {
    list.clear();
    if list.capacity() <= KEPT {
        std::mem::take(list)
    } else {
        Vec::new()
    }
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() == MOST_REMEMBERED {
        list.remove(0);
    }
    list.push(item);
}

/// What nearly every stanza has, and whoever handles it asks for: a literal costs nothing to look at.
fn known(text: &str) -> Option<Text> {
    const KNOWN: [&str; 4] = [ns::CLIENT, "message", "presence", "iq"];
    KNOWN.into_iter().find(|known| *known == text).map(Text::from)
}

/// Whether one of `attributes` has this very prefix, so that it need not be declared again.
fn is_among(qualifier: &Arc<Qualifier>, attributes: &[Attribute]) -> bool {
    attributes.iter().filter_map(|other| other.qualifier.as_ref()).any(|other| Arc::ptr_eq(other, qualifier))
}

/// Bytes that the parser keeps of an element until it ends: its name, and a map of what it declares.
fn cost_in_parser(name: &OwnedName, declared: usize) -> usize {
    /// Both are in lists, of which half may be spare.
    const IN_LISTS: usize = 2 * (size_of::<OwnedName>() + size_of::<Namespace>());
    /// A node of the map with its eleven places, and as many as are filled at least in one that is not the only one.
    const MAP_NODE: usize = 11 * 2 * size_of::<String>() + 14 * size_of::<usize>();
    const FILLED: usize = 5;
    let strings = [Some(&name.local_name), name.namespace.as_ref(), name.prefix.as_ref()];
    let strings: usize = strings.into_iter().flatten().map(String::len).sum();
    IN_LISTS + strings + declared.div_ceil(FILLED) * MAP_NODE
}

/// The namespaces of `xml:` and `xmlns:` cannot be declared, so no element can be in them.
pub(super) fn is_reserved(ns: &str) -> bool {
    ns == ns::XML || ns == ns::XMLNS
}

#[cfg(test)]
mod tests {
    use super::super::{Item, Reader};
    use super::*;

    /// A stanza, cut off before its end tag, in a stream.
    fn reader_of(stanza: &str, limits: XmlLimits) -> (Reader, Option<XmlError>) {
        let mut reader = Reader::new(limits);
        reader.push(format!("<s xmlns='jabber:client'>{stanza}").as_bytes());
        loop {
            match reader.next_item() {
                Ok(None) => return (reader, None),
                Ok(Some(item)) => assert!(matches!(item, Item::Header(_)), "{item:?}"),
                Err(error) => return (reader, Some(error)),
            }
        }
    }

    fn stanza(text: &str) -> Element {
        Reader::read_one(text, "jabber:client", XmlLimits::NONE).unwrap()
    }

    #[test]
    fn a_namespace_is_held_once_for_a_stanza() {
        let long = "urn:example:a:namespace:that:is:long";
        let read = stanza(&format!(
            "<a xmlns:p='{long}' xmlns:q='{long}'><p:b p:c='' q:d=''/><b/><q:b p:c=''/></a>"
        ));
        let bs: Vec<&Element> = read.children().filter(|child| child.ns() == long).collect();
        let [first, second] = bs.as_slice() else { panic!("{read}") };
        let place = |text: &Text| text.as_str().as_ptr();
        assert_eq!(place(first.shared_ns()), place(second.shared_ns()));
        let qualifier =
            |of: &Element, i: usize| of.attributes().get(i).and_then(|a| a.qualifier.clone()).unwrap();
        assert!(Arc::ptr_eq(&qualifier(first, 0), &qualifier(second, 0)));
        assert_eq!(place(&qualifier(first, 1).ns), place(first.shared_ns()));
    }

    /// References and CDATA sections do not make a node each.
    #[test]
    fn neighbouring_texts_are_one_node() {
        let read = stanza("<a>&lt;&lt;<![CDATA[x]]>y<![CDATA[z]]>&#65;</a>");
        assert_eq!((read.nodes().len(), read.text().as_ref()), (1, "<<xyzA"));
    }

    #[test]
    fn memory_has_a_limit() {
        // The last is open, for a limit is held when an element begins.
        let cut = |n: usize| format!("<a>{}<a>", "<a/>".repeat(n));
        let (reader, error) = reader_of(&cut(9), XmlLimits::NONE);
        assert_eq!(error, None);
        let beside = "<s xmlns='jabber:client'>".len();
        let growth_bytes = reader.held() - beside - XmlLimits::GROWTH * cut(9).len();
        let at = XmlLimits { growth_bytes, ..XmlLimits::NONE };
        assert_eq!(reader_of(&cut(9), at).1, None);
        let over = XmlLimits { growth_bytes: growth_bytes - 1, ..at };
        assert_eq!(reader_of(&cut(9), over).1, Some(XmlError::Limit(Limit::TreeBytes)));
    }

    #[test]
    fn declarations_have_a_limit() {
        let text = format!("<a xmlns:p='{}'>{}", "A".repeat(100), "<p:b/>".repeat(200));
        // That a stanza is in the stream's namespace is counted, too, for it may be written where it has to say so.
        let declared = " xmlns='jabber:client'".len() + 200 * (" xmlns=''".len() + 100);
        let growth_bytes = declared - 2 * text.len();
        let roomy = XmlLimits { growth_bytes: 1 << 20, ..XmlLimits::NONE };
        let (mut tree, mut over) = (Tree::default(), Tree::default());
        (tree.declarations, over.declarations) = (declared, declared + 1);
        let at = XmlLimits { growth_bytes, ..XmlLimits::NONE };
        assert_eq!(tree.check(&at, text.len()), Ok(()));
        assert_eq!(over.check(&at, text.len()), Err(XmlError::Limit(Limit::WrittenBytes)));
        assert_eq!(reader_of(&text, roomy).0.tree_declarations(), declared);
    }

    #[test]
    fn everything_that_is_read_may_go_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Reader>();
        is_send::<Element>();
    }
}
