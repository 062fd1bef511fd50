//! Blobs: bytes under their digest, whoever has a link to them.
//!
//! A blob counts as there when its file is not empty (but for the digest of nothing) and nobody
//! has found its bytes to be wrong. Whether they are right is known by the driver's note that this
//! version of the file was hashed; where there is no such note, whoever reads all of it hashes it.

mod verify;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use wharfinger_driver::{
    Driver, DriverExt as _, EntryKind, ErrorKind as DriverErrorKind, Metadata, Put, ReadRange,
};
use wharfinger_oci::Digest;
use wharfinger_runtime::Runtime;

use crate::error::{Error, ErrorKind, Result, or_unknown};
use crate::layout;

use self::verify::{VerificationQueue, hash_of, verifying};

/// When bytes at rest are hashed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyPolicy {
    /// When they may have changed since they were last hashed: another size or modification time.
    #[default]
    Changed,
    /// Whenever they are read as a whole.
    Always,
    /// Never; what lies there is trusted.
    Never,
}

/// What a look at a blob has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Soundness {
    /// There is nothing.
    Absent,
    /// The bytes are right.
    Sound,
    /// Something lies there, and it is not the blob.
    Damaged,
}

/// 4,096 damaged blobs are remembered: more than anybody has who is still in business.
const MOST_DAMAGED: usize = 4096;

/// All blobs of a store.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    driver: Arc<dyn Driver>,
    policy: VerifyPolicy,
    damaged: Arc<Damaged>,
    queue: VerificationQueue,
}

/// Blobs that were found damaged, in the version that was.
#[derive(Debug, Default)]
struct Damaged(Mutex<HashMap<Digest, (u64, SystemTime)>>);

impl Damaged {
    fn note(&self, digest: &Digest, metadata: &Metadata) {
        let mut damaged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.len() >= MOST_DAMAGED {
            damaged.clear();
        }
        damaged.insert(*digest, (metadata.size_bytes, metadata.modified));
    }

    fn holds(&self, digest: &Digest, metadata: &Metadata) -> bool {
        let damaged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.get(digest) == Some(&(metadata.size_bytes, metadata.modified))
    }
}

/// An open blob.
pub(crate) struct OpenBlob {
    pub(crate) size_bytes: u64,
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) bytes: BoxStream<'static, Result<Bytes>>,
}

impl Blobs {
    pub(crate) fn new(driver: Arc<dyn Driver>, policy: VerifyPolicy, runtime: Runtime) -> Self {
        Self {
            driver,
            policy,
            damaged: Arc::default(),
            queue: VerificationQueue::new(runtime),
        }
    }

    /// Returns what is known of the blob, or `None` when it is not there.
    pub(crate) async fn stat(&self, digest: &Digest) -> Result<Option<Metadata>> {
        let path = layout::blob_data(digest);
        let found = self.driver.find(&path).await;
        let found = found.map_err(|error| Error::storage(format!("blob {digest}"), error))?;
        let there = found.filter(|metadata| self.plausible(digest, metadata));
        if let Some(metadata) = &there
            && !self.trusts(metadata)
        {
            self.queue_verification(*digest);
        }
        Ok(there)
    }

    /// Whether what lies there can be the blob at all.
    fn plausible(&self, digest: &Digest, metadata: &Metadata) -> bool {
        metadata.kind == EntryKind::File
            && (metadata.size_bytes > 0 || *digest == Digest::empty(digest.algorithm()))
            && !self.damaged.holds(digest, metadata)
    }

    fn trusts(&self, metadata: &Metadata) -> bool {
        match self.policy {
            VerifyPolicy::Changed => metadata.verified,
            VerifyPolicy::Always => false,
            VerifyPolicy::Never => true,
        }
    }

    /// Finds out whether the blob is there and right, and hashes it when nobody has before.
    pub(crate) async fn examine(&self, digest: &Digest) -> Result<Soundness> {
        let path = layout::blob_data(digest);
        let storage = |error| Error::storage(format!("blob {digest}"), error);
        let metadata = match self.driver.find(&path).await {
            Ok(None) => return Ok(Soundness::Absent),
            Ok(Some(metadata)) => metadata,
            // A link, or a file that may not be read: not the blob, and to be replaced by it.
            Err(error) if error.kind() == DriverErrorKind::Refused => {
                return Ok(Soundness::Damaged);
            }
            Err(error) => return Err(storage(error)),
        };
        if !self.plausible(digest, &metadata) {
            return Ok(Soundness::Damaged);
        }
        if self.trusts(&metadata) {
            return Ok(Soundness::Sound);
        }
        self.verify(digest).await
    }

    /// Hashes the blob, and notes the result.
    async fn verify(&self, digest: &Digest) -> Result<Soundness> {
        let path = layout::blob_data(digest);
        let storage = |error| Error::storage(format!("blob {digest}"), error);
        let stream = match self.driver.read(&path, ReadRange::WHOLE).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == DriverErrorKind::NotFound => {
                return Ok(Soundness::Absent);
            }
            Err(error) => return Err(storage(error)),
        };
        let metadata = stream.metadata;
        let computed = hash_of(digest.algorithm(), stream.bytes)
            .await
            .map_err(storage)?;
        if computed == *digest {
            self.note_verified(digest, &metadata).await;
            Ok(Soundness::Sound)
        } else {
            tracing::error!(%digest, %computed, "a blob at rest is damaged");
            self.damaged.note(digest, &metadata);
            Ok(Soundness::Damaged)
        }
    }

    async fn note_verified(&self, digest: &Digest, metadata: &Metadata) {
        let path = layout::blob_data(digest);
        if let Err(error) = self.driver.mark_verified(&path, metadata).await {
            // The note saves work later; nobody has to wait for it.
            tracing::debug!(%digest, %error, "could not note that a blob was verified");
        }
    }

    /// Has the blob hashed when there is time for it.
    fn queue_verification(&self, digest: Digest) {
        let this = self.clone();
        self.queue.add(digest, async move {
            if let Err(error) = this.verify(&digest).await {
                tracing::warn!(%digest, %error, "could not verify a blob");
            }
        });
    }

    /// Opens the blob, or returns `None` when it is not there. A stream of the whole blob whose
    /// bytes turn out to be wrong ends in an error before its last piece.
    pub(crate) async fn read(&self, digest: &Digest, range: ReadRange) -> Result<Option<OpenBlob>> {
        let path = layout::blob_data(digest);
        let subject = format!("blob {digest}");
        let stream = match self.driver.read(&path, range).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == DriverErrorKind::NotFound => return Ok(None),
            // A directory lies there, or the range begins beyond the end.
            Err(error) if error.kind() == DriverErrorKind::Invalid => return Ok(None),
            Err(error) => return Err(Error::storage(subject, error)),
        };
        let metadata = stream.metadata;
        if !self.plausible(digest, &metadata) {
            return Ok(None);
        }
        let whole = stream.length == metadata.size_bytes;
        let size_bytes = metadata.size_bytes;
        let bytes = if self.trusts(&metadata) {
            stream
                .bytes
                .map(move |piece| piece.map_err(|error| Error::storage(&subject, error)))
                .boxed()
        } else if whole {
            let this = self.clone();
            let digest = *digest;
            verifying(digest, stream.bytes, move |sound| async move {
                if sound {
                    this.note_verified(&digest, &metadata).await;
                } else {
                    this.damaged.note(&digest, &metadata);
                }
            })
        } else {
            self.queue_verification(*digest);
            stream
                .bytes
                .map(move |piece| piece.map_err(|error| Error::storage(&subject, error)))
                .boxed()
        };
        Ok(Some(OpenBlob {
            size_bytes,
            start: range.start,
            length: stream.length,
            bytes,
        }))
    }

    /// Returns a small blob, hashed whenever it is read; `unknown` is the answer when it is not there.
    pub(crate) async fn get(
        &self,
        digest: &Digest,
        limit_bytes: u64,
        unknown: ErrorKind,
    ) -> Result<Bytes> {
        let path = layout::blob_data(digest);
        let read = self.driver.get(&path, limit_bytes).await;
        let bytes = or_unknown(read, unknown, || format!("blob {digest}"))?;
        let computed = Digest::of(digest.algorithm(), &bytes);
        if computed == *digest {
            return Ok(bytes);
        }
        tracing::error!(%digest, %computed, "a blob at rest is damaged");
        Err(Error::new(ErrorKind::Damaged, format!("blob {digest}")))
    }

    /// The write that puts a small blob in its place.
    pub(crate) fn put(digest: &Digest, bytes: Bytes) -> Put {
        Put {
            verified: true,
            ..Put::replace(layout::blob_data(digest), bytes)
        }
    }
}
