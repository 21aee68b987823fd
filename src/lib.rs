//! loquat: an XMPP server.
pub mod xml;
mod ns;
