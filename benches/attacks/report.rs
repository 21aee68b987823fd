//! What was seen, in a line for each attack.

use std::time::Duration;

use crate::Figures;

/// What every attack must keep to: the longest of 99 waits in 100, and the time until all is as before.
const GOAL_WAIT: Duration = Duration::from_millis(20);
const GOAL_RECOVERY: Duration = Duration::from_secs(10);
/// Bytes of memory for each byte that was received, and beyond those what the limits of a few streams allow.
const GOAL_MEMORY: u64 = 8;
const ALLOWED: u64 = 16 << 20;

pub(crate) fn print_head(has_limit: bool) {
    let purse = if has_limit { "   limit" } else { "" };
    println!(
        "{:<18} {:>9} {:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {:>8} {:>9} {:>4} {:>7}{purse}  seen",
        "attack",
        "sent KB",
        "before",
        "peak",
        "mem/B",
        "ns/B",
        "disk/B",
        "p50 ms",
        "p99 ms",
        "longest",
        "cut",
        "rec. s",
    );
}

pub(crate) fn print_row(name: &str, figures: &Figures) {
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    let kept = match figures.is_within_limit {
        None => "",
        Some(true) => "    kept",
        Some(false) => "  passed",
    };
    println!(
        "{name:<18} {:>9.1} {:>7.1} {:>7.1} {:>8} {:>7} {:>7} {:>8.2} {:>8} {:>9.1} {:>4} {:>7}{kept}  {}",
        figures.received as f64 / 1e3,
        mebibytes(figures.before.resident),
        mebibytes(figures.after.peak),
        marked(
            figures.each(figures.growth() as f64, 1),
            figures.growth() > figures.received * GOAL_MEMORY + ALLOWED
        ),
        figures.each((figures.after.time - figures.before.time).as_nanos() as f64, 0),
        written(figures),
        milliseconds(figures.wait(500)),
        marked(format!("{:.1}", milliseconds(figures.wait(990))), figures.wait(990) > GOAL_WAIT),
        milliseconds(figures.wait(1000)),
        marked(figures.cut_off.to_string(), figures.cut_off > 0),
        recovery(figures.recovery),
        figures.notes.join("; "),
    );
}

pub(crate) fn print_end() {
    println!(
        "KB received; resident memory in MiB; what was added to it, the server's time and what was written to files, \
         for each byte received; how long bystanders waited; how many who read were cut off; the time until all was \
         as before; !: beyond what it should be"
    );
}

impl Figures {
    /// The bystanders' wait that so many thousandths of all did not exceed.
    fn wait(&self, thousandths: usize) -> Duration {
        let index = (self.waits.len() * thousandths / 1000).min(self.waits.len().saturating_sub(1));
        self.waits.get(index).copied().unwrap_or_default()
    }

    /// Bytes by which memory grew.
    fn growth(&self) -> u64 {
        self.after.peak.saturating_sub(self.before.resident) * 1024
    }

    /// For each byte that was received.
    fn each(&self, what: f64, digits: usize) -> String {
        match self.received {
            0 => "-".into(),
            received => format!("{:.digits$}", what / received as f64),
        }
    }
}

/// What was written to files, by a server that keeps something.
fn written(figures: &Figures) -> String {
    match figures.after.written.saturating_sub(figures.before.written) {
        0 => "-".into(),
        written => figures.each(written as f64, 1),
    }
}

fn recovery(took: Option<Duration>) -> String {
    match took {
        Some(took) => format!("{:.1}", took.as_secs_f64()),
        None => format!(">{}!", GOAL_RECOVERY.as_secs()),
    }
}

fn marked(text: String, is_beyond: bool) -> String {
    if is_beyond {
        text + "!"
    } else {
        text
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
