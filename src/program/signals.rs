//! Signals as something that a loop can watch.
//!
//! Left out on purpose: what they lead to ([`super::serve`]).

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use loquat::Reactor;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// Ends of pipes that a signal writes into.
pub(super) struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    /// From now on a signal to stop is heard, not obeyed; a second one is obeyed at once.
    pub(super) fn install(reactor: &Reactor) -> io::Result<Self> {
        let (stop, stop_end) = watched(reactor)?;
        let (reload, reload_end) = watched(reactor)?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first one finds that nothing is stopping yet.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            pipe::register(signal, stop_end.try_clone()?)?;
        }
        pipe::register(SIGHUP, reload_end)?;
        Ok(Self { stop, reload })
    }

    /// Whether the program is to stop.
    pub(super) fn stop(&mut self) -> bool {
        was_written(&mut self.stop)
    }

    /// Whether the settings are to be read again, since this was last asked.
    pub(super) fn reload(&mut self) -> bool {
        was_written(&mut self.reload)
    }
}

fn watched(reactor: &Reactor) -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    reactor.watch(&ours)?;
    Ok((ours, theirs))
}

fn was_written(pipe: &mut UnixStream) -> bool {
    let (mut written, mut buffer) = (false, [0; 64]);
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return written,
            Ok(_) => written = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(_) => return written,
        }
    }
}
