//! The handle on one ingest while it is written to.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use wharfinger_driver::{self as driver, ErrorKind as DriverErrorKind};
use wharfinger_oci::{Algorithm, Hasher, UploadId};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::IngestPaths;
use crate::links::LinkSet;

use super::marker::{Marker, Readings};
use super::pipeline::{CHECKPOINT_BYTES, Core, Pipeline};
use super::progress::{Progress, drop_states_beyond, read_back};
use super::recovery::{Plan, nothing};
use super::{IngestContext, IngestSet, Sharing};

/// A gap of two checkpoints is read back when an ingest is opened; a longer one at its commit.
const CATCH_UP_BYTES: u64 = 2 * CHECKPOINT_BYTES;

/// The only writer of an ingest, until it is closed, committed or dropped.
///
/// Dropping it gives up the lock; what the last checkpoint covered is kept for certain, and what
/// came later as far as it was written.
#[derive(Debug)]
pub struct IngestWriter {
    pub(super) context: Arc<IngestContext>,
    pub(super) links: LinkSet,
    pub(super) pipeline: Pipeline,
    pub(super) progress: Progress,
    pub(super) offset: u64,
}

impl IngestWriter {
    pub(super) fn direct(
        set: &IngestSet,
        algorithm: Algorithm,
        ingest: Box<dyn driver::Ingest>,
    ) -> Self {
        let progress = Progress {
            subject: "upload in one request".to_owned(),
            paths: None,
            started_at: None,
            opened: nothing(algorithm),
            opened_at: 0,
            answered: None,
            foreign: false,
            loaded: false,
            marked: false,
            readings: Readings::default(),
            refused: None,
        };
        Self::of(
            set,
            progress,
            Core::new(Some(ingest), Hasher::new(algorithm), None),
        )
    }

    pub(super) async fn staged(
        set: &IngestSet,
        id: &UploadId,
        paths: IngestPaths,
        started_at: SystemTime,
        plan: Plan,
        mut ingest: Option<Box<dyn driver::Ingest>>,
    ) -> Result<Self> {
        let subject = format!("upload {id}");
        let mut hashed = plan.hashed;
        let gap = plan.at - hashed.offset();
        if let Some(ingest) = &mut ingest
            && (1..=CATCH_UP_BYTES).contains(&gap)
        {
            tracing::debug!(%id, gap_bytes = gap, "reading back what no saved state covers");
            hashed.hasher = read_back(&set.context, &mut **ingest, hashed.hasher)
                .await
                .map_err(|error| Error::storage(&subject, error))?;
        }
        let progress = Progress {
            subject,
            paths: Some(paths),
            started_at: Some(started_at),
            opened: hashed.clone(),
            opened_at: plan.at,
            answered: None,
            foreign: set.sharing == Sharing::WithForeignNodes,
            loaded: plan.loaded && plan.at > 0,
            marked: plan.marked && gap == 0 && !plan.cut,
            readings: plan.readings,
            refused: None,
        };
        let mut core = Core::new(ingest, hashed.hasher, plan.synced);
        core.saver = progress.saver(&set.context);
        Ok(Self::of(set, progress, core))
    }

    fn of(set: &IngestSet, progress: Progress, core: Core) -> Self {
        let context = Arc::clone(&set.context);
        let offset = core.offset();
        let pipeline = Pipeline::new(context.runtime.clone(), Arc::clone(&context.budget), core);
        Self {
            context,
            links: set.links.clone(),
            pipeline,
            progress,
            offset,
        }
    }

    /// Returns how many bytes have arrived.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns when the ingest was started, in whole seconds; `None` for a direct one.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        self.progress.started_at
    }

    /// Says which algorithm the digest will be of, so that the bytes need not be read a second
    /// time. Takes effect only as long as nothing has arrived.
    pub async fn announce(&mut self, algorithm: Algorithm) {
        if self.offset > 0 {
            return;
        }
        self.pipeline.interrupt().await.hasher = Hasher::new(algorithm);
        self.progress.opened = nothing(algorithm);
    }

    /// Appends `bytes`. They are hashed and written while the caller fetches the next ones.
    ///
    /// # Errors
    /// Fails when an earlier write has; then the writer takes nothing but [`IngestWriter::give_back`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.offset += bytes.len() as u64;
        self.pipeline.push(bytes).await;
        match self.pipeline.failure() {
            Some(error) => Err(Error::told(&self.progress.subject, error)),
            None => Ok(()),
        }
    }

    /// Begins to work on what has come so far, for the sender pauses. Tells whether all of it is being
    /// worked on; otherwise this has to be said again.
    ///
    /// # Cancellation
    /// When dropped, the writer must not be used further.
    pub async fn begin_early(&mut self) -> bool {
        self.pipeline.begin_early().await
    }

    /// Goes back to nothing; every saved state goes first.
    ///
    /// # Errors
    /// Fails with `OffsetInvalid` unless `to` is 0.
    pub async fn truncate(&mut self, to: u64) -> Result<()> {
        if to != 0 {
            return Err(Error::new(
                ErrorKind::OffsetInvalid {
                    offset: self.offset,
                },
                &self.progress.subject,
            ));
        }
        let core = self.pipeline.interrupt().await;
        if let Some(paths) = &self.progress.paths {
            drop_states_beyond(&self.context, paths, 0, &Marker::default()).await?;
        }
        core.reset()
            .await
            .map_err(|error| Error::storage(&self.progress.subject, error))?;
        let progress = &mut self.progress;
        progress.opened = nothing(core.hasher.algorithm());
        progress.answered = None;
        (progress.opened_at, progress.loaded, progress.marked) = (0, false, false);
        core.saver = progress.saver(&self.context);
        self.offset = 0;
        Ok(())
    }

    /// Keeps what has arrived, to be gone on with by anybody, and returns where it stands. What was
    /// kept outlives this process.
    ///
    /// # Errors
    /// Fails when a write has; what this writer added is then given back.
    pub async fn close(self) -> Result<u64> {
        let Self {
            context,
            pipeline,
            progress,
            ..
        } = self;
        let mut core = pipeline.drain().await;
        if let Some(error) = core.failed.take() {
            progress
                .go_back(&context, *core, error.kind() == DriverErrorKind::Unsynced)
                .await?;
            return Err(Error::storage(&progress.subject, error));
        }
        progress.keep(&context, &mut core).await
    }

    /// Gives back what this writer added, when it could not be written or is not wanted; what was
    /// there before stays. A direct ingest is removed.
    ///
    /// # Errors
    /// Fails when the storage does; then more may be left than there should be.
    pub async fn give_back(self) -> Result<()> {
        let Self {
            context,
            pipeline,
            progress,
            ..
        } = self;
        let core = pipeline.drain().await;
        let unsynced = core
            .failed
            .as_ref()
            .is_some_and(|error| error.kind() == DriverErrorKind::Unsynced);
        progress.go_back(&context, *core, unsynced).await
    }
}
