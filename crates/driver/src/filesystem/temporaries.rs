//! Temporary files of writers that are dead: ours and Distribution's are named alike.

use std::os::fd::OwnedFd;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use crate::{DriverPath, ErrorKind, Result};

use super::tree::errno_at;
use super::verified::Version;
use super::write::is_temporary;
use super::{DIRECTORY, Filesystem, Inner};

impl Filesystem {
    /// Removes the temporary files within `directory` that were written to last before `before`, and
    /// returns how many they were. No listing shows them, and nobody writes to one for long.
    ///
    /// # Errors
    /// Fails at the first that cannot be removed, and at a directory that cannot be read.
    pub async fn remove_temporaries(
        &self,
        directory: &DriverPath,
        before: SystemTime,
    ) -> Result<u64> {
        let directory = directory.clone();
        self.blocking(move |inner| inner.remove_temporaries(directory, before))
            .await
    }
}

impl Inner {
    fn remove_temporaries(&self, directory: DriverPath, before: SystemTime) -> Result<u64> {
        let (mut removed, mut left) = (0, vec![directory]);
        while let Some(path) = left.pop() {
            let directory = match self.tree.open_at(&path, DIRECTORY) {
                // It has gone since it was seen.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                directory => directory?,
            };
            let io = |errno| errno_at(&path, errno);
            for entry in Dir::read_from(&directory).map_err(io)? {
                let entry = entry.map_err(io)?;
                let Ok(name) = entry.file_name().to_str() else {
                    continue;
                };
                // Some file systems do not say what it is; then asking as a directory tells.
                let may_hold_more =
                    matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
                if is_temporary(name) {
                    removed += u64::from(remove_old(&directory, name, before).map_err(io)?);
                } else if may_hold_more && let Ok(below) = path.join(name) {
                    left.push(below);
                }
            }
        }
        Ok(removed)
    }
}

/// Removes a file unless it is young; tells whether it did.
fn remove_old(directory: &OwnedFd, name: &str, before: SystemTime) -> Result<bool, Errno> {
    let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(false),
        stat => stat?,
    };
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || Version::of(&stat).modified() >= before {
        return Ok(false);
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(false),
        removed => removed.map(|()| true),
    }
}
