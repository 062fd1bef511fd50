//! Making things durable, and what it means when that fails.
//!
//! After a failed write-back the kernel calls the pages clean, and tells of the failure once for
//! each open file description. So nothing that was written before counts as durable then, whatever
//! a second try says; and whoever vouches for a file system needs descriptors of his own, opened
//! before what he vouches for was written.

use std::fmt::Debug;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind};

use super::NAME;
use super::tree::Tree;

/// The kernel's calls that write back; tests make them fail.
pub(super) trait WriteBack: Debug + Send + Sync {
    /// Makes the bytes of a file durable.
    fn data(&self, file: BorrowedFd<'_>) -> Result<(), Errno>;

    /// Makes everything durable on the file system of `place`.
    fn file_system(&self, place: BorrowedFd<'_>) -> Result<(), Errno>;
}

/// The kernel itself.
#[derive(Debug)]
pub(super) struct Kernel;

impl WriteBack for Kernel {
    fn data(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::fdatasync(file)
    }

    #[cfg(target_os = "linux")]
    fn file_system(&self, place: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::syncfs(place)
    }

    #[cfg(not(target_os = "linux"))]
    fn file_system(&self, _: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::sync();
        Ok(())
    }
}

/// Makes an error of what the kernel said when `path` was to be made durable. Some file systems
/// find out only then that they have no room.
pub(super) fn unsynced(path: &DriverPath, errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOSPC | Errno::DQUOT => ErrorKind::Full,
        _ => ErrorKind::Unsynced,
    };
    Error::with_source(kind, NAME, path, errno)
}

/// The file systems that a tree lies on, by descriptors that are kept.
#[derive(Debug)]
pub(super) struct FileSystems {
    tree: Arc<Tree>,
    root: OwnedFd,
    /// For each place that is followed: it may lie on another disk, or not be there yet.
    followed: Vec<Option<OwnedFd>>,
}

impl FileSystems {
    pub(super) fn open(tree: &Arc<Tree>) -> Result<Self, Errno> {
        let mut opened = Self {
            tree: Arc::clone(tree),
            root: tree.root_fd()?,
            followed: tree.followed().iter().map(|_| None).collect(),
        };
        opened.open_followed()?;
        Ok(opened)
    }

    /// Makes everything durable that was written to the tree, by whomever. Takes as long as the
    /// file system has to write back; nobody should wait for it.
    pub(super) fn sync(&mut self) -> Result<(), Errno> {
        self.open_followed()?;
        let mut devices = Vec::new();
        let mut outcome = Ok(());
        for place in [&self.root]
            .into_iter()
            .chain(self.followed.iter().flatten())
        {
            let device = rustix::fs::fstat(place)?.st_dev;
            if devices.contains(&device) {
                continue;
            }
            devices.push(device);
            // The others are synced all the same; the first error is the one to tell.
            outcome = outcome.and(self.tree.write_back.file_system(place.as_fd()));
        }
        outcome
    }

    fn open_followed(&mut self) -> Result<(), Errno> {
        for (place, path) in self.followed.iter_mut().zip(self.tree.followed()) {
            if place.is_none() {
                *place = match self.tree.open_followed_place(path) {
                    Ok(opened) => Some(opened),
                    Err(Errno::NOENT) => None,
                    Err(errno) => return Err(errno),
                };
            }
        }
        Ok(())
    }
}
