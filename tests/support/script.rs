//! A transcript file, read.
//!
//! ```text
//! # A comment.
//! ! account romeo secret         what the server is told first; all that can be said is in `player::config`
//! ! from romeo 192.0.2.1         whence a client connects
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
//! romeo opens a new stream       the same with a version, and with features, whatever they are
//! romeo proves to be romeo with secret
//!                                a new stream, SASL PLAIN, and another new stream
//! romeo binds phone
//! tick 60s                       time passes
//! compare {one} with {two}       two texts are the same
//! ```
//!
//! `{any}` is any text, `{none}` for an attribute says that there is none. `{=name}` remembers a text, `{name}` says it
//! again, `{sha1 name text}` is the digest of a remembered text and another, `{N times text}` is a repetition, `{error
//! 401 auth not-authorized}` is the child of a stanza error, and of one with any text if it ends in ` ...`. `{base64
//! text}` is what it says, `\0` being a zero byte. Of a SCRAM exchange that begins with `{scram-first n,,n=romeo}` and
//! whose challenge is remembered, `{scram-final challenge n,,n=romeo secret}` is the client's last message (with
//! another word such as `c=biws` in place of what belongs there), `{scram-verifier challenge n,,n=romeo secret}` the
//! server's, and `{scram-salt challenge}` what the challenge says of the account. Nothing that a client gets may go
//! unmentioned.

use std::time::Duration;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// Adds several steps to a script: at which line, for which client, and what else was said.
type Shortcut = fn(&mut Script, usize, &str, &str) -> Result<(), String>;

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
    Compare { one: String, other: String },
}

#[derive(Debug, Default)]
pub struct Script {
    /// The `!` lines, split into words.
    pub setup: Vec<Vec<String>>,
    pub steps: Vec<Step>,
}

impl Script {
    #[cfg(feature = "net")]
    /// Whether it can be played over sockets: time is not at a script's call there, and neither are full buffers or
    /// addresses.
    pub fn is_for_sockets(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.what, What::Tick(_) | What::Reading { .. }))
            && !self.setup.iter().any(|words| words[0] == "from")
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
            texts if first == "compare" => {
                let (one, other) = texts.split_once(" with ").ok_or("want ONE with OTHER")?;
                What::Compare { one: one.into(), other: other.into() }
            }
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
        const SHORTCUTS: [(&str, Shortcut); 6] = [
            ("opens a stream", Script::open_stream),
            ("opens a new stream", Script::open_new_stream),
            ("logs in as ", Script::login),
            ("proves to be ", Script::prove),
            ("binds ", Script::bind),
            ("is thrown out with ", Script::throw_out),
        ];
        let found = SHORTCUTS.iter().find_map(|(name, steps)| Some((text.strip_prefix(name)?, steps)));
        let (rest, steps) = found.ok_or_else(|| format!("what is {text:?}?"))?;
        steps(self, line, client, rest)
    }

    fn send(&mut self, line: usize, client: &str, text: String) {
        self.steps.push(Step { line, what: What::Send { client: client.into(), text } });
    }

    fn expect(&mut self, line: usize, client: &str, text: String) {
        self.steps.push(Step { line, what: What::Expect { client: client.into(), text } });
    }

    fn open_stream(&mut self, line: usize, client: &str, _: &str) -> Result<(), String> {
        self.send(line, client, HEADER.into());
        self.expect(line, client, format!("<stream:stream id='{{={client}-stream}}'>"));
        Ok(())
    }

    fn open_new_stream(&mut self, line: usize, client: &str, _: &str) -> Result<(), String> {
        self.send(line, client, HEADER.replace('>', " version='1.0'>"));
        self.expect(line, client, format!("<stream:stream id='{{={client}-stream}}' version='1.0'>"));
        self.expect(line, client, "<stream:features>{any}</stream:features>".into());
        Ok(())
    }

    /// A login by SASL PLAIN, as far as to where a resource may be bound.
    fn prove(&mut self, line: usize, client: &str, whom: &str) -> Result<(), String> {
        let (name, password) = whom.split_once(" with ").ok_or("want NAME with PASSWORD")?;
        self.open_new_stream(line, client, "")?;
        self.send(
            line,
            client,
            format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{{base64 \\0{name}\\0{password}}}</auth>"),
        );
        self.expect(line, client, format!("<success xmlns='{SASL}'/>"));
        self.open_new_stream(line, client, "")
    }

    fn bind(&mut self, line: usize, client: &str, resource: &str) -> Result<(), String> {
        self.send(
            line,
            client,
            format!(
                "<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>"
            ),
        );
        self.expect(
            line,
            client,
            format!("<iq type='result' id='bind'><bind xmlns='{BIND}'><jid>{{={client}}}</jid></bind></iq>"),
        );
        Ok(())
    }

    fn throw_out(&mut self, line: usize, client: &str, why: &str) -> Result<(), String> {
        let (name, text) = match why.split_once(": ") {
            Some((name, text)) => (name, format!("<text xmlns='{STREAM_ERRORS}'>{text}</text>")),
            None => (why, String::new()),
        };
        let error = format!("<stream:error><{name} xmlns='{STREAM_ERRORS}'/>{text}</stream:error>");
        self.expect(line, client, format!("{error}</stream:stream>"));
        self.steps.push(Step { line, what: What::CutOff { client: client.into() } });
        Ok(())
    }

    /// A digest login by XEP-0078, as a client of the mission does it.
    fn login(&mut self, line: usize, client: &str, whom: &str) -> Result<(), String> {
        let (address, password) = whom.split_once(" with ").ok_or("want NAME/RESOURCE with PASSWORD")?;
        let (name, resource) = address.split_once('/').ok_or("want NAME/RESOURCE with PASSWORD")?;
        self.open_stream(line, client, "")?;
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

pub fn seconds_of(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| format!("want seconds, such as 60s, not {text:?}"))
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, String> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).map_err(|error| format!("{byte:?}: {error}")))
        .collect()
}
