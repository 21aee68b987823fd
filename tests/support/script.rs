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
//! romeo logs in as romeo/phone with secret
//! tick 60s                       time passes
//! ```
//!
//! `{any}` is any text, `{=name}` remembers it, `{name}` says it again, `{sha1 name text}` is the digest of a remembered
//! text and another, `{N times text}` is a repetition. Nothing that a client gets may go unmentioned.

use std::time::Duration;

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
            rest => match (rest.split_once(": "), rest.strip_prefix("logs in as ")) {
                (Some(("C", text)), _) => What::Send { client, text: text.trim().into() },
                (Some(("S", text)), _) => What::Expect { client, text: text.trim().into() },
                (Some(("X", hex)), _) => What::SendBytes { client, bytes: bytes_of(hex)? },
                (_, Some(whom)) => return self.login(line, &client, whom),
                _ => return Err(format!("what is {text:?}?")),
            },
        };
        self.steps.push(Step { line, what });
        Ok(())
    }

    /// A digest login by XEP-0078, as a client of the mission does it.
    fn login(&mut self, line: usize, client: &str, whom: &str) -> Result<(), String> {
        let (address, password) = whom.split_once(" with ").ok_or("want NAME/RESOURCE with PASSWORD")?;
        let (name, resource) = address.split_once('/').ok_or("want NAME/RESOURCE with PASSWORD")?;
        let exchange = [
            ('C', "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>".to_owned()),
            ('S', format!("<stream:stream id='{{={client}-stream}}'>")),
            ('C', format!(
                "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
                 <digest>{{sha1 {client}-stream {password}}}</digest><resource>{resource}</resource></query></iq>"
            )),
            ('S', format!("<iq type='result' id='login' to='{name}@{{domain}}/{resource}'/>")),
        ];
        for (who, text) in exchange {
            let client = client.to_owned();
            let what = if who == 'C' { What::Send { client, text } } else { What::Expect { client, text } };
            self.steps.push(Step { line, what });
        }
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
