//! What an upload holds, when it was written to last, and why it was not finished.
//!
//! Whoever looks takes no lock, so that nobody who writes meanwhile is refused.

use std::time::SystemTime;

use wharfinger_driver::{DriverExt as _, DriverPath, EntryKind, Metadata};
use wharfinger_oci::{Digest, UploadId};

use crate::error::{Error, Result};
use crate::layout::IngestPaths;

use super::{IngestContext, started};

/// 10,000 names are looked at in a directory without a start; a request leaves one state there.
const MOST_LEFT: usize = 10_000;

/// What is known of an upload without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSurvey {
    /// The repository, as it is listed.
    pub repository: String,
    /// Its name.
    pub id: UploadId,
    /// When it was started, if that is still written there.
    pub started_at: Option<SystemTime>,
    /// When it was written to last, as far as can be told.
    pub written_at: SystemTime,
    /// How many bytes it holds.
    pub size_bytes: u64,
    /// How far it has come.
    pub state: UploadState,
}

/// How far an upload has come, and why it may not be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadState {
    /// Nothing has arrived.
    Empty,
    /// Something has arrived. Whether the rest will, only its client knows.
    Unfinished,
    /// It was to be finished as this digest, and the bytes have another.
    Refused {
        /// What was asked for.
        expected: Digest,
    },
    /// The bytes were moved to their place, and the finish was cut short then.
    Moved,
    /// It has no start: what a finished or cancelled upload has left behind.
    Left,
}

impl IngestContext {
    /// Looks at the upload `id` in `paths`; `None` when there is nothing.
    pub(crate) async fn survey(
        &self,
        repository: &str,
        id: &UploadId,
        paths: &IngestPaths,
    ) -> Result<Option<UploadSurvey>> {
        let storage = |error| Error::storage(paths.directory.to_string(), error);
        let found = self.driver.find(&paths.directory).await;
        let Some(directory) = found.map_err(storage)? else {
            return Ok(None);
        };
        let start = self.driver.find_small(&paths.started_at()).await;
        let start = start.map_err(storage)?;
        let data = self.driver.find(&paths.data()).await.map_err(storage)?;
        let data = data.filter(|data| data.kind == EntryKind::File);
        let survey = UploadSurvey {
            repository: repository.to_owned(),
            id: id.clone(),
            started_at: None,
            written_at: directory.modified,
            size_bytes: data.as_ref().map_or(0, |data| data.size_bytes),
            state: UploadState::Left,
        };
        let Some(start) = start else {
            let left = self.survey_left(paths, &directory).await?;
            return Ok(Some(UploadSurvey {
                written_at: left,
                ..survey
            }));
        };
        self.survey_started(paths, &start, data, survey)
            .await
            .map(Some)
    }

    async fn survey_started(
        &self,
        paths: &IngestPaths,
        start: &[u8],
        data: Option<Metadata>,
        survey: UploadSurvey,
    ) -> Result<UploadSurvey> {
        let storage = |error| Error::storage(paths.directory.to_string(), error);
        let started_at = started::parse(start);
        let found = self.driver.find(&paths.started_at()).await;
        let written = found.map_err(storage)?.map(|found| found.modified);
        let mut times = vec![started_at.or(written)];
        times.push(data.as_ref().map(|data| data.modified));
        let found = self.driver.find(&paths.marker()).await;
        times.push(found.map_err(storage)?.map(|found| found.modified));
        if !self.driver.capabilities().staged_is_visible {
            // Where the data is not seen, the states tell when somebody has written; a directory's time
            // would tell of more than that.
            let found = self.driver.find(&paths.hash_states()).await;
            times.push(found.map_err(storage)?.map(|found| found.modified));
        }
        let marker = self.read_marker(paths).await?;
        let known = marker.as_ref().and_then(|marker| marker.latest.as_ref());
        let known = known.map_or(0, super::marker::SavePoint::offset);
        let is_moved = data.is_none() && known > 0 && self.driver.capabilities().staged_is_visible;
        let size_bytes = if self.driver.capabilities().staged_is_visible {
            survey.size_bytes
        } else {
            known
        };
        let state = match marker.and_then(|marker| marker.refused) {
            _ if is_moved => UploadState::Moved,
            Some(expected) => UploadState::Refused { expected },
            None if size_bytes == 0 => UploadState::Empty,
            None => UploadState::Unfinished,
        };
        let latest = times.into_iter().flatten().max();
        Ok(UploadSurvey {
            started_at,
            written_at: latest.unwrap_or(survey.written_at),
            size_bytes,
            state,
            ..survey
        })
    }

    /// Returns the time of the youngest value in a directory without a start, and of the directory
    /// itself when it has none.
    async fn survey_left(&self, paths: &IngestPaths, directory: &Metadata) -> Result<SystemTime> {
        let storage = |path: &DriverPath, error| Error::storage(path.to_string(), error);
        let (mut youngest, mut seen) = (None, 0);
        let mut left = vec![paths.directory.clone()];
        while let Some(path) = left.pop() {
            let entries = self.driver.list_all(&path).await;
            for entry in entries.map_err(|error| storage(&path, error))? {
                seen += 1;
                let Ok(path) = path.join(&entry.name) else {
                    continue;
                };
                if seen > MOST_LEFT {
                    return Ok(youngest.unwrap_or(directory.modified));
                }
                if entry.kind == EntryKind::Directory {
                    left.push(path);
                    continue;
                }
                let found = self.driver.find(&path).await;
                let found = found.map_err(|error| storage(&path, error))?;
                youngest = youngest.max(found.map(|found| found.modified));
            }
        }
        Ok(youngest.unwrap_or(directory.modified))
    }
}
