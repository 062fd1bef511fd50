//! Who uses a directory: many who share it, or one who has it alone.

use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::tree::errno_at;
use super::{Filesystem, NAME};

/// How a process uses a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Beside others who do the same.
    Shared,
    /// Alone.
    Exclusive,
}

/// Keeps others out, or those who want to be alone, until it is dropped or the process ends.
#[derive(Debug)]
#[must_use = "what is dropped holds nobody off"]
pub struct Held {
    /// The lock goes with its last descriptor.
    _file: OwnedFd,
}

impl Filesystem {
    /// Takes the lock file at `path`, which is made and never removed. It binds only those who take
    /// it, too.
    ///
    /// # Errors
    /// Fails with `Busy` at once when another process, or another part of this one, holds it in a way
    /// that excludes this.
    pub fn hold(&self, path: &DriverPath, hold: Hold) -> Result<Held> {
        let tree = &self.inner.tree;
        let directory = tree.make_parent_of(path)?;
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |more| rustix::fs::openat(&directory, path.name(), flags | more, tree.file_mode);
        // NFS locks nothing alone that is not open for writing; elsewhere another user's file will do.
        let file = match open(OFlags::RDWR | OFlags::CREATE) {
            Err(Errno::ACCESS) => open(OFlags::RDONLY),
            other => other,
        };
        let file = file.map_err(|errno| errno_at(path, errno))?;
        let operation = match hold {
            Hold::Shared => FlockOperation::NonBlockingLockShared,
            Hold::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation)) {
            Ok(()) => Ok(Held { _file: file }),
            Err(Errno::AGAIN) => Err(Error::new(ErrorKind::Busy, NAME, path)),
            Err(errno) => Err(errno_at(path, errno)),
        }
    }
}
