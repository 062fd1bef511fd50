//! Blobs: bytes under their digest, whoever has a link to them.
//!
//! A blob counts as there when its file is not empty (but for the digest of nothing) and nobody
//! has found its bytes to be wrong. Whether they are right is known by the driver's note that this
//! version of the file was hashed; where there is no such note, whoever reads all of it hashes it.

mod open;
mod recent;
mod verify;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use wharfinger_driver::{
    Driver, DriverExt as _, EntryKind, ErrorKind as DriverErrorKind, Metadata, Put, ReadRange,
};
use wharfinger_oci::{Digest, MAX_MANIFEST_BYTES, Manifest};
use wharfinger_runtime::Runtime;

use crate::cache::{CachedDescriptor, DescriptorCache};
use crate::error::{Error, ErrorKind, Result, or_unknown};
use crate::layout;

pub use self::open::BlobBytes;
use self::open::{MOST_WHOLE_BYTES, whole};
pub(crate) use self::recent::{Known, Recent};
pub(crate) use self::verify::hash_on;
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
    /// Remembers sizes, where asking for one costs a round trip.
    cache: Option<Arc<dyn DescriptorCache>>,
    policy: VerifyPolicy,
    damaged: Arc<Damaged>,
    /// Content that was right a moment ago, where that is believed.
    recent: Option<Arc<Recent>>,
    queue: VerificationQueue,
    runtime: Runtime,
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
    pub(crate) bytes: BlobBytes,
}

impl Blobs {
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        cache: Option<Arc<dyn DescriptorCache>>,
        policy: VerifyPolicy,
        runtime: Runtime,
    ) -> Self {
        let cache = cache.filter(|_| driver.capabilities().remote);
        Self {
            driver,
            cache,
            policy,
            damaged: Arc::default(),
            recent: (policy != VerifyPolicy::Always)
                .then(|| Arc::new(Recent::new(Arc::clone(&runtime.clock)))),
            queue: VerificationQueue::new(runtime.clone()),
            runtime,
        }
    }

    /// Returns what is known of the blob, or `None` when it is not there.
    pub(crate) async fn stat(&self, digest: &Digest) -> Result<Option<Metadata>> {
        let path = layout::blob_data(digest);
        let found = self.driver.find(&path).await;
        let found = found.map_err(|error| Error::storage(format!("blob {digest}"), error))?;
        let there = found.filter(|metadata| self.plausible(digest, metadata));
        if let Some(metadata) = &there
            && self.policy == VerifyPolicy::Changed
            && !metadata.verified
        {
            self.queue_verification(*digest);
        }
        Ok(there)
    }

    /// Returns what was found out about the blob a moment ago.
    pub(crate) fn known(&self, digest: &Digest) -> Option<Known> {
        self.recent.as_ref()?.get(digest)
    }

    fn keep(&self, digest: &Digest, begun: Duration, known: Known) {
        if let Some(recent) = &self.recent {
            recent.keep(digest, begun, known);
        }
    }

    /// Returns the blob's length, or `None` when it is not there. The answer may be older than the loss of
    /// the bytes: a moment, or where asking costs a round trip any time.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        if let Some(known) = self.known(digest) {
            return Ok(Some(known.size_bytes()));
        }
        if let Some(cache) = &self.cache
            && let Some(known) = cache.stat(None, digest).await
        {
            return Ok(Some(known.size_bytes));
        }
        let begun = self.runtime.clock.monotonic();
        let size_bytes = self.stat(digest).await?.map(|found| found.size_bytes);
        if let Some(size_bytes) = size_bytes {
            self.keep(digest, begun, Known::Size(size_bytes));
        }
        if let Some(cache) = &self.cache
            && let Some(size_bytes) = size_bytes
        {
            let digest = *digest;
            let descriptor = CachedDescriptor { digest, size_bytes };
            cache.set(None, &digest, descriptor).await;
        }
        Ok(size_bytes)
    }

    /// Has the next one who asks for it look at the bytes.
    async fn forget(&self, digest: &Digest) {
        if let Some(cache) = &self.cache {
            cache.clear(None, digest).await;
        }
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
        let pool = &self.runtime.blocking;
        let computed = hash_of(digest.algorithm(), stream.bytes, pool)
            .await
            .map_err(storage)?;
        if computed == *digest {
            self.note_verified(digest, &metadata).await;
            Ok(Soundness::Sound)
        } else {
            tracing::error!(%digest, %computed, "a blob at rest is damaged");
            self.note_damaged(digest, &metadata).await;
            Ok(Soundness::Damaged)
        }
    }

    async fn note_damaged(&self, digest: &Digest, metadata: &Metadata) {
        self.damaged.note(digest, metadata);
        if let Some(recent) = &self.recent {
            recent.forget(digest);
        }
        self.forget(digest).await;
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
    ///
    /// `asked` is the digest that it was asked for by: another one where the same bytes were linked
    /// under a second algorithm, and then nobody has noted that they have it.
    pub(crate) async fn read(
        &self,
        digest: &Digest,
        range: ReadRange,
        asked: &Digest,
    ) -> Result<Option<OpenBlob>> {
        if asked == digest
            && let Some(known) = self.known(digest)
            && let Some(bytes) = known.bytes()
        {
            return Ok(part_of(bytes, range));
        }
        let begun = self.runtime.clock.monotonic();
        let path = layout::blob_data(digest);
        let canonical = *digest;
        let storage = move |error| Error::storage(format!("blob {canonical}"), error);
        let stream = match self.driver.read(&path, range).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == DriverErrorKind::NotFound => {
                self.forget(digest).await;
                return Ok(None);
            }
            // A directory lies there, or the range begins beyond the end.
            Err(error) if error.kind() == DriverErrorKind::Invalid => return Ok(None),
            Err(error) => return Err(storage(error)),
        };
        let metadata = stream.metadata;
        if !self.plausible(digest, &metadata) {
            return Ok(None);
        }
        let is_whole = stream.length == metadata.size_bytes;
        let (size_bytes, length) = (metadata.size_bytes, stream.length);
        let trusted = self.trusts(&metadata);
        let pieces = if asked != digest && is_whole {
            verifying(*asked, stream.bytes, |_| std::future::ready(()))
        } else if trusted {
            stream
                .bytes
                .map(move |piece| piece.map_err(storage))
                .boxed()
        } else if is_whole {
            let this = self.clone();
            verifying(canonical, stream.bytes, move |sound| async move {
                if sound {
                    this.note_verified(&canonical, &metadata).await;
                } else {
                    this.note_damaged(&canonical, &metadata).await;
                }
            })
        } else {
            self.queue_verification(*digest);
            stream
                .bytes
                .map(move |piece| piece.map_err(storage))
                .boxed()
        };
        let bytes = if length <= MOST_WHOLE_BYTES {
            let bytes = whole(digest, pieces, length).await?;
            if trusted && is_whole {
                self.keep(digest, begun, Known::Bytes(bytes.clone()));
            }
            BlobBytes::Whole(bytes)
        } else {
            BlobBytes::Pieces(pieces)
        };
        Ok(Some(OpenBlob {
            size_bytes,
            start: range.start,
            length,
            bytes,
        }))
    }

    /// Returns a manifest, hashed when it is read into memory; `parse` reads it, which may be done already.
    pub(crate) async fn get_manifest(
        &self,
        digest: &Digest,
        parse: impl FnOnce(Bytes) -> Result<Manifest>,
    ) -> Result<Arc<Manifest>> {
        if let Some(Known::Manifest(manifest)) = self.known(digest) {
            return Ok(manifest);
        }
        let begun = self.runtime.clock.monotonic();
        let limit_bytes = MAX_MANIFEST_BYTES as u64;
        let bytes = self
            .get(digest, limit_bytes, ErrorKind::ManifestUnknown)
            .await?;
        let manifest = Arc::new(parse(bytes)?);
        if manifest.bytes().len() as u64 <= MOST_WHOLE_BYTES {
            self.keep(digest, begun, Known::Manifest(Arc::clone(&manifest)));
        }
        Ok(manifest)
    }

    /// Returns a small blob, hashed whenever it is read; `unknown` is the answer when it is not there.
    pub(crate) async fn get(
        &self,
        digest: &Digest,
        limit_bytes: u64,
        unknown: ErrorKind,
    ) -> Result<Bytes> {
        let path = layout::blob_data(digest);
        let subject = || format!("blob {digest}");
        let bytes = match self.driver.get(&path, limit_bytes).await {
            Err(error) if error.kind() == DriverErrorKind::TooLarge => Bytes::new(),
            read => or_unknown(read, unknown.clone(), subject)?,
        };
        let computed = Digest::of(digest.algorithm(), &bytes);
        if computed == *digest {
            return Ok(bytes);
        }
        tracing::error!(%digest, %computed, "a blob at rest is damaged");
        // Noted, so that pushing the right bytes replaces it even where its record still matches.
        if let Ok(Some(metadata)) = self.driver.find(&path).await {
            self.note_damaged(digest, &metadata).await;
        }
        Err(Error::new(unknown, subject()))
    }

    /// The write that puts a small blob in its place.
    pub(crate) fn put(digest: &Digest, bytes: Bytes) -> Put {
        Put {
            verified: true,
            ..Put::replace(layout::blob_data(digest), bytes)
        }
    }
}

/// A part of a blob that is in memory; `None` when the range begins beyond its end.
fn part_of(bytes: &Bytes, range: ReadRange) -> Option<OpenBlob> {
    let size_bytes = bytes.len() as u64;
    let rest = size_bytes.checked_sub(range.start)?;
    let length = range.length.unwrap_or(u64::MAX).min(rest);
    let start = usize::try_from(range.start).ok()?;
    let end = start + usize::try_from(length).ok()?;
    Some(OpenBlob {
        size_bytes,
        start: range.start,
        length,
        bytes: BlobBytes::Whole(bytes.slice(start..end)),
    })
}
