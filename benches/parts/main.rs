//! What the parts of the server cost, and the bare parser beside them.
//!
//! ```text
//! cargo bench                            a table of all parts: nanoseconds, and how many times the bare parser's
//! cargo bench -- route login             the parts whose names contain one of these words
//! cargo bench -- --count route-small 10000
//!                                        does one part so often and nothing else, for a tool that counts instructions
//! ```
//!
//! The parts take turns, round after round, so that what disturbs the machine disturbs all of them alike; each has its
//! median and its lowest round. `benches/README.md` says how to count instructions, which nothing disturbs.
//! Left out on purpose: sockets. `examples/load.rs` measures a whole server from outside.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a table is what it is for

#[path = "../../tests/support/bare.rs"]
mod bare;
#[path = "../../tests/support/room.rs"]
mod room;
#[path = "../../tests/support/scram.rs"]
#[allow(dead_code, unreachable_pub, clippy::expect_used, clippy::indexing_slicing)]
// as the transcripts have it
mod scram;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use work::{Part, PARTS};

const ROUNDS: usize = 401;
/// How long a round of one part takes, about: shorter than the turns that a system gives to processes.
const ROUND: Duration = Duration::from_micros(500);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--count", name, times] => count(name, times),
        words if words.iter().any(|word| word.starts_with('-')) => {
            complain("cargo bench [-- WORD...], or cargo bench -- --count NAME TIMES")
        }
        words => {
            let wanted = |part: &&Part| words.is_empty() || words.iter().any(|word| part.name.contains(word));
            print(&measure(PARTS.iter().filter(wanted)));
            ExitCode::SUCCESS
        }
    }
}

fn count(name: &str, times: &str) -> ExitCode {
    let Some(part) = PARTS.iter().find(|part| part.name == name) else {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return complain(&format!("no part is called {name}; there are {}", names.join(", ")));
    };
    let Ok(times) = times.parse() else { return complain("how many times?") };
    counted(&mut *(part.prepare)(), times);
    println!("{name}: {times} times, {} each", part.each);
    ExitCode::SUCCESS
}

/// All that is counted, by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut(), times: u64) {
    for _ in 0..times {
        work();
    }
}

fn complain(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}

/// A part, ready to be done.
struct Bench {
    part: &'static Part,
    work: Box<dyn FnMut()>,
    /// How often in a round.
    times: u64,
    /// Nanoseconds each, of every round.
    rounds: Vec<f64>,
}

fn measure(parts: impl Iterator<Item = &'static Part>) -> Vec<Bench> {
    let mut benches: Vec<Bench> = parts.map(Bench::new).collect();
    for _ in 0..ROUNDS {
        benches.iter_mut().for_each(Bench::round);
    }
    benches
}

impl Bench {
    fn new(part: &'static Part) -> Self {
        let mut work = (part.prepare)();
        let (mut times, mut took) = (1, Duration::ZERO);
        while took < ROUND / 2 {
            times *= 2;
            let start = Instant::now();
            counted(&mut *work, times);
            took = start.elapsed();
        }
        Self { part, work, times, rounds: Vec::new() }
    }

    fn round(&mut self) {
        let start = Instant::now();
        counted(&mut *self.work, self.times);
        let took = start.elapsed().as_secs_f64() * 1e9;
        self.rounds.push(took / self.times as f64 / f64::from(self.part.each));
    }

    fn lowest(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How many times another part's, in the same rounds.
    fn beside(&self, other: &Self) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other))
    }
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn print(benches: &[Bench]) {
    println!("{:<16} {:<62} {:>10} {:>10} {:>8}", "name", "what", "ns", "lowest", "x bare");
    for bench in benches {
        let bare = bench.part.beside.and_then(|name| benches.iter().find(|other| other.part.name == name));
        let ratio = bare.map_or("-".into(), |bare| format!("{:.2}", bench.beside(bare)));
        let (part, median, lowest) = (bench.part, median(bench.rounds.iter().copied()), bench.lowest());
        println!("{:<16} {:<62} {median:>10.0} {lowest:>10.0} {ratio:>8}", part.name, part.what);
    }
    println!(
        "medians of {ROUNDS} rounds in which the parts took turns; x bare: in the same round, the bare parser on the \
         same bytes being 1"
    );
}
