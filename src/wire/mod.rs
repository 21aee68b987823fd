//! How the words of a stream become bytes on a connection.
//!
//! Read first: `framing.rs`. Left out on purpose: input; what comes is read by [`crate::xml`].

pub(crate) mod framing;
