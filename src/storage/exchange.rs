//! Accounts on their way to and from other servers: documents in the portable format (XEP-0227).
//!
//! What we write has one host and each account in a line of its own. What we read may have several hosts, may be spread
//! over files that include each other (ejabberd writes such), and may say what we have no place for. Read first:
//! [`crate::tables::portable`]. Left out on purpose: files. A document is whatever can be read, and whoever reads it
//! opens what it includes.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use super::files::LIMITS;
use super::line;
use crate::tables::portable::{self, NS, SCRAM};
use crate::tables::Accounts;
use crate::xml::{writer, Element, Item, Node, Reader, XmlError};

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// All accounts of a server, to be written line by line ([`crate::Server::export`]).
#[derive(Debug)]
pub struct Export {
    domain: String,
    names: Vec<Box<str>>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Head,
    Accounts,
    End,
}

impl Export {
    pub(crate) fn new(domain: &str, accounts: &Accounts) -> Self {
        let mut names = accounts.names();
        names.sort_unstable_by(|a, b| b.cmp(a));
        Self { domain: domain.to_owned(), names, place: Place::Head }
    }

    /// Appends the next lines: an account, or what stands around them. `false` behind the last.
    pub(crate) fn write(&mut self, accounts: &Accounts, out: &mut Vec<u8>) -> bool {
        match self.place {
            Place::Head => {
                let mut host = Vec::new();
                writer::attribute("jid", &self.domain, &mut host);
                let head = format!("<?xml version='1.0'?>\n<server-data xmlns='{NS}'>\n<host");
                out.extend_from_slice(&[head.as_bytes(), &host, b">\n"].concat());
                self.place = Place::Accounts;
            }
            Place::Accounts => match self.names.pop() {
                // It may have been ended meanwhile.
                Some(name) => {
                    if let Some(account) = accounts.named(&name) {
                        let user = without_second_credential(portable::account_to_element(&name, account));
                        line::write_plain(&user, NS, out);
                    }
                }
                None => {
                    out.extend_from_slice(b"</host>\n</server-data>\n");
                    self.place = Place::End;
                }
            },
            Place::End => return false,
        }
        true
    }
}

/// An account with its password or with the keys that stand for it: others refuse what has both.
fn without_second_credential(user: Element) -> Element {
    if user.attr("password").is_none() {
        return user;
    }
    let mut copy = Element::from_parts(
        user.name().to_owned().into(),
        user.ns().to_owned().into(),
        user.attributes().to_vec(),
    );
    let is_keys = |node: &Node| matches!(node, Node::Element(child) if child.is("scram-credentials", SCRAM));
    user.nodes().iter().filter(|node| !is_keys(node)).for_each(|node| copy.push(node.clone()));
    copy
}

/// An account of a document as one line, which [`crate::Server::import`] reads.
pub fn account_line(user: &Element) -> String {
    let mut out = Vec::new();
    line::write_plain(user, "", &mut out);
    out.pop();
    String::from_utf8_lossy(&out).into_owned()
}

/// A part of a document.
#[derive(Debug)]
pub enum Part {
    /// An account of this host.
    User(Element, String),
    /// What the document at this place belongs here; with the host that it is in, if it is in one.
    Include(String, Option<String>),
    /// Something else of this name.
    Other(String),
}

/// Why a document cannot be read any further.
#[derive(Debug)]
#[non_exhaustive]
pub enum DocumentError {
    /// The system said so.
    Io(io::Error),
    /// It is not XML, or has what we do not read (comments, for one); so many bytes before that are fine.
    Xml(XmlError, u64),
    /// It ends too early.
    Incomplete,
    /// It has no accounts in the portable format.
    Foreign(String),
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Xml(error, at) => write!(f, "{error}, behind byte {at}"),
            Self::Incomplete => f.write_str("it ends too early"),
            Self::Foreign(name) => write!(f, "<{name}> is not the format of XEP-0227"),
        }
    }
}

impl std::error::Error for DocumentError {}

/// A document with accounts of one host or several.
pub struct Document<R> {
    source: R,
    buffer: Vec<u8>,
    reader: Reader,
    /// Bytes that the reader has had before the present ones.
    at: u64,
    /// The host that the document is in, or is itself.
    host: Option<String>,
    /// How many elements are open.
    open: usize,
    /// How many stand around an account.
    levels: usize,
    done: bool,
}

impl<R: Read> Document<R> {
    /// A document; one that another includes may be inside of a host.
    ///
    /// # Errors
    /// If it is not the beginning of such a document.
    pub fn new(mut source: R, host: Option<String>) -> Result<Self, DocumentError> {
        let (mut buffer, mut start, mut peek) = (vec![0; READ_BYTES], Vec::new(), Reader::nested(1, LIMITS));
        let root = loop {
            let n = read(&mut source, &mut buffer)?;
            let read = buffer.get(..n).unwrap_or_default();
            start.extend_from_slice(read);
            peek.push(read);
            match peek.next_item() {
                Ok(Some(Item::Header(header))) => break header.element,
                Ok(None) if n > 0 => (),
                Ok(_) => return Err(DocumentError::Incomplete),
                Err(error) => return Err(DocumentError::Xml(error, 0)),
            }
        };
        // Accounts stand in `<server-data><host>`, in `<host>`, or alone.
        let levels = match root.name() {
            _ if root.ns() != NS => return Err(DocumentError::Foreign(root.name().to_owned())),
            "server-data" => 2,
            "host" => 1,
            "user" if host.is_some() => 0,
            name => return Err(DocumentError::Foreign(name.to_owned())),
        };
        let mut reader = Reader::nested(levels, LIMITS);
        reader.push(&start);
        Ok(Self { source, buffer, reader, at: 0, host, open: 0, levels, done: false })
    }

    /// The next part; `None` behind the last.
    ///
    /// # Errors
    /// If the document cannot be read any further.
    pub fn next_part(&mut self) -> Result<Option<Part>, DocumentError> {
        while !self.done {
            let item = self.reader.next_item().map_err(|error| DocumentError::Xml(error, self.at))?;
            let part = match item {
                None => self.read_on()?,
                Some(Item::Header(header)) => self.enter(&header.element),
                Some(Item::Close) => {
                    self.open -= 1;
                    self.done = self.open == 0;
                    None
                }
                Some(Item::Stanza(element)) => {
                    self.done = self.levels == 0;
                    Some(self.part(element))
                }
            };
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    fn read_on(&mut self) -> Result<Option<Part>, DocumentError> {
        let n = read(&mut self.source, &mut self.buffer)?;
        if n == 0 {
            return Err(DocumentError::Incomplete);
        }
        let spare = self.reader.take_spare();
        self.reader.push_into(self.buffer.get(..n).unwrap_or_default(), spare);
        self.at += n as u64;
        Ok(None)
    }

    /// The start tag of something around accounts.
    fn enter(&mut self, element: &Element) -> Option<Part> {
        self.open += 1;
        match element.name() {
            "server-data" if self.open == 1 => None,
            "host" if element.ns() == NS && self.open == self.levels => {
                self.host = element.attr("jid").map(str::to_owned);
                None
            }
            _ if element.is("include", XINCLUDE) => include(element, None),
            name => Some(Part::Other(name.to_owned())),
        }
    }

    fn part(&self, element: Element) -> Part {
        if element.is("include", XINCLUDE) {
            return include(&element, self.host.clone()).unwrap_or(Part::Other("include".into()));
        }
        match &self.host {
            Some(host) if element.is("user", NS) => Part::User(element, host.clone()),
            _ => Part::Other(element.name().to_owned()),
        }
    }
}

fn read(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, DocumentError> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            read => return read.map_err(DocumentError::Io),
        }
    }
}

fn include(element: &Element, host: Option<String>) -> Option<Part> {
    Some(Part::Include(element.attr("href")?.to_owned(), host))
}

impl<R> fmt::Debug for Document<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, host: Option<&str>) -> Result<Vec<String>, String> {
        let mut parts = Vec::new();
        let say = |error: DocumentError| error.to_string();
        let mut document = Document::new(text.as_bytes(), host.map(Into::into)).map_err(say)?;
        while let Some(part) = document.next_part().map_err(say)? {
            parts.push(match part {
                Part::User(user, host) => format!("{}@{host}", user.attr("name").unwrap_or_default()),
                Part::Include(href, host) => format!("{href} in {host:?}"),
                Part::Other(name) => format!("<{name}>"),
            });
        }
        Ok(parts)
    }

    #[test]
    fn several_hosts_and_what_is_unknown() {
        let text = "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>\n\
            <host jid='a'>\n <user name='x' password='p'>\n</user> <offline xmlns='y'/><user name='y'/></host>\
            <host jid='b'><user name='z'/></host></server-data>";
        assert_eq!(parts(text, None).unwrap(), ["x@a", "<offline>", "y@a", "z@b"]);
        for cut in (1..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            assert!(parts(&text[..cut], None).is_err(), "{}", &text[..cut]);
        }
    }

    #[test]
    fn documents_that_include_others() {
        let root = "<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'>\
            <xi:include href='host.xml'/></server-data>";
        assert_eq!(parts(root, None).unwrap(), ["host.xml in None"]);
        let host = "<host xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' jid='a'>\
            <user name='x'/><xi:include href='y.xml'/></host>";
        assert_eq!(parts(host, None).unwrap(), ["x@a", "y.xml in Some(\"a\")"]);
        let user = "<user xmlns='urn:xmpp:pie:0' name='y'/>\n";
        assert_eq!(parts(user, Some("a")).unwrap(), ["y@a"]);
        assert!(parts(user, None).is_err());
    }

    #[test]
    fn other_documents() {
        for text in ["", "x", "<html/>", "<server-data/>", "<user xmlns='urn:xmpp:pie:0'/>", "<!-- a --><a/>"]
        {
            assert!(parts(text, None).is_err(), "{text}");
        }
    }
}
