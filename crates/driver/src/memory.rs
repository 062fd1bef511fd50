//! A driver that keeps everything in the memory of this process.

mod content;
mod handle;
mod keys;
mod multipart;
mod plain;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use wharfinger_runtime::{Clock, SystemClock};

use crate::{
    Capabilities, Condition, Driver, DriverPath, Durability, Error, ErrorKind, Ingest, Metadata,
    Page, Put, ReadRange, ReadStream, RedirectMethod, Result, Resume, Target,
};

use multipart::MultipartIngest;
use plain::PlainIngest;
use storage::Storage;

/// The driver's name in errors, logs and metrics.
const NAME: &str = "memory";

/// 5 MiB: the smallest part that S3 accepts, except for the last one.
const SMALLEST_PART_BYTES: usize = 5 * 1024 * 1024;

/// A driver that keeps everything in the memory of this process.
///
/// It is for tests and for registries that live as short as their process (`storage: inmemory`):
/// there is no bound on what it holds except the machine's memory, and a restart forgets it all.
/// Clones share what they hold, as two processes share a directory or a bucket.
///
/// It has no directories: a prefix that nothing lies below does not exist, and its list is empty.
/// A name should be either a value or a prefix of others; one that is both is listed as a value.
///
/// With [`MemoryOptions::s3_like`] its ingests behave as multipart uploads to S3 do, so that code
/// written over it also works over an object store.
#[derive(Debug, Clone)]
pub struct Memory {
    storage: Arc<Storage>,
    options: MemoryOptions,
}

/// How a [`Memory`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Whether ingests are multipart uploads: a closed part takes nothing more, a resume needs the
    /// state that came with its offset, and finds no other offset.
    pub s3_like: bool,
    /// How long a part is, except for the last; only looked at with `s3_like`. S3 takes none
    /// below 5 MiB; tests may want smaller ones.
    pub part_bytes: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            s3_like: false,
            part_bytes: SMALLEST_PART_BYTES,
        }
    }
}

impl Memory {
    /// Makes an empty driver whose ingests can be resumed at every offset.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(MemoryOptions::default())
    }

    /// Makes an empty driver whose ingests behave as multipart uploads to S3 do.
    #[must_use]
    pub fn s3_like() -> Self {
        Self::with_options(MemoryOptions {
            s3_like: true,
            ..MemoryOptions::default()
        })
    }

    /// Makes an empty driver that behaves as `options` say.
    #[must_use]
    pub fn with_options(options: MemoryOptions) -> Self {
        Self::with_clock(options, Arc::new(SystemClock::new()))
    }

    /// Makes an empty driver that takes modification times from `clock`. Where the clock stands
    /// still or goes back, they grow by a nanosecond: a rewrite is always another version.
    #[must_use]
    pub fn with_clock(options: MemoryOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage: Arc::new(Storage::new(clock)),
            options,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Driver for Memory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            redirect: false,
            directories: false,
            resume_anywhere: !self.options.s3_like,
            staged_is_visible: false,
            links: false,
            remote: self.options.s3_like,
        }
    }

    async fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        self.storage.stat(path)
    }

    async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes> {
        let (metadata, content) = self.storage.open(path)?;
        if metadata.size_bytes > limit_bytes {
            return Err(error(ErrorKind::TooLarge, path));
        }
        Ok(content.whole())
    }

    async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream> {
        let (metadata, content) = self.storage.open(path)?;
        content.read(path, metadata, range)
    }

    async fn put(&self, writes: &[Put], _durability: Durability) -> Result<()> {
        self.storage.put(writes)
    }

    async fn list(
        &self,
        directory: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        Ok(self.storage.list(directory, after, limit))
    }

    async fn delete(&self, path: &DriverPath, _durability: Durability) -> Result<()> {
        self.storage.delete(path)
    }

    async fn begin(&self, target: &Target) -> Result<Box<dyn Ingest>> {
        let handle = handle::Handle::begin(Arc::clone(&self.storage), target)?;
        Ok(if self.options.s3_like {
            Box::new(MultipartIngest::new(handle, self.options.part_bytes))
        } else {
            Box::new(PlainIngest::new(handle))
        })
    }

    async fn resume(&self, path: &DriverPath, resume: Resume) -> Result<Box<dyn Ingest>> {
        let handle = handle::Handle::reopen(Arc::clone(&self.storage), path)?;
        Ok(if self.options.s3_like {
            Box::new(MultipartIngest::resume(
                handle,
                &resume,
                self.options.part_bytes,
            )?)
        } else {
            Box::new(PlainIngest::resume(handle, &resume)?)
        })
    }

    async fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        self.storage.mark_verified(path, metadata)
    }

    async fn settle(&self, path: &DriverPath) -> Result<()> {
        // Nothing here outlives the process, so nothing is to be done; but a caller that settles
        // what is not there has to hear of it here too.
        self.storage.open(path).map(drop)
    }

    async fn link(&self, _from: &DriverPath, to: &DriverPath, _: Condition) -> Result<()> {
        Err(error(ErrorKind::Unsupported, to))
    }

    async fn redirect(
        &self,
        path: &DriverPath,
        _method: RedirectMethod,
        _expiry: Duration,
    ) -> Result<String> {
        Err(error(ErrorKind::Unsupported, path))
    }
}

fn error(kind: ErrorKind, path: &DriverPath) -> Error {
    Error::new(kind, NAME, path)
}

#[cfg(test)]
mod tests;
