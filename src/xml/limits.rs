//! How much of what a stream may have, and what is more.
//!
//! Read first: RFC 6120 4.9.3.14 (`policy-violation`) and 13.12 (resource limits). [`super::feed`] holds what can be
//! seen in single bytes, [`super::reader`] what needs namespaces, [`super::tree`] what needs the whole stanza. Left out
//! on purpose: what a server's settings are; `xmpp::config` has them.

/// A limit that a peer ran into (RFC 6120 4.9.3.14: `policy-violation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Too many bytes in one stanza.
    StanzaBytes,
    /// Elements nested too deeply.
    Depth,
    /// Too many elements in one stanza.
    Elements,
    /// Too many attributes and namespace declarations in one tag.
    Attributes,
    /// Too many bytes in one attribute.
    AttributeBytes,
    /// Too many namespace declarations in scope.
    Namespaces,
    /// A namespace name that is too long, or too much of them in scope.
    NamespaceBytes,
    /// A stanza that takes too much memory for its length.
    TreeBytes,
    /// A stanza that becomes too long for its length when it is written again.
    WrittenBytes,
}

/// How much of what one stanza may have.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct XmlLimits {
    /// Bytes of a stanza, or of the stream header.
    pub stanza_bytes: usize,
    /// Depth of an element, the stanza itself being 1.
    pub depth: usize,
    /// Elements of a stanza, itself included.
    pub elements: usize,
    /// Attributes and namespace declarations of one tag.
    pub attributes: usize,
    /// Bytes of one attribute's value, references counted as they came. The parser copies the value of a declaration
    /// for each name that has the prefix, before anything else can be seen of it.
    pub attribute_bytes: usize,
    /// Prefixes declared in scope, those of the stream header included.
    pub namespaces: usize,
    /// Bytes of one namespace name. The parser copies it for each name that is in it, and hashes it for each attribute.
    pub namespace_name_bytes: usize,
    /// Bytes of all prefixes and namespace names in scope, those of the stream header included. The parser copies them
    /// for each start tag.
    pub namespace_bytes: usize,
    /// How far a stanza may grow beyond [`XmlLimits::GROWTH`]: in memory as a tree, and when it is written again.
    pub growth_bytes: usize,
}

impl XmlLimits {
    /// None, for who reads what is known to be harmless: one's own words, or a server's that is being tested.
    pub const NONE: Self = Self {
        stanza_bytes: usize::MAX,
        depth: usize::MAX,
        elements: usize::MAX,
        attributes: usize::MAX,
        attribute_bytes: usize::MAX,
        namespaces: usize::MAX,
        namespace_name_bytes: usize::MAX,
        namespace_bytes: usize::MAX,
        growth_bytes: usize::MAX,
    };

    /// For each byte that comes, a stanza may take so many bytes of memory, and be so many bytes long when it is
    /// written again.
    ///
    /// An ordinary message takes 2 to 5 of memory, a list of items up to 8, `<a/>` a hundred and more. What is written
    /// is at most six times as long but for the declarations of namespaces: a `'` in an attribute's value becomes
    /// `&apos;`.
    pub const GROWTH: usize = 8;

    /// Bytes of memory that a stanza may take of which so many bytes came.
    pub(super) fn most_held(&self, received: usize) -> usize {
        received.saturating_mul(Self::GROWTH).saturating_add(self.growth_bytes)
    }

    /// Bytes of declarations of namespaces that writing a stanza may take of which so many bytes came: what escapes
    /// leave.
    pub(super) fn most_declared(&self, received: usize) -> usize {
        /// No character of a value becomes more.
        const ESCAPED: usize = "&apos;".len();
        received.saturating_mul(Self::GROWTH - ESCAPED).saturating_add(self.growth_bytes)
    }
}
