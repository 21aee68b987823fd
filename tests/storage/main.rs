//! The program and its data folder: commands, signals, kills, full disks, with real processes, sockets and files.
//!
//! Read first: [`process`]. What a disk may do to the files is tested without one in `src/storage/crashes.rs`. Some
//! tests do more when the variable `LOQUAT_LONG_TESTS` is set, and the one of a full disk needs the right to mount.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // so tests fail
#![allow(clippy::print_stderr)]

mod client;
mod commands;
mod full_disk;
mod kill;
mod managed;
mod older;
mod process;
mod settings;
