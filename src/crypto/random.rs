//! Unpredictable bytes and names: salts, stream ids, resources.
//!
//! Read first: RFC 6120 4.7.3 (a stream's id must be unpredictable). The bytes come from whoever makes the server, so
//! that tests can repeat them and a host can bring its own source.
//! Left out on purpose: a generator. The system has one.

use std::fs::File;
use std::io::{self, Read};

use crate::crypto::codec::hex;

/// Fills a buffer with bytes that nobody can predict.
pub type RandomSource = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// The system's source, `/dev/urandom`. Opened once, so that running out of descriptors cannot take it away.
///
/// # Errors
/// If it cannot be opened.
pub fn system_random() -> io::Result<RandomSource> {
    let mut file = File::open("/dev/urandom")
        .map_err(|error| io::Error::new(error.kind(), format!("cannot open /dev/urandom: {error}")))?;
    Ok(Box::new(move |buffer| file.read_exact(buffer)))
}

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
