//! Deleting: one value, or a directory with all below it, without following a link.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Durability, ErrorKind, Result};

use super::Inner;
use super::journal::Operation;
use super::tree::errno_at;

impl Inner {
    /// See [`crate::Driver::delete`].
    pub(super) fn remove(&self, path: &DriverPath, durability: Durability) -> Result<()> {
        if self.journal_for(durability, 0).is_some() {
            self.find_to_remove(path)?;
        }
        let promised = self.promise(path, durability, 0, || {
            let path = path.as_str();
            vec![Operation::Delete { path }]
        });
        match promised {
            Ok(promised) => {
                self.remove_apart(path, promised.durability)?;
                promised.keep();
            }
            // Deleting is how a full disk gets its space back.
            Err(error) if error.kind() == ErrorKind::Full => {
                self.remove_apart(path, Durability::Apart)?;
                // What the journal has promised before must not bring it back.
                if let Some(journal) = &self.journal {
                    journal.close();
                }
            }
            Err(error) => return Err(error),
        }
        // Also where nothing is synced: no power cut is needed to have suspect promises replayed.
        match &self.suspects {
            Some(suspects) if durability != Durability::Scratch => suspects.note_deleted(path),
            _ => Ok(()),
        }
    }

    fn remove_apart(&self, path: &DriverPath, durability: Durability) -> Result<()> {
        self.remove_now(path)?;
        if self.syncs(durability) {
            self.durable.sync_way_to(&self.tree, path)?;
        }
        Ok(())
    }

    /// Only what is there needs a promise.
    fn find_to_remove(&self, path: &DriverPath) -> Result<()> {
        let there = self.tree.open_at(path, OFlags::PATH);
        let there = there.or_else(|error| match error.kind() {
            ErrorKind::Refused => self.tree.parent_of(path),
            _ => Err(error),
        });
        there.map(drop)
    }

    /// Removes what lies at `path`, without a sync.
    pub(super) fn remove_now(&self, path: &DriverPath) -> Result<()> {
        let directory = self.tree.parent_of(path)?;
        let removed = remove_at(directory.as_fd(), path.name());
        // After a failure, too: part of it may be gone.
        self.durable.forget(path);
        removed.map_err(|errno| errno_at(path, errno))
    }
}

/// Removes `name` from `directory`, with everything below it.
pub(super) fn remove_at(directory: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
            // Mostly it is an upload whose files have gone where they belong.
            rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)
                .or_else(|_| remove_tree(directory, name, errno))
        }
        other => other,
    }
}

/// Walks with a stack of its own, so that a deep tree cannot exhaust the thread's. `refused` is what
/// unlinking it said: it stands when it is no directory.
fn remove_tree(directory: BorrowedFd<'_>, name: &str, refused: Errno) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let mut stack: Vec<(OwnedFd, CString)> = vec![(open_refused(directory, &name, refused)?, name)];
    while let Some((current, _)) = stack.last() {
        match first_directory_after_unlinking_files(current)? {
            Some((below, refused)) => {
                let opened = open_refused(current.as_fd(), &below, refused)?;
                stack.push((opened, below));
            }
            None => {
                let Some((_, emptied)) = stack.pop() else {
                    break;
                };
                let parent = stack.last().map_or(directory, |(parent, _)| parent.as_fd());
                match rustix::fs::unlinkat(parent, &emptied, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    // Somebody has written into it meanwhile: look once more.
                    Err(Errno::NOTEMPTY) => {
                        stack.push((open_directory(parent, &emptied)?, emptied))
                    }
                    Err(errno) => return Err(errno),
                }
            }
        }
    }
    Ok(())
}

/// Returns it with what unlinking it said.
fn first_directory_after_unlinking_files(
    directory: &OwnedFd,
) -> Result<Option<(CString, Errno)>, Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
                return Ok(Some((name.to_owned(), errno)));
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

/// Opens what could not be unlinked. Some systems say `EPERM` of a directory; of anything else it
/// means that it may not be deleted.
fn open_refused(parent: BorrowedFd<'_>, name: &CStr, refused: Errno) -> Result<OwnedFd, Errno> {
    open_directory(parent, name).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => refused,
        errno => errno,
    })
}

/// Opens a directory that is no link.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
