//! Elements that are kept for an account: as text, which takes a fraction of the room that a tree takes.
//!
//! Left out on purpose: what they mean. They come back as they were sent.

use std::fmt;

use crate::xml::{Element, Reader, XmlLimits};

/// An element as we have written it.
#[derive(PartialEq, Eq)]
pub(crate) struct StoredXml(Box<str>);

impl StoredXml {
    /// What is to be kept of an element: nothing of one that says no more than its name.
    pub(crate) fn of(element: &Element) -> Option<Self> {
        let is_empty = element.attributes().is_empty() && element.nodes().is_empty();
        (!is_empty).then(|| Self(element.to_string().into()))
    }

    /// Whether it is the element `name` of the namespace `ns`.
    pub(crate) fn is(&self, name: &str, ns: &str) -> bool {
        // It was written alone, so it begins with its name and the declaration of its namespace.
        let alone = Element::new(name.to_owned(), ns.to_owned()).to_string();
        let rest = alone.strip_suffix("/>").and_then(|head| self.0.strip_prefix(head));
        rest.is_some_and(|rest| rest.starts_with([' ', '>', '/']) && !rest.starts_with(" xmlns="))
    }

    /// How much room it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The element again.
    pub(crate) fn to_element(&self) -> Option<Element> {
        let element = Reader::read_one(&self.0, "", XmlLimits::NONE);
        debug_assert!(element.is_ok(), "what we have written can be read: {element:?}");
        element.ok()
    }
}

/// Kept out of logs.
impl fmt::Debug for StoredXml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_comes_back_as_it_was() {
        let text =
            "<a xmlns='A' xmlns:p='P' p:x='1 &apos;&#10;'><b xmlns=''> <c xmlns='A'/>&lt;&#13;</b>尾</a>";
        let element = Reader::read_one(text, "", XmlLimits::NONE).unwrap();
        let kept = StoredXml::of(&element).unwrap();
        assert_eq!(kept.to_element(), Some(element));
        assert_eq!(format!("{kept:?}"), format!("({} bytes)", text.len()));
    }

    #[test]
    fn an_element_is_known_by_name_and_namespace() {
        let kept = |element: Element| StoredXml::of(&element.with_text("x")).unwrap();
        let tests =
            [("a", "A", true), ("a", "B", false), ("ab", "A", false), ("a", "", false), ("", "A", false)];
        for (name, ns, same) in tests {
            assert_eq!(kept(Element::new("a", "A")).is(name, ns), same, "{name} {ns}");
            assert_eq!(kept(Element::new("a", "A").with_attr("b", "c")).is(name, ns), same, "{name} {ns}");
        }
        assert!(kept(Element::new("a", "it's")).is("a", "it's"));
        assert!(!kept(Element::new("ab", "A")).is("a", "A"));
    }

    #[test]
    fn of_an_empty_element_nothing_is_kept() {
        assert_eq!(StoredXml::of(&Element::new("a", "A")), None);
        assert!(StoredXml::of(&Element::new("a", "A").with_text(" ")).is_some());
    }
}
