//! The segments that dead processes have left, and the locks that say that they are dead.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::super::tree::{Tree, errno_at};
use super::super::write::is_temporary_of;
use super::super::{DIRECTORY, Inner, NAME};
use super::format::{Entry, Operation, parse};
use super::segment::is_suspect;

/// 1,000 segments are asked for at once; each process has a few.
const LIST_PAGE: usize = 1000;

/// 60 s: nobody takes longer to write the header of a segment.
const BEGINNING: Duration = Duration::from_secs(60);

/// Hidden from listings, so that nobody takes it for a segment.
const LOCK_FILE: &str = "lock.0000000000000000.tmp";

/// A segment that nobody writes any more.
pub(super) struct Dead {
    pub(super) path: DriverPath,
    /// Held so that no other process that starts meanwhile does the same.
    pub(super) lock: File,
    pub(super) bytes: Vec<u8>,
}

impl Dead {
    /// Whether what it promises has to be compared with the tree: the machine has booted since, or
    /// may have lost it in another way. Boots have names that no two share. A segment without a
    /// header was never promised in.
    pub(super) fn needs_a_look(&self, inner: &Inner) -> bool {
        let boot = inner.runtime.host.boot();
        is_suspect(&self.path)
            || parse(&self.bytes).is_some_and(|parsed| parsed.boot != boot || boot.is_empty())
    }

    /// Tells whose it is, and of bytes that are no entry. A power cut leaves some at the end that
    /// were never promised; whether others follow that were, nobody can say.
    pub(super) fn tell(&self) {
        let Some(parsed) = parse(&self.bytes) else {
            return;
        };
        let (segment, machine, boot) = (&self.path, parsed.machine, parsed.boot);
        tracing::info!(%segment, machine, boot, "going through a segment of the journal");
        if parsed.rest > 0 {
            tracing::warn!(
                %segment,
                from = self.bytes.len() - parsed.rest,
                bytes = parsed.rest,
                "a segment of the journal is torn or damaged: what it holds from there is not replayed"
            );
        }
    }

    /// The process that wrote it.
    pub(super) fn process(&self) -> &str {
        self.path.name().split('.').next().unwrap_or_default()
    }
}

/// What to do while another process has the journal's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    Wait,
    GiveUp,
}

/// Locks the journal's directory. `None` when there is no such directory, or it is busy and that is
/// not waited for. The lock goes with the descriptor.
pub(super) fn lock_directory(
    tree: &Tree,
    path: &DriverPath,
    busy: Busy,
) -> Result<Option<OwnedFd>> {
    let io = |errno| errno_at(path, errno);
    let directory = match tree.open_at(path, DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match flock(&directory, busy) {
        Ok(locked) => return Ok(locked.then_some(directory)),
        // NFS locks nothing that is not open for writing.
        Err(Errno::BADF) => {}
        Err(errno) => return Err(io(errno)),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, LOCK_FILE, flags, tree.file_mode).map_err(io)?;
    let locked = flock(&file, busy).map_err(io)?;
    Ok(locked.then_some(file))
}

fn flock(file: &OwnedFd, busy: Busy) -> Result<bool, Errno> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::AGAIN) if busy == Busy::GiveUp => return Ok(false),
        Err(Errno::AGAIN) => {
            tracing::info!("waiting for another process to go through the journal");
            rustix::io::retry_on_intr(|| rustix::fs::flock(file, FlockOperation::LockExclusive))?;
        }
        other => other?,
    }
    Ok(true)
}

fn segments(inner: &Inner, directory: &DriverPath) -> Result<Vec<DriverPath>> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = match inner.list_page(directory, names.last().map(String::as_str), LIST_PAGE) {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        names.extend(page.entries.into_iter().map(|entry| entry.name));
        if !page.more {
            break;
        }
    }
    Ok(names
        .iter()
        .filter_map(|name| directory.join(name).ok())
        .collect())
}

/// Takes the segments that nobody holds.
pub(super) fn dead_segments(inner: &Inner, directory: &DriverPath) -> Result<Vec<Dead>> {
    let mut dead = Vec::new();
    for path in segments(inner, directory)? {
        match read_unless_held(inner, &path) {
            Ok(Some((lock, bytes))) => dead.push(Dead { path, lock, bytes }),
            Ok(None) => {}
            // It stays for a later start, and the others do not wait for that.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a segment of the journal cannot be read");
            }
        }
    }
    Ok(dead)
}

/// Reads a segment and takes its lock; `None` when a living process has it, or it is gone.
fn read_unless_held(inner: &Inner, path: &DriverPath) -> Result<Option<(File, Vec<u8>)>> {
    let file = match inner.tree.open_at(path, OFlags::RDWR) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(Error::from_io(NAME, path, errno.into())),
    }
    if !lies_at(&file, &inner.tree, path)? {
        // Whoever held it has removed it, or called it suspect.
        return Ok(None);
    }
    let mut file = File::from(file);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| Error::from_io(NAME, path, error))?;
    if parse(&bytes).is_none() && is_young(inner, &file, path)? {
        // Somebody is just beginning it.
        return Ok(None);
    }
    Ok(Some((file, bytes)))
}

/// Whether the open file is the one that lies at `path`.
pub(super) fn lies_at(file: &OwnedFd, tree: &Tree, path: &DriverPath) -> Result<bool> {
    let io = |errno| errno_at(path, errno);
    let ours = rustix::fs::fstat(file).map_err(io)?;
    let directory = tree.parent_of(path)?;
    match rustix::fs::statat(&directory, path.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(io(errno)),
    }
}

fn is_young(inner: &Inner, file: &File, path: &DriverPath) -> Result<bool> {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|error| Error::from_io(NAME, path, error))?;
    let age = inner
        .runtime
        .clock
        .now()
        .duration_since(modified)
        .unwrap_or_default();
    Ok(age < BEGINNING)
}

/// Removes the temporary files that a dead process has left beside what it promised. They carry
/// its name, and nobody else writes them.
pub(super) fn remove_temporaries(tree: &Tree, dead: &Dead) {
    let entries = parse(&dead.bytes)
        .map(|parsed| parsed.entries)
        .unwrap_or_default();
    let operations = entries.iter().flat_map(|entry| match entry {
        Entry::Promise { operations, .. } => &operations[..],
        Entry::TakenBack { .. } => &[],
    });
    let mut directories = BTreeSet::new();
    for operation in operations {
        if let Operation::Put { path, .. } = operation
            && let Some((directory, _)) = path.rsplit_once('/')
        {
            directories.insert(directory);
        }
    }
    for directory in directories {
        let Ok(path) = directory.parse::<DriverPath>() else {
            continue;
        };
        // What has gone since needs no tidying.
        let Ok(directory) = tree.open_at(&path, DIRECTORY) else {
            continue;
        };
        let Ok(entries) = Dir::read_from(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy();
            if is_temporary_of(dead.process(), &name) {
                // Found again by nobody but a walker of the tree, who passes it over.
                rustix::fs::unlinkat(&directory, entry.file_name(), AtFlags::empty()).ok();
            }
        }
    }
}
