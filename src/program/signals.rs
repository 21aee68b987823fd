//! Signals as sockets that the loop can watch.
//!
//! Left out on purpose: what a signal does ([`super::serve`]).

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use loquat::Reactor;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// The reading ends of sockets into which signal handlers write.
pub(super) struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    /// From now on the first SIGTERM or SIGINT only wakes the loop; the second one ends the process at once.
    pub(super) fn install(reactor: &Reactor) -> io::Result<Self> {
        let (stop, stop_end) = watched_pair(reactor)?;
        let (reload, reload_end) = watched_pair(reactor)?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: when the first signal comes, `stopping` is still false.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            pipe::register(signal, stop_end.try_clone()?)?;
        }
        pipe::register(SIGHUP, reload_end)?;
        Ok(Self { stop, reload })
    }

    /// Whether SIGTERM or SIGINT has come.
    pub(super) fn stop(&mut self) -> bool {
        drain(&mut self.stop)
    }

    /// Whether SIGHUP has come since this was last asked.
    pub(super) fn reload(&mut self) -> bool {
        drain(&mut self.reload)
    }
}

fn watched_pair(reactor: &Reactor) -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    reactor.watch(&ours)?;
    Ok((ours, theirs))
}

fn drain(pipe: &mut UnixStream) -> bool {
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
