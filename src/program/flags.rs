//! The command line: settings and a command.
//!
//! Left out on purpose: what the settings are ([`super::table`]).

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::places;
use super::sources::Sources;
use super::table::{self, Key};

/// What `--help` prints before the settings, and after them.
const USAGE: &str = "\
loquat: a small XMPP chat server

usage: loquat [OPTION]... [COMMAND]

  loquat                                 serve localhost on this machine only
  loquat user add juliet                 make the account juliet@localhost
  loquat --domain chat.lan --listen 0.0.0.0:5222
                                         serve chat.lan to the network

Without a command loquat serves. Other commands are answered by the server that uses the same
data folder, or work on the folder themselves if no server does. In either case say --data or
--config as you say it to the server.

commands:
  user add NAME              make an account; asks for its password, or reads a line of
                             standard input
  user password NAME         change a password, read in the same way
  user remove NAME           remove an account and all that is kept for it
  user list                  print the names of all accounts
  export FILE                write all accounts in the format of XEP-0227; to standard output if
                             FILE is -, and if it is a folder, to a file in it for each account:
                             name@domain.xml, or account-N.xml if that is over 200 bytes long or
                             has a character that file systems refuse
  import FILE                make the accounts of such a file, or of all .xml files in a folder,
                             from this server or another; existing accounts stay as they are
  status                     print whether a server runs, and its figures
  stop                       stop the server; returns when its folder is free
  check                      check the settings and print all limits
  repair                     keep what is whole in a damaged data folder, and put the rest aside

options (with their defaults in brackets):
";
const USAGE_END: &str =
    "  --limit.NAME VALUE         one of the limits that `loquat check` prints, in the same units:
                             bytes, seconds, or a number of things
  --config FILE              read settings from this file [/etc/loquat.conf if it is there]
  --as-domain NAME           for import: take the accounts of this domain as well, as accounts of
                             ours, and contacts at this domain as contacts at ours
  --version                  print the version and what is implemented
  --help                     print this

A settings file has an option on each line, without the dashes: `listen 0.0.0.0:5222`. A # at the
start of a line or behind white space begins a comment. An option on the command line replaces
all lines with its name. SIGHUP makes the server read the file again.

SIGTERM and SIGINT end all streams and then the server; a second one ends it at once. The
environment variable RUST_LOG says what is logged to standard error: error, warn, info (the
default), debug. Exit status: 0 if all went well, 1 if something failed, 2 if the options or
settings are wrong.";

/// The command; without one the program serves.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Serve,
    AddUser(String),
    SetPassword(String),
    RemoveUser(String),
    ListUsers,
    Export(PathBuf),
    /// With the other domain whose accounts are imported as ours.
    Import(PathBuf, Option<String>),
    Status,
    Stop,
    Check,
    Repair,
}

/// A command line that was understood.
pub(super) enum Parsed {
    Run(Command, Sources),
    Print(String),
}

/// Reads the arguments behind the program's name. An error is one line for people.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    read(args).map_err(|error| format!("{error} (see loquat --help)"))
}

fn read(args: impl Iterator<Item = OsString>) -> Result<Parsed, lexopt::Error> {
    let (mut sources, mut words, mut as_domain) = (Sources::default(), Vec::new(), None);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("config") => sources.file = Some(parser.value()?.into()),
            Arg::Long("as-domain") => as_domain = Some(parser.value()?.string()?),
            Arg::Long("version") => return Ok(Parsed::Print(version())),
            Arg::Short('h') | Arg::Long("help") => return Ok(Parsed::Print(help())),
            Arg::Long(name) => {
                let name = name.to_owned();
                let Some(key) = Key::named(&name) else { return Err(arg.unexpected()) };
                let value = if key.value().is_empty() { String::new() } else { parser.value()?.string()? };
                sources.add(&name, key, value);
            }
            Arg::Value(word) => words.push(word),
            Arg::Short(_) => return Err(arg.unexpected()),
        }
    }
    sources.file = sources.file.or_else(places::settings_file);
    Ok(Parsed::Run(command(words, as_domain)?, sources))
}

fn command(words: Vec<OsString>, as_domain: Option<String>) -> Result<Command, lexopt::Error> {
    let is_import = words.first().is_some_and(|word| word == "import");
    if as_domain.is_some() && !is_import {
        return Err("--as-domain is an option of import alone".into());
    }
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return Ok(Command::Serve) };
    let mut next =
        |after: &str, what: &str| words.next().ok_or_else(|| format!("{after}: {what} is missing"));
    let command = match first.string()?.as_str() {
        "user" => match next("user", "add, password, remove or list")?.string()?.as_str() {
            "add" => Command::AddUser(next("user add", "the NAME")?.string()?),
            "password" => Command::SetPassword(next("user password", "the NAME")?.string()?),
            "remove" => Command::RemoveUser(next("user remove", "the NAME")?.string()?),
            "list" => Command::ListUsers,
            other => return Err(format!("user {other}: want add, password, remove or list").into()),
        },
        "export" => Command::Export(next("export", "the FILE or folder to write")?.into()),
        "import" => Command::Import(next("import", "the FILE or folder to read")?.into(), as_domain),
        "status" => Command::Status,
        "stop" => Command::Stop,
        "check" => Command::Check,
        "repair" => Command::Repair,
        other => return Err(format!("there is no command {other}").into()),
    };
    match words.next() {
        None => Ok(command),
        Some(word) => Err(format!("unexpected argument {}", word.to_string_lossy()).into()),
    }
}

fn help() -> String {
    format!("{USAGE}{}{USAGE_END}", table::help())
}

fn version() -> String {
    let specs: Vec<&str> = loquat::specs().collect();
    format!("loquat {}\n{}", env!("CARGO_PKG_VERSION"), specs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::*;

    fn parsed(line: &str) -> Result<(Command, Settings), String> {
        match parse(line.split_whitespace().map(OsString::from))? {
            Parsed::Run(command, sources) => match sources.settings() {
                Ok(settings) => Ok((command, settings)),
                Err(errors) => Err(errors.join("\n")),
            },
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn good_flags() {
        let (command, settings) =
            parsed("--domain a --alias b --alias=c --listen [::1]:0 --user 用户1:p:q --registration closed")
                .unwrap();
        assert_eq!((command, settings.domain.as_deref()), (Command::Serve, Some("a")));
        assert_eq!(settings.listen, ["[::1]:0".parse().unwrap()]);
        assert_eq!(settings.users, [("用户1".to_owned(), "p:q".to_owned())]);
        assert!(!settings.config("a").unwrap().registration);
    }

    #[test]
    fn commands_stand_before_or_behind_settings() {
        for line in ["--data d user add x", "user --data d add x", "user add x --data d"] {
            let (command, settings) = parsed(line).unwrap();
            assert_eq!(command, Command::AddUser("x".into()), "{line}");
            assert_eq!(settings.folder(), std::path::Path::new("d"));
        }
        let import = Command::Import("f".into(), Some("b".into()));
        assert_eq!(parsed("import --as-domain b f").unwrap().0, import);
    }

    #[test]
    fn bad_flags_get_one_clear_line() {
        for line in [
            "--nope",
            "-x",
            "--domain",
            "--listen 5222",
            "--registration yes",
            "--plaintext no",
            "--durability maybe",
            "--legacy-auth 1",
            "--ping-interval -1",
            "--user secret",
            "x",
            "--max-connections -1",
            "user",
            "user x",
            "user add",
            "user add a b",
            "export",
            "stop now",
            "status --as-domain a",
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.ends_with("(see loquat --help)") && !error.contains('\n'), "{line}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(parsed("--in-memory --data x").is_err());
    }

    #[test]
    fn help_names_every_flag_and_command() {
        let source = include_str!("flags.rs");
        for flag in source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split_once('"')) {
            assert!(help().contains(&format!("--{}", flag.0)), "--{} is not in --help", flag.0);
        }
        assert!(parsed("--help").is_err_and(|text| text == help()));
        assert!(help().lines().all(|line| line.len() <= 100));
    }
}
