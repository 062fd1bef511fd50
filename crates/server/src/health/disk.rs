//! How full the disk of the storage is.

use std::io;
use std::path::PathBuf;

/// 95 %: most file systems keep a twentieth for root, and become slow beyond it.
const FULL_PERCENT: u64 = 95;

/// The file system that a directory lies on.
#[derive(Debug, Clone)]
pub struct Disk {
    directory: PathBuf,
}

/// How much room a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total_bytes: u64,
    /// What is free for this process.
    pub available_bytes: u64,
}

impl Disk {
    /// The disk of `directory`.
    #[must_use]
    pub fn of(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Asks the system.
    ///
    /// # Errors
    /// Fails if the directory is not there.
    pub fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.directory)?;
        Ok(Space {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

impl Space {
    /// Returns how much is in use, in percent.
    pub(crate) fn used_percent(self) -> u64 {
        let used = self.total_bytes.saturating_sub(self.available_bytes);
        (u128::from(used) * 100)
            .checked_div(u128::from(self.total_bytes))
            .and_then(|percent| u64::try_from(percent).ok())
            .unwrap_or(0)
    }

    /// Tells whether somebody should make room.
    pub(crate) fn is_nearly_full(self) -> bool {
        self.used_percent() >= FULL_PERCENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_from_95_percent() {
        let space = |available_bytes| Space {
            total_bytes: 1_000_000,
            available_bytes,
        };
        assert!(!space(60_000).is_nearly_full());
        assert!(space(50_000).is_nearly_full());
        assert!(space(0).is_nearly_full());
        let none = Space {
            total_bytes: 0,
            available_bytes: 0,
        };
        assert!(!none.is_nearly_full());
    }

    #[test]
    fn a_directory_has_a_disk() {
        let space = Disk::of("/").space().unwrap();
        assert!(space.total_bytes > 0 && space.available_bytes <= space.total_bytes);
        assert!(Disk::of("/no such directory").space().is_err());
    }
}
