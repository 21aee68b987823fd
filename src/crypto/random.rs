//! Unpredictable bytes and names: salts, stream ids, resources.
//!
//! Read first: RFC 6120 4.7.3 (a stream's id must be unpredictable). The bytes come from whoever makes the server, so
//! that tests can repeat them and a host can bring its own source.
//! Left out on purpose: a generator. The system has one.

use std::io;

use crate::crypto::codec::hex;

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

    /// So many bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        (self.source)(&mut bytes).map_err(|error| {
            log::error!("no random bytes: {error}");
            error
        })?;
        Ok(bytes)
    }

    /// A name that nobody can guess and nobody else has.
    pub(crate) fn token(&mut self) -> io::Result<String> {
        Ok(hex(&self.bytes::<TOKEN_BYTES>()?))
    }
}
