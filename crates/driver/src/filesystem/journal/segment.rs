//! One file of the journal.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::super::durable::DurableDirectories;
use super::super::tree::{Tree, errno_at};
use super::super::{NAME, remove};

/// A segment that this process writes.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    pub(super) path: DriverPath,
    /// Where the next entry goes; what lies beyond was never promised.
    end: u64,
}

impl Segment {
    /// Makes a segment that begins with `header`, and makes it durable with its name.
    pub(super) fn create(tree: &Tree, path: &DriverPath, header: &[u8]) -> Result<Self> {
        let directory = tree.make_parent_of(path)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let io = |errno| errno_at(path, errno);
        let file =
            rustix::fs::openat(&directory, path.name(), flags, tree.file_mode).map_err(io)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io)?;
        let mut segment = Self {
            file: file.into(),
            path: path.clone(),
            end: 0,
        };
        segment
            .append(header)
            .map_err(|errno| Error::with_source(ErrorKind::Unsynced, NAME, path, errno))?;
        DurableDirectories::default().sync_way_to(tree, path)?;
        Ok(segment)
    }

    /// Appends `bytes`, and makes them durable.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let written = self.file.write_all_at(bytes, self.end);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::fdatasync(&self.file)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes were promised.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Removes the segment once everything that it promised is durable in the tree. When that
    /// cannot be made sure, the segment stays for the next process.
    pub(super) fn retire(self, tree: &Tree) -> Result<()> {
        tree.sync_all()
            .map_err(|errno| errno_at(&self.path, errno))?;
        remove_segment(tree, &self.path)
    }
}

/// Removes a segment that is not needed any more.
pub(super) fn remove_segment(tree: &Tree, path: &DriverPath) -> Result<()> {
    let directory = tree.parent_of(path)?;
    // Unsynced: found again after a power cut, it is replayed and changes nothing.
    remove::remove_at(std::os::fd::AsFd::as_fd(&directory), path.name())
        .map_err(|errno| errno_at(path, errno))
}
