//! Digests, keys derived from passwords, random bytes.
//!
//! Left out on purpose: anything that knows what the bytes mean.

pub(crate) mod codec;
pub(crate) mod random;
pub(crate) mod scram;
