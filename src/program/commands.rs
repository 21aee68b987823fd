//! Commands: sent to the server that uses the data folder, or run in this process if no server does.
//!
//! Read first: [`super::job`], which does the work in either case. Left out on purpose: serving.

use loquat::Storage;

use super::backend::{domain, open_folder, unusable, Backend};
use super::flags::Command;
use super::job::Request;
use super::settings::Settings;
use super::transfer::{export, import};
use super::{control, limits, named, password, places, print_line};

/// Runs a command. An error is a line for people.
pub(super) fn run(command: Command, settings: &Settings) -> Result<(), String> {
    if settings.in_memory {
        return Err(
            "a server with --in-memory has no folder, and commands reach a server by its folder".into()
        );
    }
    let folder = settings.folder();
    if !folder.exists() && !matches!(command, Command::AddUser(_) | Command::Import(..)) {
        let hint =
            "there is no such folder; --data names another, `loquat` or `loquat user add NAME` makes one";
        return Err(named(folder, &hint));
    }
    match command {
        Command::AddUser(name) => {
            let password = password::new(&name)?;
            run_request(settings, &Request::AddUser { name, password })
        }
        Command::SetPassword(name) => {
            let password = password::new(&name)?;
            run_request(settings, &Request::SetPassword { name, password })
        }
        Command::RemoveUser(name) => run_request(settings, &Request::RemoveUser { name }),
        Command::ListUsers => run_request(settings, &Request::ListUsers),
        Command::Status => {
            let is_running = control::connect(folder).map_err(|error| unusable(folder, error))?.is_some();
            print_line(if is_running { "server runs" } else { "server does not run" })?;
            run_request(settings, &Request::Status)
        }
        Command::Export(file) => export(settings, &file),
        Command::Import(file, as_domain) => import(settings, &file, as_domain),
        Command::Stop => stop(settings),
        Command::Repair => repair(settings),
        Command::Serve | Command::Check => Err("that is no command for a folder".into()),
    }
}

fn run_request(settings: &Settings, request: &Request) -> Result<(), String> {
    let mut backend = Backend::open(settings)?;
    backend.send_request(request)?;
    backend.read_answer(print_line)?;
    backend.close()
}

/// Prints the limits if the settings can be used.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let config = settings.config(settings.domain.as_deref().unwrap_or("localhost"))?;
    limits::lines(config.limits).try_for_each(|line| print_line(&line))
}

fn stop(settings: &Settings) -> Result<(), String> {
    let folder = settings.folder();
    let is_running = control::connect(folder).map_err(|error| unusable(folder, error))?.is_some();
    if !is_running {
        return Err(named(folder, &"no server uses this folder"));
    }
    run_request(settings, &Request::Stop)
}

fn repair(settings: &Settings) -> Result<(), String> {
    let folder = settings.folder();
    let mut files = open_folder(folder)?;
    let domain = domain(settings, &mut files)?;
    for line in Storage::repair(files, &domain).map_err(|error| named(folder, &error))? {
        print_line(&line)?;
    }
    places::leave_to_owner(folder);
    Ok(())
}
