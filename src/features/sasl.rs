//! Login by SASL: SCRAM-SHA-1, or the password itself where that may be sent.
//!
//! Read first: RFC 6120 section 6, RFC 5802 and RFC 4616 for the two mechanisms, [`crate::crypto::scram`] for the
//! arithmetic. A wrong name and a wrong password get the same answer after the same work. Left out on purpose: EXTERNAL
//! and the -PLUS mechanisms, which need TLS; ANONYMOUS, which old clients pick by mistake.

use super::{Awaited, ElementRoute, Feature, Login, Mechanism, Outcome, Proved, Stage};
use crate::crypto::codec::{base64, from_base64};
use crate::crypto::scram::{ClientFirst, Exchange, Malformed};
use crate::im::ctx::Ctx;
use crate::tables::User;
use crate::xml::Element;
use crate::xmpp::error::StreamError;
use crate::xmpp::jid::Jid;

const NS: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

pub(super) const FEATURE: Feature = Feature {
    spec: "RFC 6120 section 6: SASL by SCRAM-SHA-1 or PLAIN",
    stream_feature: |ctx, login| login.account.is_none().then(|| mechanisms(ctx, login)),
    login_elements: &[ElementRoute { ns: NS, at: Stage::Start, handler: negotiate }],
    ..Feature::NOTHING
};

/// RFC 6120 6.4.1, in the order of our preference.
fn mechanisms(ctx: &Ctx<'_>, login: &Login) -> Element {
    let mechanism = |name: &'static str| Element::new("mechanism", NS).with_text(name);
    let scram = Element::new("mechanisms", NS).with(mechanism("SCRAM-SHA-1"));
    if ctx.config.takes_plaintext_from(&login.peer) {
        scram.with(mechanism("PLAIN"))
    } else {
        scram
    }
}

/// The failures that we answer with (RFC 6120 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Aborted,
    EncryptionRequired,
    IncorrectEncoding,
    InvalidAuthzid,
    InvalidMechanism,
    MalformedRequest,
    NotAuthorized,
    Temporary,
}

impl Failure {
    fn to_element(self) -> Element {
        let condition = match self {
            Self::Aborted => "aborted",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::NotAuthorized => "not-authorized",
            Self::Temporary => "temporary-auth-failure",
        };
        Element::new("failure", NS).with(Element::new(condition, NS))
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::MalformedRequest
    }
}

/// One step of an exchange; it begins with `<auth/>` and ends with success or failure.
fn negotiate(ctx: &mut Ctx<'_>, login: &mut Login, element: &Element) -> Result<Element, StreamError> {
    let answer = match element.name() {
        "auth" => auth(ctx, login, element),
        "response" => respond(ctx, login, element),
        "abort" => Err(Failure::Aborted),
        _ => return Err(StreamError::UnsupportedStanzaType),
    };
    Ok(answer.unwrap_or_else(|failure| {
        login.exchange = None;
        failure.to_element()
    }))
}

/// RFC 6120 6.4.2. A new `<auth/>` gives up what was begun before.
fn auth(ctx: &mut Ctx<'_>, login: &mut Login, element: &Element) -> Result<Element, Failure> {
    login.exchange = None;
    let mechanism = match element.attr("mechanism") {
        Some("SCRAM-SHA-1") => Mechanism::ScramSha1,
        Some("PLAIN") if ctx.config.takes_plaintext_from(&login.peer) => Mechanism::Plain,
        Some("PLAIN") => return Err(Failure::EncryptionRequired),
        _ => return Err(Failure::InvalidMechanism),
    };
    if element.text().is_empty() {
        // RFC 4422 section 5: a first message that was not sent along is asked for.
        login.exchange = Some(Awaited::First(mechanism));
        return Ok(Element::new("challenge", NS));
    }
    first_message(ctx, login, mechanism, &message(element)?)
}

/// RFC 6120 6.4.4.
fn respond(ctx: &mut Ctx<'_>, login: &mut Login, element: &Element) -> Result<Element, Failure> {
    match login.exchange.take() {
        Some(Awaited::First(mechanism)) => first_message(ctx, login, mechanism, &message(element)?),
        Some(Awaited::Last(account, exchange)) => {
            scram_final(ctx, login, account, &exchange, &message(element)?)
        }
        None => Err(Failure::MalformedRequest),
    }
}

/// The text of an element: base64 of UTF-8, `=` for nothing at all (RFC 6120 6.4.2).
fn message(element: &Element) -> Result<String, Failure> {
    let text = element.text();
    if text == "=" {
        return Ok(String::new());
    }
    let bytes = from_base64(&text).ok_or(Failure::IncorrectEncoding)?;
    String::from_utf8(bytes).map_err(|_| Failure::MalformedRequest)
}

fn first_message(
    ctx: &mut Ctx<'_>,
    login: &mut Login,
    mechanism: Mechanism,
    message: &str,
) -> Result<Element, Failure> {
    match mechanism {
        Mechanism::Plain => plain(ctx, login, message),
        Mechanism::ScramSha1 => scram_first(ctx, login, message),
    }
}

/// RFC 4616 section 2: for whom, who, password.
fn plain(ctx: &mut Ctx<'_>, login: &mut Login, message: &str) -> Result<Element, Failure> {
    let mut parts = message.split('\0');
    let (Some(authzid), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::MalformedRequest);
    };
    let authzid = Some(authzid).filter(|authzid| !authzid.is_empty());
    let account = account(ctx, login, authzid, name)?;
    let user = User::at(ctx.config, &account).ok_or(Failure::NotAuthorized)?;
    if ctx.tables.accounts.has_password(user, password) {
        succeed(ctx, login, account, None)
    } else {
        Err(fail(ctx, login, Some(account.local().unwrap_or_default())))
    }
}

fn scram_first(ctx: &mut Ctx<'_>, login: &mut Login, message: &str) -> Result<Element, Failure> {
    let first = ClientFirst::parse(message)?;
    let account = account(ctx, login, first.authzid.as_deref(), &first.username)?;
    let keys = ctx.tables.accounts.keys(User::at(ctx.config, &account).ok_or(Failure::NotAuthorized)?);
    let nonce = ctx.random.token().map_err(|_| Failure::Temporary)?;
    let exchange = first.answered(keys, &nonce);
    let challenge = Element::new("challenge", NS).with_text(base64(exchange.server_first().as_bytes()));
    login.exchange = Some(Awaited::Last(account, exchange));
    Ok(challenge)
}

fn scram_final(
    ctx: &mut Ctx<'_>,
    login: &mut Login,
    account: Jid,
    exchange: &Exchange,
    message: &str,
) -> Result<Element, Failure> {
    let user = User::at(ctx.config, &account).ok_or(Failure::NotAuthorized)?;
    // Again: many exchanges may have been begun before the first of them failed.
    check_may_try(ctx, login, user.as_str())?;
    match exchange.finish(message)? {
        // The account may have been ended, or its password changed, since the exchange began.
        Some(server_final) if exchange.is_about(&ctx.tables.accounts.keys(user)) => {
            succeed(ctx, login, account, Some(&server_final))
        }
        _ => Err(fail(ctx, login, Some(account.local().unwrap_or_default()))),
    }
}

/// The account that a client wants to log in to, if it wants nobody else's (RFC 6120 6.3.8), and may try.
fn account(ctx: &mut Ctx<'_>, login: &mut Login, authzid: Option<&str>, name: &str) -> Result<Jid, Failure> {
    let account = Jid::new(Some(name), ctx.config.domain(), None).ok();
    check_may_try(ctx, login, account.as_ref().and_then(Jid::local).unwrap_or(name))?;
    let Some(account) = account else {
        return Err(fail(ctx, login, None));
    };
    let wanted =
        authzid.map(|authzid| authzid.parse::<Jid>().map_err(|_| Failure::InvalidAuthzid)).transpose()?;
    let is_own = |wanted: &Jid| {
        wanted.local() == account.local() && ctx.config.is_ours(wanted.domain()) && wanted.is_bare()
    };
    if !wanted.as_ref().map_or(true, is_own) {
        return Err(Failure::InvalidAuthzid);
    }
    Ok(account)
}

fn check_may_try(ctx: &Ctx<'_>, login: &Login, user: &str) -> Result<(), Failure> {
    login.may_try(ctx, user).then_some(()).ok_or(Failure::Temporary)
}

fn succeed(ctx: &Ctx<'_>, login: &mut Login, account: Jid, data: Option<&str>) -> Result<Element, Failure> {
    login.outcome = Some(Outcome::Authenticated(Proved::new(ctx, account)));
    let success = Element::new("success", NS);
    Ok(match data {
        Some(data) => success.with_text(base64(data.as_bytes())),
        None => success,
    })
}

fn fail(ctx: &mut Ctx<'_>, login: &mut Login, user: Option<&str>) -> Failure {
    login.sasl_failed = true;
    login.failed(ctx, user);
    Failure::NotAuthorized
}
