//! The command line.
//!
//! Left out on purpose: whether names and addresses are good ones; who needs them says so.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use loquat::{Durability, Plaintext};

/// What `--help` says.
const HELP: &str = "\
loquat: a small XMPP chat server

usage: loquat [OPTION]...

  --domain NAME              the server's one true name [localhost]
  --alias NAME               another name or IP address of the same host; may be repeated
  --listen ADDR:PORT         where to listen; may be repeated; port 0 picks a free one
                             [127.0.0.1:5222 and [::1]:5222]; an address that is named is an
                             alias, too
  --user NAME:PASSWORD       an account; may be repeated (the command line is visible to
                             other users of this machine)
  --admin NAME               an account whose owner may manage the server from a chat client;
                             may be repeated
  --registration open|closed whether anybody may make an account over the wire
                             [open while every listener is on loopback, else closed]
  --legacy-auth on|off       offer the login of XEP-0078, whose digest needs the passwords
                             themselves to be kept [on]
  --plaintext loopback|always|never
                             where a password may be sent as it is [loopback]
  --scram-iterations N       rounds of key derivation for new passwords [4096]
  --ping-interval SECONDS    silence after which a client is asked whether it is there;
                             0 never asks [120]
  --max-connections N        connections at a time [16384]
  --data FOLDER              where accounts and what belongs to them are kept [loquat-data]
  --durability always|SECONDS|never
                             when a change is safe from a loss of power: before anybody is
                             told of it; at most so many seconds later, which is kinder to
                             flash and may lose the changes of these seconds; or when the
                             system likes [always]
  --in-memory                keep nothing: all ends with the program
  --version                  print the version and what is implemented
  --help                     print this

The environment variable RUST_LOG sets what is logged to standard error: error, warn, info
(the default), debug. Descriptors limit connections, too: see `ulimit -n`.";

/// The flags of a server that is to run.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) domain: String,
    pub(super) aliases: Vec<String>,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) users: Vec<(String, String)>,
    pub(super) admins: Vec<String>,
    pub(super) registration: Option<bool>,
    pub(super) legacy_auth: Option<bool>,
    pub(super) plaintext: Option<Plaintext>,
    pub(super) scram_iterations: Option<u32>,
    pub(super) ping_interval: Option<u64>,
    pub(super) max_connections: Option<usize>,
    pub(super) data: Option<PathBuf>,
    pub(super) durability: Option<Durability>,
    pub(super) in_memory: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Parsed {
    Run(Flags),
    Print(String),
}

/// Reads the arguments behind the program's name. An error is one line for people.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    read(args).map_err(|error| format!("{error} (see loquat --help)"))
}

fn read(args: impl Iterator<Item = OsString>) -> Result<Parsed, lexopt::Error> {
    let mut flags = Flags { domain: "localhost".into(), ..Flags::default() };
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("domain") => flags.domain = parser.value()?.string()?,
            Arg::Long("alias") => flags.aliases.push(parser.value()?.string()?),
            Arg::Long("listen") => flags.listen.push(parser.value()?.parse_with(|text| {
                text.parse().map_err(|_| "want an IP address and a port, such as 0.0.0.0:5222 or [::]:5222")
            })?),
            Arg::Long("user") => flags.users.push(user(&mut parser)?),
            Arg::Long("admin") => flags.admins.push(parser.value()?.string()?),
            Arg::Long("registration") => flags.registration = Some(choice(&mut parser, ON_WIRE)?),
            Arg::Long("legacy-auth") => flags.legacy_auth = Some(choice(&mut parser, SWITCH)?),
            Arg::Long("plaintext") => flags.plaintext = Some(choice(&mut parser, PLAINTEXT)?),
            Arg::Long("scram-iterations") => flags.scram_iterations = Some(parser.value()?.parse()?),
            Arg::Long("ping-interval") => flags.ping_interval = Some(parser.value()?.parse()?),
            Arg::Long("max-connections") => flags.max_connections = Some(parser.value()?.parse()?),
            Arg::Long("data") => flags.data = Some(parser.value()?.into()),
            Arg::Long("durability") => flags.durability = Some(durability(&mut parser)?),
            Arg::Long("in-memory") => flags.in_memory = true,
            Arg::Long("version") => return Ok(Parsed::Print(version())),
            Arg::Short('h') | Arg::Long("help") => return Ok(Parsed::Print(HELP.into())),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Parsed::Run(flags))
}

/// Its error does not repeat the value, which may hold a password.
fn user(parser: &mut Parser) -> Result<(String, String), lexopt::Error> {
    let text = parser.value()?.into_string().unwrap_or_default();
    let (name, password) = text.split_once(':').ok_or("--user wants NAME:PASSWORD")?;
    Ok((name.into(), password.into()))
}

fn durability(parser: &mut Parser) -> Result<Durability, lexopt::Error> {
    parser.value()?.parse_with(|text| match (text, text.parse()) {
        ("always", _) => Ok(Durability::Always),
        ("never", _) => Ok(Durability::Never),
        (_, Ok(seconds)) => Ok(Durability::Every(Duration::from_secs(seconds))),
        (_, Err(_)) => Err("want always, a number of seconds, or never"),
    })
}

const ON_WIRE: &[(&str, bool)] = &[("open", true), ("closed", false)];
const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false)];
const PLAINTEXT: &[(&str, Plaintext)] =
    &[("loopback", Plaintext::Loopback), ("always", Plaintext::Always), ("never", Plaintext::Never)];

/// One of a few words.
fn choice<T: Copy>(parser: &mut Parser, choices: &[(&str, T)]) -> Result<T, lexopt::Error> {
    parser.value()?.parse_with(|text| {
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.ok_or_else(|| format!("want {}", words()))
    })
}

fn version() -> String {
    let specs: Vec<&str> = loquat::specs().collect();
    format!("loquat {}\n{}", env!("CARGO_PKG_VERSION"), specs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Result<Flags, String> {
        match parse(line.split_whitespace().map(OsString::from))? {
            Parsed::Run(flags) => Ok(flags),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn good_flags() {
        let flags =
            flags("--domain a --alias b --alias=c --listen [::1]:0 --user 用户1:p:q --admin 用户1 --registration closed")
                .unwrap();
        assert_eq!((flags.domain.as_str(), flags.aliases.len(), flags.registration), ("a", 2, Some(false)));
        assert_eq!(flags.admins, ["用户1"]);
        assert_eq!(flags.listen, ["[::1]:0".parse().unwrap()]);
        assert_eq!(flags.users, [("用户1".to_owned(), "p:q".to_owned())]);
    }

    #[test]
    fn bad_flags_get_one_clear_line() {
        for line in [
            "--nope",
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
        ] {
            let error = flags(line).unwrap_err();
            assert!(error.ends_with("(see loquat --help)") && !error.contains('\n'), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn help_names_every_flag() {
        let source = include_str!("flags.rs");
        for flag in source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split_once('"')) {
            assert!(HELP.contains(&format!("--{}", flag.0)), "--{} is not in --help", flag.0);
        }
        assert!(flags("--help").is_err_and(|text| text == HELP));
    }
}
