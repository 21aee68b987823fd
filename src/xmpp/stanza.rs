//! The three stanzas, as far as a server needs to understand them.
//!
//! Read first: RFC 6120 section 8 (`to`, `from`, `id`, `type`), RFC 6121 5.2.2 and 4.7.1 (types of message and
//! presence). A stanza is its element and what was read out of it once: kind, type, `to`. Handlers match on these and
//! pass the element on. Left out on purpose: payloads; features know theirs.

use crate::xml::ns;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::jid::Jid;

/// A message's type (RFC 6121 5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

/// A presence's type (RFC 6121 4.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceType {
    Available,
    Unavailable,
    Subscription(SubscriptionType),
    Probe,
    Error,
}

/// The type of a presence that is about a subscription (RFC 6121 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscriptionType {
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
}

impl SubscriptionType {
    /// The value of the attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Subscribed => "subscribed",
            Self::Unsubscribe => "unsubscribe",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// An IQ's type (RFC 6120 8.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IqType {
    Get,
    Set,
    Result,
    Error,
}

/// Which stanza, and of which type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message(MessageType),
    Presence(PresenceType),
    Iq(IqType),
}

impl Kind {
    /// The kind of an element in the content namespace; `None` for what is no stanza (RFC 6120 8.1), an error for a
    /// type that it cannot have.
    fn of(element: &Element) -> Option<Result<Self, StanzaError>> {
        if element.ns() != ns::CLIENT {
            return None;
        }
        let kind = element.attr("type");
        match element.name() {
            "message" => Some(Ok(Self::Message(message_type(kind)))),
            "presence" => Some(presence_type(kind).map(Self::Presence)),
            "iq" => Some(iq_type(kind).map(Self::Iq)),
            _ => None,
        }
    }

    /// Whether this is itself an answer, which nobody answers (RFC 6120 8.2.3 and 8.3.1).
    fn is_final(self) -> bool {
        matches!(
            self,
            Self::Message(MessageType::Error)
                | Self::Presence(PresenceType::Error)
                | Self::Iq(IqType::Result | IqType::Error)
        )
    }
}

/// A type that we do not know is `normal` (RFC 6121 5.2.2).
fn message_type(name: Option<&str>) -> MessageType {
    match name {
        Some("chat") => MessageType::Chat,
        Some("groupchat") => MessageType::Groupchat,
        Some("headline") => MessageType::Headline,
        Some("error") => MessageType::Error,
        _ => MessageType::Normal,
    }
}

fn presence_type(name: Option<&str>) -> Result<PresenceType, StanzaError> {
    use PresenceType::Subscription;
    Ok(match name {
        None => PresenceType::Available,
        Some("unavailable") => PresenceType::Unavailable,
        Some("subscribe") => Subscription(SubscriptionType::Subscribe),
        Some("subscribed") => Subscription(SubscriptionType::Subscribed),
        Some("unsubscribe") => Subscription(SubscriptionType::Unsubscribe),
        Some("unsubscribed") => Subscription(SubscriptionType::Unsubscribed),
        Some("probe") => PresenceType::Probe,
        Some("error") => PresenceType::Error,
        Some(_) => return Err(StanzaError::because(Condition::BadRequest, "no presence has this type")),
    })
}

fn iq_type(name: Option<&str>) -> Result<IqType, StanzaError> {
    Ok(match name {
        Some("get") => IqType::Get,
        Some("set") => IqType::Set,
        Some("result") => IqType::Result,
        Some("error") => IqType::Error,
        _ => return Err(StanzaError::because(Condition::BadRequest, "no iq has this type")),
    })
}

/// A stanza that can be acted upon.
#[derive(Debug)]
pub(crate) struct Stanza {
    pub(crate) kind: Kind,
    /// Whom it is for; nobody named means the sender's own account.
    pub(crate) to: Option<Jid>,
    /// The whole of it.
    pub(crate) element: Element,
}

/// Why an element is no stanza to act upon.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not a stanza at all, but this.
    NoStanza(Element),
    /// A stanza to be answered with this.
    Answer(Element),
    /// A broken answer, to be left alone.
    Silence,
}

impl Stanza {
    /// Reads what every stanza says.
    pub(crate) fn read(element: Element) -> Result<Self, Refusal> {
        let read = match Kind::of(&element) {
            None => return Err(Refusal::NoStanza(element)),
            Some(Err(error)) => Err(error),
            Some(Ok(kind)) => read_to(&element).and_then(|to| {
                check_iq(kind, &element)?;
                Ok((kind, to))
            }),
        };
        match read {
            Ok((kind, to)) => Ok(Self { kind, to, element }),
            Err(_) if Kind::of(&element).is_some_and(|kind| kind.is_ok_and(Kind::is_final)) => {
                Err(Refusal::Silence)
            }
            Err(error) => Err(Refusal::Answer(error_answer(&element, &error))),
        }
    }

    /// The one child of an IQ that says what it is about; empty results have none.
    pub(crate) fn payload(&self) -> Option<&Element> {
        self.element.children().next()
    }

    /// The error answer to this stanza, or nothing where nothing may be answered.
    pub(crate) fn refused(&self, error: &StanzaError) -> Option<Element> {
        (!self.kind.is_final()).then(|| error_answer(&self.element, error))
    }

    /// The result of this IQ.
    pub(crate) fn result(&self, payload: Option<Element>) -> Element {
        let mut answer = turned_back(&self.element, "result");
        if let Some(payload) = payload {
            answer = answer.with(payload);
        }
        answer
    }

    /// The priority that a presence asks for (RFC 6121 4.7.2.3), 0 if it says nothing.
    pub(crate) fn priority(&self) -> Result<i8, StanzaError> {
        let mut priorities = self.element.children().filter(|child| child.is("priority", ns::CLIENT));
        let number = match (priorities.next(), priorities.next()) {
            (None, _) => Some(0),
            (Some(only), None) => only.text().trim().parse().ok(),
            (Some(_), Some(_)) => None,
        };
        let why = "a priority is one number from -128 to 127";
        number.ok_or_else(|| StanzaError::because(Condition::BadRequest, why))
    }
}

/// Whether a message has nothing in it that is worth a later look: nothing at all, or only who is typing where
/// (XEP-0085), and what is said of that (XEP-0334, XEP-0203).
pub(crate) fn is_fleeting(message: &Element) -> bool {
    let passes = |child: &Element| {
        matches!(child.ns(), ns::CHAT_STATES | ns::HINTS | ns::DELAY) || child.is("thread", ns::CLIENT)
    };
    message.children().all(passes)
}

fn read_to(element: &Element) -> Result<Option<Jid>, StanzaError> {
    let to = element.attr("to").map(str::parse::<Jid>).transpose();
    to.map_err(|error| StanzaError::because(Condition::JidMalformed, format!("to: {error}")))
}

/// RFC 6120 8.2.3: an IQ has an id, and a request has exactly one child.
fn check_iq(kind: Kind, element: &Element) -> Result<(), StanzaError> {
    let Kind::Iq(kind) = kind else { return Ok(()) };
    if element.attr("id").is_none() {
        return Err(StanzaError::because(Condition::BadRequest, "an iq must have an id"));
    }
    if matches!(kind, IqType::Get | IqType::Set) && element.children().count() != 1 {
        return Err(StanzaError::because(
            Condition::BadRequest,
            "an iq of this type must have exactly one child",
        ));
    }
    Ok(())
}

/// RFC 6120 8.3.1: the same kind and id, turned back to its sender. The payload stays out: it may hold a secret.
fn error_answer(element: &Element, error: &StanzaError) -> Element {
    turned_back(element, "error").with(error.to_element())
}

/// The frame of an answer: `to` and `from` change places (RFC 6120 8.2.3).
fn turned_back(element: &Element, kind: &'static str) -> Element {
    let mut answer = Element::new(element.name().to_owned(), ns::CLIENT).with_attr("type", kind);
    for (ours, theirs) in [("id", "id"), ("from", "to"), ("to", "from")] {
        if let Some(value) = element.attr(theirs) {
            answer.set_attr(ours, value.to_owned());
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Reader, XmlLimits};

    const LIMITS: XmlLimits =
        XmlLimits { stanza_bytes: 1000, depth: 9, elements: 9, attributes: 9, ..XmlLimits::NONE };

    fn read(text: &str) -> Result<Stanza, Refusal> {
        Stanza::read(Reader::read_one(text, ns::CLIENT, LIMITS).unwrap())
    }

    #[test]
    fn what_is_read_out() {
        let stanza = read("<message to='A@b/c' type='chat'/>").unwrap();
        assert_eq!((stanza.kind, stanza.to.unwrap().as_str()), (Kind::Message(MessageType::Chat), "a@b/c"));
        assert_eq!(read("<message type='new'/>").unwrap().kind, Kind::Message(MessageType::Normal));
    }

    #[test]
    fn priorities() {
        let priority =
            |content: &str| read(&format!("<presence>{content}</presence>")).unwrap().priority().ok();
        let one = |text: &str| priority(&format!("<priority>{text}</priority>"));
        assert_eq!(
            (priority(""), one("0"), one(" -128 "), one("127")),
            (Some(0), Some(0), Some(-128), Some(127))
        );
        for bad in ["128", "-129", "x", "", "1.0", "1 2"] {
            assert_eq!(one(bad), None, "{bad}");
        }
        assert_eq!(priority("<priority>1</priority><priority>1</priority>"), None);
        assert_eq!(priority("<priority xmlns='urn:x'>x</priority>"), Some(0));
    }

    #[test]
    fn what_is_refused() {
        let cases = [
            ("<iq type='get'><a/></iq>", "bad-request"),
            ("<iq id='1'><a/></iq>", "bad-request"),
            ("<iq id='1' type='fetch'><a/></iq>", "bad-request"),
            ("<iq id='1' type='get'/>", "bad-request"),
            ("<iq id='1' type='set'><a/><b/></iq>", "bad-request"),
            ("<presence type='here'/>", "bad-request"),
            ("<message to='@'/>", "jid-malformed"),
        ];
        for (text, condition) in cases {
            let Err(Refusal::Answer(answer)) = read(text) else { panic!("{text}") };
            let error = answer.child("error", ns::CLIENT).unwrap();
            assert!(error.child(condition, ns::STANZA_ERRORS).is_some(), "{text}: {answer}");
        }
        for text in
            ["<iq type='result'/>", "<message type='error' to='@'/>", "<iq type='error' id='1' to='a@'/>"]
        {
            assert!(matches!(read(text), Err(Refusal::Silence)), "{text}");
        }
        for text in ["<iq xmlns='jabber:server'/>", "<stream/>"] {
            assert!(matches!(read(text), Err(Refusal::NoStanza(_))), "{text}");
        }
    }

    #[test]
    fn answers_never_answer_answers() {
        let error = StanzaError::from(Condition::ServiceUnavailable);
        assert!(read("<message type='error'/>").unwrap().refused(&error).is_none());
        assert!(read("<iq type='result' id='1'/>").unwrap().refused(&error).is_none());
        assert!(read("<message/>").unwrap().refused(&error).is_some());
    }
}
