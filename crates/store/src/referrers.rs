//! The manifests that refer to another: an index beside the tree, made from it.
//!
//! ```text
//! _wharfinger/referrers/ALG/HEX/ALG-HEX    the descriptor of one manifest whose subject is ALG:HEX
//! _wharfinger/seen/ALG                     which manifests were looked at (see `seen`)
//! ```
//!
//! A descriptor is what the list shows, as JSON. It follows from the manifest's bytes alone, so that
//! any number of nodes write the same one, and losing it costs a look at the manifest. It is written
//! ahead of the manifest's link and counts only while that is there; so a manifest that was removed,
//! by whichever node, is gone from the list at once. The file stays as long as the manifest's
//! directory does: a node that pushes it again writes nothing but the link.
//!
//! What other nodes push comes in when the list is asked for: a new manifest has a new directory, and
//! that changes the time of `_manifests/revisions/ALG`. Then the names there are held against those
//! that were looked at before, and the difference is looked at. With that come also the manifests
//! that clients have listed under a tag that stands in for this list: they have a subject, too.

mod scan;
mod seen;

use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Mutex;
use wharfinger_driver::{DriverExt as _, Durability, ErrorKind as DriverErrorKind, Put};
use wharfinger_oci::{
    Algorithm, Descriptor, Digest, MAX_MANIFEST_BYTES, Manifest, ManifestKind, RepositoryName,
};

use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::repository::Repository;

use self::scan::Known;

/// Twice the largest manifest, of which a descriptor repeats a part.
const MOST_ENTRY_BYTES: u64 = 2 * MAX_MANIFEST_BYTES as u64;

/// Just below 4 MiB: what clients read of an index, less what stands around the descriptors.
const MOST_PAGE_BYTES: usize = MAX_MANIFEST_BYTES - 4096;

/// 10,000 descriptors are looked at for one page, whatever the filter leaves of them.
const MOST_LOOKS: usize = 10_000;

/// 16 MiB: what is remembered of a million manifests, over all repositories.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// 64 locks: two repositories that meet at one wait for a look at a directory.
const LOCKS: usize = 64;

/// What is remembered between two lists, over all repositories.
#[derive(Debug)]
pub(crate) struct Referrers {
    known: Cache<(RepositoryName, Algorithm), Arc<Known>>,
    turns: Box<[Mutex<()>]>,
}

impl Referrers {
    pub(crate) fn new() -> Self {
        let known = Cache::builder()
            .max_capacity(MEMORY_BYTES)
            .weigher(
                |(name, _): &(RepositoryName, Algorithm), known: &Arc<Known>| {
                    let bytes = known.seen.size_bytes() + name.as_str().len() + 200;
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                },
            )
            .build();
        Self {
            known,
            turns: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }
}

/// A part of the manifests that refer to another, in the order of their digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferrerPage {
    /// What the list shows of each.
    pub referrers: Vec<Descriptor>,
    /// Where to go on, if there is more to look at.
    pub next: Option<Digest>,
}

/// Which part of the list is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferrerQuery<'a> {
    /// Only those of this type of artifact.
    pub artifact_type: Option<&'a str>,
    /// Those after this one.
    pub after: Option<Digest>,
    /// How many at most.
    pub limit: usize,
}

impl Repository {
    /// Returns a page of the manifests whose subject is `subject`, which need not be there. A page
    /// ends when it is full, as large as a client reads, or took too many looks.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn referrers(
        &self,
        subject: &Digest,
        query: ReferrerQuery<'_>,
    ) -> Result<ReferrerPage> {
        self.look_for_new_manifests().await?;
        let directory = layout::referrers(&self.name, subject);
        let mut page = ReferrerPage::default();
        if query.limit == 0 {
            return Ok(page);
        }
        let after = query.after.as_ref().map(layout::referrer_name);
        let looks = match query.artifact_type {
            Some(_) => MOST_LOOKS,
            None => query.limit.min(MOST_LOOKS),
        };
        let listed = self.shared.driver.list(&directory, after.as_deref(), looks);
        let names = match listed.await {
            Ok(names) => names,
            Err(error) if error.kind() == DriverErrorKind::NotFound => return Ok(page),
            Err(error) => return Err(self.storage(error)),
        };
        let (mut size_bytes, mut last) = (0, query.after);
        for entry in &names.entries {
            tokio::task::consume_budget().await;
            let Some(digest) = layout::referrer_of(&entry.name) else {
                continue;
            };
            if let Some((descriptor, bytes)) = self.referrer(subject, &digest).await?
                && query
                    .artifact_type
                    .is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
            {
                size_bytes += bytes;
                let full = page.referrers.len() == query.limit;
                if full || (size_bytes > MOST_PAGE_BYTES && !page.referrers.is_empty()) {
                    page.next = last;
                    return Ok(page);
                }
                page.referrers.push(descriptor);
            }
            last = Some(digest);
        }
        if names.more {
            page.next = last;
        }
        Ok(page)
    }

    /// Returns one descriptor of the list and its length in bytes, if the manifest is there.
    async fn referrer(
        &self,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<(Descriptor, usize)>> {
        let path = layout::referrer(&self.name, subject, digest);
        if self.revisions().resolve(digest).await?.is_none() {
            self.forget_if_collected(subject, digest).await?;
            return Ok(None);
        }
        let driver = &self.shared.driver;
        let bytes = match driver.get(&path, MOST_ENTRY_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == DriverErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == DriverErrorKind::TooLarge => Bytes::new(),
            Err(error) => return Err(self.storage(error)),
        };
        match serde_json::from_slice::<Descriptor>(&bytes) {
            Ok(descriptor) if descriptor.digest == *digest => Ok(Some((descriptor, bytes.len()))),
            _ => {
                tracing::warn!(%path, "a descriptor in the list of referrers is damaged, and is made anew");
                self.make_anew(subject, digest).await
            }
        }
    }

    async fn make_anew(
        &self,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<(Descriptor, usize)>> {
        let manifest = match self.get_manifest(&(*digest).into()).await {
            Ok(stored) => stored.manifest,
            Err(error) if *error.kind() == ErrorKind::ManifestUnknown => return Ok(None),
            Err(error) => return Err(error),
        };
        let refers = manifest.subject().is_some_and(|it| it.digest == *subject);
        let Some(entry) = self.referrer_entry(digest, &manifest).filter(|_| refers) else {
            return Ok(None);
        };
        let length = entry.bytes.len();
        let written = self.shared.driver.put(&[entry], Durability::Durable).await;
        written.map_err(|error| self.storage(error))?;
        Ok(Some((descriptor_of(digest, &manifest), length)))
    }

    /// Removes the descriptor of a manifest whose directory was collected.
    async fn forget_if_collected(&self, subject: &Digest, digest: &Digest) -> Result<()> {
        let driver = &self.shared.driver;
        let directory = layout::revision(&self.name, digest);
        let found = driver.find(&directory).await;
        if found.map_err(|error| self.storage(error))?.is_none() {
            let path = layout::referrer(&self.name, subject, digest);
            if let Err(error) = driver.delete_if_there(&path, Durability::Scratch).await {
                tracing::debug!(%path, %error, "could not remove what is left of a referrer");
            }
        }
        Ok(())
    }

    /// The write that lists a manifest under its subject, if it has one. It goes ahead of the
    /// manifest's link.
    pub(crate) fn referrer_entry(&self, digest: &Digest, manifest: &Manifest) -> Option<Put> {
        let subject = &manifest.subject()?.digest;
        let json = serde_json::to_vec(&descriptor_of(digest, manifest))
            .expect("descriptors always serialize");
        let path = layout::referrer(&self.name, subject, digest);
        Some(Put::replace(path, json.into()))
    }

    fn storage(&self, error: wharfinger_driver::Error) -> Error {
        Error::storage(format!("referrers in {}", self.name), error)
    }
}

/// What the list shows of a manifest (distribution specification, *Listing Referrers*).
fn descriptor_of(digest: &Digest, manifest: &Manifest) -> Descriptor {
    let size = manifest.bytes().len() as u64;
    let mut descriptor = Descriptor::new(manifest.media_type(), *digest, size);
    let own = manifest.artifact_type().filter(|own| !own.is_empty());
    let config = match manifest.kind() {
        ManifestKind::Image => manifest.config().map(|config| config.media_type.as_str()),
        ManifestKind::Index => None,
    };
    descriptor.artifact_type = own.or(config).map(str::to_owned);
    descriptor.annotations = manifest.annotations().clone();
    descriptor
}
