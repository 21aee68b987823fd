//! Unpredictable names: stream ids, resources.
//!
//! Read first: RFC 6120 4.7.3 (a stream's id must be unpredictable). The bytes come from whoever makes the server, so
//! that tests can repeat them and a host can bring its own source.
//! Left out on purpose: a generator. The system has one.

use std::io;

use crate::codec::hex;

/// Fills a buffer with bytes that nobody can predict.
pub type RandomSource = Box<dyn FnMut(&mut [u8]) -> io::Result<()>>;

/// Bytes of a token: 128 bits.
const TOKEN_BYTES: usize = 16;

pub(crate) struct Random {
    source: RandomSource,
}

impl Random {
    pub(crate) fn new(source: RandomSource) -> Self {
        Self { source }
    }

    /// A name that nobody can guess and nobody else has.
    pub(crate) fn token(&mut self) -> io::Result<String> {
        let mut bytes = [0; TOKEN_BYTES];
        (self.source)(&mut bytes)?;
        Ok(hex(&bytes))
    }
}
