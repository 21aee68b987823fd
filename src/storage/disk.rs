//! The little that is asked of a file system, and the real one.
//!
//! A trait, so that tests can stop it at any operation and lose what was not synced. Names are plain file names.
//! Left out on purpose: reading a part of a file, writing into the middle of one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::lock::Lock;

/// A folder of files that grow at their ends.
pub(crate) trait Disk: Send {
    /// The names of all files.
    fn names(&mut self) -> io::Result<Vec<String>>;
    /// How many bytes a file has.
    fn len(&mut self, name: &str) -> io::Result<u64>;
    /// Opens a file to be read from its beginning.
    fn read(&mut self, name: &str) -> io::Result<Box<dyn Read>>;
    /// Writes behind the end of a file; it is made if it is not there.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file off.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Returns once the content of a file would survive a loss of power.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name; one that had it is gone.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Returns once the names would survive a loss of power.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A folder of the system's, for one process at a time. Its files are for their owner only.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that are written to.
    open: BTreeMap<String, File>,
    _lock: Lock,
}

impl Folder {
    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made or used, or another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let is_new = !path.exists();
        builder.create(path)?;
        if let Some(parent) = path.canonicalize()?.parent().filter(|_| is_new) {
            // What is safe in a folder is safe only if the folder is.
            File::open(parent)?.sync_all()?;
        }
        #[cfg(unix)]
        warn_if_open(path)?;
        Ok(Self { path: path.to_owned(), open: BTreeMap::new(), _lock: Lock::take(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writable(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(self.path.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        self.open.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The files are for their owner only, but their names and what else is put there are not, if the folder was made
/// otherwise.
#[cfg(unix)]
fn warn_if_open(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("{} is open to other users of this machine (chmod 700 closes it)", path.display());
    }
    Ok(())
}

impl Disk for Folder {
    fn names(&mut self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read(&mut self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.writable(name)?.write_all(bytes)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let file = self.writable(name)?;
        file.set_len(len)?;
        file.seek(SeekFrom::End(0)).map(|_| ())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writable(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
