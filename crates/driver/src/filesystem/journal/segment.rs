//! One file of the journal.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags};

use crate::{DriverPath, Error, ErrorKind, Result};

use super::super::durable::{DurableDirectories, sync_directory};
use super::super::sync::unsynced;
use super::super::tree::{Tree, errno_at};
use super::super::{NAME, remove};
use super::dead::lies_at;

/// A segment that this process writes.
#[derive(Debug)]
pub(super) struct Segment {
    tree: Arc<Tree>,
    file: File,
    path: DriverPath,
    /// Where the next entry goes; what lies beyond was never promised.
    end: u64,
    /// Whether a sync has failed: the kernel may call clean what it has not written.
    broken: bool,
}

impl Segment {
    /// Makes a segment that begins with `header`, and makes it durable with its name.
    pub(super) fn create(tree: &Arc<Tree>, path: &DriverPath, header: &[u8]) -> Result<Self> {
        let directory = tree.make_parent_of(path)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let io = |errno| errno_at(path, errno);
        let file =
            rustix::fs::openat(&directory, path.name(), flags, tree.file_mode).map_err(io)?;
        // Somebody who starts just now may hold it for a moment, to find that it is young.
        let locked =
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive));
        locked.map_err(io)?;
        if !lies_at(&file, tree, path)? {
            // This process was stopped for so long that somebody took it for dead.
            let why = "the segment was removed before it was begun";
            return Err(Error::with_source(ErrorKind::Unavailable, NAME, path, why));
        }
        let mut segment = Self {
            tree: Arc::clone(tree),
            file: file.into(),
            path: path.clone(),
            end: 0,
            broken: false,
        };
        let begun = segment
            .append(header)
            .and_then(|()| DurableDirectories::default().sync_way_to(tree, path));
        if begun.is_err() {
            // Nobody was promised anything in it, and a full disk wants its file back.
            remove_segment(tree, path).ok();
        }
        begun.map(|()| segment)
    }

    /// Appends `bytes`, and makes them durable. After a failure nothing of them is left, as far as
    /// the disk lets us say so; after a failed sync nothing more can be appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.broken {
            let why = "an earlier sync of this segment has failed";
            return Err(Error::with_source(
                ErrorKind::Unsynced,
                NAME,
                &self.path,
                why,
            ));
        }
        let written = self
            .file
            .write_all_at(bytes, self.end)
            .map_err(|error| Error::from_io(NAME, &self.path, error))
            .and_then(|()| {
                let synced = self.tree.write_back.data(self.file.as_fd());
                self.broken = synced.is_err();
                synced.map_err(|errno| unsynced(&self.path, errno))
            });
        match written {
            Ok(()) => self.end += bytes.len() as u64,
            // Else a replay might do what was answered with an error.
            Err(_) => drop(self.file.set_len(self.end)),
        }
        written
    }

    /// How many bytes were promised.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Reads what was promised.
    pub(super) fn read_back(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.end).unwrap_or_default()];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|error| Error::from_io(NAME, &self.path, error))?;
        Ok(bytes)
    }

    /// Removes the segment, once everything that it promised is durable in the tree, so that it is
    /// not found again even after a power cut: others may have deleted by then what it promises.
    pub(super) fn remove(&self) -> Result<()> {
        match remove_segment(&self.tree, &self.path) {
            // Somebody has removed it, perhaps with its directory.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        sync_directory(self.tree.parent_of(&self.path)?.as_fd(), &self.path)
    }

    /// Leaves the segment to the next process, which goes through it whether the machine has
    /// booted or not. Its lock goes with the file.
    pub(super) fn leave(self) -> (File, Result<()>) {
        let called = call_suspect(&self.tree, &self.path);
        (self.file, called)
    }
}

/// What the name of a segment ends with whose promises have to be looked at one by one.
pub(super) const SUSPECT: &str = ".suspect";

/// Tells whether a segment is to be gone through in any case.
pub(super) fn is_suspect(path: &DriverPath) -> bool {
    path.name().ends_with(SUSPECT)
}

/// Has a segment gone through by the next process in any case.
pub(super) fn call_suspect(tree: &Tree, path: &DriverPath) -> Result<()> {
    if is_suspect(path) {
        return Ok(());
    }
    let directory = tree.parent_of(path)?;
    let name = format!("{}{SUSPECT}", path.name());
    rustix::fs::renameat(&directory, path.name(), &directory, name)
        .map_err(|errno| errno_at(path, errno))
}

/// Removes a segment that is not needed any more; the caller syncs the directory.
pub(super) fn remove_segment(tree: &Tree, path: &DriverPath) -> Result<()> {
    let directory = tree.parent_of(path)?;
    remove::remove_at(directory.as_fd(), path.name()).map_err(|errno| errno_at(path, errno))
}
