//! The bytes of one stream, as the parser may have them.
//!
//! Read first: RFC 6120 11.1 (restricted XML) and 11.7 (white space). The parser pulls one byte at a time, and this
//! adaptor looks at each before it hands it on, so that what the parser would take too literally never reaches it:
//! half a UTF-8 character (it would lose it), a DTD (it would expand it), a token without end (it would hoard it),
//! white space between stanzas (it would hoard that, too).
//! Left out on purpose: everything that needs a name or a namespace; [`super::reader`] sees those.

use std::io::{self, Read};

use super::limits::{Limit, XmlLimits};

/// Why the bytes cannot go on to the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not UTF-8.
    Encoding,
    /// A comment, a processing instruction, a DTD or an entity of its making.
    Restricted,
    /// Not XML, in a place where the parser would let it pass or wait for more.
    Malformed,
    /// Character data between stanzas.
    StrayText,
    /// Too much.
    Limit(Limit),
}

/// Where in the XML the next byte stands; just enough to tell markup from what only looks like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing was read but white space.
    Start,
    /// Between tags.
    Text,
    /// Behind a `<`; the flag says that it is the first of the document.
    Less { first: bool },
    /// In a start or end tag, outside of quotes.
    Tag,
    /// In an attribute value that ends with this quote.
    Quoted(u8),
    /// Behind `<!`.
    Bang,
    /// In a CDATA section, behind so many `]`.
    CData { brackets: u8 },
    /// In the XML declaration.
    Declaration { question: bool },
}

/// Bytes on their way from a socket to the parser.
pub(super) struct Feed {
    bytes: Vec<u8>,
    next: usize,
    /// How far `bytes` holds whole characters.
    whole: usize,
    place: Place,
    /// The reference that the next byte belongs to.
    reference: Option<Reference>,
    /// Attributes in the present tag.
    attributes: usize,
    /// Bytes of the present attribute's value.
    value: usize,
    /// Bytes since the last stanza ended.
    used: usize,
    /// Between two stanzas, where white space means nothing (RFC 6120 4.6.1).
    between: bool,
    /// Set once the root's start tag is complete.
    inside_root: bool,
    pub(super) fault: Option<Fault>,
    max_bytes: usize,
    max_attributes: usize,
    max_value: usize,
    /// Up to here the bytes were looked at and mean nothing but themselves.
    plain_until: usize,
}

impl Feed {
    pub(super) fn new(limits: &XmlLimits) -> Self {
        Self {
            bytes: Vec::new(),
            next: 0,
            whole: 0,
            place: Place::Start,
            reference: None,
            attributes: 0,
            value: 0,
            used: 0,
            between: true,
            inside_root: false,
            fault: None,
            max_bytes: limits.stanza_bytes,
            max_attributes: limits.attributes,
            max_value: limits.attribute_bytes,
            plain_until: 0,
        }
    }

    /// Moves to a new stream over the same connection (RFC 6120 4.3.3), with the bytes that are left.
    pub(super) fn restarted(&mut self, limits: &XmlLimits) -> Self {
        let bytes = std::mem::take(&mut self.bytes);
        Self { bytes, next: self.next, whole: self.whole, ..Self::new(limits) }
    }

    /// Takes what a socket gave. `spare` is a buffer to keep them in; [`Feed::take_spare`] gives it back.
    pub(super) fn push(&mut self, bytes: &[u8], mut spare: Vec<u8>) {
        spare.clear();
        spare.extend_from_slice(self.bytes.get(self.next..).unwrap_or_default());
        spare.extend_from_slice(bytes);
        self.bytes = spare;
        self.next = 0;
        self.plain_until = 0;
        self.whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            // `error_len() == None`: the input ends inside a character, and its rest is still to come.
            Err(error) => {
                if error.error_len().is_some() {
                    self.bytes.truncate(error.valid_up_to());
                    self.bytes.push(BAD_UTF8);
                    error.valid_up_to() + 1
                } else {
                    error.valid_up_to()
                }
            }
        };
    }

    /// Gives the buffer back for the next stream, if no more than the start of a character is in it.
    pub(super) fn take_spare(&mut self) -> Vec<u8> {
        let rest = self.bytes.get(self.next..).unwrap_or_default().to_vec();
        self.next = 0;
        self.plain_until = 0;
        self.whole = 0;
        std::mem::replace(&mut self.bytes, rest)
    }

    /// The root's start tag is complete.
    pub(super) fn root_opened(&mut self) {
        self.inside_root = true;
        self.stanza_ended();
    }

    /// A stanza is complete: the next one has the whole limit again, and white space before it means nothing.
    pub(super) fn stanza_ended(&mut self) {
        self.between = true;
        self.used = 0;
    }

    /// How many bytes of the present stanza were looked at.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many attributes and namespace declarations the tag has that was read last.
    pub(super) fn attributes(&self) -> usize {
        self.attributes
    }

    /// How many bytes have not been looked at.
    pub(super) fn unread(&self) -> usize {
        self.bytes.len() - self.next
    }

    /// Whether nothing was begun and nothing is left.
    pub(super) fn is_idle(&self) -> bool {
        self.between && self.inside_root && self.next >= self.bytes.len()
    }

    pub(super) fn set_limits(&mut self, limits: &XmlLimits) {
        self.max_bytes = limits.stanza_bytes;
        self.max_attributes = limits.attributes;
        self.max_value = limits.attribute_bytes;
    }

    /// The next byte, if it was looked at already; most are.
    fn plain_byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(..self.plain_until)?.get(self.next).copied()?;
        self.next += 1;
        Some(byte)
    }

    /// The next byte, if there is one and it may pass.
    fn next_byte(&mut self) -> Result<Option<u8>, Fault> {
        while let Some(&byte) = self.bytes.get(..self.whole).and_then(|whole| whole.get(self.next)) {
            if !(self.between && byte.is_ascii_whitespace()) {
                self.look_ahead(byte)?;
                self.next += 1;
                return Ok(Some(byte));
            }
            self.next += 1;
        }
        Ok(None)
    }

    /// Looks at the next byte, and at all the plain ones that follow it.
    fn look_ahead(&mut self, byte: u8) -> Result<(), Fault> {
        if std::mem::take(&mut self.between) && self.inside_root && byte != b'<' && byte != BAD_UTF8 {
            return Err(Fault::StrayText);
        }
        let mut length = 1;
        if !is_plain(byte)
            || !matches!(self.place, Place::Text | Place::Tag | Place::Quoted(_))
            || self.reference.is_some()
        {
            self.look_at(byte)?;
        } else {
            let rest = self.bytes.get(self.next..self.whole).unwrap_or_default();
            length = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
            length = length.min(self.max_bytes - self.used).max(1);
        }
        self.used += length;
        if matches!(self.place, Place::Quoted(_)) {
            self.value += length;
            if self.value > self.max_value.saturating_add(1) {
                return Err(Fault::Limit(Limit::AttributeBytes));
            }
        }
        self.plain_until = self.next + length;
        if self.used > self.max_bytes {
            return Err(Fault::Limit(Limit::StanzaBytes));
        }
        Ok(())
    }

    fn look_at(&mut self, byte: u8) -> Result<(), Fault> {
        if byte == BAD_UTF8 {
            return Err(Fault::Encoding);
        }
        if self.reference.is_some() {
            return self.look_at_reference(byte);
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'<') => Place::Less { first: true },
            (Place::Start, _) => return Err(Fault::Malformed),
            (Place::Text, b'<') => Place::Less { first: false },
            (Place::Text | Place::Quoted(_), b'&') => {
                self.reference = Some(Reference::EMPTY);
                self.place
            }
            (Place::Text, _) => Place::Text,
            (Place::Less { .. }, b'!') if self.inside_root => Place::Bang,
            (Place::Less { first: true }, b'?') => Place::Declaration { question: false },
            (Place::Less { .. }, b'!' | b'?') => return Err(Fault::Restricted),
            (Place::Less { .. }, _) => {
                self.attributes = 0;
                Place::Tag
            }
            (Place::Tag, b'>') => Place::Text,
            (Place::Tag, b'\'' | b'"') => {
                self.value = 0;
                Place::Quoted(byte)
            }
            (Place::Tag, b'=') => {
                self.attributes += 1;
                if self.attributes > self.max_attributes {
                    return Err(Fault::Limit(Limit::Attributes));
                }
                Place::Tag
            }
            (Place::Tag | Place::Quoted(_), b'<') => return Err(Fault::Malformed),
            (Place::Tag, _) => Place::Tag,
            (Place::Quoted(quote), _) if byte == quote => Place::Tag,
            (Place::Quoted(quote), _) => Place::Quoted(quote),
            (Place::Bang, b'[') => Place::CData { brackets: 0 },
            (Place::Bang, _) => return Err(Fault::Restricted),
            (Place::CData { brackets: 2.. }, b'>') => Place::Text,
            (Place::CData { brackets }, b']') => Place::CData { brackets: brackets.saturating_add(1) },
            (Place::CData { .. }, _) => Place::CData { brackets: 0 },
            (Place::Declaration { question: true }, b'>') => {
                self.between = true;
                Place::Text
            }
            (Place::Declaration { .. }, _) => Place::Declaration { question: byte == b'?' },
        };
        Ok(())
    }

    /// Only the five entities of XML itself and character references pass (RFC 6120 11.1).
    fn look_at_reference(&mut self, byte: u8) -> Result<(), Fault> {
        let Some(reference) = &mut self.reference else { return Ok(()) };
        if byte == b';' {
            let allowed = matches!(reference.name(), b"lt" | b"gt" | b"amp" | b"apos" | b"quot" | [b'#', ..]);
            self.reference = None;
            return if allowed { Ok(()) } else { Err(Fault::Restricted) };
        }
        let fits = (byte == b'#' || byte.is_ascii_alphanumeric()) && reference.push(byte);
        match reference.name() {
            _ if fits => Ok(()),
            [] | [b'#', ..] => Err(Fault::Malformed),
            _ => Err(Fault::Restricted),
        }
    }
}

/// Whether a byte means nothing but itself in text, in a tag and in an attribute's value.
fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'"' | b'=' | BAD_UTF8)
}

/// What came behind an `&` so far.
struct Reference {
    bytes: [u8; REFERENCE_BYTES],
    len: usize,
}

/// The longest reference that XML itself has is `&#x10FFFF;`; leading zeros may make it a little longer.
const REFERENCE_BYTES: usize = 16;

impl Reference {
    const EMPTY: Self = Self { bytes: [0; REFERENCE_BYTES], len: 0 };

    fn name(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends a byte, if there is room.
    fn push(&mut self, byte: u8) -> bool {
        let Some(slot) = self.bytes.get_mut(self.len) else { return false };
        *slot = byte;
        self.len += 1;
        true
    }
}

/// Stands for what was no UTF-8, so that all that came before it is parsed first. No byte of UTF-8 has this value.
const BAD_UTF8: u8 = 0xFF;

impl Read for Feed {
    /// `WouldBlock` says "no more yet", which the parser can resume from; any other error, that [`Feed::fault`] is set.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = buffer.first_mut() else { return Ok(0) };
        if let Some(byte) = self.plain_byte() {
            *slot = byte;
            return Ok(1);
        }
        match self.next_byte() {
            Ok(Some(byte)) => {
                *slot = byte;
                Ok(1)
            }
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fault) => {
                self.fault = Some(fault);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }
}
