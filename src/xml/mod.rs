//! XML as XMPP uses it: bytes in, trees out, and back.
//!
//! Read first: RFC 6120 section 11 (which XML is allowed), then `feed`, `reader`, `element`, `writer`.
//! Left out on purpose: documents. There are only streams and the elements directly below their root.

mod element;
mod feed;
mod name;
pub(crate) mod ns;
mod reader;
pub(crate) mod writer;

pub use element::{Attribute, Element, Node, Text};
pub use feed::Limit;
pub use reader::{Header, Item, Reader, XmlError, XmlLimits};
pub use writer::write;
