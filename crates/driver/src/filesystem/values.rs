//! Reading values: from memory while the file is the one that was read, else from the file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::{DriverPath, EntryKind, Error, ErrorKind, Metadata, ReadRange, ReadStream, Result};

use super::hot::{Identity, MOST_KEPT_BYTES};
use super::read::{FileStream, read_small};
use super::tree::errno_at;
use super::verified::{self, Place};
use super::{Inner, NAME, READ};

impl Inner {
    /// Returns what is known of an open file.
    pub(super) fn metadata(&self, file: &OwnedFd, path: &DriverPath) -> Result<Metadata> {
        self.look_at(file, path).map(|(_, metadata)| metadata)
    }

    fn look_at(&self, file: &OwnedFd, path: &DriverPath) -> Result<(Identity, Metadata)> {
        let place = Place {
            directory: &|| self.tree.parent_of(path).ok(),
            name: path.name(),
        };
        let stat = rustix::fs::fstat(file).map_err(|errno| errno_at(path, errno))?;
        let metadata = verified::metadata_of(file.as_fd(), &stat, place);
        Ok((Identity::of(&stat), metadata))
    }

    /// Returns what is known of the file at `path`.
    pub(super) fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        if let Some(kept) = self.hot.get(&self.tree, path) {
            return Ok(kept.metadata.clone());
        }
        let file = self.tree.open_at(path, READ)?;
        let now = self.runtime.clock.now();
        let (identity, metadata) = self.look_at(&file, path)?;
        self.hot.keep(path, identity, now, &metadata, None);
        Ok(metadata)
    }

    /// Returns a small value whole; see [`crate::Driver::get`].
    pub(super) async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes> {
        let too_large = || Error::new(ErrorKind::TooLarge, NAME, path);
        if let Some(kept) = self.hot.get(&self.tree, path)
            && let Some(bytes) = &kept.bytes
        {
            let fits = bytes.len() as u64 <= limit_bytes;
            return fits.then(|| bytes.clone()).ok_or_else(too_large);
        }
        let value = self.open_value(path)?;
        if value.metadata.size_bytes > limit_bytes {
            return Err(too_large());
        }
        self.read_whole(path, value).await
    }

    /// Opens a value for streaming; see [`crate::Driver::read`].
    pub(super) async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream> {
        if let Some(kept) = self.hot.get(&self.tree, path)
            && let Some(bytes) = &kept.bytes
        {
            return part_of(path, kept.metadata.clone(), bytes, range);
        }
        let value = self.open_value(path)?;
        if range == ReadRange::WHOLE && value.metadata.size_bytes <= MOST_KEPT_BYTES {
            let metadata = value.metadata.clone();
            let bytes = self.read_whole(path, value).await?;
            return part_of(path, metadata, &bytes, range);
        }
        let (start, length) = resolve(path, &value.metadata, range)?;
        let file = Arc::new(value.file);
        Ok(ReadStream {
            metadata: value.metadata,
            length,
            bytes: self.stream(file, path, (start, length)),
        })
    }

    fn open_value(&self, path: &DriverPath) -> Result<OpenValue> {
        let file = self.tree.open_at(path, READ)?;
        let now = self.runtime.clock.now();
        let (identity, metadata) = self.look_at(&file, path)?;
        if metadata.kind == EntryKind::Directory {
            return Err(Error::with_source(
                ErrorKind::Invalid,
                NAME,
                path,
                "it is a directory",
            ));
        }
        Ok(OpenValue {
            file: file.into(),
            identity,
            now,
            metadata,
        })
    }

    /// Reads a small value whole, and keeps it in memory if it is small enough.
    async fn read_whole(&self, path: &DriverPath, value: OpenValue) -> Result<Bytes> {
        let length = usize::try_from(value.metadata.size_bytes)
            .map_err(|_| Error::new(ErrorKind::TooLarge, NAME, path))?;
        let read = read_small(value.file, length, &self.runtime.blocking).await;
        let mut bytes = read.map_err(|error| Error::from_io(NAME, path, error))?;
        bytes.truncate(length);
        let bytes = Bytes::from(bytes);
        if bytes.len() == length && length as u64 <= MOST_KEPT_BYTES {
            let (identity, metadata) = (value.identity, &value.metadata);
            self.hot
                .keep(path, identity, value.now, metadata, Some(&bytes));
        }
        Ok(bytes)
    }

    /// The bytes of an open file: so many from there.
    pub(super) fn stream(
        &self,
        file: Arc<File>,
        path: &DriverPath,
        part: (u64, u64),
    ) -> BoxStream<'static, Result<Bytes>> {
        let (pool, buffers) = (self.runtime.blocking.clone(), Arc::clone(&self.buffers));
        FileStream::new(file, path.clone(), pool, buffers, part).boxed()
    }
}

/// A value that was opened, and what it was then.
struct OpenValue {
    file: File,
    identity: Identity,
    /// From before it was looked at.
    now: SystemTime,
    metadata: Metadata,
}

/// Where a range begins and how long it is. One that ends beyond the value is cut.
fn resolve(path: &DriverPath, metadata: &Metadata, range: ReadRange) -> Result<(u64, u64)> {
    let rest = metadata.size_bytes.checked_sub(range.start);
    let rest = rest.ok_or_else(|| Error::new(ErrorKind::Invalid, NAME, path))?;
    Ok((range.start, range.length.unwrap_or(u64::MAX).min(rest)))
}

/// Gives a part of a value that is in memory.
fn part_of(
    path: &DriverPath,
    metadata: Metadata,
    bytes: &Bytes,
    range: ReadRange,
) -> Result<ReadStream> {
    let (start, length) = resolve(path, &metadata, range)?;
    let ended = || Error::from_io(NAME, path, io::ErrorKind::UnexpectedEof.into());
    let part = usize::try_from(start)
        .ok()
        .zip(usize::try_from(length).ok());
    let part = part.and_then(|(start, length)| Some(start..start.checked_add(length)?));
    let part = part.filter(|part| part.end <= bytes.len());
    let piece = part.map(|part| bytes.slice(part)).ok_or_else(ended);
    let pieces = Some(piece).filter(|_| length > 0);
    Ok(ReadStream {
        metadata,
        length,
        bytes: futures_util::stream::iter(pieces).boxed(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use wharfinger_runtime::Runtime;

    use super::super::tree::Tree;
    use super::*;
    use crate::{Driver, DriverExt as _, Durability, Filesystem, FilesystemOptions};

    /// What is known of the file at `path`.
    pub(in crate::filesystem) fn opened(tree: &Tree, path: &DriverPath) -> (Identity, Metadata) {
        let file = tree.open_at(path, READ).unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let place = Place {
            directory: &|| None,
            name: path.name(),
        };
        let metadata = verified::metadata_of(file.as_fd(), &stat, place);
        (Identity::of(&stat), metadata)
    }

    #[tokio::test]
    async fn a_small_value_is_read_once_and_its_stat_and_ranges_with_it() {
        let scratch = tempfile::tempdir().unwrap();
        let options = FilesystemOptions::new(scratch.path());
        let driver = Filesystem::open(options, Runtime::new(1)).unwrap();
        let path: DriverPath = "a/link".parse().unwrap();
        driver
            .put_one(&path, "0123456789".into(), Durability::Scratch)
            .await
            .unwrap();
        let kept = || driver.inner.hot.get(&driver.inner.tree, &path);
        for _ in 0..1000 {
            assert_eq!(driver.get_small(&path).await.unwrap(), "0123456789");
            if kept().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let kept = kept().expect("it is older than 20 ms by now");
        assert_eq!(kept.bytes.as_ref().unwrap(), "0123456789");
        let stat = driver.stat(&path).await.unwrap();
        assert_eq!(stat, kept.metadata);
        assert!(driver.get(&path, 9).await.is_err());
        for (start, length, expected) in [
            (0, None, "0123456789"),
            (3, Some(2), "34"),
            (8, Some(100), "89"),
            (10, None, ""),
        ] {
            let range = ReadRange { start, length };
            let read = driver.read(&path, range).await.unwrap();
            assert_eq!(read.length, expected.len() as u64);
            let pieces: Vec<Bytes> = read.bytes.map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), expected.as_bytes());
        }
        let beyond = driver.read(&path, ReadRange::from(11)).await;
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
