//! A folder is used by one process at a time.
//!
//! Two sockets see to it; the system closes both when a process ends, however it does.
//!
//! - One lies in the folder ([`super::lock_file`]).
//! - The other, on Linux, has its name in no file system. It serves where a file system takes no sockets, and reaches
//!   as far as   one network namespace.
//!
//! Left out on purpose: systems without sockets of that kind; there the user sees to it.

use std::io;
use std::path::Path;

#[cfg(target_os = "linux")]
use super::lock_file::in_use;
#[cfg(unix)]
use super::lock_file::LockFile;

/// Held while a process uses a folder.
#[derive(Debug)]
pub(super) struct Lock {
    #[cfg(unix)]
    _file: Option<LockFile>,
    #[cfg(target_os = "linux")]
    _name: std::os::unix::net::UnixListener,
}

impl Lock {
    #[cfg(unix)]
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        Ok(Self {
            #[cfg(target_os = "linux")]
            _name: take_name(path)?,
            _file: LockFile::take(path)?,
        })
    }

    #[cfg(not(unix))]
    pub(super) fn take(_: &Path) -> io::Result<Self> {
        Ok(Self {})
    }
}

/// A socket whose name is made of the folder's identity, in the namespace that has no files.
#[cfg(target_os = "linux")]
fn take_name(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let folder = std::fs::metadata(path)?;
    let name = format!("loquat data folder {}:{}", folder.dev(), folder.ino());
    let taken = SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
    taken.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => in_use(path),
        _ => error,
    })
}
