//! All uploads of a store: what they hold, and removing those that nobody goes on with.

use std::time::{Duration, SystemTime};

use wharfinger_driver::Driver;
use wharfinger_oci::UploadId;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Purged, UploadSurvey};
use crate::layout::IngestPaths;
use crate::store::Store;
use crate::walk::{Listing, Missing, Repositories};

/// Which uploads to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeOptions {
    /// How long ago an upload must have been written to last.
    pub age: Duration,
    /// Removes nothing, and tells what would be.
    pub dry_run: bool,
}

/// How many uploads there were, and what has become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PurgeReport {
    /// All.
    pub uploads: u64,
    /// Those that were removed, or would be.
    pub purged: u64,
    /// How many bytes these have held.
    pub bytes: u64,
    /// Those that are old and that somebody has open.
    pub busy: u64,
    /// Those that could not be looked at or removed.
    pub failed: u64,
}

/// What happens to an upload.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadEvent<'a> {
    /// It is, or would be, removed.
    Purged(&'a UploadSurvey),
    /// It could not be looked at or removed; the others are gone on with.
    Failed {
        /// The repository.
        repository: &'a str,
        /// The upload.
        id: &'a UploadId,
        /// Why.
        error: &'a Error,
    },
}

/// The uploads of all repositories, one after the other.
struct Uploads<'a> {
    driver: &'a dyn Driver,
    repositories: Option<Repositories<'a>>,
    here: Option<(String, Listing<'a>)>,
}

impl<'a> Uploads<'a> {
    async fn open(driver: &'a dyn Driver) -> Result<Self> {
        let repositories = match Repositories::open(driver, Missing::Passes).await {
            Ok(repositories) => Some(repositories),
            Err(error) if *error.kind() == ErrorKind::RepositoryUnknown => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            driver,
            repositories,
            here: None,
        })
    }

    /// Returns the next one, with its repository. Names that no upload has are passed over.
    async fn next(&mut self) -> Result<Option<(String, UploadId, IngestPaths)>> {
        loop {
            if let Some((repository, listing)) = &mut self.here {
                while let Some((name, directory)) = listing.next_directory().await? {
                    if let Ok(id) = name.parse() {
                        return Ok(Some((repository.clone(), id, IngestPaths { directory })));
                    }
                }
            }
            let Some(repositories) = &mut self.repositories else {
                return Ok(None);
            };
            let Some(found) = repositories.next().await? else {
                return Ok(None);
            };
            let listing = |path| Listing::with(self.driver, path, Missing::Passes);
            self.here = found.uploads.map(|path| (found.name, listing(path)));
        }
    }
}

impl Store {
    /// Tells of every upload, in the order of the repositories' names and theirs. Nothing is locked.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn survey_uploads(&self, found: &mut (dyn FnMut(UploadSurvey) + Send)) -> Result<()> {
        let mut uploads = Uploads::open(&*self.shared.driver).await?;
        while let Some((repository, id, paths)) = uploads.next().await? {
            let survey = self.shared.ingests.survey(&repository, &id, &paths).await?;
            if let Some(survey) = survey {
                found(survey);
            }
        }
        Ok(())
    }

    /// Removes the uploads that were written to last before the age in `options`, unless somebody has
    /// them open, and what finished uploads have left behind. One that cannot be removed does not keep
    /// the others.
    ///
    /// # Errors
    /// Fails when the uploads cannot be listed.
    ///
    /// # Cancellation
    /// Dropping the future may leave an upload half removed: without its start, so that it is none any
    /// more, and the next purge takes the rest.
    pub async fn purge_uploads(
        &self,
        options: PurgeOptions,
        events: &mut (dyn FnMut(UploadEvent<'_>) + Send),
    ) -> Result<PurgeReport> {
        let mut report = PurgeReport::default();
        let now = self.shared.ingests.runtime.clock.now();
        let Some(cutoff) = now.checked_sub(options.age) else {
            return Ok(report);
        };
        let mut uploads = Uploads::open(&*self.shared.driver).await?;
        while let Some((repository, id, paths)) = uploads.next().await? {
            report.uploads += 1;
            match self
                .purge(&repository, &id, &paths, cutoff, options.dry_run)
                .await
            {
                Ok(Some((survey, Purged::Removed))) => {
                    report.purged += 1;
                    report.bytes += survey.size_bytes;
                    events(UploadEvent::Purged(&survey));
                }
                Ok(Some((_, Purged::Busy))) => report.busy += 1,
                Ok(Some((_, Purged::Changed)) | None) => {}
                Err(error) => {
                    report.failed += 1;
                    events(UploadEvent::Failed {
                        repository: &repository,
                        id: &id,
                        error: &error,
                    });
                }
            }
        }
        Ok(report)
    }

    /// Removes one upload if it is old; `None` when it is not.
    async fn purge(
        &self,
        repository: &str,
        id: &UploadId,
        paths: &IngestPaths,
        cutoff: SystemTime,
        dry_run: bool,
    ) -> Result<Option<(UploadSurvey, Purged)>> {
        let ingests = &self.shared.ingests;
        let survey = ingests.survey(repository, id, paths).await?;
        let Some(survey) = survey.filter(|survey| survey.written_at <= cutoff) else {
            return Ok(None);
        };
        let purged = if dry_run {
            Purged::Removed
        } else {
            ingests.purge(&survey, paths, cutoff).await?
        };
        Ok(Some((survey, purged)))
    }
}
