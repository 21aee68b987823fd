//! What a feature is: a constant that says what it is called, what it offers, which requests it answers.
//!
//! Read first: [`super::FEATURES`], the list of them. Left out on purpose: who finds the handler of a request and sends
//! its answer ([`crate::routing::dispatch`]).

mod command;
mod login;

use crate::im::ctx::Ctx;
use crate::im::sender::Sender;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError, StreamError};
use crate::xmpp::jid::Jid;
use crate::xmpp::slab::Key;
use crate::xmpp::stanza::{IqType, Stanza};

pub(crate) use command::{bad_payload, Command, Done};
pub(crate) use login::{Awaited, Login, Mechanism, Outcome, Proved};

/// One protocol.
pub(crate) struct Feature {
    /// The document that defines it.
    pub(crate) spec: &'static str,
    /// Its place in `<stream:features/>` before login.
    pub(crate) stream_feature: fn(&Ctx<'_>, &Login) -> Option<Element>,
    /// Requests that it answers before login.
    pub(crate) login: &'static [Route<Stage, LoginHandler>],
    /// Elements that are no stanzas, and that it answers before login.
    pub(crate) login_elements: &'static [ElementRoute<LoginElementHandler>],
    /// Requests that it answers to one who is logged in.
    pub(crate) iq: &'static [Route<Target, IqHandler>],
    /// Requests to another's resource that it refuses before they get there.
    pub(crate) guards: &'static [Route<(), Guard>],
    /// Elements that are no stanzas, and that it acts upon for one who is logged in.
    pub(crate) elements: &'static [(&'static str, ElementHandler)],
    /// What service discovery says of the host (XEP-0030): what one who is logged in may ask the server for.
    pub(crate) disco: &'static [&'static str],
    /// What it says of an account: what one who sees its presence may ask it for.
    pub(crate) account_disco: &'static [&'static str],
    /// What a node of the host is to the address given, if it is one of this feature's.
    pub(crate) node: fn(&Ctx<'_>, &Jid, &str) -> Option<Result<Node, Condition>>,
    /// Commands of the host (XEP-0050).
    pub(crate) commands: &'static [Command],
}

impl Feature {
    /// A feature that does nothing yet; each names what it does and takes the rest from here.
    pub(crate) const NOTHING: Self = Self {
        spec: "",
        stream_feature: |_, _| None,
        login: &[],
        login_elements: &[],
        iq: &[],
        guards: &[],
        elements: &[],
        disco: &[],
        account_disco: &[],
        node: |_, _, _| None,
        commands: &[],
    };
}

/// What service discovery says of a node (XEP-0030 3.2 and 4.2).
pub(crate) struct Node {
    /// Category and type.
    pub(crate) kind: (&'static str, &'static str),
    pub(crate) name: &'static str,
    pub(crate) features: &'static [&'static str],
    /// The nodes that belong to it, each with its name.
    pub(crate) items: Vec<(&'static str, &'static str)>,
}

/// The payload of a result, or why there is none.
pub(crate) type Answer = Result<Option<Element>, StanzaError>;

/// Answers a request of one who is not logged in.
pub(crate) type LoginHandler = fn(&mut Ctx<'_>, &mut Login, &Stanza) -> Answer;

/// Answers an element of one who is not logged in.
pub(crate) type LoginElementHandler = fn(&mut Ctx<'_>, &mut Login, &Element) -> Result<Element, StreamError>;

/// Answers a request. Those for [`Target::Account`] are only asked by a client for its own account.
pub(crate) type IqHandler = fn(&mut Ctx<'_>, &Sender<'_>, &Stanza) -> Answer;

/// Whether the first address may ask a resource, the second.
pub(crate) type Guard = fn(&Ctx<'_>, &Jid, &Jid) -> Result<(), StanzaError>;

/// Acts upon an element of the address given, on its stream.
pub(crate) type ElementHandler =
    fn(&mut Ctx<'_>, &Jid, Key, &Element) -> Result<Option<Element>, StreamError>;

/// Which requests go to which handler.
pub(crate) struct Route<W, H> {
    pub(crate) name: &'static str,
    pub(crate) ns: &'static str,
    pub(crate) kind: IqType,
    /// When, or to whom, it may be asked.
    pub(crate) at: W,
    pub(crate) handler: H,
}

/// Which elements go to which handler: those of a namespace.
pub(crate) struct ElementRoute<H> {
    pub(crate) ns: &'static str,
    pub(crate) at: Stage,
    pub(crate) handler: H,
}

/// How far a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is known of the client.
    Start,
    /// SASL has proved its account; it wants a resource.
    Authenticated,
}

/// Whom a request must be addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A client's own account: nobody, or the own bare address.
    Account,
    /// The server.
    Host,
    /// Another account, by its bare address; the server answers on its behalf (RFC 6121 8.5.2.1.3).
    Other,
}

/// An address that a request names, at true names.
pub(crate) fn named_address(ctx: &Ctx<'_>, jid: &str) -> Result<Jid, StanzaError> {
    let address = jid.parse().and_then(|address| ctx.config.canonical(address));
    address.map_err(|error| StanzaError::because(Condition::JidMalformed, format!("jid: {error}")))
}
