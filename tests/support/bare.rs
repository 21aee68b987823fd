//! Two chat stanzas, and what xml-rs by itself makes of them: the cost that no server on it can be below.
//!
//! Read first: `src/xml/reader.rs`, whose parser is configured like the one here. A server may add to the bare parser
//! what it must: it builds trees, counts, routes, writes. How much is what `benches/parts` measures and
//! `tests/allocations.rs` holds.
//! Left out on purpose: all that the server guards its parser against.

// Who includes this uses a part of it, and a panic is how a measurement fails.
#![allow(dead_code, clippy::panic)]

use std::hint::black_box;
use std::io::{self, ErrorKind, Read};

use xml_rs::reader::{Error, EventReader, ParserConfig, XmlEvent};
use xml_rs::Encoding;

/// What a client opens its stream with, whose parser is reading.
pub(crate) const HEADER: &str = "<stream:stream to='localhost' xmlns='jabber:client' \
                                 xmlns:stream='http://etherx.jabber.org/streams'>";

/// A line of chat: 196 bytes.
pub(crate) const SMALL: &str =
    "<message to='u1@localhost/x' type='chat' id='s00000001'><body>The quick brown fox jumps over the lazy dog \
     while the server relays this one line of text from one friend to another.</body></message>";

/// A line of chat as a client with an extension of its own sends it: 559 bytes.
pub(crate) const SEED: &str =
    "<message to='u1@localhost/x' type='chat' id='s00000001'><body>今天下午三点在会议室讨论服务器的性能测试结果，\
     请大家准时参加并带上上周的报告，谢谢。</body><msgExtension xmlns=\"http://jabber.org/protocol/msgExtension\">\
     <msg>今天下午三点在会议室讨论服务器的性能测试结果，请大家准时参加并带上上周的报告，谢谢。</msg>\
     <time>2015-06-18 14:25:36</time><uuid>3f2504e0-4f89-11d3-9a0c-0305e82c3301</uuid>\
     <avaterUrl>http://www.example.com/avatar/u0.png</avaterUrl></msgExtension></message>";

/// One parser on a stream that does not end.
pub(crate) struct Bare {
    events: EventReader<Bytes>,
}

impl Bare {
    /// A parser that has read a stream's header.
    pub(crate) fn new() -> Self {
        let config = ParserConfig::new()
            .ignore_end_of_stream(true)
            .cdata_to_characters(true)
            .whitespace_to_characters(true)
            .coalesce_characters(true)
            .ignore_comments(false)
            .trim_whitespace(false)
            .allow_multiple_root_elements(false)
            .override_encoding(Some(Encoding::Utf8))
            .ignore_invalid_encoding_declarations(true)
            .max_entity_expansion_depth(1)
            .max_entity_expansion_length(1);
        let mut bare = Self { events: EventReader::new_with_config(Bytes::default(), config) };
        bare.read(HEADER.as_bytes());
        bare
    }

    /// Parses what came, drops what it says, and counts the elements that ended.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> usize {
        self.events.source_mut().refill(bytes);
        let mut ended = 0;
        loop {
            match black_box(self.events.next()) {
                Ok(XmlEvent::EndElement { .. }) => ended += 1,
                Ok(_) => (),
                Err(error) if wants_more(&error) => return ended,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn wants_more(error: &Error) -> bool {
    matches!(error.kind(), xml_rs::reader::ErrorKind::Io(io) if io.kind() == ErrorKind::WouldBlock)
}

/// What came and was not read yet.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    next: usize,
}

impl Bytes {
    fn refill(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.next = 0;
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        match (buffer.get_mut(..n), rest.get(..n)) {
            (Some(buffer), Some(bytes)) if n > 0 => buffer.copy_from_slice(bytes),
            _ => return Err(ErrorKind::WouldBlock.into()),
        }
        self.next += n;
        Ok(n)
    }
}
