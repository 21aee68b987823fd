//! What plays transcripts: reads them ([`script`]), carries bytes ([`wire`], `sockets`), compares trees ([`compare`]),
//! logs in by SCRAM ([`scram`]), and goes through them step by step ([`player`]).

// A module of tests has no outside, and a panic is how a test fails.
#![allow(unreachable_pub, clippy::expect_used, clippy::indexing_slicing)]

pub mod compare;
pub mod player;
pub mod scram;
pub mod script;
#[cfg(feature = "net")]
pub mod sockets;
pub mod wire;
