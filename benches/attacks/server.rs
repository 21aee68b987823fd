//! The server under attack: the program in a process of its own, and what the system says of it.
//!
//! Read first: [`Server::start`]. Left out on purpose: systems without `/proc`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::bystanders::NAMES;
use crate::wire::{user, PASSWORD};
use crate::Result;

/// The unit of times in `/proc`, the same on all of today's systems.
const TICK: Duration = Duration::from_millis(10);

/// How a server is started.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// Accounts beside those of the bystanders.
    pub(crate) accounts: usize,
    /// Whether what it knows is kept in a folder.
    pub(crate) is_kept: bool,
    /// How many descriptors it may have (`ulimit -n`).
    pub(crate) descriptors: Option<u32>,
    pub(crate) flags: &'static [&'static str],
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Ours: its settings, its log, its data.
    folder: PathBuf,
    /// Where attackers connect.
    pub(crate) address: SocketAddr,
    /// Where all others do: from another network, if there is IPv6.
    pub(crate) other_address: SocketAddr,
}

/// What its process has used and holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) time: Duration,
    /// Kibibytes.
    pub(crate) resident: u64,
    pub(crate) peak: u64,
    /// Bytes that were written to files, the log not counted.
    pub(crate) written: u64,
}

/// Which program that is: ours, or what `LOQUAT` names.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("LOQUAT").map_or_else(|| env!("CARGO_BIN_EXE_loquat").into(), PathBuf::from)
}

impl Server {
    /// `memory` is the limit that the program is given, if any.
    pub(crate) fn start(setup: &Setup, memory: Option<&str>) -> Result<Self> {
        let folder = new_folder()?;
        fs::write(folder.join("loquat.conf"), settings(setup, &folder, memory))?;
        let mut command = limited(setup.descriptors);
        command.arg("--config").arg(folder.join("loquat.conf")).args(setup.flags);
        let log = File::create(folder.join("log"))?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let addresses = addresses(&mut child);
        let mut server = Self { child, folder, address: nowhere(), other_address: nowhere() };
        let [first, .., last] = addresses.as_slice() else {
            return Err(format!("the server does not start: {}", server.log()).into());
        };
        (server.address, server.other_address) = (*first, *last);
        Ok(server)
    }

    /// The folder with what it keeps.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Why it has ended, if it has.
    pub(crate) fn end(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let stat = self.proc("stat")?;
        // Behind the name, which is in brackets and may hold anything: utime and stime are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').ok_or("a strange /proc")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let time = ticks.sum::<std::result::Result<u32, _>>()? * TICK;
        let (status, io) = (self.proc("status")?, self.proc("io")?);
        let logged = fs::metadata(self.folder.join("log"))?.len();
        Ok(Usage {
            time,
            resident: field(&status, "VmRSS:"),
            peak: field(&status, "VmHWM:"),
            written: field(&io, "wchar:").saturating_sub(logged),
        })
    }

    /// Makes what is resident now its peak.
    pub(crate) fn reset_peak(&self) {
        // Where that is not allowed, the peak of the preparations counts, too.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Bytes that were sent to the attacked address and not read yet.
    pub(crate) fn unread(&self) -> u64 {
        let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        table.lines().filter_map(|line| queued(line, self.address.port())).sum()
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn new_folder() -> Result<PathBuf> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("loquat-attacks-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn settings(setup: &Setup, folder: &Path, memory: Option<&str>) -> String {
    let mut text = String::from("listen 127.0.0.1:0\nregistration open\n");
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        text += "listen [::1]:0\n";
    }
    // So cheap that the preparations are short; those who attack the derivation of keys say otherwise.
    if !setup.flags.contains(&"--scram-iterations") {
        text += "scram-iterations 1\n";
    }
    match setup.is_kept {
        true => text += &format!("data {}\n", folder.join("data").display()),
        false => text += "in-memory\n",
    }
    text.extend(memory.map(|limit| format!("memory {limit}\n")));
    let names = NAMES.iter().map(|name| (*name).to_owned()).chain((0..setup.accounts).map(user));
    text.extend(names.map(|name| format!("user {name}:{PASSWORD}\n")));
    text
}

/// The program, with no more than so many descriptors.
fn limited(descriptors: Option<u32>) -> Command {
    let Some(descriptors) = descriptors else { return Command::new(program()) };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(program());
    shell
}

/// Where it says that it listens.
fn addresses(child: &mut Child) -> Vec<SocketAddr> {
    let wanted = 1 + usize::from(TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok());
    let lines = child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines());
    let addresses = lines.map_while(std::result::Result::ok);
    addresses.take(wanted).filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
}

fn nowhere() -> SocketAddr {
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0).into()
}

/// The number behind a name.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// What a line of `/proc/net/tcp` says of bytes on their way to this port: not sent, or not read.
fn queued(line: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, remote, state, queues, ..] = fields.as_slice() else { return None };
    let is_at = |address: &str| address.rsplit_once(':').map(|(_, hex)| hex) == Some(&format!("{port:04X}"));
    let (unsent, unread) = queues.split_once(':')?;
    let count = match (is_at(local), is_at(remote)) {
        (true, _) if *state != LISTENING => unread,
        (_, true) => unsent,
        _ => return None,
    };
    u64::from_str_radix(count, 16).ok()
}

/// Runs `loquat status`, and says how long it took if it came to an end.
pub(crate) fn status(server: &Server, patience: Duration) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut command = Command::new(program());
    command.arg("--data").arg(server.data()).arg("status");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    while start.elapsed() < patience {
        if child.try_wait()?.is_some() {
            return Ok(Some(start.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
