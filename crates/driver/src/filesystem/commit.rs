//! The commit of an ingest: a small value by way of the journal, a large one synced as itself.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use crate::{Commit, Condition, DriverPath, Durability, Error, ErrorKind, Put, Result};

use super::ingest::Staging;
use super::sync::unsynced;
use super::tree::errno_at;
use super::verified::{self, Place, Version};
use super::write::{Whole, bytes_of, operations};
use super::{Inner, NAME, Promised};

/// Sets both times of a file to the clock's.
const NOW: Timestamps = Timestamps {
    last_access: NOW_BY_CLOCK,
    last_modification: NOW_BY_CLOCK,
};
const NOW_BY_CLOCK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW,
};

impl Inner {
    /// Moves the finished file to its destination and writes what follows.
    pub(super) fn commit(
        &self,
        file: &File,
        staging: &Staging,
        offset: u64,
        commit: &Commit,
    ) -> Result<()> {
        let destination = &commit.destination;
        if let Staging::Nameless(meant)
        | Staging::Named {
            destination: meant, ..
        } = staging
            && meant != destination
        {
            return Err(Error::new(ErrorKind::Invalid, NAME, destination));
        }
        let io = |errno| errno_at(destination, errno);
        if commit.condition == Condition::Replace {
            // By this time a replay tells a later value from what it has promised before, and a
            // rename keeps it.
            rustix::fs::futimens(file, &NOW).map_err(io)?;
        }
        let stat = rustix::fs::fstat(file).map_err(io)?;
        if u64::try_from(stat.st_size) != Ok(offset) {
            let why = "the file has another length than what was appended";
            return Err(Error::with_source(
                ErrorKind::Broken,
                NAME,
                destination,
                why,
            ));
        }
        let directory = self.tree.make_parent_of(destination)?;
        if commit.verified {
            let place = Place {
                directory: &|| directory.try_clone().ok(),
                name: destination.name(),
            };
            // Without the record the next reader hashes once more, no worse.
            verified::mark(file.as_fd(), place, Version::of(&stat)).ok();
        }
        let promised = self.promise_commit(file, offset, commit)?;
        let syncs = self.syncs(promised.durability);
        if syncs {
            self.sync_file(file, staging.path())?;
        }
        self.move_into_place(file, staging, &directory, commit)?;
        if syncs {
            self.durable.sync_way_to(&self.tree, destination)?;
        }
        if promised.promise.is_none() {
            return self.put_all(&commit.then, promised.durability);
        }
        self.put_promised(promised, &[destination], &commit.then)
    }

    /// Promises a small value, with the writes that follow; a large one is synced as itself.
    fn promise_commit(&self, file: &File, offset: u64, commit: &Commit) -> Result<Promised<'_>> {
        let destination = &commit.destination;
        let bytes = offset + bytes_of(&commit.then);
        let mut value = Put {
            condition: commit.condition,
            verified: commit.verified,
            ..Put::replace(destination.clone(), Bytes::new())
        };
        if self.journal_for(Durability::Durable, bytes).is_some() {
            if self.first_refused(std::slice::from_ref(&value))?.is_some() {
                return Err(Error::new(ErrorKind::AlreadyExists, NAME, destination));
            }
            let read = read_whole(file);
            value.bytes = read.map_err(|error| Error::from_io(NAME, destination, error))?;
        }
        let value = [value];
        self.promise(destination, Durability::Durable, bytes, || {
            operations(&value).chain(operations(&commit.then)).collect()
        })
    }

    fn move_into_place(
        &self,
        file: &File,
        staging: &Staging,
        directory: &OwnedFd,
        commit: &Commit,
    ) -> Result<()> {
        let to = &commit.destination;
        let rename = |source: &OwnedFd, from: &str| {
            self.rename_into_place(source.as_fd(), from, directory, to, commit.condition)
        };
        let moved = match staging {
            Staging::Path(path) => {
                let source = self.tree.parent_of(path)?;
                match rename(&source, path.name()) {
                    // The blobs lie on another disk.
                    Err(Errno::XDEV) => {
                        return self.copy_into_place(file, &source, path, directory, commit);
                    }
                    other => other,
                }
            }
            Staging::Named {
                directory: source,
                name,
                ..
            } => rename(source, name),
            Staging::Nameless(_) => self.name_into_place(file, directory, commit),
        };
        moved.map_err(|errno| errno_at(to, errno))
    }

    /// Gives a nameless file its name. Once it has had one it cannot get another, so the name that
    /// may be refused is tried first.
    fn name_into_place(
        &self,
        file: &File,
        directory: &OwnedFd,
        commit: &Commit,
    ) -> Result<(), Errno> {
        let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let link = |name: &str| {
            rustix::fs::linkat(
                rustix::fs::CWD,
                &from,
                directory,
                name,
                AtFlags::SYMLINK_FOLLOW,
            )
        };
        let to = &commit.destination;
        match commit.condition {
            Condition::IfAbsent => link(to.name()),
            Condition::Replace => {
                let name = self.temporary_name(to);
                link(&name)?;
                self.rename_into_place(directory.as_fd(), &name, directory, to, Condition::Replace)
                    .inspect_err(|_| {
                        // The first error is the one to tell.
                        rustix::fs::unlinkat(directory, &name, AtFlags::empty()).ok();
                    })
            }
        }
    }

    /// The slow way, for a destination on another file system: copy, sync, rename, unlink.
    fn copy_into_place(
        &self,
        file: &File,
        source: &OwnedFd,
        path: &DriverPath,
        directory: &OwnedFd,
        commit: &Commit,
    ) -> Result<()> {
        use std::io::{Seek as _, SeekFrom};
        let how = Whole {
            condition: commit.condition,
            verified: commit.verified,
            durability: Durability::Durable,
        };
        self.write_whole(directory, &commit.destination, how, |copy| {
            let mut from = file.try_clone()?;
            from.seek(SeekFrom::Start(0))?;
            std::io::copy(&mut from, copy).map(drop)
        })?;
        if let Err(errno) = rustix::fs::unlinkat(source, path.name(), AtFlags::empty()) {
            // The value is in its place; whoever removes the upload takes the rest.
            tracing::debug!(%errno, %path, "a value that was copied stays where it was as well");
        }
        Ok(())
    }

    pub(super) fn sync_file(&self, file: &File, path: &DriverPath) -> Result<()> {
        if !self.syncs(Durability::Durable) {
            return Ok(());
        }
        let synced = self.tree.write_back.data(file.as_fd());
        synced.map_err(|errno| unsynced(path, errno))
    }
}

fn read_whole(file: &File) -> std::io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let length =
        usize::try_from(file.metadata()?.len()).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}
