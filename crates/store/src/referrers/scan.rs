//! The look for manifests that others have pushed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::MutexGuard;
use wharfinger_driver::{
    DriverExt as _, Durability, EntryKind, ErrorKind as DriverErrorKind, Page, Put,
};
use wharfinger_oci::{Algorithm, Digest, MAX_MANIFEST_BYTES, Manifest};

use crate::error::{ErrorKind, Result};
use crate::layout;
use crate::links::YOUNG;
use crate::repository::Repository;

use super::seen::Seen;

/// 50,000 names are asked of the driver at once: each question costs what the directory has.
const LIST_PAGE: usize = 50_000;

/// 128 descriptors, or 1 MiB of them, are written at once.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 1024 * 1024;

/// 1,000 manifests that were looked at since the set was saved are worth saving it, and so is an
/// eighth of the set: the work of saving then stays in proportion.
const WORTH_SAVING: usize = 1000;

/// 64 MiB: four million manifests of one repository.
const MOST_SAVED_BYTES: u64 = 64 * 1024 * 1024;

/// What is known of the manifests of one algorithm.
#[derive(Debug)]
pub(super) struct Known {
    /// Which were looked at.
    pub(super) seen: Arc<Seen>,
    /// The time of the directory that this holds for, where a time says so.
    as_of: Option<SystemTime>,
    /// How many of them are not saved yet.
    unsaved: usize,
}

/// Descriptors on their way.
#[derive(Default)]
struct Batch {
    writes: Vec<Put>,
    bytes: usize,
}

impl Repository {
    /// Looks at the manifests that nobody has looked at.
    pub(super) async fn look_for_new_manifests(&self) -> Result<()> {
        for algorithm in Algorithm::ALL {
            if !self.is_fresh(algorithm).await? {
                let _turn = self.turn().await;
                // Whoever had the turn before may have done it.
                if !self.is_fresh(algorithm).await? {
                    self.scan(algorithm).await?;
                }
            }
        }
        Ok(())
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        let turns = &self.shared.referrers.turns;
        let place = usize::try_from(hasher.finish() % turns.len() as u64).unwrap_or(0);
        turns[place].lock().await
    }

    /// When the directory of the manifests was changed; `None` when there is none.
    async fn changed(&self, algorithm: Algorithm) -> Result<Option<SystemTime>> {
        let directory = layout::revisions(&self.name, algorithm);
        let found = self.shared.driver.find(&directory).await;
        let found = found.map_err(|error| self.storage(error))?;
        Ok(found.map(|metadata| metadata.modified))
    }

    async fn is_fresh(&self, algorithm: Algorithm) -> Result<bool> {
        if !self.shared.driver.capabilities().directories {
            // A prefix has no time of its own.
            return Ok(false);
        }
        let Some(changed) = self.changed(algorithm).await? else {
            return Ok(true);
        };
        let known = self
            .shared
            .referrers
            .known
            .get(&(self.name.clone(), algorithm));
        Ok(known.is_some_and(|known| known.as_of == Some(changed)))
    }

    async fn scan(&self, algorithm: Algorithm) -> Result<()> {
        let shared = &self.shared;
        let as_of = match shared.driver.capabilities().directories {
            true => self.changed(algorithm).await?,
            false => None,
        };
        // Taken before the directory is read: what comes in meanwhile changes it once more, unless that
        // is at the same tick of the clock.
        let now = shared.links.clock.now();
        let as_of =
            as_of.filter(|changed| now.duration_since(*changed).is_ok_and(|age| age > YOUNG));
        let key = (self.name.clone(), algorithm);
        let (seen, mut unsaved) = match shared.referrers.known.get(&key) {
            Some(known) => (Arc::clone(&known.seen), known.unsaved),
            None => (Arc::new(self.saved(algorithm).await?), 0),
        };
        let (mut next, mut batch) = (Seen::default(), Batch::default());
        let mut after: Option<String> = None;
        loop {
            let names = self.revision_names(algorithm, after.as_deref()).await?;
            for entry in names
                .entries
                .iter()
                .filter(|it| it.kind == EntryKind::Directory)
            {
                let Ok(digest) = format!("{algorithm}:{}", entry.name).parse() else {
                    continue;
                };
                if !seen.holds(&digest) {
                    tokio::task::consume_budget().await;
                    if !self.look_at(&digest, &mut batch).await? {
                        continue;
                    }
                    unsaved += 1;
                }
                next.push(&digest);
                if unsaved >= WORTH_SAVING.max(next.len() / 8) {
                    self.write_batch(&mut batch).await?;
                    self.save(algorithm, &next.union(&seen)).await?;
                    unsaved = 0;
                }
            }
            after = names
                .entries
                .last()
                .map(|entry| entry.name.clone())
                .or(after);
            if !names.more {
                break;
            }
        }
        self.write_batch(&mut batch).await?;
        let known = Known {
            seen: Arc::new(next),
            as_of,
            unsaved,
        };
        shared.referrers.known.insert(key, Arc::new(known));
        Ok(())
    }

    async fn revision_names(&self, algorithm: Algorithm, after: Option<&str>) -> Result<Page> {
        let directory = layout::revisions(&self.name, algorithm);
        match self.shared.driver.list(&directory, after, LIST_PAGE).await {
            Ok(names) => Ok(names),
            Err(error) if error.kind() == DriverErrorKind::NotFound => Ok(Page::default()),
            Err(error) => Err(self.storage(error)),
        }
    }

    /// Looks at a manifest, linked or not: what was removed may be linked again, and nothing but the
    /// link changes then. Tells whether there was something to look at.
    async fn look_at(&self, digest: &Digest, batch: &mut Batch) -> Result<bool> {
        let canonical = self.revisions().resolve(digest).await?.unwrap_or(*digest);
        let limit = MAX_MANIFEST_BYTES as u64;
        let unknown = ErrorKind::ManifestUnknown;
        let bytes = match self.shared.blobs.get(&canonical, limit, unknown).await {
            Ok(bytes) => bytes,
            Err(error) if *error.kind() == ErrorKind::ManifestUnknown => return Ok(false),
            Err(error) => return Err(error),
        };
        if canonical != *digest && Digest::of(digest.algorithm(), &bytes) != *digest {
            return Ok(false);
        }
        // What is no manifest that is served refers to nothing.
        let entry = Manifest::parse_stored(bytes).ok();
        let entry = entry.and_then(|manifest| self.referrer_entry(digest, &manifest));
        if let Some(entry) = entry {
            let found = self.shared.driver.find(&entry.path).await;
            if found.map_err(|error| self.storage(error))?.is_none() {
                batch.bytes += entry.bytes.len();
                batch.writes.push(entry);
            }
        }
        if batch.writes.len() >= BATCH || batch.bytes >= BATCH_BYTES {
            self.write_batch(batch).await?;
        }
        Ok(true)
    }

    /// Writes descriptors so that they outlive whatever says that they were written.
    async fn write_batch(&self, batch: &mut Batch) -> Result<()> {
        let Batch { writes, .. } = std::mem::take(batch);
        if writes.is_empty() {
            return Ok(());
        }
        let written = self.shared.driver.put(&writes, Durability::Durable).await;
        written.map_err(|error| self.storage(error))
    }

    async fn saved(&self, algorithm: Algorithm) -> Result<Seen> {
        let path = layout::seen(&self.name, algorithm);
        match self.shared.driver.get(&path, MOST_SAVED_BYTES).await {
            Ok(bytes) => Ok(Seen::parse(&bytes).unwrap_or_default()),
            Err(error) => match error.kind() {
                DriverErrorKind::NotFound | DriverErrorKind::TooLarge => Ok(Seen::default()),
                _ => Err(self.storage(error)),
            },
        }
    }

    async fn save(&self, algorithm: Algorithm, seen: &Seen) -> Result<()> {
        let path = layout::seen(&self.name, algorithm);
        let bytes = seen.print().into();
        let driver = &self.shared.driver;
        let written = driver.put_one(&path, bytes, Durability::Scratch).await;
        written.map_err(|error| self.storage(error))
    }
}
