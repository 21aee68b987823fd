//! A client of few words, over a plain socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;

use super::process::PATIENCE;

const HEADER: &str = "<stream:stream to='localhost' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

fn header_1_0() -> String {
    HEADER.replace(" to=", " version='1.0' to=")
}

pub(crate) struct Client {
    socket: TcpStream,
    /// What was heard and not asked for yet.
    heard: String,
}

impl Client {
    /// Opens a stream; `None` if there is no server any more.
    pub(crate) fn connect(address: SocketAddr) -> Option<Self> {
        Self::open(address, HEADER)
    }

    /// Opens a stream of RFC 6120.
    pub(crate) fn connect_1_0(address: SocketAddr) -> Option<Self> {
        let mut client = Self::open(address, &header_1_0())?;
        client.hear("</stream:features>").map(|_| client)
    }

    fn open(address: SocketAddr, header: &str) -> Option<Self> {
        let socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut client = Self { socket, heard: String::new() };
        client.say(header);
        client.hear(">")?;
        // The declaration ends with one, too.
        client.hear(">").map(|_| client)
    }

    pub(crate) fn say(&mut self, text: &str) {
        // Whoever is not there any more does not answer either.
        let _ = self.socket.write_all(text.as_bytes());
    }

    /// All that comes until `end`; `None` if the connection ends before.
    pub(crate) fn hear(&mut self, end: &str) -> Option<String> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.heard.find(end) {
                let rest = self.heard.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.heard, rest));
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.heard.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    assert!(start.elapsed() < PATIENCE, "{end} does not come: {}", self.heard);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => return None,
            }
        }
    }

    /// Asks, and gives the answer, which has the id that it was asked with.
    pub(crate) fn ask(&mut self, id: &str, iq: &str) -> Option<String> {
        self.say(iq);
        self.answer(id)
    }

    /// All that comes until the end of the answer with this id.
    pub(crate) fn answer(&mut self, id: &str) -> Option<String> {
        let start = self.hear(&format!("id='{id}'"))?;
        let tag = self.hear(">")?;
        let whole = format!("{start}{tag}");
        if tag.ends_with("/>") {
            return Some(whole);
        }
        self.hear("</iq>").map(|rest| whole + &rest)
    }

    /// Proves an account by SASL PLAIN.
    pub(crate) fn prove(&mut self, name: &str, password: &str) -> Option<()> {
        let proof = base64::engine::general_purpose::STANDARD.encode(format!("\0{name}\0{password}"));
        self.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"));
        self.hear("<success")?;
        self.hear(">")?;
        self.say(&header_1_0());
        self.hear("</stream:features>").map(|_| ())
    }

    /// Makes an account. `true` if it was made.
    pub(crate) fn register(&mut self, id: &str, name: &str, password: &str) -> Option<bool> {
        let answer = self.ask(id, &registration(id, name, password))?;
        Some(answer.contains("type='result'"))
    }

    /// Logs in. `true` if that is the password.
    pub(crate) fn log_in(&mut self, name: &str, password: &str) -> Option<bool> {
        self.log_in_as(name, "r", password)
    }

    pub(crate) fn log_in_as(&mut self, name: &str, resource: &str, password: &str) -> Option<bool> {
        let answer = self.ask(
            "login",
            &format!(
                "<iq type='set' id='login'><query xmlns='jabber:iq:auth'><username>{name}</username>\
                 <password>{password}</password><resource>{resource}</resource></query></iq>"
            ),
        )?;
        Some(answer.contains("type='result'"))
    }
}

/// The request that makes an account, or changes its password.
pub(crate) fn registration(id: &str, name: &str, password: &str) -> String {
    format!(
        "<iq type='set' id='{id}'><query xmlns='jabber:iq:register'><username>{name}</username>\
         <password>{password}</password></query></iq>"
    )
}

/// Whether this is the password of this account, whose other streams go on.
pub(crate) fn fits(address: SocketAddr, name: &str, password: &str) -> bool {
    Client::connect(address).unwrap().log_in_as(name, "look", password).unwrap()
}
