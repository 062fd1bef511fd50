//! Which directories are known to be durable, so that a commit syncs each new one once.
//!
//! A directory's entry in its parent may be missing after a power cut although the directory
//! itself was synced. Whoever makes a file durable therefore syncs every ancestor that this
//! process does not know to be durable, also one that somebody else has made a moment ago.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::NAME;
use super::tree::{Tree, errno_at};

/// 32,768 directories, about 5 MiB: far more than are pushed to within seconds. What is forgotten
/// costs one more sync.
const MOST_KNOWN: usize = 32_768;

/// The directories whose entry, and that of all their ancestors, is known to be durable.
#[derive(Debug, Default)]
pub(super) struct DurableDirectories {
    /// The inode tells a directory from one that was made anew under the same name.
    known: Mutex<HashMap<DriverPath, u64>>,
}

impl DurableDirectories {
    /// Makes the entries in the directory of `path` durable, and the way to it from the root.
    pub(super) fn sync_way_to(&self, tree: &Tree, path: &DriverPath) -> Result<()> {
        // Known only once the way is synced to its end: until then somebody else must not stop there.
        let mut synced = Vec::new();
        let mut at = path.parent();
        loop {
            let directory = match &at {
                Some(directory) => tree.open_at(directory, super::DIRECTORY)?,
                None => tree.root_fd().map_err(|errno| errno_at(path, errno))?,
            };
            sync_directory(directory.as_fd(), at.as_ref().unwrap_or(path))?;
            let Some(current) = at else { break };
            let inode = inode_of(directory.as_fd()).map_err(|errno| errno_at(&current, errno))?;
            if self.knows(&current, inode) {
                break;
            }
            at = current.parent();
            synced.push((current, inode));
        }
        for (path, inode) in synced {
            self.remember(path, inode);
        }
        Ok(())
    }

    fn knows(&self, path: &DriverPath, inode: u64) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            == Some(&inode)
    }

    fn remember(&self, path: DriverPath, inode: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(path, inode);
    }
}

/// Syncs an open directory.
pub(super) fn sync_directory(
    directory: std::os::fd::BorrowedFd<'_>,
    path: &DriverPath,
) -> Result<()> {
    match rustix::fs::fsync(directory) {
        // Some network file systems cannot sync a directory, and need not: their calls are synchronous.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Error::with_source(ErrorKind::Unsynced, NAME, path, errno)),
    }
}

fn inode_of(directory: std::os::fd::BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(rustix::fs::fstat(directory)?.st_ino)
}
