//! Manifests of a repository, and the tags that point at them.

use std::collections::HashSet;
use std::sync::Arc;

use wharfinger_driver::{Durability, Put};
use wharfinger_oci::{
    Algorithm, Descriptor, Digest, MAX_MANIFEST_BYTES, Manifest, Reference, Tag, media,
};

use crate::blobs::{Blobs, Soundness};
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::repository::Repository;
use crate::tags::TagPage;

/// A manifest as it was found.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Its digest: the one asked for, or the one that the tag points at.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
}

impl Repository {
    /// Returns a manifest. Its bytes are hashed each time.
    ///
    /// # Errors
    /// Fails with `TagUnknown` or `ManifestUnknown` when the repository does not have it.
    pub async fn get_manifest(&self, reference: &Reference) -> Result<StoredManifest> {
        let digest = match reference {
            Reference::Tag(tag) => self.tag_set().resolve(tag).await?,
            Reference::Digest(digest) => *digest,
        };
        let unknown = || {
            Error::new(
                ErrorKind::ManifestUnknown,
                format!("manifest {digest} in {}", self.name),
            )
        };
        let canonical = self
            .revisions()
            .resolve(&digest)
            .await?
            .ok_or_else(unknown)?;
        let bytes = self
            .shared
            .blobs
            .get(
                &canonical,
                MAX_MANIFEST_BYTES as u64,
                ErrorKind::ManifestUnknown,
            )
            .await?;
        if canonical != digest && Digest::of(digest.algorithm(), &bytes) != digest {
            tracing::error!(%digest, %canonical, repository = %self.name, "a link leads to the manifest of another digest");
            return Err(unknown());
        }
        let manifest = Manifest::parse_stored(bytes).map_err(|error| {
            tracing::warn!(%digest, repository = %self.name, %error, "what lies there is no manifest that is served");
            unknown()
        })?;
        Ok(StoredManifest { digest, manifest })
    }

    /// Puts a manifest in place, under its digest and, if it was pushed by tag, that tag.
    ///
    /// # Errors
    /// `ManifestBlobsUnknown` names everything that it refers to and that is not in this
    /// repository; `DigestMismatch` tells that the reference is the digest of other bytes.
    ///
    /// # Cancellation
    /// Dropping the future may leave the manifest in place without its tag.
    pub async fn put_manifest(&self, reference: &Reference, manifest: &Manifest) -> Result<Digest> {
        let algorithm = reference
            .as_digest()
            .map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let digest = manifest.digest(algorithm);
        if let Some(expected) = reference.as_digest()
            && expected != digest
        {
            let subject = format!("manifest in {}", self.name);
            return Err(Error::new(
                ErrorKind::DigestMismatch {
                    expected,
                    computed: digest,
                },
                subject,
            ));
        }
        if !self.shared.sparse_manifests {
            self.check_references(manifest).await?;
        }
        let storage = |error| Error::storage(format!("manifest {digest} in {}", self.name), error);
        let mut writes = Vec::with_capacity(4);
        match self.shared.blobs.examine(&digest).await? {
            Soundness::Sound => {
                let path = layout::blob_data(&digest);
                self.shared.driver.settle(&path).await.map_err(storage)?;
            }
            Soundness::Absent | Soundness::Damaged => {
                writes.push(Blobs::put(&digest, manifest.bytes().clone()));
            }
        }
        writes.push(self.revisions().link(&digest));
        let _turn = self.shared.tag_locks.manifest(&self.name, &digest).await;
        if let Reference::Tag(tag) = reference {
            writes.extend(self.tag_set().point(tag, &digest));
            let _turn = self.shared.tag_locks.tag(&self.name, tag).await;
            self.write(&writes).await?;
        } else {
            self.write(&writes).await?;
        }
        Ok(digest)
    }

    async fn write(&self, writes: &[Put]) -> Result<()> {
        let existed = self.exists().await?;
        let written = self.shared.driver.put(writes, Durability::Durable).await;
        // Also after a failure, which may have made it.
        self.shared.catalog_pages.pushed(&self.name, existed);
        written.map_err(|error| Error::storage(format!("manifest in {}", self.name), error))
    }

    /// Looks for everything that the manifest refers to, in the storage and not in a cache.
    async fn check_references(&self, manifest: &Manifest) -> Result<()> {
        let (mut missing, mut seen) = (Vec::new(), HashSet::new());
        for descriptor in manifest.references() {
            // Looking at what the system has cached never waits, and others want the thread, too.
            tokio::task::consume_budget().await;
            if !self.has(descriptor).await? && seen.insert(descriptor.digest) {
                missing.push(descriptor.digest);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::ManifestBlobsUnknown(missing),
            format!("manifest in {}", self.name),
        ))
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let is_elsewhere = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if media::is_nondistributable(&descriptor.media_type)
            && descriptor.urls.iter().any(is_elsewhere)
        {
            // Whoever pulls it fetches it from there; nobody pushes it.
            return Ok(true);
        }
        let links = if media::is_manifest(&descriptor.media_type) {
            self.revisions()
        } else {
            self.layers()
        };
        let Some(canonical) = links.resolve(&descriptor.digest).await? else {
            return Ok(false);
        };
        let found = self.shared.blobs.stat(&canonical).await?;
        // Bytes that nobody has hashed yet, and that have another size than the manifest says, are not it.
        Ok(found
            .is_some_and(|metadata| metadata.verified || metadata.size_bytes == descriptor.size))
    }

    /// Removes a manifest, and the tags that point at it. Returns these.
    ///
    /// # Errors
    /// Fails with `ManifestUnknown` when the repository does not have it.
    ///
    /// # Cancellation
    /// Dropping the future may leave some of the tags removed; the manifest goes last.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<Vec<Tag>> {
        let unknown = || {
            Error::new(
                ErrorKind::ManifestUnknown,
                format!("manifest {digest} in {}", self.name),
            )
        };
        // Until it is gone nobody points another tag at it.
        let _turn = self.shared.tag_locks.manifest(&self.name, digest).await;
        let canonical = self
            .revisions()
            .resolve(digest)
            .await?
            .ok_or_else(unknown)?;
        let tags = self.tag_set();
        let mut removed = Vec::new();
        for tag in tags.pointing_at(&[*digest, canonical]).await? {
            let _turn = self.shared.tag_locks.tag(&self.name, &tag).await;
            // Somebody may have moved it since it was found.
            match tags.resolve(&tag).await {
                Ok(target) if target == *digest || target == canonical => {
                    tags.remove(&tag).await?;
                    removed.push(tag);
                }
                Ok(_) => {}
                Err(error) if *error.kind() == ErrorKind::TagUnknown => {}
                Err(error) => return Err(error),
            }
        }
        if canonical != *digest {
            self.revisions().unlink(&canonical).await?;
        }
        if self.revisions().unlink(digest).await? {
            Ok(removed)
        } else {
            Err(unknown())
        }
    }

    /// Removes a tag; the manifest stays. Returns what it pointed at.
    ///
    /// # Errors
    /// Fails with `TagUnknown` when there is no such tag.
    pub async fn delete_tag(&self, tag: &Tag) -> Result<Digest> {
        let _turn = self.shared.tag_locks.tag(&self.name, tag).await;
        let digest = self.tag_set().resolve(tag).await?;
        self.tag_set().remove(tag).await?;
        Ok(digest)
    }

    /// Returns up to `limit` tags after the name `after`, in byte order.
    ///
    /// # Errors
    /// Fails with `RepositoryUnknown` when there is no such repository.
    pub async fn tags(&self, after: Option<&str>, limit: usize) -> Result<Arc<TagPage>> {
        let page = self
            .tag_set()
            .page(&self.shared.tag_pages, after, limit)
            .await?;
        if page.tags.is_empty() && !self.exists().await? {
            return Err(Error::new(
                ErrorKind::RepositoryUnknown,
                format!("repository {}", self.name),
            ));
        }
        Ok(page)
    }
}
