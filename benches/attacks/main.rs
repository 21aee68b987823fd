//! What hostile, greedy and unlucky peers cost the server, and those beside them.
//!
//! ```text
//! cargo bench --bench attacks                        all of them, six minutes at most
//! cargo bench --bench attacks -- presence detached   the attacks of these names
//! cargo bench --bench attacks -- --memory 64M        with a limit for the program, and whether it was kept
//! cargo bench --bench attacks -- --list              what there is
//! LOQUAT=/path/to/loquat cargo bench --bench attacks
//!                                                    another program
//! ```
//!
//! Each attack has a server of its own, in a process of its own, and real sockets. Beside it two bystanders chat, who
//! must not notice. Read first: [`table`], which has a row for each attack, and [`attack`], which does one.
//! Left out on purpose: whether all of it is right. Tests hold what these figures show.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a table is what it is for

mod bystanders;
mod disk;
mod doors;
mod memory;
mod net;
mod readers;
mod report;
mod server;
mod stage;
mod table;
mod wire;
mod work;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bystanders::Bystanders;
use server::{Server, Usage};
use stage::Stage;
use table::{Attack, ATTACKS};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long the server has to be as it was.
const RECOVERY: Duration = Duration::from_secs(10);
/// How long all must be well to be well.
const CALM: Duration = Duration::from_millis(500);
/// A wait that is well, if 99 of 100 are no longer.
const WELL: Duration = Duration::from_millis(20);
/// Kibibytes by which memory may grow in that time.
const GROWTH: u64 = 256;
/// How long the bystanders chat before.
const WARM_UP: Duration = Duration::from_millis(200);

/// What an attack has cost.
pub(crate) struct Figures {
    pub(crate) before: Usage,
    pub(crate) after: Usage,
    /// Bytes that the attackers sent and the server has read.
    pub(crate) received: u64,
    /// The bystanders', from the shortest to the longest.
    pub(crate) waits: Vec<Duration>,
    pub(crate) cut_off: usize,
    /// None, if it took too long.
    pub(crate) recovery: Option<Duration>,
    pub(crate) is_within_limit: Option<bool>,
    pub(crate) notes: Vec<String>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match Options::read(args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attacks: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line.
struct Options {
    names: Vec<String>,
    memory: Option<String>,
    is_list: bool,
}

impl Options {
    fn read(args: Vec<String>) -> Result<Self> {
        let mut options = Self { names: Vec::new(), memory: None, is_list: false };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.is_list = true,
                "--memory" => {
                    options.memory = Some(args.next().ok_or("--memory wants a limit, such as 64M")?)
                }
                name if ATTACKS.iter().any(|attack| attack.name == name) => options.names.push(arg),
                _ => return Err(format!("there is no {arg}; --list has what there is").into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, attack: &Attack) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == attack.name)
    }
}

fn run(options: &Options) -> Result<()> {
    let wanted = ATTACKS.iter().filter(|attack| options.wants(attack));
    if options.is_list {
        wanted.for_each(|attack| println!("{:<18} {}", attack.name, attack.what));
        return Ok(());
    }
    let memory = options.memory.as_deref();
    let limit = memory.map(kibibytes).transpose()?;
    println!("program: {}", server::program().display());
    report::print_head(limit.is_some());
    for wanted in wanted {
        match attack(wanted, memory, limit) {
            Ok(figures) => report::print_row(wanted.name, &figures),
            Err(error) => println!("{:<18} was not tried: {error}", wanted.name),
        }
    }
    report::print_end();
    Ok(())
}

/// A limit as the program takes it: bytes, or with K, M or G behind a number.
fn kibibytes(limit: &str) -> Result<u64> {
    let (number, unit) = limit.split_at(limit.trim_end_matches(['K', 'M', 'G']).len());
    let number: u64 = number.parse().map_err(|_| "--memory wants a limit, such as 64M")?;
    Ok(match unit {
        "G" => number << 20,
        "M" => number << 10,
        "K" => number,
        _ => number >> 10,
    })
}

/// Starts a server, attacks it, and waits until it is as before.
fn attack(attack: &Attack, memory: Option<&str>, limit: Option<u64>) -> Result<Figures> {
    let mut server = Server::start(&attack.setup, memory)?;
    let bystanders = Bystanders::start(server.other_address)?;
    std::thread::sleep(WARM_UP);
    let mut stage = Stage::new(&server)?;
    (attack.run)(&mut stage)?;
    stage.net.silence();
    let (began, before) = stage.began.ok_or("it did not begin")?;
    let ended = Instant::now();
    let recovery = recover(&mut stage, &bystanders)?;
    let after = server.usage()?;
    let received = stage.net.sent.saturating_sub(server.unread());
    let (cut_off, last_words) = stage.net.cut_off();
    let mut notes = std::mem::take(&mut stage.notes);
    notes.extend(last_words.map(|words| format!("cut off {words}")));
    notes.extend(bystanders.end());
    let lost = usize::from(bystanders.end().is_some());
    // Of an attack that is over at once there are some waits to see, too.
    let waits = bystanders.waits(began, ended + recovery.unwrap_or(RECOVERY).max(WARM_UP));
    drop(stage);
    bystanders.stop();
    notes.extend(server.end().map(|end| format!("the server ended: {end}")));
    drop(server);
    let is_within_limit = limit.map(|limit| before.peak.max(after.peak) <= limit);
    Ok(Figures { before, after, received, waits, cut_off: cut_off + lost, recovery, is_within_limit, notes })
}

/// How long it takes until bystanders wait no longer than usual and memory does not grow.
fn recover(stage: &mut Stage<'_>, bystanders: &Bystanders) -> Result<Option<Duration>> {
    let start = Instant::now();
    let mut resident = stage.server.usage()?.resident;
    let mut calm_since = start;
    while calm_since.duration_since(start) < RECOVERY {
        stage.go_on(CALM / 5)?;
        let now = Instant::now();
        let growth = stage.server.usage()?.resident.saturating_sub(resident);
        if growth > GROWTH || !is_well(&bystanders.waits(calm_since, now)) {
            calm_since = now;
            resident += growth;
        }
        if now.duration_since(calm_since) >= CALM {
            return Ok(Some(calm_since.duration_since(start)));
        }
    }
    Ok(None)
}

fn is_well(waits: &[Duration]) -> bool {
    waits.get(waits.len() * 99 / 100).map_or(true, |wait| *wait < WELL)
}
