//! Serving: a reactor, the control socket, signals.
//!
//! Left out on purpose: protocol, and what the settings are ([`super::settings`]).

use std::io::{self, Write};
use std::net::{Ipv6Addr, TcpListener};

use loquat::{AccountError, Folder, Reactor, Storage};

use super::backend::domain;
use super::control::Control;
use super::settings::Settings;
use super::signals::Signals;
use super::sources::Sources;
use super::Failure;

/// Serves until a signal or `loquat stop` ends it.
pub(super) fn serve(sources: &Sources, mut settings: Settings) -> Result<(), Failure> {
    let mut reactor = bind(&settings)?;
    add_users(&mut reactor, &settings).map_err(Failure::Usage)?;
    let mut signals = Signals::install(&reactor)?;
    let mut control = open_control(&settings, &reactor);
    announce(&reactor)?;
    loop {
        reactor.poll_once(control.as_ref().and_then(Control::timeout))?;
        let woken = reactor.was_woken();
        if woken && signals.stop() {
            break;
        }
        if woken && signals.reload() {
            reload(sources, &mut settings, &mut reactor);
        }
        if let Some(control) = &mut control {
            if control.turn(&mut reactor, woken)? {
                break;
            }
        }
    }
    log::info!("stopping");
    let done = reactor.shut_down();
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
    if settings.in_memory {
        let domain = settings.domain.as_deref().unwrap_or("localhost");
        let config = settings.config(domain).map_err(Failure::Usage)?;
        return Ok(Reactor::bind(config, &addresses)?);
    }
    let path = settings.folder();
    let named = |error: &dyn std::fmt::Display| Failure::System(format!("{}: {error}", path.display()));
    let mut folder = Folder::open(path).map_err(|error| named(&error))?;
    let domain = domain(settings, &mut folder).map_err(Failure::System)?;
    let config = settings.config(&domain).map_err(Failure::Usage)?;
    let storage = Storage::new(folder, &domain, settings.durability());
    Ok(Reactor::bind_with_storage(config, &addresses, storage)?)
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

fn announce(reactor: &Reactor) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for address in reactor.local_addresses() {
        writeln!(out, "loquat: listening on {address}")?;
    }
    out.flush()
}

/// Reads the settings again and applies those that can change while the server runs.
fn reload(sources: &Sources, settings: &mut Settings, reactor: &mut Reactor) {
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
    let domain = reactor.server().config().domain().to_owned();
    let done = new.config(&domain).and_then(|config| {
        reactor.server().reconfigure(config);
        add_users(reactor, &new)
    });
    match done {
        Ok(()) => log::info!("the settings were read again"),
        Err(error) => log::error!("{error}"),
    }
    *settings = new;
}
