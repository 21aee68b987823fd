//! Space on the disk that is kept for a snapshot.
//!
//! A snapshot is what makes room: it takes the place of journals that have grown. It can only be written while there is
//! room for it, so a file with nothing in it takes up as much as the next snapshot may need. It is grown before the
//! journal is, and removed when a snapshot finds no other space: what a full disk leaves can always be made smaller.
//!
//! How much that is: a snapshot says less than the snapshot before and all journals since then do, of which it is made.
//! Left out on purpose: disks that fill up while the reserve is given up ([`super::store`] refuses changes meanwhile,
//! but other programs may take the space).

use std::io;

use super::disk::Disk;

const NAME: &str = "reserve";

/// Bytes by which it grows at least.
const STEP_BYTES: usize = if cfg!(test) { 256 } else { 64 * 1024 };

#[derive(Debug, Default)]
pub(super) struct Reserve {
    bytes: u64,
    /// It was removed so that a snapshot has its space.
    released: bool,
}

impl Reserve {
    /// What there is of one.
    pub(super) fn find(disk: &mut dyn Disk, names: &[String]) -> io::Result<Self> {
        let is_there = names.iter().any(|name| name == NAME);
        Ok(Self { bytes: if is_there { disk.len(NAME)? } else { 0 }, released: false })
    }

    pub(super) fn is_released(&self) -> bool {
        self.released
    }

    /// Grows to `bytes`, if it is smaller.
    pub(super) fn cover(&mut self, disk: &mut dyn Disk, bytes: u64) -> io::Result<()> {
        if self.released {
            return Err(io::Error::other("all space is needed for a snapshot"));
        }
        match bytes.saturating_sub(self.bytes) {
            0 => Ok(()),
            short => self.grow(disk, short.max(STEP_BYTES as u64)),
        }
    }

    /// Grows a little towards `bytes`. `true` once it has them.
    pub(super) fn approach(&mut self, disk: &mut dyn Disk, bytes: u64) -> io::Result<bool> {
        self.cover(disk, bytes.min(self.bytes + STEP_BYTES as u64))?;
        Ok(self.bytes >= bytes)
    }

    fn grow(&mut self, disk: &mut dyn Disk, by: u64) -> io::Result<()> {
        let result = noise(self.bytes, by).try_for_each(|piece| disk.append(NAME, &piece));
        if result.is_err() {
            // What there was is still kept; what is left of the disk is for others.
            disk.truncate(NAME, self.bytes)?;
            return result;
        }
        self.bytes += by;
        Ok(())
    }

    /// Gives some of it up, if it is larger than `bytes`.
    pub(super) fn shrink(&mut self, disk: &mut dyn Disk, bytes: u64) -> io::Result<()> {
        if self.bytes > bytes {
            disk.truncate(NAME, bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Gives all of it up for a snapshot. `false` if there is none.
    pub(super) fn release(&mut self, disk: &mut dyn Disk) -> bool {
        if self.bytes == 0 || disk.remove(NAME).is_err() {
            return false;
        }
        *self = Self { bytes: 0, released: true };
        true
    }

    /// There is a snapshot, or there will be none: the reserve may grow again.
    pub(super) fn reclaim(&mut self) {
        self.released = false;
    }
}

/// Pieces of `bytes` bytes in all that no file system can make smaller (xorshift).
fn noise(seed: u64, bytes: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes).step_by(STEP_BYTES).map(move |from| {
        let bytes = usize::try_from(bytes - from).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let mut piece: Vec<u8> = (0..bytes / 8 + 1).flat_map(|_| next()).collect();
        piece.truncate(bytes);
        piece
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_any_length_and_no_pattern() {
        for bytes in [0, 1, 8, 255, 256, 257, 1_000] {
            let noise: Vec<u8> = noise(7, bytes).flatten().collect();
            assert_eq!(noise.len() as u64, bytes);
            let zeros = noise.iter().filter(|byte| **byte == 0).count();
            assert!(zeros < 2 + noise.len() / 50, "{zeros} of {bytes}");
        }
    }
}
