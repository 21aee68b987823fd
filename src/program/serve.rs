//! Serving: a reactor, the control socket, signals.
//!
//! Left out on purpose: protocol, and what the settings are ([`super::settings`]).

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::{Ipv6Addr, TcpListener};

use loquat::{AccountError, Reactor, Storage, StorageError};

use super::backend::{domain, open_folder};
use super::control::Control;
use super::settings::Settings;
use super::signals::Signals;
use super::sources::Sources;
use super::{descriptors, listeners, Failure};

/// Serves until a signal or `loquat stop` ends it.
pub(super) fn serve(sources: &Sources, mut settings: Settings) -> Result<(), Failure> {
    let mut reactor = bind(&settings)?;
    add_users(&mut reactor, &settings).map_err(Failure::Usage)?;
    let mut signals = Signals::install(&reactor)?;
    let mut control = open_control(&settings, &reactor);
    let left = descriptors::left_for_connections();
    if left == Some(0) {
        return Err(Failure::System("`ulimit -n` leaves no descriptors for connections: raise it".into()));
    }
    configure(&mut reactor, &settings, left).map_err(Failure::Usage)?;
    announce(&reactor);
    greet(&mut reactor, &settings);
    loop {
        reactor.poll_once(control.as_ref().and_then(Control::timeout))?;
        let woken = reactor.was_woken();
        if woken && signals.stop() {
            break;
        }
        if woken && signals.reload() {
            reload(sources, &mut settings, &mut reactor, left);
        }
        if let Some(control) = &mut control {
            if control.turn(&mut reactor, woken)? {
                break;
            }
        }
    }
    log::info!("stopping");
    let done = reactor.shut_down();
    control.iter().for_each(Control::unlink);
    // The folder's lock is released before `loquat stop` returns.
    drop(reactor);
    if let Some(control) = control {
        control.close(&done);
    }
    Ok(done?)
}

/// Opens storage and listeners. On a system without IPv6 the default is the IPv4 loopback address alone.
fn bind(settings: &Settings) -> Result<Reactor, Failure> {
    let mut addresses = settings.addresses();
    if settings.listen.is_empty() && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        addresses.pop();
    }
    let addresses = listeners::to_bind(addresses);
    if settings.in_memory {
        let domain = settings.domain.as_deref().unwrap_or("localhost");
        let config = settings.config(domain).map_err(Failure::Usage)?;
        return Reactor::bind(config, &addresses).map_err(|error| Failure::System(with_hint(&error)));
    }
    let mut folder = open_folder(settings.folder()).map_err(Failure::System)?;
    let domain = domain(settings, &mut folder).map_err(Failure::System)?;
    let config = settings.config(&domain).map_err(Failure::Usage)?;
    let storage = Storage::new(folder, &domain, settings.durability());
    Reactor::bind_with_storage(config, &addresses, storage).map_err(|error| match error {
        StorageError::Io(error) => Failure::System(with_hint(&error)),
        error => error.into(),
    })
}

/// An error, and what can be done where it is about listening.
fn with_hint(error: &io::Error) -> String {
    let text = error.to_string();
    let hint = match error.kind() {
        _ if !text.starts_with("cannot listen") => "",
        ErrorKind::AddrInUse => "; is a server running already? --listen names another port",
        ErrorKind::AddrNotAvailable => "; --listen wants an address of this machine, or 0.0.0.0 for all",
        ErrorKind::PermissionDenied => "; ports below 1024 are for root",
        _ => "",
    };
    text + hint
}

fn add_users(reactor: &mut Reactor, settings: &Settings) -> Result<(), String> {
    for (name, password) in &settings.users {
        match reactor.server().add_account(name, password) {
            // It was made by an earlier run.
            Ok(()) | Err(AccountError::Exists) => (),
            Err(error) => return Err(format!("user {name}: {error}")),
        }
    }
    Ok(())
}

/// Without its control socket the server still serves: commands cannot reach it, signals can.
fn open_control(settings: &Settings, reactor: &Reactor) -> Option<Control> {
    if settings.in_memory {
        return None;
    }
    let control = Control::open(settings.folder(), reactor);
    control.map_err(|error| log::error!("there is no control socket: {error}")).ok()
}

/// Tells standard output where it listens. A server that cannot (a full disk, a closed pipe) still serves.
fn announce(reactor: &Reactor) {
    let mut out = io::stdout().lock();
    let mut lines = reactor.local_addresses().map(|address| format!("loquat: listening on {address}\n"));
    let done = lines.try_for_each(|line| out.write_all(line.as_bytes())).and_then(|()| out.flush());
    if let Err(error) = done {
        log::warn!("standard output takes nothing: {error}");
        reactor.local_addresses().for_each(|address| log::info!("listening on {address}"));
    }
}

/// Tells somebody who starts a server without accounts at a terminal what to do next.
fn greet(reactor: &mut Reactor, settings: &Settings) {
    if settings.in_memory || reactor.server().status().accounts > 0 || !io::stdout().is_terminal() {
        return;
    }
    let Some(address) = reactor.local_addresses().next() else { return };
    let config = reactor.server().config();
    let or_register = if config.registration { " (clients may also register)" } else { "" };
    let data =
        settings.data.as_ref().map(|folder| format!("--data {} ", folder.display())).unwrap_or_default();
    let lines = format!(
        "There are no accounts yet. Make one in another terminal: loquat {data}user add NAME{or_register}\n\
         Its address is NAME@{}. A chat client connects to {address}, with encryption (TLS) switched off.\n\
         Ctrl-C stops the server; loquat --help says the rest.\n",
        config.domain()
    );
    // A terminal that is gone needs no help.
    let _ = io::stdout().write_all(lines.as_bytes());
}

/// Has the server do as the settings say, as far as the system allows.
fn configure(reactor: &mut Reactor, settings: &Settings, left: Option<usize>) -> Result<(), String> {
    let domain = reactor.server().config().domain().to_owned();
    let mut config = settings.config(&domain)?;
    descriptors::cap(&mut config, left);
    reactor.server().reconfigure(config);
    Ok(())
}

/// Reads the settings again and applies those that can change while the server runs.
fn reload(sources: &Sources, settings: &mut Settings, reactor: &mut Reactor, left: Option<usize>) {
    let new = match sources.settings() {
        Ok(new) => new,
        Err(errors) => {
            errors.iter().for_each(|error| log::error!("{error}"));
            return log::error!("the settings stay as they were");
        }
    };
    for name in settings.needing_restart(&new) {
        log::warn!("{name} has another value now, which needs a restart");
    }
    let new = new.keeping_fixed(settings);
    match configure(reactor, &new, left).and_then(|()| add_users(reactor, &new)) {
        Ok(()) => log::info!("the settings were read again"),
        Err(error) => log::error!("{error}"),
    }
    *settings = new;
}
