//! Ingests on a filesystem: one file that grows in place, then one rename.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use rustix::fs::{AtFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::{
    Checkpoint, Commit, DriverPath, Durability, Error, ErrorKind, Ingest, ReadRange, ReadStream,
    Result, Resume, Target,
};

use super::tree::errno_at;
use super::verified::{self, Place};
use super::{Inner, NAME};

/// 1,024 pieces: the most that the kernel takes in one vectored write.
const MOST_PIECES: usize = 1024;

/// Where the file of an ingest lies until its commit.
#[derive(Debug)]
pub(super) enum Staging {
    /// At a path of its own.
    Path(DriverPath),
    /// Under no name: the kernel removes it with its last descriptor.
    Nameless(DriverPath),
    /// Where the file system has no nameless files: under a temporary name.
    Named {
        directory: OwnedFd,
        name: String,
        destination: DriverPath,
    },
}

impl Staging {
    pub(super) fn path(&self) -> &DriverPath {
        match self {
            Self::Path(path)
            | Self::Nameless(path)
            | Self::Named {
                destination: path, ..
            } => path,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Whole,
    /// A call has failed; only rewind, close and abort are left.
    Broken,
    /// A call is under way in its thread, or was dropped there; until it ends, the file and its lock
    /// are its own, and are given up with its descriptor.
    Running,
    /// Closed or aborted.
    Ended,
    /// The value is in its place.
    Committed,
}

/// One file on its way in.
#[derive(Debug)]
pub(super) struct FileIngest {
    inner: Arc<Inner>,
    file: Arc<File>,
    staging: Arc<Staging>,
    offset: u64,
    health: Health,
}

impl Inner {
    /// See [`crate::Driver::begin`].
    pub(super) fn begin(self: &Arc<Self>, target: &Target) -> Result<FileIngest> {
        let (file, staging) = match target {
            Target::Staged(path) => {
                let directory = self.tree.make_parent_of(path)?;
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directory, path.name(), flags, self.tree.file_mode)
                    .map_err(|errno| errno_at(path, errno))?;
                lock(&file, &directory, path)?;
                if size_of(&file, path)? > 0 {
                    return Err(Error::new(ErrorKind::Busy, NAME, path));
                }
                (file, Staging::Path(path.clone()))
            }
            Target::Final(path) => self.open_unnamed(path)?,
        };
        Ok(self.ingest(file, staging, 0))
    }

    /// See [`crate::Driver::resume`].
    pub(super) fn resume(
        self: &Arc<Self>,
        path: &DriverPath,
        resume: &Resume,
    ) -> Result<FileIngest> {
        let directory = self.tree.parent_of(path)?;
        let file = self.tree.open_at(path, OFlags::RDWR)?;
        lock(&file, &directory, path)?;
        let size = size_of(&file, path)?;
        let offset = match resume.at {
            Some(at) if at > size => return Err(Error::new(ErrorKind::Invalid, NAME, path)),
            Some(at) if at < size => {
                rustix::fs::ftruncate(&file, at).map_err(|errno| errno_at(path, errno))?;
                at
            }
            _ => size,
        };
        Ok(self.ingest(file, Staging::Path(path.clone()), offset))
    }

    fn ingest(self: &Arc<Self>, file: OwnedFd, staging: Staging, offset: u64) -> FileIngest {
        FileIngest {
            inner: Arc::clone(self),
            file: Arc::new(file.into()),
            staging: Arc::new(staging),
            offset,
            health: Health::Whole,
        }
    }

    /// Cuts off what lies beyond `to`, as long as the file is where it was staged.
    fn cut(&self, file: &File, staging: &Staging, to: u64) -> Result<()> {
        let path = staging.path();
        let ours = rustix::fs::fstat(file).map_err(|errno| errno_at(path, errno))?;
        let is_at = |directory: &OwnedFd, name: &str| {
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|there| (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino))
        };
        let is_staged = match staging {
            Staging::Path(path) => is_at(&self.tree.parent_of(path)?, path.name()),
            Staging::Nameless(_) => ours.st_nlink == 0,
            Staging::Named {
                directory, name, ..
            } => is_at(directory, name),
        };
        if !is_staged || ours.st_nlink > 1 {
            return Err(Error::new(ErrorKind::NotFound, NAME, path));
        }
        rustix::fs::ftruncate(file, to).map_err(|errno| errno_at(path, errno))
    }

    /// Opens a file that leaves nothing behind, on the file system of `destination`.
    fn open_unnamed(&self, destination: &DriverPath) -> Result<(OwnedFd, Staging)> {
        let mut path = destination.clone();
        let directory = loop {
            match self.tree.parent_of(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
                    Some(parent) => path = parent,
                    None => return Err(error),
                },
                other => break other?,
            }
        };
        #[cfg(target_os = "linux")]
        if self.has_proc {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            match rustix::fs::openat(&directory, ".", flags, self.tree.file_mode) {
                Ok(file) => return Ok((file, Staging::Nameless(destination.clone()))),
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
                Err(errno) => return Err(errno_at(destination, errno)),
            }
        }
        let name = self.temporary_name(destination);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, &name, flags, self.tree.file_mode)
            .map_err(|errno| errno_at(destination, errno))?;
        Ok((
            file,
            Staging::Named {
                directory,
                name,
                destination: destination.clone(),
            },
        ))
    }
}

impl FileIngest {
    fn path(&self) -> &DriverPath {
        self.staging.path()
    }

    fn whole(&self) -> Result<()> {
        match self.health {
            Health::Whole => Ok(()),
            Health::Broken | Health::Running | Health::Ended | Health::Committed => {
                Err(Error::new(ErrorKind::Broken, NAME, self.path()))
            }
        }
    }

    fn unlock(&self) {
        if matches!(*self.staging, Staging::Path(_)) {
            // A background sync may hold the descriptor a while longer; the lock must not wait for it.
            rustix::fs::flock(&self.file, FlockOperation::Unlock).ok();
        }
    }
}

impl Drop for FileIngest {
    fn drop(&mut self) {
        if self.health != Health::Running {
            self.unlock();
        }
        if let Staging::Named {
            directory, name, ..
        } = &*self.staging
            && self.health != Health::Committed
        {
            // Nobody is left to tell; the name is hidden from listings.
            rustix::fs::unlinkat(directory, name, AtFlags::empty()).ok();
        }
    }
}

#[async_trait]
impl Ingest for FileIngest {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        self.whole()?;
        self.health = Health::Running;
        let (file, at, path) = (Arc::clone(&self.file), self.offset, self.path().clone());
        let length = self
            .inner
            .runtime
            .blocking
            .run(move || write_at(&file, &chunks, at))
            .await;
        match length {
            Ok(length) => {
                self.offset += length;
                self.health = Health::Whole;
                Ok(())
            }
            Err(errno) => {
                self.health = Health::Broken;
                Err(errno_at(&path, errno))
            }
        }
    }

    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>> {
        if let Err(error) = self.whole() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (inner, file, path) = (
            Arc::clone(&self.inner),
            Arc::clone(&self.file),
            self.path().clone(),
        );
        let checkpoint = Checkpoint {
            offset: self.offset,
            state: None,
        };
        let is_at_path = matches!(*self.staging, Staging::Path(_));
        Box::pin(async move {
            let pool = inner.runtime.blocking.clone();
            pool.run(move || {
                inner.sync_file(&file, &path)?;
                if is_at_path && inner.syncs(Durability::Durable) {
                    inner.durable.sync_way_to(&inner.tree, &path)
                } else {
                    Ok(())
                }
            })
            .await?;
            Ok(checkpoint)
        })
    }

    async fn rewind(&mut self, point: &Checkpoint) -> Result<()> {
        match self.health {
            Health::Whole | Health::Broken => {}
            Health::Running | Health::Ended => {
                return Err(Error::new(ErrorKind::Broken, NAME, self.path()));
            }
            Health::Committed => return Err(Error::new(ErrorKind::NotFound, NAME, self.path())),
        }
        let to = point.offset;
        if to > self.offset {
            return Err(Error::new(ErrorKind::Invalid, NAME, self.path()));
        }
        self.health = Health::Running;
        let (inner, file) = (Arc::clone(&self.inner), Arc::clone(&self.file));
        let staging = Arc::clone(&self.staging);
        let pool = self.inner.runtime.blocking.clone();
        let rewound = pool.run(move || inner.cut(&file, &staging, to)).await;
        self.health = if rewound.is_ok() {
            Health::Whole
        } else {
            Health::Broken
        };
        rewound.map(|()| self.offset = to)
    }

    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream> {
        self.whole()?;
        let Staging::Path(path) = &*self.staging else {
            return Err(Error::new(ErrorKind::Unsupported, NAME, self.path()));
        };
        if range.start > self.offset {
            return Err(Error::new(ErrorKind::Invalid, NAME, path));
        }
        let nowhere = Place {
            directory: &|| None,
            name: path.name(),
        };
        let stat = rustix::fs::fstat(&self.file).map_err(|errno| errno_at(path, errno))?;
        let metadata = verified::metadata_of(self.file.as_fd(), &stat, nowhere);
        let length = range
            .length
            .unwrap_or(u64::MAX)
            .min(self.offset - range.start);
        let bytes = self
            .inner
            .stream(Arc::clone(&self.file), path, (range.start, length));
        Ok(ReadStream {
            metadata,
            length,
            bytes,
        })
    }

    async fn commit(&mut self, commit: Commit) -> Result<()> {
        self.whole()?;
        self.health = Health::Running;
        let (inner, file, staging) = (
            Arc::clone(&self.inner),
            Arc::clone(&self.file),
            Arc::clone(&self.staging),
        );
        let destination = commit.destination.clone();
        let offset = self.offset;
        let committed = self
            .inner
            .runtime
            .blocking
            .run(move || inner.commit(&file, &staging, offset, &commit))
            .await;
        match committed {
            Ok(()) => {
                self.health = Health::Committed;
                self.unlock();
                Ok(())
            }
            Err(error) => {
                // Only what lies at the destination itself leaves the handle whole; a link that was
                // to follow and is there already means that the value was moved.
                let whole =
                    error.kind() == ErrorKind::AlreadyExists && *error.path() == destination;
                self.health = if whole { Health::Whole } else { Health::Broken };
                Err(error)
            }
        }
    }

    async fn close(&mut self) -> Result<Checkpoint> {
        if matches!(self.health, Health::Ended | Health::Committed) {
            return self.whole().map(|()| Checkpoint {
                offset: self.offset,
                state: None,
            });
        }
        let closed = Checkpoint {
            offset: self.offset,
            state: None,
        };
        match self.health {
            // What a failed append has left is nobody's.
            Health::Broken => match self.rewind(&closed).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                rewound => rewound?,
            },
            // Whatever is still under way ends by itself, and gives up the lock then.
            Health::Running => return Ok(closed),
            Health::Whole | Health::Ended | Health::Committed => {}
        }
        self.health = Health::Ended;
        self.unlock();
        Ok(closed)
    }

    async fn abort(&mut self) -> Result<()> {
        if matches!(self.health, Health::Ended | Health::Committed) {
            return Err(Error::new(ErrorKind::Broken, NAME, self.path()));
        }
        self.health = Health::Ended;
        if let Staging::Path(path) = &*self.staging {
            let (inner, path) = (Arc::clone(&self.inner), path.clone());
            self.inner
                .runtime
                .blocking
                .run(move || inner.remove(&path, Durability::Scratch))
                .await?;
        }
        self.unlock();
        Ok(())
    }
}

fn write_at(file: &File, chunks: &[Bytes], mut at: u64) -> Result<u64, Errno> {
    let start = at;
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let now = &left[..left.len().min(MOST_PIECES)];
        match rustix::io::pwritev(file, now, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(at - start)
}

/// Takes the lock of a staged file, and makes sure that it still lies at its path and nowhere else:
/// whoever held the lock before may have committed or removed it.
fn lock(file: &OwnedFd, directory: &OwnedFd, path: &DriverPath) -> Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN) => return Err(Error::new(ErrorKind::Busy, NAME, path)),
        Err(errno) => return Err(errno_at(path, errno)),
    }
    let ours = rustix::fs::fstat(file).map_err(|errno| errno_at(path, errno))?;
    let there = rustix::fs::statat(directory, path.name(), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| errno_at(path, errno))?;
    if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino) {
        return Err(Error::new(ErrorKind::NotFound, NAME, path));
    }
    if ours.st_nlink > 1 {
        // A commit by link and unlink was cut short between the two: this is the value itself now.
        rustix::fs::unlinkat(directory, path.name(), AtFlags::empty())
            .map_err(|errno| errno_at(path, errno))?;
        return Err(Error::new(ErrorKind::NotFound, NAME, path));
    }
    Ok(())
}

#[expect(clippy::cast_sign_loss, reason = "a file's size is not negative")]
fn size_of(file: &OwnedFd, path: &DriverPath) -> Result<u64> {
    Ok(rustix::fs::fstat(file)
        .map_err(|errno| errno_at(path, errno))?
        .st_size as u64)
}
