//! One repository: what it has links to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use wharfinger_driver::{Durability, ReadRange};
use wharfinger_oci::{Digest, RepositoryName};

use crate::blobs::Soundness;
use crate::catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{IngestSet, Sharing};
use crate::layout;
use crate::links::LinkSet;
use crate::store::Shared;
use crate::tags::Tags;

/// What is known of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The digest that was asked for.
    pub digest: Digest,
    /// The length.
    pub size_bytes: u64,
}

/// An open blob.
pub struct BlobRead {
    /// What it is.
    pub info: BlobInfo,
    /// The first byte that the stream gives.
    pub start: u64,
    /// How many bytes the stream gives.
    pub length: u64,
    /// The bytes. When they turn out not to be those of the digest, the stream ends in an error
    /// before its last piece: whoever passes it on has to cut it off there.
    pub bytes: BoxStream<'static, Result<Bytes>>,
}

impl fmt::Debug for BlobRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobRead")
            .field("info", &self.info)
            .field("start", &self.start)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// One repository of a store.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: RepositoryName,
}

impl Repository {
    pub(crate) fn new(shared: Arc<Shared>, name: RepositoryName) -> Self {
        Self { shared, name }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The links to its blobs.
    pub(crate) fn layers(&self) -> LinkSet {
        let name = self.name.clone();
        LinkSet::new(self.shared.links.clone(), move |digest| {
            layout::layer_link(&name, digest)
        })
    }

    /// The links to its manifests.
    pub(crate) fn revisions(&self) -> LinkSet {
        let name = self.name.clone();
        LinkSet::new(self.shared.links.clone(), move |digest| {
            layout::revision_link(&name, digest)
        })
    }

    pub(crate) fn tag_set(&self) -> Tags {
        Tags::new(self.shared.links.clone(), self.name.clone())
    }

    /// Returns its uploads.
    #[must_use]
    pub fn uploads(&self) -> IngestSet {
        IngestSet::new(
            Arc::clone(&self.shared.ingests),
            layout::uploads(&self.name),
            self.layers().with_source(self.name.clone()),
            Sharing::WithForeignNodes,
        )
    }

    fn unknown(&self, digest: &Digest) -> Error {
        Error::new(
            ErrorKind::BlobUnknown,
            format!("blob {digest} in {}", self.name),
        )
    }

    /// Returns the digest that the bytes of `digest` lie under, if this repository may have them.
    async fn canonical(&self, digest: &Digest) -> Result<Digest> {
        let canonical = self.layers().resolve(digest).await?;
        canonical.ok_or_else(|| self.unknown(digest))
    }

    /// Returns what is known of a blob of this repository.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when it has no link to it, or the bytes are not there.
    pub async fn stat_blob(&self, digest: &Digest) -> Result<BlobInfo> {
        let canonical = self.canonical(digest).await?;
        let size_bytes = self.shared.blobs.size(&canonical).await?;
        Ok(BlobInfo {
            digest: *digest,
            size_bytes: size_bytes.ok_or_else(|| self.unknown(digest))?,
        })
    }

    /// Opens a blob of this repository.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when it has no link to it, when the bytes are not there, and when
    /// `range` begins beyond their end.
    pub async fn read_blob(&self, digest: &Digest, range: ReadRange) -> Result<BlobRead> {
        let canonical = self.canonical(digest).await?;
        let open = self.shared.blobs.read(&canonical, range, digest).await?;
        let open = open.ok_or_else(|| self.unknown(digest))?;
        Ok(BlobRead {
            info: BlobInfo {
                digest: *digest,
                size_bytes: open.size_bytes,
            },
            start: open.start,
            length: open.length,
            bytes: open.bytes,
        })
    }

    /// Links a blob that the repository `from` has.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when that one has no link to it, or the bytes are not there or damaged.
    pub async fn mount_blob(&self, digest: &Digest, from: &RepositoryName) -> Result<BlobInfo> {
        let source = Self::new(Arc::clone(&self.shared), from.clone());
        let canonical = source.canonical(digest).await?;
        if self.shared.blobs.examine(&canonical).await? != Soundness::Sound {
            return Err(source.unknown(digest));
        }
        let info = source.stat_blob(digest).await?;
        let storage = |error| Error::storage(format!("blob {digest} in {}", self.name), error);
        let driver = &self.shared.driver;
        driver
            .settle(&layout::blob_data(&canonical))
            .await
            .map_err(storage)?;
        let layers = self.layers().with_source(self.name.clone());
        let mut links = layers.link_further(&canonical).await;
        if canonical != *digest {
            links.push(layers.link_to(digest, &canonical));
        }
        driver
            .put(&links, Durability::Durable)
            .await
            .map_err(storage)?;
        Ok(info)
    }

    /// Removes the link to a blob; the bytes stay for whoever else has one.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when there is no link.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        let canonical = self.layers().resolve(digest).await?;
        // Also when the removal fails, since part of it may be done.
        if let Some(cache) = &self.shared.cache {
            cache.clear(Some(&self.name), digest).await;
            if let Some(canonical) = &canonical {
                cache.clear(Some(&self.name), canonical).await;
            }
        }
        // Under whichever digest the bytes were linked here, that right has ended. The one that was
        // asked for goes last, so that a call that was cut short can be repeated.
        if let Some(canonical) = canonical.filter(|canonical| canonical != digest) {
            self.layers().unlink(&canonical).await?;
        }
        if self.layers().unlink(digest).await? {
            Ok(())
        } else {
            Err(self.unknown(digest))
        }
    }

    /// Tells whether the repository exists: whether it ever had a manifest.
    pub(crate) async fn exists(&self) -> Result<bool> {
        catalog::exists(&self.shared.driver, &self.name).await
    }
}
