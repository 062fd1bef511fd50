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
        let begun = segment.begin(tree, header);
        if begun.is_err() {
            // Nobody was promised anything in it, and a full disk wants its file back.
            remove_segment(tree, path).ok();
        }
        begun.map(|()| segment)
    }

    fn begin(&mut self, tree: &Tree, header: &[u8]) -> Result<()> {
        self.append(header)
            .map_err(|errno| not_appended(&self.path, errno))?;
        DurableDirectories::default().sync_way_to(tree, &self.path)
    }

    /// Appends `bytes`, and makes them durable. After a failure nothing of them is left, as far as
    /// the disk lets us say so, and nothing more may be appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let written = self
            .file
            .write_all_at(bytes, self.end)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .and_then(|()| rustix::fs::fdatasync(&self.file));
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

    /// Removes the segment once everything that it promised is durable in the tree. When that
    /// cannot be made sure, or is in doubt since an earlier sync has failed, the segment stays and
    /// its name says so: the next process goes through it whether the machine has booted or not.
    pub(super) fn retire(self, tree: &Tree, in_doubt: bool) -> Result<()> {
        let synced = tree.sync_all().map_err(|errno| errno_at(&self.path, errno));
        if synced.is_err() || in_doubt {
            call_suspect(tree, &self.path)?;
        } else {
            remove_segment(tree, &self.path)?;
        }
        synced
    }
}

/// Makes an error of what the kernel said when something was appended to the segment at `path`.
pub(super) fn not_appended(path: &DriverPath, errno: Errno) -> Error {
    let kind = match errno {
        Errno::NOSPC | Errno::DQUOT => ErrorKind::Full,
        _ => ErrorKind::Unsynced,
    };
    Error::with_source(kind, NAME, path, errno)
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

/// Removes a segment that is not needed any more.
pub(super) fn remove_segment(tree: &Tree, path: &DriverPath) -> Result<()> {
    let directory = tree.parent_of(path)?;
    // Unsynced: when it is found again after a power cut, nothing else was lost since.
    remove::remove_at(std::os::fd::AsFd::as_fd(&directory), path.name())
        .map_err(|errno| errno_at(path, errno))
}
