//! A chat session from the client's side, over a plain socket: what is said, and what comes back.
//!
//! ```text
//! cargo run --release                                         a server on this machine; then, beside it:
//! cargo run --example client                                  用户1 writes to itself
//! cargo run --example client localhost:5222 用户1 密码一 用户2   HOST:PORT NAME PASSWORD PEER
//! ```
//!
//! `C:` is what the client says and `S:` what the server says, as it is on the wire. For a chat between two, start the
//! last line in one terminal and, within ten seconds, the same with the names changed round in another.
//!
//! Read first: `main`, which is the session from top to bottom. XEP-0078 has the login, RFC 6121 the rest.
//! Left out on purpose: TLS, SASL, connecting again.

#![allow(clippy::print_stdout)] // to show the session is what it is for

use std::env;
use std::error::Error;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loquat::legacy_digest;
use loquat::xml::{Element, Item, Reader, XmlLimits};

const CLIENT: &str = "jabber:client";
const STREAM: &str = "http://etherx.jabber.org/streams";
const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let mut arg = |default: &str| args.next().unwrap_or_else(|| default.to_owned());
    let (address, name, password) = (arg("localhost:5222"), arg("用户1"), arg("密码一"));
    let peer = arg(&name);

    let mut session = Session::connect(&address)?;
    let header = session.open(&address)?;
    let features = session.stanza()?;
    if features.child("register", REGISTER_FEATURE).is_some() {
        session.register(&name, &password)?;
    }
    let stream_id = header.attr("id").ok_or("the stream has no id")?;
    session.log_in(&name, &legacy_digest(stream_id, &password))?;
    session.ask("roster", "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")?;
    session.say("<presence/>")?;
    // Whoever asked for it by whatever name, the server's true one is in its header.
    let domain = header.attr("from").ok_or("the server does not say who it is")?;
    session.say(&message(&format!("{peer}@{domain}"), stream_id)?)?;
    session.wait_for_a_message()?;
    session.say("<presence type='unavailable'/>")?;
    session.close()
}

/// A chat message. The server delivers what it does not know, here `msgExtension`, as it was sent.
fn message(to: &str, stream_id: &str) -> Result<String> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // A stream's id is nobody else's, so neither is what is made of it.
    let uuid = legacy_digest(stream_id, &time.to_string());
    Ok(format!(
        "<message to='{}' type='chat' id='message'><body>你好，世界！😀</body>\
         <msgExtension xmlns='http://jabber.org/protocol/msgExtension'><msg>你好，世界！😀</msg><time>{time}</time>\
         <uuid>{uuid}</uuid><avaterUrl>http://example.com/头像.png</avaterUrl></msgExtension></message>",
        escape(to)
    ))
}

struct Session {
    socket: BufReader<TcpStream>,
    reader: Reader,
    /// What has come since the last item ended.
    heard: Vec<u8>,
}

impl Session {
    fn connect(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)
            .map_err(|error| format!("{address}: {error} (`cargo run --release` starts a server)"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let reader = Reader::new(XmlLimits::default());
        Ok(Self { socket: BufReader::new(socket), reader, heard: Vec::new() })
    }

    /// Opens the stream; gives the server's header, which has the stream's id.
    fn open(&mut self, address: &str) -> Result<Element> {
        let (host, _port) = address.rsplit_once(':').ok_or("where? HOST:PORT, please")?;
        self.say(&format!(
            "<stream:stream to='{}' xmlns='{CLIENT}' xmlns:stream='{STREAM}' version='1.0'>",
            escape(host)
        ))?;
        match self.hear()? {
            Some(Item::Header(header)) => Ok(header.element),
            _ => Err("this is no XMPP server".into()),
        }
    }

    /// Makes the account. That there is one already is not a fault: then the login says whether it is ours.
    fn register(&mut self, name: &str, password: &str) -> Result<()> {
        let (name, password) = (escape(name), escape(password));
        self.ask(
            "register",
            &format!(
                "<iq type='set' id='register'><query xmlns='jabber:iq:register'>\
                 <username>{name}</username><password>{password}</password></query></iq>"
            ),
        )?;
        Ok(())
    }

    fn log_in(&mut self, name: &str, digest: &str) -> Result<()> {
        let name = escape(name);
        self.ask(
            "fields",
            &format!(
                "<iq type='get' id='fields'><query xmlns='jabber:iq:auth'><username>{name}</username></query></iq>"
            ),
        )?;
        let answer = self.ask(
            "login",
            &format!(
                "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
                 <digest>{digest}</digest><resource>loquat-example</resource></query></iq>"
            ),
        )?;
        match answer.attr("type") {
            Some("result") => Ok(()),
            _ => Err("the server does not let us in".into()),
        }
    }

    /// Says a request, and gives its answer. What else comes meanwhile is heard, too.
    fn ask(&mut self, id: &str, request: &str) -> Result<Element> {
        self.say(request)?;
        loop {
            let stanza = self.stanza()?;
            if stanza.is("iq", CLIENT) && stanza.attr("id") == Some(id) {
                return Ok(stanza);
            }
        }
    }

    /// Waits for a message, be it our own or a peer's. An error is none: the peer may still come.
    fn wait_for_a_message(&mut self) -> Result<()> {
        while let Some(item) = self.hear()? {
            match item {
                Item::Stanza(stanza)
                    if stanza.is("message", CLIENT) && stanza.attr("type") != Some("error") =>
                {
                    return Ok(());
                }
                Item::Close => return Err("the server has ended the stream".into()),
                _ => (),
            }
        }
        println!("(no message for {} s)", PATIENCE.as_secs());
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.say("</stream:stream>")?;
        while !matches!(self.hear()?, Some(Item::Close) | None) {}
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<()> {
        println!("C: {text}");
        self.socket.get_mut().write_all(text.as_bytes())?;
        Ok(())
    }

    /// The next child of the stream, unless that is its end.
    fn stanza(&mut self) -> Result<Element> {
        match self.hear()? {
            Some(Item::Stanza(element)) if !element.is("error", STREAM) => Ok(element),
            Some(_) => Err("the server has ended the stream".into()),
            None => Err("the server does not answer".into()),
        }
    }

    /// The next item of the stream; none if there is silence for too long. The reader knows where an item ends, so it
    /// is fed one byte at a time, and what it was fed since the last one is this item as it came.
    fn hear(&mut self) -> Result<Option<Item>> {
        for byte in self.socket.by_ref().bytes() {
            let byte = match byte {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None)
                }
                byte => byte?,
            };
            self.heard.push(byte);
            self.reader.push(&[byte]);
            if let Some(item) = self.reader.next_item()? {
                println!("S: {}", String::from_utf8_lossy(&self.heard).trim());
                self.heard.clear();
                return Ok(Some(item));
            }
        }
        Err("the server has hung up".into())
    }
}

/// Text for between tags or quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}
