//! A folder is used by one process at a time.
//!
//! - The lock is a socket in the folder ([`super::lock_file`]). The system closes it when a process ends, however it
//!   does, and only the folder's owner can put one there.
//! - Where a file system takes no sockets, the lock on Linux is a socket whose name is in no file system. It reaches as
//!   far as one network namespace, and any user of the machine can take its name; so it is only used there.
//!
//! Left out on purpose: systems without sockets of that kind; there the user sees to it.

use std::io;
use std::path::Path;

#[cfg(unix)]
use super::lock_file::LockFile;

/// Held while a process uses a folder.
#[derive(Debug)]
pub(super) struct Lock {
    #[cfg(unix)]
    _file: Option<LockFile>,
    #[cfg(target_os = "linux")]
    _name: Option<std::os::unix::net::UnixListener>,
}

impl Lock {
    #[cfg(unix)]
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let file = LockFile::take(path)?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            _name: if file.is_none() { Some(take_name(path)?) } else { None },
            _file: file,
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
    let taken = SocketAddr::from_abstract_name(&name).and_then(|name| UnixListener::bind_addr(&name));
    taken.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let text = format!("{} is in use: a process holds the socket @{name}", path.display());
            io::Error::new(error.kind(), text)
        }
        _ => error,
    })
}
