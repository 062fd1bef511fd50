//! Removing an upload that nobody goes on with.

use std::time::SystemTime;

use wharfinger_driver::{ErrorKind as DriverErrorKind, Resume};

use crate::error::{Error, Result};
use crate::layout::IngestPaths;

use super::{IngestContext, UploadSurvey, progress};

/// What has become of an upload that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purged {
    /// It is gone.
    Removed,
    /// Somebody has it open.
    Busy,
    /// It was written to since, or has gone by itself.
    Changed,
}

impl IngestContext {
    /// Removes the upload that `found` tells of, unless somebody is writing to it or has done so
    /// after `cutoff`.
    pub(crate) async fn purge(
        &self,
        found: &UploadSurvey,
        paths: &IngestPaths,
        cutoff: SystemTime,
    ) -> Result<Purged> {
        let storage = |error| Error::storage(paths.directory.to_string(), error);
        // Held until all is gone, so that nobody writes meanwhile.
        let held = match self.driver.resume(&paths.data(), Resume::default()).await {
            Err(error) if error.kind() == DriverErrorKind::Busy => return Ok(Purged::Busy),
            // Without data, or with data that cannot be opened, there is nothing to hold.
            held => held.ok(),
        };
        let now = self.survey(&found.repository, &found.id, paths).await?;
        if now.is_none_or(|now| now.written_at > cutoff) {
            return Ok(Purged::Changed);
        }
        progress::remove(self, paths).await.map_err(storage)?;
        drop(held);
        Ok(Purged::Removed)
    }
}
