//! Where settings and data are if nothing else is said, and whose the files are.
//!
//! Left out on purpose: packages that make these places; a folder that is not there is not chosen.

use std::fs::{self, File};
use std::os::unix::fs::{lchown, MetadataExt};
use std::path::{Path, PathBuf};

const SETTINGS: &str = "/etc/loquat.conf";
const DATA: &str = "/var/lib/loquat";
const DATA_HERE: &str = "loquat-data";

/// The system's settings file, if it can be read.
pub(super) fn settings_file() -> Option<PathBuf> {
    File::open(SETTINGS).is_ok().then(|| SETTINGS.into())
}

/// The system's data folder if it is ours or we are root, else one in the working directory.
pub(super) fn data_folder() -> PathBuf {
    let user = fs::metadata("/proc/self").map(|process| process.uid());
    let is_ours = |folder: fs::Metadata| {
        folder.is_dir() && user.as_ref().is_ok_and(|&user| user == 0 || user == folder.uid())
    };
    if fs::metadata(DATA).is_ok_and(is_ours) {
        DATA.into()
    } else {
        DATA_HERE.into()
    }
}

/// Gives the folder's owner what root has created in it: the server that runs as the owner must be able to use it.
pub(super) fn leave_to_owner(folder: &Path) {
    let Ok(owner) = fs::metadata(folder) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|_| owner.uid() != 0) {
        if entry.metadata().is_ok_and(|file| file.uid() == 0) {
            if let Err(error) = lchown(entry.path(), Some(owner.uid()), Some(owner.gid())) {
                log::warn!("{} stays root's: {error}", entry.path().display());
            }
        }
    }
}
