//! Sweeping what is not marked.

use std::collections::HashSet;
use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, Durability, EntryKind, ErrorKind as DriverErrorKind,
};
use wharfinger_oci::{Algorithm, Digest};

use crate::error::Result;
use crate::layout;
use crate::links::parse_link;
use crate::walk::{
    Digests, Listing, Missing, Repositories, RepositoryDirectory, digest_of, has_directory,
    names_in, storage,
};

use super::mark::{Untagged, link_in};
use super::marks::DigestSet;
use super::{GarbageEvent, GarbageEvents, GarbageOptions, GarbageReport};

/// 16 deletes at once: they share the syncs that make them durable.
const AT_ONCE: usize = 16;

/// 256 deletes wait for each other, so that the last of them seldom leave the disk idle.
const TOGETHER: usize = 256;

/// What is to be deleted, and then its deletion.
pub(super) struct Sweep<'a> {
    driver: &'a dyn Driver,
    options: GarbageOptions,
    cutoff: SystemTime,
    marks: DigestSet,
    untagged: Untagged,
    /// Blobs that nothing needs and that are too young to be taken.
    young: DigestSet,
    garbage: Vec<(Digest, u64)>,
    /// Directories of blobs that have no bytes.
    husks: Vec<DriverPath>,
    deletes: Deletes<'a>,
}

/// Deletes that are to be done together.
struct Deletes<'a> {
    driver: &'a dyn Driver,
    waiting: Vec<DriverPath>,
}

impl Deletes<'_> {
    /// Deletes everything at `path`, now or later.
    async fn add(&mut self, path: DriverPath) -> Result<()> {
        self.waiting.push(path);
        if self.waiting.len() < TOGETHER {
            return Ok(());
        }
        self.finish().await
    }

    /// Waits until all is deleted.
    async fn finish(&mut self) -> Result<()> {
        let driver = self.driver;
        let deletes = stream::iter(std::mem::take(&mut self.waiting)).map(|path| async move {
            let deleted = driver.delete_if_there(&path, Durability::Durable).await;
            deleted.map(drop).map_err(|error| storage(&path, error))
        });
        // All of them have ended when this returns, also when one has failed.
        let done: Vec<Result<()>> = deletes.buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().collect()
    }
}

impl<'a> Sweep<'a> {
    pub(super) fn new(
        driver: &'a dyn Driver,
        options: GarbageOptions,
        cutoff: SystemTime,
        marks: DigestSet,
        untagged: Untagged,
    ) -> Self {
        Self {
            driver,
            options,
            cutoff,
            marks,
            untagged,
            young: DigestSet::default(),
            garbage: Vec::new(),
            husks: Vec::new(),
            deletes: Deletes {
                driver,
                waiting: Vec::new(),
            },
        }
    }

    /// Finds the blobs that are garbage.
    pub(super) async fn plan(&mut self, report: &mut GarbageReport) -> Result<()> {
        for (algorithm, path) in self.blob_algorithms().await? {
            let mut pairs = Listing::new(self.driver, path);
            while let Some((_, path)) = pairs.next_directory().await? {
                let mut listing = Listing::new(self.driver, path);
                while let Some((hex, path)) = listing.next_directory().await? {
                    if let Some(digest) = digest_of(algorithm, &hex)
                        && layout::blob_data(&digest).is_within(&path)
                        && !self.marks.contains(&digest)
                    {
                        self.look_at_blob(digest, path, report).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn blob_algorithms(&self) -> Result<Vec<(Algorithm, DriverPath)>> {
        let root = layout::blobs();
        let mut found = Vec::new();
        let there = self.driver.find(&root).await;
        if there.map_err(|error| storage(&root, error))?.is_none() {
            return Ok(found);
        }
        let mut listing = Listing::new(self.driver, root);
        while let Some((name, path)) = listing.next_directory().await? {
            // What lies under another one is nobody's that we know.
            if let Ok(algorithm) = name.parse() {
                found.push((algorithm, path));
            }
        }
        Ok(found)
    }

    async fn look_at_blob(
        &mut self,
        digest: Digest,
        directory: DriverPath,
        report: &mut GarbageReport,
    ) -> Result<()> {
        let path = layout::blob_data(&digest);
        let data = match self.driver.find(&path).await {
            // A link: whoever has put it there knows what for.
            Err(error) if error.kind() == DriverErrorKind::Refused => return Ok(()),
            found => found.map_err(|error| storage(&path, error))?,
        };
        match data {
            Some(data) if data.modified > self.cutoff => {
                self.young.insert(&digest);
                report.young += 1;
            }
            Some(data) => {
                self.garbage.push((digest, data.size_bytes));
                report.blobs += 1;
                report.bytes += data.size_bytes;
            }
            None if self.is_old(&directory).await? => self.husks.push(directory),
            None => {}
        }
        Ok(())
    }

    /// Deletes what was found, or only tells of it in a dry run.
    pub(super) async fn run(
        &mut self,
        report: &mut GarbageReport,
        events: &mut GarbageEvents<'_>,
    ) -> Result<()> {
        let mut repositories = Repositories::open(self.driver, Missing::Fails).await?;
        while let Some(repository) = repositories.next().await? {
            self.remove_untagged(&repository, events).await?;
            self.unlink(&repository, report, events).await?;
        }
        // From here on nothing leads to the bytes.
        self.deletes.finish().await?;
        for (digest, size_bytes) in std::mem::take(&mut self.garbage) {
            events(GarbageEvent::Blob {
                digest: &digest,
                size_bytes,
            });
            let data = layout::blob_data(&digest);
            let directory = data
                .parent()
                .expect("the data of a blob lies in a directory");
            self.delete(directory).await?;
        }
        for husk in std::mem::take(&mut self.husks) {
            self.delete(husk).await?;
        }
        self.deletes.finish().await?;
        self.remove_empty_pairs().await?;
        self.deletes.finish().await
    }

    async fn delete(&mut self, path: DriverPath) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        self.deletes.add(path).await
    }

    /// Removes the manifests of a repository that no tag leads to, from the history of tags as well, and
    /// the directories of those that were deleted before.
    async fn remove_untagged(
        &mut self,
        repository: &RepositoryDirectory,
        events: &mut GarbageEvents<'_>,
    ) -> Result<()> {
        let Some(manifests) = &repository.manifests else {
            return Ok(());
        };
        let untagged = self.untagged.remove(&repository.name).unwrap_or_default();
        let entries = names_in(self.driver, manifests).await?;
        if let Some(root) = has_directory(self.driver, manifests, &entries, "revisions").await? {
            let mut revisions = Digests::new(self.driver, root);
            while let Some((digest, path)) = revisions.next().await? {
                if untagged.contains(&digest) {
                    events(GarbageEvent::Manifest {
                        repository: &repository.name,
                        digest: &digest,
                    });
                    self.delete(path).await?;
                } else if self.is_unlinked(&path).await? {
                    self.delete(path).await?;
                }
            }
        }
        if untagged.is_empty() {
            return Ok(());
        }
        match has_directory(self.driver, manifests, &entries, "tags").await? {
            Some(tags) => self.remove_from_history(tags, &untagged).await,
            None => Ok(()),
        }
    }

    async fn remove_from_history(
        &mut self,
        tags: DriverPath,
        untagged: &HashSet<Digest>,
    ) -> Result<()> {
        let mut tags = Listing::new(self.driver, tags);
        while let Some((_, tag)) = tags.next_directory().await? {
            let entries = names_in(self.driver, &tag).await?;
            let Some(index) = has_directory(self.driver, &tag, &entries, "index").await? else {
                continue;
            };
            let mut history = Digests::new(self.driver, index);
            while let Some((digest, path)) = history.next().await? {
                if untagged.contains(&digest) {
                    self.delete(path).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes the links of a repository to what is gone, or is not for long, and their directories.
    async fn unlink(
        &mut self,
        repository: &RepositoryDirectory,
        report: &mut GarbageReport,
        events: &mut GarbageEvents<'_>,
    ) -> Result<()> {
        let Some(layers) = repository.layers.clone() else {
            return Ok(());
        };
        // Links with tarsum digests stay.
        let mut links = Digests::new(self.driver, layers);
        while let Some((digest, path)) = links.next().await? {
            if self.is_unlinked(&path).await? {
                self.delete(path).await?;
            } else if self.leads_nowhere(&digest, &path).await? {
                report.links += 1;
                events(GarbageEvent::Link {
                    repository: &repository.name,
                    digest: &digest,
                });
                self.delete(path).await?;
            }
        }
        Ok(())
    }

    /// Whether a directory for a link has none, and not since a moment ago.
    async fn is_unlinked(&self, directory: &DriverPath) -> Result<bool> {
        let link = link_in(directory);
        let found = self.driver.find(&link).await;
        let found = found.map_err(|error| storage(&link, error))?;
        Ok(found.is_none() && self.is_old(directory).await?)
    }

    /// Whether the link in `directory` leads to what is neither needed nor young, and is not young itself.
    async fn leads_nowhere(&self, digest: &Digest, directory: &DriverPath) -> Result<bool> {
        if self.stays(digest) {
            return Ok(false);
        }
        let link = link_in(directory);
        let found = self.driver.find(&link).await;
        let found = found.map_err(|error| storage(&link, error))?;
        if found.is_none_or(|link| link.kind != EntryKind::File || link.modified > self.cutoff) {
            return Ok(false);
        }
        if digest.algorithm() == Algorithm::Sha256 {
            return Ok(true);
        }
        let content = self.driver.get_small(&link).await;
        let content = content.map_err(|error| storage(&link, error))?;
        Ok(parse_link(&content).is_some_and(|canonical| !self.stays(&canonical)))
    }

    fn stays(&self, digest: &Digest) -> bool {
        self.marks.contains(digest) || self.young.contains(digest)
    }

    async fn is_old(&self, directory: &DriverPath) -> Result<bool> {
        let found = self.driver.find(directory).await;
        let found = found.map_err(|error| storage(directory, error))?;
        Ok(found.is_some_and(|found| found.modified <= self.cutoff))
    }

    /// Removes the directories `blobs/ALG/HH` that hold nothing, which Distribution leaves.
    async fn remove_empty_pairs(&mut self) -> Result<()> {
        if self.options.dry_run || !self.driver.capabilities().directories {
            return Ok(());
        }
        for (_, path) in self.blob_algorithms().await? {
            let mut pairs = Listing::new(self.driver, path);
            while let Some((_, path)) = pairs.next_directory().await? {
                let page = self.driver.list(&path, None, 1).await;
                if page
                    .map_err(|error| storage(&path, error))?
                    .entries
                    .is_empty()
                {
                    self.delete(path).await?;
                }
            }
        }
        Ok(())
    }
}
