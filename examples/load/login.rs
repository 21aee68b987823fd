//! All clients come online.
//!
//! Read first: XEP-0078, or RFC 6120 sections 6 and 7; and XEP-0077 for the accounts.

use std::str::FromStr;

use loquat::legacy_digest;

use crate::net::{attribute, Net};
use crate::work::{Tally, Work};
use crate::{Options, Result};

pub(crate) const RESOURCE: &str = "load";
const PASSWORD: &str = "secret";

/// How clients log in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// As XEP-0078 has it, by digest where the server takes one, on a stream without a version.
    Legacy,
    /// By SASL PLAIN.
    Plain,
    /// There is nobody to log in to: what is there only passes bytes on.
    None,
}

impl FromStr for Auth {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "legacy" => Ok(Self::Legacy),
            "plain" => Ok(Self::Plain),
            "none" => Ok(Self::None),
            _ => Err("--auth legacy, plain or none"),
        }
    }
}

/// What a client waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The header; of a stream without a version, no features follow.
    Header,
    Features,
    Account,
    Fields,
    Success,
    NewFeatures,
    Binding,
    Login,
    Presence,
    Online,
}

/// All clients come online.
pub(crate) struct Login<'o> {
    options: &'o Options,
    stages: Vec<Stage>,
    stream_ids: Vec<String>,
    pub(crate) online: usize,
    tally: Tally,
}

impl<'o> Login<'o> {
    pub(crate) fn new(options: &'o Options) -> Self {
        Self { options, stages: Vec::new(), stream_ids: Vec::new(), online: 0, tally: Tally::default() }
    }

    /// A client that has just connected says its first.
    pub(crate) fn begin(&mut self, net: &mut Net, who: usize) {
        self.stream_ids.push(String::new());
        if self.options.auth == Auth::None {
            self.stages.push(Stage::Online);
            self.online += 1;
        } else {
            self.stages.push(Stage::Header);
            net.say(who, &self.header());
        }
    }

    fn header(&self) -> String {
        let version = if self.options.auth == Auth::Plain { " version='1.0'" } else { "" };
        format!(
            "<?xml version='1.0'?><stream:stream to='{}' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'{version}>",
            self.options.domain
        )
    }

    /// What is said next, and what is waited for then; nothing while that has not come.
    fn answer(&mut self, who: usize, stage: Stage, stanza: &str) -> Option<(String, Stage)> {
        let is_answer = |id| stanza.starts_with("<iq") && attribute(stanza, "id") == Some(id);
        match stage {
            Stage::Header if stanza.starts_with("<stream:stream") => {
                let stream_id = attribute(stanza, "id").unwrap_or_default();
                self.stream_ids.get_mut(who)?.replace_range(.., stream_id);
                match self.options.auth {
                    Auth::Plain => Some((String::new(), Stage::Features)),
                    Auth::Legacy | Auth::None => Some(self.first_request(who)),
                }
            }
            Stage::Features if stanza.starts_with("<stream:features") => Some(self.first_request(who)),
            // That there is such an account already is no fault; the login will tell.
            Stage::Account if is_answer("account") => Some(self.login_request(who)),
            Stage::Fields if is_answer("fields") => Some((self.old_login(who, stanza), Stage::Login)),
            Stage::Success if stanza.starts_with("<success") => Some((self.header(), Stage::NewFeatures)),
            Stage::NewFeatures if stanza.starts_with("<stream:features") => Some((bind(), Stage::Binding)),
            Stage::Binding if is_answer("bind") => Some((session(), Stage::Login)),
            Stage::Login if is_answer("login") => Some((self.presence(), Stage::Presence)),
            // Whatever the answer is, the presence before it was heard.
            Stage::Presence if is_answer("ping") => Some((String::new(), Stage::Online)),
            _ => None,
        }
    }

    fn first_request(&self, who: usize) -> (String, Stage) {
        if !self.options.register {
            return self.login_request(who);
        }
        let account = format!(
            "<iq type='set' id='account'><query xmlns='jabber:iq:register'><username>{}{who}</username>\
             <password>{PASSWORD}</password></query></iq>",
            self.options.name
        );
        (account, Stage::Account)
    }

    fn login_request(&self, who: usize) -> (String, Stage) {
        let name = &self.options.name;
        if self.options.auth == Auth::Plain {
            let auth = base64(format!("\0{name}{who}\0{PASSWORD}").as_bytes());
            let auth =
                format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{auth}</auth>");
            return (auth, Stage::Success);
        }
        let fields = format!(
            "<iq type='get' id='fields'><query xmlns='jabber:iq:auth'><username>{name}{who}</username></query></iq>"
        );
        (fields, Stage::Fields)
    }

    /// By the digest, if the server names it among the `fields`.
    fn old_login(&self, who: usize, fields: &str) -> String {
        let stream_id = self.stream_ids.get(who).map_or("", String::as_str);
        let proof = if fields.contains("<digest") {
            format!("<digest>{}</digest>", legacy_digest(stream_id, PASSWORD))
        } else {
            format!("<password>{PASSWORD}</password>")
        };
        format!(
            "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{}{who}</username>{proof}\
             <resource>{RESOURCE}</resource></query></iq>",
            self.options.name
        )
    }

    fn presence(&self) -> String {
        format!(
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>\
             <iq type='get' id='ping' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
            self.options.domain
        )
    }
}

impl Work for Login<'_> {
    fn hear(&mut self, net: &mut Net, who: usize, stanza: &str) -> Result<()> {
        let Some(&stage) = self.stages.get(who) else { return Ok(()) };
        let is_error = attribute(stanza, "type") == Some("error")
            && matches!(stage, Stage::Binding | Stage::Login | Stage::Presence)
            && attribute(stanza, "id") != Some("ping");
        if is_error || stanza.starts_with("<failure") || stanza.starts_with("<stream:error") {
            return Err(format!("{} is not let in: {stanza}", self.options.account(who)).into());
        }
        if let Some((say, next)) = self.answer(who, stage, stanza) {
            net.say(who, &say);
            self.online += usize::from(next == Stage::Online);
            if let Some(stage) = self.stages.get_mut(who) {
                *stage = next;
            }
        }
        Ok(())
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
}

fn bind() -> String {
    format!(
        "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{RESOURCE}</resource>\
         </bind></iq>"
    )
}

/// RFC 3921 section 3; some servers still want it.
fn session() -> String {
    "<iq type='set' id='login'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>".into()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0, |group, byte| group << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get(group >> (18 - 6 * place) & 63).filter(|_| place <= chunk.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}
