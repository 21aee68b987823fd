//! What the program does around the library: settings, commands, a logger, a loop that hears signals.
//!
//! Read first: [`flags`] for what can be asked of it, then [`serve`] and [`commands`]. Left out on purpose: protocol.

mod commands;
mod control;
mod desk;
mod flags;
mod password;
mod serve;
mod settings;
mod signals;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use flags::{Command, Parsed};

/// Exit status for flags that cannot be used.
const USAGE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let (command, sources) = match flags::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Do(command, sources)) => (command, sources),
        Ok(Parsed::Print(text)) => return print(&text),
        Err(error) => return complain(&error, USAGE),
    };
    let settings = match sources.settings() {
        Ok(settings) => settings,
        Err(errors) => return complain(&errors.join("\nloquat: "), USAGE),
    };
    let level = if command == Command::Serve { "info" } else { "warn" };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
    let done = match command {
        Command::Serve => serve::serve(&sources, settings),
        Command::Check => return print("the settings are good"),
        command => commands::run(command, &settings).map_err(Failure::System),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, USAGE),
        Err(Failure::System(error)) => complain(&error, 1),
    }
}

/// Why the program ends with an error: what was asked of it, or what happened.
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

fn complain(what: &dyn Display, status: u8) -> ExitCode {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr(), "loquat: {what}");
    ExitCode::from(status)
}
