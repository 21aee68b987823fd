//! What was seen, for people; and what the system says of the server's processes.

use std::fs;
use std::time::Duration;

use crate::work::Tally;
use crate::Result;

/// What processes have used so far, and hold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// None, if no process was named.
    processes: usize,
    time: Duration,
    resident_kib: u64,
}

impl Usage {
    /// Read from `/proc`, which only Linux has.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut usage = Self { processes: pids.len(), ..Self::default() };
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // Behind the name, which is in brackets and may hold anything: utime and stime are the 12th and 13th.
            let (_, fields) = stat.rsplit_once(')').ok_or("a strange /proc")?;
            let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
            usage.time += ticks.sum::<std::result::Result<u32, _>>()? * TICK;
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let resident =
                resident.and_then(|line| line.split_whitespace().next()).ok_or("a strange /proc")?;
            usage.resident_kib += resident.parse::<u64>()?;
        }
        Ok(usage)
    }

    pub(crate) fn mebibytes(self) -> f64 {
        self.resident_kib as f64 / 1024.0
    }

    /// Microseconds for each of so many since `before`.
    fn each(self, before: Self, count: usize) -> f64 {
        (self.time - before.time).as_secs_f64() * 1e6 / count.max(1) as f64
    }
}

/// The unit of times in `/proc`, the same on all of today's systems.
const TICK: Duration = Duration::from_millis(10);

pub(crate) fn print_online(users: usize, took: Duration, before: Usage, after: Usage) {
    let seconds = took.as_secs_f64();
    println!("online: {users} in {seconds:.2} s, {:.0} a second", users as f64 / seconds);
    if after.processes > 0 {
        let kib = after.resident_kib.saturating_sub(before.resident_kib) as f64 / users as f64;
        println!(
            "server: {:.0} us of CPU each; {:.1} MiB resident before, {:.1} now, {kib:.2} KiB each",
            after.each(before, users),
            before.mebibytes(),
            after.mebibytes()
        );
    }
}

pub(crate) fn print_work(tally: &mut Tally, took: Duration, before: Usage, after: Usage) {
    let seconds = took.as_secs_f64();
    println!(
        "{}: {} in {seconds:.2} s, {:.0} a second",
        tally.what,
        tally.counted,
        tally.counted as f64 / seconds
    );
    if after.processes > 0 {
        let percent = (after.time - before.time).as_secs_f64() / seconds * 100.0;
        println!(
            "server: {:.2} us of CPU each, {percent:.0} % of a CPU, {:.1} MiB resident",
            after.each(before, tally.counted),
            after.mebibytes()
        );
    }
    tally.times.sort_unstable();
    let times = &tally.times;
    let at = |thousandths: usize| {
        let index = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |us| f64::from(*us) / 1e3)
    };
    println!(
        "latency: p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, most {:.3} ms",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    println!("wrong: {}, missing: {}", tally.wrong, tally.missing);
    if let Some(first) = &tally.first_wrong {
        println!("the first that was wrong: {first}");
    }
}
