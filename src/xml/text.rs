//! The strings that elements are made of.
//!
//! What we write is a literal and is not copied; what came in is short most of the time and then stands in the value
//! itself, without memory of its own; the rest is shared by all clones. A namespace is thereby held once for all the
//! elements of a stanza that are in it.
//! Left out on purpose: changing a string in place. Who wants another one makes it and puts it there.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A string that cannot change: cheap to clone, and without an allocation where it is short or a literal.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Literal(&'static str),
    Short(Short),
    Shared(Arc<str>),
}

/// As many bytes as fit beside a length where a reference and its length would be.
const SHORT_BYTES: usize = 22;

/// The first `length` bytes are UTF-8.
#[derive(Clone, Copy)]
struct Short {
    length: u8,
    bytes: [u8; SHORT_BYTES],
}

impl Short {
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; SHORT_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { length: u8::try_from(text.len()).ok()?, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Text {
    /// The characters.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Literal(text) => text,
            Repr::Short(short) => std::str::from_utf8(short.as_bytes()).unwrap_or_default(),
            Repr::Shared(text) => text,
        }
    }

    /// The same as UTF-8, which is cheaper to compare and to write.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Literal(text) => text.as_bytes(),
            Repr::Short(short) => short.as_bytes(),
            Repr::Shared(text) => text.as_bytes(),
        }
    }

    /// Bytes of memory beside the value itself, which all its clones share.
    pub(super) fn heap(&self) -> usize {
        /// An `Arc` counts its owners in two words.
        const COUNTS: usize = 2 * std::mem::size_of::<usize>();
        match &self.0 {
            Repr::Literal(_) | Repr::Short(_) => 0,
            Repr::Shared(text) => COUNTS + text.len(),
        }
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Repr::Literal(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Short::new(&text).map_or_else(|| Repr::Shared(text.into()), Repr::Short))
    }
}

impl From<Cow<'static, str>> for Text {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from("")
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Shared(own), Repr::Shared(other)) if Arc::ptr_eq(own, other) => true,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_string_is_held_does_not_show() {
        for length in [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 1_000] {
            let text = "ä".repeat(length / 2) + &"x".repeat(length % 2);
            let literal = Text::from(&*Box::leak(text.clone().into_boxed_str()));
            let owned = Text::from(text.clone());
            assert_eq!((owned.as_str(), &owned), (text.as_str(), &literal));
            assert_eq!(owned.heap() == 0, length <= SHORT_BYTES, "{length}");
            assert_eq!((format!("{owned}"), format!("{owned:?}")), (text.clone(), format!("{text:?}")));
        }
        assert_ne!(Text::from("a"), Text::from(String::from("b")));
    }

    #[test]
    fn it_is_no_bigger_than_a_string() {
        assert!(std::mem::size_of::<Text>() <= 24);
        assert_eq!(std::mem::size_of::<Option<Text>>(), std::mem::size_of::<Text>());
    }
}
