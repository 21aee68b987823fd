//! Attacks on doors: connections, descriptors, and who gets in beside them.

use std::time::{Duration, Instant};

use crate::server;
use crate::stage::{Stage, ATTACK, PATIENCE};
use crate::wire::{header, user};
use crate::Result;

/// How many others want in.
const NEWCOMERS: usize = 20;

/// One address takes all places without logging in, while others want to.
pub(crate) fn places(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for _ in 0..4_100 {
        let who = stage.connect()?;
        stage.net.say(who, &header());
    }
    stage.go_on(ATTACK)?;
    newcomers(stage)?;
    log_lines(stage);
    Ok(())
}

/// Connects, says a header and leaves, 200 at a time.
pub(crate) fn comings_and_goings(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    let start = Instant::now();
    while start.elapsed() < ATTACK {
        let mut some = Vec::new();
        for _ in 0..200 {
            let who = stage.connect()?;
            stage.net.say(who, &header());
            some.push(who);
        }
        stage.go_on(Duration::from_millis(20))?;
        some.into_iter().for_each(|who| stage.net.drop_client(who));
    }
    log_lines(stage);
    Ok(())
}

/// All descriptors that a process has are connections; can it still be asked how it is?
pub(crate) fn descriptors(stage: &mut Stage<'_>) -> Result<()> {
    stage.start()?;
    for _ in 0..300 {
        let who = stage.connect()?;
        stage.net.say(who, &header());
    }
    stage.go_on(Duration::from_secs(1))?;
    match server::status(stage.server, PATIENCE)? {
        Some(took) => stage.note(format!("`status` took {:.0} ms", took.as_secs_f64() * 1e3)),
        None => stage.note("`status` hangs"),
    }
    log_lines(stage);
    Ok(())
}

/// Who has an account comes from elsewhere.
fn newcomers(stage: &mut Stage<'_>) -> Result<()> {
    let who: Vec<_> = (0..NEWCOMERS).map(|number| (user(number), "x".to_owned())).collect();
    let address = stage.server.other_address;
    let came = stage.try_log_in(address, &who, "<presence/>")?.len();
    stage.note(format!("{came} of {NEWCOMERS} newcomers let in"));
    Ok(())
}

fn log_lines(stage: &mut Stage<'_>) {
    let lines = stage.server.log().lines().count();
    stage.note(format!("{lines} lines logged"));
}
