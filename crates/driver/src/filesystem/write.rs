//! Small values: a temporary file beside the target, then one rename.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use crate::{Condition, DriverPath, Durability, Error, ErrorKind, Put, Result};

use super::journal::Operation;
use super::tree::errno_at;
use super::verified::{self, Place, Version};
use super::{Inner, NAME, Promised};

/// How a file is written as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) condition: Condition,
    pub(super) verified: bool,
    pub(super) durability: Durability,
}

impl Inner {
    /// Writes each value in order; see [`crate::Driver::put`].
    pub(super) fn put_all(&self, writes: &[Put], durability: Durability) -> Result<()> {
        let Some(first) = writes.first() else {
            return Ok(());
        };
        let bytes = bytes_of(writes);
        if self.journal_for(durability, bytes).is_some()
            && let Some(refused) = self.first_refused(writes)?
        {
            self.put_all(&writes[..refused], durability)?;
            let path = &writes[refused].path;
            return Err(Error::new(ErrorKind::AlreadyExists, NAME, path));
        }
        let promised = self.promise(&first.path, durability, bytes, || {
            operations(writes).collect()
        })?;
        self.put_promised(promised, &[], writes)
    }

    /// Writes each value in order, as it was promised; `done` was promised with them.
    pub(super) fn put_promised(
        &self,
        promised: Promised<'_>,
        done: &[&DriverPath],
        writes: &[Put],
    ) -> Result<()> {
        for (at, write) in writes.iter().enumerate() {
            if let Err(error) = self.put_now(write, promised.durability) {
                let before = writes[..at].iter().map(|write| &write.path);
                self.take_back(promised, done.iter().copied().chain(before));
                return Err(error);
            }
        }
        promised.keep();
        Ok(())
    }

    /// Takes back a promise of which only `done` could be done. It has perhaps replaced what was
    /// durable, so it has to become durable without the promise.
    fn take_back<'a>(
        &self,
        promised: Promised<'_>,
        done: impl IntoIterator<Item = &'a DriverPath>,
    ) {
        if promised.promise.is_none() {
            return;
        }
        if let Err(error) = done.into_iter().try_for_each(|path| self.settle(path)) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a promise that was done in part is left to a replay");
            promised.keep();
        }
    }

    /// Returns which of the writes finds something where nothing may be, before any is promised.
    pub(super) fn first_refused(&self, writes: &[Put]) -> Result<Option<usize>> {
        for (at, write) in writes.iter().enumerate() {
            if write.condition == Condition::IfAbsent && self.is_taken(&write.path)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn is_taken(&self, path: &DriverPath) -> Result<bool> {
        match self.tree.parent_of(path) {
            Ok(directory) => exists(&directory, path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes one value, without the journal.
    pub(super) fn put_now(&self, write: &Put, durability: Durability) -> Result<()> {
        let path = &write.path;
        let directory = self.tree.make_parent_of(path)?;
        let directory = match self.write_into(&directory, write, durability) {
            // Somebody has removed the directory between the two steps.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let directory = self.tree.make_parent_of(path)?;
                self.write_into(&directory, write, durability)?;
                directory
            }
            other => other.map(|()| directory)?,
        };
        drop(directory);
        if self.syncs(durability) {
            self.durable.sync_way_to(&self.tree, path)
        } else {
            Ok(())
        }
    }

    fn write_into(&self, directory: &OwnedFd, write: &Put, durability: Durability) -> Result<()> {
        let path = &write.path;
        if write.condition == Condition::IfAbsent && exists(directory, path)? {
            return Err(Error::new(ErrorKind::AlreadyExists, NAME, path));
        }
        let how = Whole {
            condition: write.condition,
            verified: write.verified,
            durability,
        };
        self.write_whole(directory, path, how, |file| file.write_all(&write.bytes))
    }

    /// Writes a file beside `path` and moves it there when it is whole.
    pub(super) fn write_whole(
        &self,
        directory: &OwnedFd,
        path: &DriverPath,
        how: Whole,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<()> {
        let io = |errno| errno_at(path, errno);
        let temporary = self.temporary_name(path);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &temporary, flags, self.tree.file_mode);
        let mut file = File::from(file.map_err(io)?);
        let written = (|| {
            fill(&mut file).map_err(|error| Error::from_io(NAME, path, error))?;
            if how.verified {
                let stat = rustix::fs::fstat(&file).map_err(io)?;
                let place = Place {
                    directory: &|| directory.try_clone().ok(),
                    name: path.name(),
                };
                // Without the record the next reader hashes once more, no worse.
                verified::mark(file.as_fd(), place, Version::of(&stat)).ok();
            }
            if self.syncs(how.durability) {
                self.sync_file(&file, path)?;
            }
            let source = directory.as_fd();
            self.rename_into_place(source, &temporary, directory, path, how.condition)
                .map_err(io)
        })();
        if written.is_err() {
            // The first error is the one to tell; a temporary file that stays is hidden from listings.
            rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()).ok();
        }
        written
    }

    /// Moves `from` (in `source`) to the last component of `path` (in `directory`).
    pub(super) fn rename_into_place(
        &self,
        source: BorrowedFd<'_>,
        from: &str,
        directory: &OwnedFd,
        path: &DriverPath,
        condition: Condition,
    ) -> Result<(), Errno> {
        let to = path.name();
        match condition {
            Condition::Replace => match rustix::fs::renameat(source, from, directory, to) {
                // A directory lies where a value belongs: out of the way with it.
                Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                    let aside = self.temporary_name(path);
                    rustix::fs::renameat(directory, to, directory, &aside)
                        .and_then(|()| {
                            rustix::fs::renameat(source, from, directory, to).inspect_err(|_| {
                                // Back with it; the first error is the one to tell.
                                rustix::fs::renameat(directory, &aside, directory, to).ok();
                            })
                        })
                        .inspect(|()| {
                            self.durable.forget(path);
                            // Nobody can see it any more; what stays of it is debris.
                            super::remove::remove_at(directory.as_fd(), &aside).ok();
                        })
                }
                other => other,
            },
            Condition::IfAbsent => rename_if_absent(source, from, directory.as_fd(), to),
        }
    }

    /// Makes a name beside `path` that no listing shows; see [`is_temporary`]. It carries the name
    /// of the process, so that whoever comes after it can tidy up.
    pub(super) fn temporary_name(&self, path: &DriverPath) -> String {
        let name = path.name();
        // A file name may have 255 bytes; what is cut off here is only for people to read.
        let cut = (0..=name.len().min(200))
            .rev()
            .find(|&end| name.is_char_boundary(end))
            .unwrap_or(0);
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        format!("{}.{}{number:08x}.tmp", &name[..cut], self.process)
    }
}

/// How many bytes they put.
pub(super) fn bytes_of(writes: &[Put]) -> u64 {
    writes.iter().map(|write| write.bytes.len() as u64).sum()
}

/// The journal's words for `writes`.
pub(super) fn operations(writes: &[Put]) -> impl Iterator<Item = Operation<'_>> {
    writes.iter().map(|write| Operation::Put {
        path: write.path.as_str(),
        bytes: &write.bytes,
        verified: write.verified,
    })
}

/// Tells whether a file of this name is somebody's unfinished write: ours, or Distribution's
/// `NAME.<uuid>.tmp`.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_suffix(".tmp")
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, random)| {
            random.len() >= 16 && random.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        })
}

/// Tells whether a file of this name is an unfinished write of the process of that name.
pub(super) fn is_temporary_of(process: &str, name: &str) -> bool {
    is_temporary(name)
        && name
            .rsplit('.')
            .nth(1)
            .is_some_and(|middle| middle.starts_with(process))
}

fn exists(directory: &OwnedFd, path: &DriverPath) -> Result<bool> {
    match rustix::fs::statat(directory, path.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno_at(path, errno)),
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_if_absent(
    source: BorrowedFd<'_>,
    from: &str,
    directory: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    use rustix::fs::RenameFlags;
    match rustix::fs::renameat_with(source, from, directory, to, RenameFlags::NOREPLACE) {
        // The file system has no such rename.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            link_if_absent(source, from, directory, to)
        }
        other => other,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_if_absent(
    source: BorrowedFd<'_>,
    from: &str,
    directory: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    link_if_absent(source, from, directory, to)
}

fn link_if_absent(
    source: BorrowedFd<'_>,
    from: &str,
    directory: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    rustix::fs::linkat(source, from, directory, to, AtFlags::empty())?;
    if let Err(errno) = rustix::fs::unlinkat(source, from, AtFlags::empty()) {
        // The value is in its place, and a second try would find it there.
        tracing::debug!(%errno, from, to, "a value keeps its first name beside the one it was given");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::fs::IFlags;

    use super::{is_temporary, is_temporary_of, link_if_absent};

    #[test]
    fn a_value_that_keeps_its_first_name_is_in_its_place() {
        let scratch = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| {
            std::fs::create_dir(scratch.path().join(name)).unwrap();
            std::fs::File::open(scratch.path().join(name)).unwrap()
        });
        std::fs::write(scratch.path().join("from/a"), "x").unwrap();
        // Names can be added to such a directory, and not be taken away.
        let append_only = rustix::fs::ioctl_getflags(&from)
            .and_then(|flags| rustix::fs::ioctl_setflags(&from, flags | IFlags::APPEND));
        if append_only.is_err() {
            eprintln!("skipped: no directory can be made append-only here");
            return;
        }
        let linked = link_if_absent(from.as_fd(), "a", to.as_fd(), "b");
        let flags = rustix::fs::ioctl_getflags(&from).unwrap();
        rustix::fs::ioctl_setflags(&from, flags - IFlags::APPEND).unwrap();
        linked.unwrap();
        assert!(scratch.path().join("to/b").exists());
    }

    #[test]
    fn only_unfinished_writes_are_temporary() {
        assert!(is_temporary_of(
            "0123456789abcdef",
            "link.0123456789abcdef00000001.tmp"
        ));
        assert!(!is_temporary_of(
            "0123456789abcdef",
            "link.1123456789abcdef00000001.tmp"
        ));
        assert!(is_temporary("link.0123456789abcdef.tmp"));
        assert!(is_temporary(
            "data.5ac1cbd2-5b43-4b7c-9c8c-0d7f6f7f9a51.tmp"
        ));
        for name in [
            "v1.tmp",
            "link",
            "tmp",
            "a.b.tmp",
            ".tmp",
            "link.0123456789abcdef",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
