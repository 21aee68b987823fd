//! The program around the library: settings, commands, a logger, a loop that handles signals.
//!
//! Read first: [`flags`] for the command line, then [`serve`] and [`commands`]. Left out on purpose: protocol.

mod backend;
mod commands;
mod control;
mod descriptors;
mod flags;
mod job;
mod limits;
mod listeners;
mod password;
mod places;
mod serve;
mod settings;
mod signals;
mod sources;
mod table;
mod transfer;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use flags::{Command, Parsed};

/// Exit status for a command line or settings that are wrong.
const USAGE_STATUS: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let (command, sources) = match flags::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Run(command, sources)) => (command, sources),
        Ok(Parsed::Print(text)) => return print(&text),
        Err(error) => return print_error(&error, USAGE_STATUS),
    };
    let settings = match sources.settings() {
        Ok(settings) => settings,
        Err(errors) => return print_error(&errors.join("\nloquat: "), USAGE_STATUS),
    };
    let level = if command == Command::Serve { "info" } else { "warn" };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
    let done = match command {
        Command::Serve => serve::serve(&sources, settings),
        Command::Check => commands::check(&settings).map_err(Failure::Usage),
        command => commands::run(command, &settings).map_err(Failure::System),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => print_error(&error, USAGE_STATUS),
        Err(Failure::System(error)) => print_error(&error, 1),
    }
}

/// Why the program ends with an error: wrong settings, or a failure while it ran.
enum Failure {
    Usage(String),
    System(String),
}

impl<E: Into<loquat::StorageError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::System(error.into().to_string())
    }
}

fn print(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn print_error(error: &dyn Display, status: u8) -> ExitCode {
    // If standard error is closed, there is no other place to report to.
    let _ = writeln!(io::stderr(), "loquat: {error}");
    ExitCode::from(status)
}

fn named(path: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", path.display())
}

fn print_line(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| error.to_string())
}
