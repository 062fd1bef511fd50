//! Manifests of a repository, and the tags that point at them.

mod needs;
mod tagging;

use std::sync::Arc;

use wharfinger_oci::{Algorithm, Digest, MAX_MANIFEST_BYTES, Manifest, Reference, Tag};

pub use self::needs::{ManifestRules, RequiredPlatforms, UrlRules};

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

/// What became of a manifest that was to be removed.
#[derive(Debug)]
#[must_use = "the outcome tells whether it is gone"]
pub struct RemovedManifest {
    /// The tags that pointed at it and were removed, also if the rest failed.
    pub tags: Vec<Tag>,
    /// Whether the manifest is gone: fails with `ManifestUnknown` when the repository does not have
    /// it.
    pub outcome: Result<()>,
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
        self.put_manifest_under(reference, &[], manifest).await
    }

    /// Does the same, and points all of `tags` at the manifest, too. If that fails, each tag points
    /// where it did before.
    ///
    /// # Errors
    /// As [`Repository::put_manifest`].
    ///
    /// # Cancellation
    /// Dropping the future may leave the manifest in place with some of the tags.
    pub async fn put_manifest_under(
        &self,
        reference: &Reference,
        tags: &[Tag],
        manifest: &Manifest,
    ) -> Result<Digest> {
        let digest = self.named(reference, manifest)?;
        self.check_needs(manifest).await?;
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
        writes.extend(self.referrer_entry(&digest, manifest));
        writes.push(self.revisions().link(&digest));
        let _turn = self.shared.tag_locks.manifest(&self.name, &digest).await;
        let tags: Vec<Tag> = reference
            .as_tag()
            .into_iter()
            .chain(tags)
            .cloned()
            .collect();
        self.write_with_tags(writes, &tags, &digest).await?;
        Ok(digest)
    }

    /// Returns the digest that a manifest gets, which the reference may demand.
    fn named(&self, reference: &Reference, manifest: &Manifest) -> Result<Digest> {
        let expected = reference.as_digest();
        let algorithm = expected.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let computed = manifest.digest(algorithm);
        match expected.filter(|expected| *expected != computed) {
            None => Ok(computed),
            Some(expected) => Err(Error::new(
                ErrorKind::DigestMismatch { expected, computed },
                format!("manifest in {}", self.name),
            )),
        }
    }

    /// Removes a manifest, and the tags that point at it. What was removed is told also when the
    /// rest fails; the manifest goes last, so that it can be asked for again.
    ///
    /// # Cancellation
    /// Dropping the future may leave some of the tags removed.
    pub async fn delete_manifest(&self, digest: &Digest) -> RemovedManifest {
        let mut tags = Vec::new();
        let outcome = self.remove_manifest(digest, &mut tags).await;
        RemovedManifest { tags, outcome }
    }

    async fn remove_manifest(&self, digest: &Digest, removed: &mut Vec<Tag>) -> Result<()> {
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
        let at_once = self.shared.tag_lookups;
        for tag in tags.pointing_at(&[*digest, canonical], at_once).await? {
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
            Ok(())
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
