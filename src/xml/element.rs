//! One element as a tree: a stanza, or a part of one.
//!
//! Names carry their namespace, so prefixes mean nothing here; [`super::writer`] declares what it needs.
//! What strings cost is [`super::text`]'s; here they are strings.
//! Left out on purpose: parents, paths, queries. A stanza is small, and its handler knows where to look.

use std::borrow::Cow;
use std::sync::Arc;

use super::text::Text;

/// An attribute of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name without its prefix.
    pub name: Text,
    /// The prefix it came with and the namespace that this stood for; most attributes have none.
    pub qualifier: Option<Arc<Qualifier>>,
    /// The value, with references resolved.
    pub value: Text,
}

/// What stood before the colon of an attribute's name, and what it meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualifier {
    /// The prefix, to be declared again where the attribute is written.
    pub prefix: Text,
    /// The namespace URI.
    pub ns: Text,
}

/// What an element contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data, with references resolved.
    Text(Text),
}

/// An element: a name in a namespace, attributes, and content in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: Text,
    ns: Text,
    attributes: Vec<Attribute>,
    nodes: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<Text>, ns: impl Into<Text>) -> Self {
        Self::from_parts(name.into(), ns.into(), Vec::new())
    }

    pub(crate) fn from_parts(name: Text, ns: Text, attributes: Vec<Attribute>) -> Self {
        Self { name, ns, attributes, nodes: Vec::new() }
    }

    /// The same element with this content instead of its own.
    pub(super) fn with_nodes(self, nodes: Vec<Node>) -> Self {
        Self { nodes, ..self }
    }

    /// The namespace URI, to be shared.
    pub(super) fn shared_ns(&self) -> &Text {
        &self.ns
    }

    /// The name without a prefix, to be written.
    pub(super) fn name_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// The same element with an attribute set.
    #[must_use]
    pub fn with_attr(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.set_attr(name, value);
        self
    }

    /// The same element with a child element behind its content.
    #[must_use]
    pub fn with(mut self, child: Element) -> Self {
        self.push(Node::Element(child));
        self
    }

    /// The same element with character data behind its content.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Text>) -> Self {
        self.push(Node::Text(text.into()));
        self
    }

    /// The name without a prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace URI; empty for none.
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// Whether this is the element `name` of the namespace `ns`.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of an attribute that has no namespace.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.qualifier.is_none() && a.name == name).map(|a| a.value.as_str())
    }

    /// Sets an attribute that has no namespace.
    pub fn set_attr(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let (name, value) = (name.into(), value.into());
        match self.attributes.iter_mut().find(|a| a.qualifier.is_none() && a.name == name) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { name, qualifier: None, value }),
        }
    }

    /// Removes an attribute that has no namespace.
    pub fn remove_attr(&mut self, name: &str) {
        self.attributes.retain(|a| a.qualifier.is_some() || a.name != name);
    }

    /// All attributes in order.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// All content in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The first child element of this name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<&Element> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The character data directly in this element, joined.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.nodes.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text),
            Node::Element(_) => None,
        });
        match (texts.next(), texts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(first), Some(second)) => {
                let mut joined = format!("{first}{second}");
                texts.for_each(|text| joined.push_str(text));
                Cow::Owned(joined)
            }
        }
    }

    /// The text of the first child of this name and namespace.
    pub fn child_text(&self, name: &str, ns: &str) -> Option<Cow<'_, str>> {
        self.child(name, ns).map(Element::text)
    }

    /// Removes the child elements that `unwanted` names.
    pub(crate) fn remove_children(&mut self, unwanted: impl Fn(&Element) -> bool) {
        self.nodes.retain(|node| !matches!(node, Node::Element(child) if unwanted(child)));
    }

    /// Appends content.
    pub fn push(&mut self, node: Node) {
        self.nodes.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_joined_across_children() {
        let element = Element::new("a", "").with_text("1").with(Element::new("b", "")).with_text("2");
        assert_eq!(element.text(), "12");
        assert_eq!(Element::new("a", "").text(), "");
    }

    #[test]
    fn setting_an_attribute_replaces_it() {
        let mut element = Element::new("a", "").with_attr("x", "1").with_attr("x", "2");
        assert_eq!((element.attr("x"), element.attributes().len()), (Some("2"), 1));
        element.remove_attr("x");
        assert_eq!(element.attr("x"), None);
    }
}
