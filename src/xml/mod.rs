//! XML as XMPP uses it: bytes in, trees out, and back.
//!
//! Read first: RFC 6120 section 11 (which XML is allowed), then `feed`, `reader`, `tree`, `element`, `writer`.
//! Left out on purpose: documents. There are only streams and the elements directly below their root.

mod element;
mod feed;
mod limits;
mod name;
pub(crate) mod ns;
mod reader;
mod text;
mod tree;
pub(crate) mod writer;

pub use element::{Attribute, Element, Node, Qualifier};
pub use limits::{Limit, XmlLimits};
pub(crate) use reader::Spare;
pub use reader::{Header, Item, Reader, XmlError};
pub use text::Text;
pub use writer::{write, written_len};
