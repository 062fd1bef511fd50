//! What a writer needs that answers for each piece: the digest so far, and no way back behind what
//! was answered.

use bytes::Bytes;
use wharfinger_oci::Digest;

use crate::error::{Error, Result};

use super::marker::SavePoint;
use super::progress::remove;
use super::writer::IngestWriter;

impl IngestWriter {
    /// Appends `bytes` and returns the digest of all that has arrived. When this returns they are
    /// written, and a later failure does not take them back, save one of a sync.
    ///
    /// # Errors
    /// Fails when a write does; then the writer takes nothing but [`IngestWriter::give_back`].
    ///
    /// # Cancellation
    /// When dropped, the writer must not be used further.
    pub async fn write_through(&mut self, bytes: Bytes) -> Result<Digest> {
        let length = bytes.len() as u64;
        let core = self.pipeline.work_off(bytes).await;
        if let Some(error) = &core.failed {
            return Err(Error::told(&self.progress.subject, error));
        }
        self.offset += length;
        self.progress.read_missing(&self.context, core).await?;
        let anywhere = self.context.driver.capabilities().resume_anywhere;
        if length > 0 && anywhere {
            self.progress.answered = Some(SavePoint {
                hasher: core.hasher.clone(),
                driver: None,
            });
            self.progress.marked = false;
        }
        Ok(core.hasher.finish())
    }

    /// Removes the ingest with all its bytes.
    ///
    /// # Errors
    /// Fails when the storage does; then part of it may be left.
    pub async fn abort(self) -> Result<()> {
        let Self {
            context,
            pipeline,
            progress,
            ..
        } = self;
        let mut core = pipeline.drain().await;
        let storage = |error| Error::storage(&progress.subject, error);
        if let Some(paths) = &progress.paths {
            return remove(&context, paths).await.map_err(storage);
        }
        match &mut core.ingest {
            Some(ingest) => ingest.abort().await.map_err(storage),
            None => Ok(()),
        }
    }
}
