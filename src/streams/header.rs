//! The header of a stream: what is checked in a client's, and our own.
//!
//! Read first: RFC 6120 sections 4.7 (attributes) and 4.8 (namespaces).
//! Left out on purpose: the bytes ([`crate::wire::framing`]).

use crate::im::ctx::Ctx;
use crate::outbox::Outbound;
use crate::wire::framing;
use crate::xml::ns;
use crate::xml::Header;
use crate::xmpp::config::Config;
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;

/// RFC 6120 4.8.1 and 4.8.2: the root is in the stream namespace, under whatever prefix; the default namespace is
/// ours, or is not declared for content at all.
pub(super) fn check_namespaces(header: &Header) -> Result<(), StreamError> {
    if header.element.ns() != ns::STREAM {
        return Err(StreamError::InvalidNamespace);
    }
    if header.element.name() != "stream" {
        return Err(StreamError::BadFormat);
    }
    match header.content_ns.as_str() {
        ns::CLIENT | ns::STREAM | "" => Ok(()),
        _ => Err(StreamError::InvalidNamespace),
    }
}

/// RFC 6120 4.7.5: whether both sides speak 1.0 or later. A stream without a version, or with 0.9, is of the age
/// before.
pub(super) fn is_1_0(version: Option<&str>) -> Result<bool, StreamError> {
    let Some(version) = version else { return Ok(false) };
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let parts = version.split_once('.').and_then(|(major, minor)| number(major).zip(number(minor)));
    parts.map(|(major, _)| major >= 1).ok_or(StreamError::UnsupportedVersion)
}

/// RFC 6120 4.9.3.6. A header that names no host means the only one there is.
pub(super) fn check_host(ctx: &Ctx<'_>, to: Option<&str>) -> Result<(), StreamError> {
    let Some(to) = to else { return Ok(()) };
    let host: Jid = to.parse().map_err(|_| StreamError::HostUnknown)?;
    let known = host.local().is_none() && host.is_bare() && ctx.config.is_ours(host.domain());
    known.then_some(()).ok_or(StreamError::HostUnknown)
}

/// RFC 6120 4.7: sends our header.
pub(super) fn send(ctx: &mut Ctx<'_>, key: Key, id: &str, version: Option<&str>, to: Option<&str>) {
    let header = framing::Header { from: ctx.config.domain(), id, to, version };
    ctx.outboxes.send(key, Outbound::Header(header));
}

/// What a connection is told for which there is no room (RFC 6120 4.9.3.17).
pub(crate) fn refusal(config: &Config) -> Vec<u8> {
    let mut out = Vec::new();
    let header = framing::Header { from: config.domain(), id: "", to: None, version: Some("1.0") };
    framing::header(&header, &mut out);
    let error = StreamError::ResourceConstraint("there are too many connections; try again later");
    framing::child(&error.to_element(), &mut out);
    framing::close(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, is) in [("1.0", true), ("1.1", true), ("2.0", true), ("01.0", true), ("0.9", false)] {
            assert_eq!(is_1_0(Some(text)), Ok(is), "{text}");
        }
        for text in ["", "1", "1.", ".0", "1.0.0", "a.b", "-1.0", "+1.0", "99999.0", "1,0"] {
            assert_eq!(is_1_0(Some(text)), Err(StreamError::UnsupportedVersion), "{text}");
        }
        assert_eq!(is_1_0(None), Ok(false));
    }
}
