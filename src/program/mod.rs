//! What the program does around the library: reads its flags, starts a logger, listens, says where.
//!
//! Left out on purpose: protocol.

mod flags;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use loquat::{AccountError, Config, Durability, Folder, Reactor, Storage, StorageError};

use flags::{Flags, Parsed};

/// The port that is registered for clients (RFC 6120 14.7).
const CLIENT_PORT: u16 = 5222;

/// Exit status for flags that cannot be used.
const USAGE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let flags = match flags::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Run(flags)) => flags,
        Ok(Parsed::Print(text)) => return print(&text),
        Err(error) => return complain(&error, USAGE),
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, USAGE),
        Err(Failure::System(error)) => complain(&error, 1),
    }
}

enum Failure {
    Usage(String),
    System(StorageError),
}

impl<E: Into<StorageError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::System(error.into())
    }
}

fn serve(flags: &Flags) -> Result<(), Failure> {
    let config = config(flags).map_err(Failure::Usage)?;
    let mut reactor = bind(config, flags)?;
    for (name, password) in &flags.users {
        match reactor.server().add_account(name, password) {
            Ok(()) => (),
            // It is there from an earlier run.
            Err(AccountError::Exists) if !flags.in_memory => (),
            Err(error) => return Err(Failure::Usage(format!("--user {name}: {error}"))),
        }
    }
    let mut out = io::stdout().lock();
    for address in reactor.local_addresses() {
        writeln!(out, "loquat: listening on {address}")?;
    }
    out.flush()?;
    drop(out);
    Ok(reactor.run()?)
}

fn config(flags: &Flags) -> Result<Config, String> {
    let mut config =
        Config::new(&flags.domain).map_err(|error| format!("--domain {}: {error}", flags.domain))?;
    for alias in &flags.aliases {
        config.add_alias(alias).map_err(|error| format!("--alias {alias}: {error}"))?;
    }
    for admin in &flags.admins {
        config.add_admin(admin).map_err(|error| format!("--admin {admin}: {error}"))?;
    }
    let ips: Vec<IpAddr> = addresses(flags).iter().map(SocketAddr::ip).collect();
    for ip in ips.iter().filter(|ip| !ip.is_unspecified()) {
        // Who connects to a number calls the host by that number.
        let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        config.add_alias(&name).map_err(|error| format!("--listen {ip}: {error}"))?;
    }
    let all_on_loopback = ips.iter().all(IpAddr::is_loopback);
    config.registration = flags.registration.unwrap_or(all_on_loopback);
    config.legacy_auth = flags.legacy_auth.unwrap_or(config.legacy_auth);
    config.plaintext = flags.plaintext.unwrap_or(config.plaintext);
    config.scram_iterations = flags.scram_iterations.unwrap_or(config.scram_iterations).max(1);
    if let Some(seconds) = flags.ping_interval {
        config.ping_interval = Some(Duration::from_secs(seconds)).filter(|interval| !interval.is_zero());
    }
    if let Some(connections) = flags.max_connections {
        config.limits.connections = connections;
    }
    Ok(config)
}

/// Where to listen: both loopback addresses, if nothing else was said.
fn addresses(flags: &Flags) -> Vec<SocketAddr> {
    match flags.listen.as_slice() {
        [] => vec![(Ipv4Addr::LOCALHOST, CLIENT_PORT).into(), (Ipv6Addr::LOCALHOST, CLIENT_PORT).into()],
        addresses => addresses.to_vec(),
    }
}

/// Listens. Where nothing was said and the system has no IPv6, the old loopback address is enough.
fn bind(config: Config, flags: &Flags) -> Result<Reactor, StorageError> {
    let mut addresses = addresses(flags);
    if flags.listen.is_empty() && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        addresses.pop();
    }
    if flags.in_memory {
        return Ok(Reactor::bind(config, &addresses)?);
    }
    let path = flags.data.as_deref().unwrap_or(Path::new("loquat-data"));
    let folder = Folder::open(path).map_err(|error| named(path, &error))?;
    let storage = Storage::new(folder, config.domain(), flags.durability.unwrap_or(Durability::Always));
    Reactor::bind_with_storage(config, &addresses, storage)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
