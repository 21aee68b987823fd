//! What goes on the wire when a peer is at fault: stanza errors and stream errors.
//!
//! Read first: RFC 6120 8.3 (stanza errors), 4.9 (stream errors), XEP-0086 (the old codes that clients of the
//! `jabber:iq:auth` age look for). Left out on purpose: the faults of a host program (each call's own `Err`) and our
//! own (debug assertions).

use std::borrow::Cow;

use crate::xml::ns;
use crate::xml::{Element, XmlError};

/// The stanza errors that we answer with (RFC 6120 8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    BadRequest,
    Conflict,
    Forbidden,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    RemoteServerNotFound,
    ResourceConstraint,
    ServiceUnavailable,
}

impl Condition {
    /// Name, the type that usually goes with it, and the code of XEP-0086.
    fn spelled(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", "modify", "400"),
            Self::Conflict => ("conflict", "cancel", "409"),
            Self::Forbidden => ("forbidden", "auth", "403"),
            Self::InternalServerError => ("internal-server-error", "wait", "500"),
            Self::ItemNotFound => ("item-not-found", "cancel", "404"),
            Self::JidMalformed => ("jid-malformed", "modify", "400"),
            Self::NotAcceptable => ("not-acceptable", "modify", "406"),
            Self::NotAllowed => ("not-allowed", "cancel", "405"),
            Self::NotAuthorized => ("not-authorized", "auth", "401"),
            Self::RemoteServerNotFound => ("remote-server-not-found", "cancel", "404"),
            Self::ResourceConstraint => ("resource-constraint", "wait", "500"),
            Self::ServiceUnavailable => ("service-unavailable", "cancel", "503"),
        }
    }
}

/// An error about one stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StanzaError {
    condition: Condition,
    text: Option<Cow<'static, str>>,
    /// What an extension says beside the condition: name and namespace (RFC 6120 8.3.4).
    detail: Option<(&'static str, &'static str)>,
}

impl StanzaError {
    /// The error with a text for people.
    pub(crate) fn because(condition: Condition, text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition, text: Some(text.into()), detail: None }
    }

    /// The error with a condition of an extension's beside its own.
    pub(crate) fn with_detail(self, name: &'static str, ns: &'static str) -> Self {
        Self { detail: Some((name, ns)), ..self }
    }

    /// The `<error/>` child of the answer.
    pub(crate) fn to_element(&self) -> Element {
        let (name, kind, code) = self.condition.spelled();
        let error = Element::new("error", ns::CLIENT)
            .with_attr("code", code)
            .with_attr("type", kind)
            .with(Element::new(name, ns::STANZA_ERRORS));
        let text =
            self.text.iter().map(|text| Element::new("text", ns::STANZA_ERRORS).with_text(text.clone()));
        let detail = self.detail.iter().map(|(name, ns)| Element::new(*name, *ns));
        text.chain(detail).fold(error, Element::with)
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self { condition, text: None, detail: None }
    }
}

/// An error that ends a stream (RFC 6120 4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// The account is no more (`not-authorized`).
    AccountRemoved,
    BadFormat,
    Conflict(&'static str),
    ConnectionTimeout,
    HostUnknown,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation(&'static str),
    ResourceConstraint(&'static str),
    /// XEP-0198: the client acknowledges more than it was sent.
    HandledCountTooHigh {
        h: u32,
        sent: u32,
    },
    RestrictedXml,
    SystemShutdown,
    UnsupportedEncoding,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamError {
    /// The name of the condition.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::Conflict(_) => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostUnknown => "host-unknown",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::AccountRemoved | Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation(_) => "policy-violation",
            Self::ResourceConstraint(_) => "resource-constraint",
            Self::HandledCountTooHigh { .. } => "undefined-condition",
            Self::RestrictedXml => "restricted-xml",
            Self::SystemShutdown => "system-shutdown",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }

    fn text(self) -> Option<&'static str> {
        match self {
            Self::AccountRemoved => Some("the account was removed"),
            Self::Conflict(text) | Self::PolicyViolation(text) | Self::ResourceConstraint(text) => Some(text),
            _ => None,
        }
    }

    /// The `<stream:error/>` element.
    pub(crate) fn to_element(self) -> Element {
        let error = Element::new("error", ns::STREAM).with(Element::new(self.name(), ns::STREAM_ERRORS));
        match (self, self.text()) {
            (Self::HandledCountTooHigh { h, sent }, _) => error.with(
                Element::new("handled-count-too-high", ns::STREAM_MANAGEMENT)
                    .with_attr("h", h.to_string())
                    .with_attr("send-count", sent.to_string()),
            ),
            (_, Some(text)) => error.with(Element::new("text", ns::STREAM_ERRORS).with_text(text)),
            (_, None) => error,
        }
    }
}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> Self {
        use crate::xml::Limit;
        match error {
            XmlError::NotWellFormed => Self::NotWellFormed,
            XmlError::Restricted => Self::RestrictedXml,
            XmlError::Encoding => Self::UnsupportedEncoding,
            XmlError::StrayText => Self::BadFormat,
            XmlError::Limit(Limit::StanzaBytes) => Self::PolicyViolation("stanza too big"),
            XmlError::Limit(Limit::Depth) => Self::PolicyViolation("elements nested too deeply"),
            XmlError::Limit(Limit::Elements) => Self::PolicyViolation("too many elements in one stanza"),
            XmlError::Limit(Limit::Attributes) => Self::PolicyViolation("too many attributes in one tag"),
            XmlError::Limit(Limit::AttributeBytes) => Self::PolicyViolation("attribute too long"),
            XmlError::Limit(Limit::Namespaces) => Self::PolicyViolation("too many namespaces declared"),
            XmlError::Limit(Limit::NamespaceBytes) => Self::PolicyViolation("namespace names too long"),
            XmlError::Limit(Limit::TreeBytes) => Self::PolicyViolation("stanza takes too much memory"),
            XmlError::Limit(Limit::WrittenBytes) => Self::PolicyViolation("stanza too long when written out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_old_code_its_type_and_its_condition() {
        assert_eq!(
            StanzaError::because(Condition::Conflict, "taken").to_element().to_string(),
            "<error xmlns='jabber:client' code='409' type='cancel'>\
             <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>taken</text></error>"
        );
    }
}
