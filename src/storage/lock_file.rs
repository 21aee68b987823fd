//! The lock of a folder that lies in it: a socket, `lock.` and a number by chance. It reaches as far as the folder is shared
//! on one machine, into containers as well.
//!
//! Whoever wants the folder puts one there, and only then looks for others: so of two who come at once at least one sees the
//! other and goes away. One that nobody answers at is left from a process that was killed, and is removed. Since a socket is
//! there a moment before anybody answers at it, each looks for its own once more at the end.
//! Left out on purpose: a folder that several machines share. There a live socket looks like a dead one.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

const PREFIX: &str = "lock.";

/// Bytes of a path that the system's socket addresses have room for, with some to spare.
const PATH_BYTES: usize = 100;

/// A socket in a folder that no other process has.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    _socket: UnixDatagram,
}

impl LockFile {
    /// `None` where the file system takes no socket.
    pub(super) fn take(folder: &Path) -> io::Result<Option<Self>> {
        // As unlike those of others as the system's random numbers; a process id is not, between containers.
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let socket = match at_socket(folder, &name, |path| UnixDatagram::bind(path)) {
            Ok(socket) => socket,
            Err(error) => {
                log::warn!("{}: no lock can be put there: {error}", folder.display());
                return Ok(None);
            }
        };
        let lock = Self { path: folder.join(&name), _socket: socket };
        for other in others(folder, &name)? {
            if is_answered(folder, &other)? {
                return Err(in_use(folder));
            }
            remove_if_there(&folder.join(other))?;
        }
        // Somebody who looked while it was being made may have taken it for a dead one.
        if is_answered(folder, &name)? {
            Ok(Some(lock))
        } else {
            Err(in_use(folder))
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What whoever comes too late is told.
pub(super) fn in_use(folder: &Path) -> io::Error {
    let text = format!("{} is in use by another loquat", folder.display());
    io::Error::new(ErrorKind::AddrInUse, text)
}

/// The names of the other sockets.
fn others(folder: &Path, own: &str) -> io::Result<Vec<String>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(PREFIX) && name != own && entry.file_type()?.is_socket() {
            others.push(name);
        }
    }
    Ok(others)
}

/// Whether a process has the other end. Whatever cannot be asked is an error, so that nobody takes it for a no.
fn is_answered(folder: &Path, name: &str) -> io::Result<bool> {
    let asker = UnixDatagram::unbound()?;
    match at_socket(folder, name, |path| asker.connect(path)) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Calls `act` with a path of a socket in a folder that is short enough.
fn at_socket<T>(folder: &Path, name: &str, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if folder.as_os_str().len() + name.len() < PATH_BYTES {
        return act(&folder.join(name));
    }
    let folder = File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// A folder for one test, gone with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("loquat-lock-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            others(&self.0, "").unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_has_it_and_others_have_not() {
        let depth = if cfg!(target_os = "linux") { 30 } else { 0 };
        let place = Place::new(&format!("one/{}", "deep/".repeat(depth)));
        let lock = LockFile::take(&place.0).unwrap();
        for _ in 0..3 {
            assert_eq!(LockFile::take(&place.0).unwrap_err().kind(), ErrorKind::AddrInUse);
            assert_eq!(place.names().len(), 1);
        }
        drop(lock);
        assert_eq!(place.names().len(), 0);
        assert!(LockFile::take(&place.0).unwrap().is_some());
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_else() {
        let place = Place::new("left");
        fs::write(place.0.join("lock.txt"), "").unwrap();
        drop(UnixDatagram::bind(place.0.join("lock.0")).unwrap());
        assert_eq!(place.names(), ["lock.0"]);
        let _lock = LockFile::take(&place.0).unwrap().unwrap();
        assert!(place.names().len() == 1 && place.names()[0] != "lock.0");
        assert!(place.0.join("lock.txt").exists());
    }

    #[test]
    fn never_two_at_once() {
        let place = Place::new("race");
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let Ok(Some(_lock)) = LockFile::take(&place.0) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                        taken.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0 && place.names().is_empty());
    }
}
