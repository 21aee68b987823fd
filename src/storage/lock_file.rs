//! The lock file of a folder: a socket `lock.` and a random number. It holds for all processes of one machine that
//! share the folder, in containers as well.
//!
//! A process first creates its own socket and then looks for others, so of two that start at once at least one sees
//! the other and gives up. A socket that refuses connections was left by a process that was killed, and is removed. A
//! socket exists for a moment before it takes connections, and another process may remove it then; so each process
//! checks its own once more at the end.
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

/// The socket of the process that uses the folder.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    _socket: UnixDatagram,
}

impl LockFile {
    /// `None` where the file system takes no socket. A folder that another process uses is an error in either case.
    pub(super) fn take(folder: &Path) -> io::Result<Option<Self>> {
        // Random, since process ids are not unique between containers.
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let lock = Self::create(folder, &name)?;
        for other in others(folder, &name)? {
            if is_alive(folder, &other)? {
                return Err(in_use(folder));
            }
            if lock.is_some() {
                remove_if_there(&folder.join(other))?;
            }
        }
        // A process that looked at it while it was being created may have removed it as a dead one.
        if lock.is_none() || is_alive(folder, &name)? {
            Ok(lock)
        } else {
            Err(in_use(folder))
        }
    }

    fn create(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        match with_socket_path(folder, name, |path| UnixDatagram::bind(path)) {
            Ok(socket) => Ok(Some(Self { path: folder.join(name), _socket: socket })),
            Err(error) if is_without_sockets(&error) => {
                log::warn!("{}: the file system takes no lock file: {error}", folder.display());
                Ok(None)
            }
            // Above all a full disk: what starts later, when there is space again, would not see a lock elsewhere.
            Err(error) => Err(io::Error::new(error.kind(), format!("no lock file can be created: {error}"))),
        }
    }
}

/// Whether a file system refuses sockets of whatever name: it knows none, or is mounted read-only.
fn is_without_sockets(error: &io::Error) -> bool {
    const EPERM: i32 = 1;
    const EROFS: i32 = 30;
    matches!(error.raw_os_error(), Some(EPERM | EROFS))
        || matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The error of a process that finds the folder in use.
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

/// Whether a process holds this socket. What prevents the check is an error, so that it is not taken for a no.
fn is_alive(folder: &Path, name: &str) -> io::Result<bool> {
    let probe = UnixDatagram::unbound()?;
    match with_socket_path(folder, name, |path| probe.connect(path)) {
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

/// Calls `act` with a path to a socket in the folder that fits into a socket address.
fn with_socket_path<T>(folder: &Path, name: &str, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
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

    /// A folder for one test, removed at its end.
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
    fn only_one_lock_at_a_time() {
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
    fn a_full_disk_is_no_file_system_without_sockets() {
        for (number, is_without) in [(1, true), (30, true), (13, false), (28, false)] {
            assert_eq!(is_without_sockets(&io::Error::from_raw_os_error(number)), is_without, "{number}");
        }
        assert!(is_without_sockets(&ErrorKind::Unsupported.into()));
    }

    #[test]
    fn a_dead_lock_is_removed_and_nothing_else() {
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
