//! Which directories are known to be durable, so that a commit syncs each new one once.
//!
//! A directory's entry in its parent may be missing after a power cut although the directory
//! itself was synced. Whoever makes a file durable therefore syncs every ancestor that this
//! process does not know to be durable, also one that somebody else has made a moment ago.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    known: Mutex<BTreeMap<String, Identity>>,
}

/// What tells a directory from one that was made anew under the same name. File systems give the
/// inode of one that was removed to the next, so the time of birth counts where there is one. Only
/// what somebody else makes anew within a tick of the clock cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    inode: u64,
    born: (i64, u32),
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
            let identity = Identity::of(directory.as_fd());
            let identity = identity.map_err(|errno| errno_at(&current, errno))?;
            if self.knows(&current, identity) {
                break;
            }
            at = current.parent();
            synced.push((current, identity));
        }
        let mut known = self.known();
        if known.len() + synced.len() > MOST_KNOWN {
            known.clear();
        }
        let synced = synced.into_iter();
        known.extend(synced.map(|(path, identity)| (path.as_str().to_owned(), identity)));
        Ok(())
    }

    /// Forgets what was removed, with all below: what is made anew there is another directory.
    pub(super) fn forget(&self, path: &DriverPath) {
        let mut known = self.known();
        known.remove(path.as_str());
        let gone: Vec<String> = known
            .range(below(path.as_str()))
            .map(|(path, _)| path.clone())
            .collect();
        for path in &gone {
            known.remove(path);
        }
    }

    fn knows(&self, path: &DriverPath, identity: Identity) -> bool {
        self.known().get(path.as_str()) == Some(&identity)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Identity>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identity {
    #[cfg(target_os = "linux")]
    fn of(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        use rustix::fs::{AtFlags, StatxFlags};
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        match rustix::fs::statx(directory, c"", AtFlags::EMPTY_PATH, wanted) {
            Ok(stat) => Ok(Self {
                inode: stat.stx_ino,
                born: (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
            }),
            // Old kernels, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => Self::without_birth(directory),
            Err(errno) => Err(errno),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        Self::without_birth(directory)
    }

    fn without_birth(directory: BorrowedFd<'_>) -> Result<Self, Errno> {
        let inode = rustix::fs::fstat(directory)?.st_ino;
        let born = (0, 0);
        Ok(Self { inode, born })
    }
}

/// The range in which the paths below `path` lie when they are sorted as text.
pub(super) fn below(path: &str) -> (Bound<String>, Bound<String>) {
    // '0' follows '/'.
    let (first, beyond) = (format!("{path}/"), format!("{path}0"));
    (Bound::Included(first), Bound::Excluded(beyond))
}

/// Syncs an open directory.
pub(super) fn sync_directory(directory: BorrowedFd<'_>, path: &DriverPath) -> Result<()> {
    match rustix::fs::fsync(directory) {
        // Some network file systems cannot sync a directory, and need not: their calls are synchronous.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Error::with_source(ErrorKind::Unsynced, NAME, path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_made_anew_is_not_known() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = Tree::open(scratch.path(), Vec::new()).unwrap();
        let durable = DurableDirectories::default();
        let path = |text: &str| text.parse::<DriverPath>().unwrap();
        for value in ["a/b/value", "a-b/value", "a0/value"] {
            drop(tree.make_parent_of(&path(value)).unwrap());
            durable.sync_way_to(&tree, &path(value)).unwrap();
        }
        let identity = |name: &str| {
            let directory = tree.open_at(&path(name), super::super::DIRECTORY);
            Identity::of(directory.unwrap().as_fd()).unwrap()
        };
        let before = identity("a/b");
        assert!(durable.knows(&path("a/b"), before));
        // Within a tick of the clock nothing tells them apart.
        let anew = (0..100_000).find_map(|_| {
            std::fs::remove_dir(scratch.path().join("a/b")).unwrap();
            std::fs::create_dir(scratch.path().join("a/b")).unwrap();
            let anew = identity("a/b");
            (!durable.knows(&path("a/b"), anew)).then_some(anew)
        });
        assert!(anew.is_some());

        durable.forget(&path("a"));
        assert!(!durable.knows(&path("a/b"), before));
        for beside in ["a-b", "a0"] {
            assert!(durable.knows(&path(beside), identity(beside)));
        }
    }
}
