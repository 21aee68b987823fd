//! A transcript file, read.
//!
//! ```text
//! # A comment.
//! ! account romeo secret         what the server is told first
//! romeo C: <stream:stream ...>   what a client sends; it connects where it is named first
//!          to='localhost'>       an indented line goes on with the line before
//! romeo S: <stream:stream id='{=id}' from='localhost'>
//!                                what it gets; a header is compared by the attributes that are named here
//! romeo C: <digest>{sha1 id secret}</digest>
//! romeo S: <iq type='result' id='{any}'/>
//! romeo X: c3 28                 bytes that are no text
//! romeo is cut off               the server ends the connection
//! romeo hangs up                 the client does
//! romeo ends its half            the client sends no more, but reads
//! romeo stops reading
//! romeo reads again
//! romeo opens a stream           a header each way, without a version
//! romeo logs in as romeo/phone with secret
//! romeo is thrown out with policy-violation: too much
//!                                a stream error (and its text), `</stream:stream>`, the end of the connection
//! tick 60s                       time passes
//! ```
//!
//! `{any}` is any text, `{none}` for an attribute says that there is none. `{=name}` remembers a text, `{name}` says it
//! again, `{sha1 name text}` is the digest of a remembered text and another, `{N times text}` is a repetition,
//! `{error 401 auth not-authorized}` is the child of a stanza error, and of one with any text if it ends in ` ...`.
//! Nothing that a client gets may go unmentioned.

use std::time::Duration;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";

/// A step, and where it stands.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Send { client: String, text: String },
    SendBytes { client: String, bytes: Vec<u8> },
    Expect { client: String, text: String },
    CutOff { client: String },
    HangUp { client: String },
    EndHalf { client: String },
    Reading { client: String, reads: bool },
    Tick(Duration),
}

#[derive(Debug, Default)]
pub struct Script {
    /// The `!` lines, split into words.
    pub setup: Vec<Vec<String>>,
    pub steps: Vec<Step>,
}

impl Script {
    /// Whether it can be played over sockets: time is not at a script's call there, and neither are full buffers.
    pub fn is_for_sockets(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.what, What::Tick(_) | What::Reading { .. }))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (line, text) in logical_lines(text) {
            script.line(line, &text).map_err(|error| format!("line {line}: {error}"))?;
        }
        Ok(script)
    }

    fn line(&mut self, line: usize, text: &str) -> Result<(), String> {
        if let Some(setup) = text.strip_prefix('!') {
            self.setup.push(setup.split_whitespace().map(Into::into).collect());
            return Ok(());
        }
        let (first, rest) = text.split_once(' ').ok_or("a step has at least two words")?;
        let client = first.to_owned();
        let what = match rest.trim() {
            seconds if first == "tick" => What::Tick(seconds_of(seconds)?),
            "is cut off" => What::CutOff { client },
            "hangs up" => What::HangUp { client },
            "ends its half" => What::EndHalf { client },
            "stops reading" => What::Reading { client, reads: false },
            "reads again" => What::Reading { client, reads: true },
            rest => match rest.split_once(": ") {
                Some(("C", text)) => What::Send { client, text: text.trim().into() },
                Some(("S", text)) => What::Expect { client, text: text.trim().into() },
                Some(("X", hex)) => What::SendBytes { client, bytes: bytes_of(hex)? },
                _ => return self.several_steps(line, &client, rest),
            },
        };
        self.steps.push(Step { line, what });
        Ok(())
    }

    /// What is short for several steps.
    fn several_steps(&mut self, line: usize, client: &str, text: &str) -> Result<(), String> {
        match (text, text.strip_prefix("logs in as "), text.strip_prefix("is thrown out with ")) {
            ("opens a stream", _, _) => self.open_stream(line, client),
            (_, Some(whom), _) => self.login(line, client, whom)?,
            (_, _, Some(why)) => self.throw_out(line, client, why),
            _ => return Err(format!("what is {text:?}?")),
        }
        Ok(())
    }

    fn send(&mut self, line: usize, client: &str, text: String) {
        self.steps.push(Step { line, what: What::Send { client: client.into(), text } });
    }

    fn expect(&mut self, line: usize, client: &str, text: String) {
        self.steps.push(Step { line, what: What::Expect { client: client.into(), text } });
    }

    fn open_stream(&mut self, line: usize, client: &str) {
        self.send(line, client, HEADER.into());
        self.expect(line, client, format!("<stream:stream id='{{={client}-stream}}'>"));
    }

    fn throw_out(&mut self, line: usize, client: &str, why: &str) {
        let (name, text) = match why.split_once(": ") {
            Some((name, text)) => (name, format!("<text xmlns='{STREAM_ERRORS}'>{text}</text>")),
            None => (why, String::new()),
        };
        let error = format!("<stream:error><{name} xmlns='{STREAM_ERRORS}'/>{text}</stream:error>");
        self.expect(line, client, format!("{error}</stream:stream>"));
        self.steps.push(Step { line, what: What::CutOff { client: client.into() } });
    }

    /// A digest login by XEP-0078, as a client of the mission does it.
    fn login(&mut self, line: usize, client: &str, whom: &str) -> Result<(), String> {
        let (address, password) = whom.split_once(" with ").ok_or("want NAME/RESOURCE with PASSWORD")?;
        let (name, resource) = address.split_once('/').ok_or("want NAME/RESOURCE with PASSWORD")?;
        self.open_stream(line, client);
        let iq = format!(
            "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
             <digest>{{sha1 {client}-stream {password}}}</digest><resource>{resource}</resource></query></iq>"
        );
        self.send(line, client, iq);
        self.expect(
            line,
            client,
            format!("<iq type='result' id='login' to='{name}@{{domain}}/{resource}'/>"),
        );
        Ok(())
    }
}

/// Lines without comments, each with the indented lines that go on with it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(' ') => {
                // A tag may be broken between attributes, where white space is needed.
                if last.rfind('<') > last.rfind('>') {
                    last.push(' ');
                }
                last.push_str(line.trim());
            }
            _ => lines.push((number + 1, line.trim_end().to_owned())),
        }
    }
    lines
}

fn seconds_of(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| format!("want seconds, such as 60s, not {text:?}"))
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, String> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).map_err(|error| format!("{byte:?}: {error}")))
        .collect()
}
