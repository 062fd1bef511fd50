//! What outlives a writer: the states that are saved when it ends, and the way back when it fails.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use wharfinger_driver::{
    self as driver, Checkpoint, DriverExt as _, Durability, ErrorKind as DriverErrorKind, ReadRange,
};
use wharfinger_oci::{Algorithm, Digest, Hasher};

use crate::blobs::hash_on;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::IngestPaths;

use super::IngestContext;
use super::marker::{Marker, Readings, SavePoint};
use super::pipeline::{Core, SavesPoints};

/// What a writer knows beside the bytes.
#[derive(Debug)]
pub(super) struct Progress {
    /// What to call it in errors and logs.
    pub(super) subject: String,
    /// Where a staged ingest keeps what outlives it.
    pub(super) paths: Option<IngestPaths>,
    pub(super) started_at: Option<SystemTime>,
    /// Where the ingest stood when it was opened.
    pub(super) opened: SavePoint,
    pub(super) opened_at: u64,
    /// What was answered for since; without it, what was opened.
    pub(super) answered: Option<SavePoint>,
    /// Whether foreign nodes may go on with it, and want the state in their form.
    pub(super) foreign: bool,
    /// Whether part of the hasher's state was read from a file.
    pub(super) loaded: bool,
    /// Whether our marker tells of what was opened, and of the readings.
    pub(super) marked: bool,
    /// What reading all bytes back has come to.
    pub(super) readings: Readings,
    /// What the bytes were to be, and are not: for whoever asks later why this was not finished.
    pub(super) refused: Option<Digest>,
}

impl Progress {
    /// The point at which the last request has ended that was answered.
    pub(super) fn acknowledged(&self) -> Option<SavePoint> {
        if self.answered.is_some() {
            return self.answered.clone();
        }
        (self.opened.offset() == self.opened_at && self.opened_at > 0).then(|| self.opened.clone())
    }

    /// Saves what is known, and closes the handle.
    pub(super) async fn keep(&self, context: &IngestContext, core: &mut Core) -> Result<u64> {
        let offset = core.offset();
        let storage = |error| Error::storage(&self.subject, error);
        let Some(ingest) = &mut core.ingest else {
            return Ok(offset);
        };
        let closed = ingest.close().await.map_err(storage)?;
        let Some(paths) = &self.paths else {
            return Ok(offset);
        };
        let latest = SavePoint {
            hasher: core.hasher.clone(),
            driver: closed.state,
        };
        if latest.offset() == offset && offset > 0 {
            self.save(context, paths, &latest, core.synced.clone())
                .await?;
        }
        Ok(offset)
    }

    /// Saves our marker, and the state for a foreign node that goes on from here. Without them
    /// whoever goes on reads the bytes back, so a failure is only told in the log.
    ///
    /// Fails with `UploadUnknown` when somebody has removed the ingest meanwhile; then nothing of it
    /// must come back.
    async fn save(
        &self,
        context: &IngestContext,
        paths: &IngestPaths,
        latest: &SavePoint,
        synced: Option<SavePoint>,
    ) -> Result<()> {
        let offset = latest.offset();
        let started = context.driver.find(&paths.started_at()).await;
        if matches!(started, Ok(None)) {
            return Err(Error::new(ErrorKind::UploadUnknown, &self.subject));
        }
        let marker = self.marker(context, Some(latest.clone()), synced);
        let state = latest.hasher.state();
        let saved = async {
            context.write_marker(paths, &marker).await?;
            if !self.foreign {
                return Ok(());
            }
            let path = paths.hash_state(latest.hasher.algorithm(), offset);
            let state = Bytes::copy_from_slice(state.as_bytes());
            context
                .driver
                .put_one(&path, state, Durability::Scratch)
                .await
        };
        if let Err(error) = saved.await {
            tracing::warn!(upload = %self.subject, offset, %error, "could not save the state of an upload");
        }
        if self.foreign && offset != self.opened_at && self.opened_at > 0 {
            // The state of an offset that nobody can go on from any more.
            let old = paths.hash_state(self.opened.hasher.algorithm(), self.opened_at);
            if let Err(error) = context
                .driver
                .delete_if_there(&old, Durability::Scratch)
                .await
            {
                tracing::debug!(upload = %self.subject, %error, "could not remove an old state");
            }
        }
        Ok(())
    }

    fn marker(
        &self,
        context: &IngestContext,
        latest: Option<SavePoint>,
        synced: Option<SavePoint>,
    ) -> Marker {
        Marker {
            latest,
            synced,
            readings: self.readings.clone(),
            refused: self.refused,
            ..Marker::of(&context.runtime.host)
        }
    }

    /// Has our marker tell where the ingest was opened, before its bytes are moved: from then on
    /// nothing else tells a repeated finish what they were.
    pub(super) async fn mark(&self, context: &IngestContext, core: &Core) {
        let Some(paths) = self.paths.as_ref().filter(|_| !self.marked) else {
            return;
        };
        let nothing_added = core.offset() == self.opened_at && core.is_hashed();
        let latest = self.acknowledged().or_else(|| {
            nothing_added.then(|| SavePoint {
                hasher: core.hasher.clone(),
                driver: self.opened.driver.clone(),
            })
        });
        let Some(latest) = latest.filter(|latest| latest.offset() > 0) else {
            return;
        };
        let marker = self.marker(context, Some(latest), core.synced.clone());
        if let Err(error) = context.write_marker(paths, &marker).await {
            tracing::warn!(upload = %self.subject, %error, "could not save where a finish began");
        }
    }

    /// Saves checkpoints of a staged ingest.
    pub(super) fn saver(&self, context: &Arc<IngestContext>) -> Option<Arc<dyn SavesPoints>> {
        let paths = self.paths.clone()?;
        Some(Arc::new(CheckpointSaver {
            context: Arc::clone(context),
            paths,
            marker: self.marker(context, self.acknowledged(), None),
        }))
    }

    /// Goes back to where the ingest stood when it was opened; after a failed sync, when `unsynced`,
    /// to the last point ahead of it that is known to be durable.
    pub(super) async fn go_back(
        &self,
        context: &IngestContext,
        mut core: Core,
        unsynced: bool,
    ) -> Result<()> {
        let storage = |error| Error::storage(&self.subject, error);
        let Some(mut ingest) = core.ingest.take() else {
            return Ok(());
        };
        let Some(paths) = &self.paths else {
            return ingest.abort().await.map_err(storage);
        };
        if context.driver.capabilities().staged_is_visible {
            let data = context.driver.find(&paths.data()).await;
            if data.map_err(storage)?.is_none() {
                // It was moved to its place already, and what the marker knows of it leads there.
                // Looked at before the marker is touched: a full disk may have no room for another.
                return Ok(());
            }
        }
        let durable = core.synced.as_ref().map_or(0, SavePoint::offset);
        let acknowledged = self.acknowledged();
        let answered_at = acknowledged
            .as_ref()
            .map_or(self.opened_at, SavePoint::offset);
        let is_lost = unsynced && durable < answered_at;
        let point = if is_lost {
            core.synced.clone()
        } else {
            acknowledged
        };
        let to = match (&point, is_lost) {
            (Some(point), _) => point.offset(),
            (None, true) => 0,
            (None, false) => self.opened_at,
        };
        let synced = core.synced.filter(|synced| synced.offset() <= to);
        let marker = self.marker(context, point.clone(), synced.clone());
        drop_states_beyond(context, paths, to, &marker).await?;
        let back = Checkpoint {
            offset: to,
            state: point.as_ref().and_then(|point| point.driver.clone()),
        };
        match ingest.rewind(&back).await {
            Ok(()) if to == 0 => return ingest.abort().await.map_err(storage),
            Ok(()) => {}
            // Moved, on a driver that shows nothing beforehand.
            Err(error) if error.kind() == DriverErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(storage(error)),
        }
        let closed = ingest.close().await.map_err(storage)?;
        match point {
            Some(point) => {
                let driver = closed.state;
                let point = SavePoint { driver, ..point };
                self.save(context, paths, &point, synced).await
            }
            None => Ok(()),
        }
    }
}

/// Removes every saved state that covers more than `offset` bytes, before other bytes may follow.
/// What is left to be known is what `marker` tells.
pub(super) async fn drop_states_beyond(
    context: &IngestContext,
    paths: &IngestPaths,
    offset: u64,
    marker: &Marker,
) -> Result<()> {
    let storage = |error| Error::storage(paths.directory.to_string(), error);
    let driver = &context.driver;
    let says_nothing = marker.latest.is_none() && marker.synced.is_none();
    // A full disk has no room for it, and wants the bytes back that are cut off next.
    if says_nothing || context.write_marker(paths, marker).await.is_err() {
        let path = paths.marker();
        let removed = driver.delete_if_there(&path, Durability::Scratch);
        removed.await.map_err(storage)?;
    }
    for algorithm in Algorithm::ALL {
        let states = paths.hash_states().join(algorithm.as_str());
        let states = states.expect("the name of an algorithm is a component");
        for entry in driver.list_all(&states).await.map_err(storage)? {
            // Names that are no numbers are nobody's states.
            let Some(at) = entry.name.parse().ok().filter(|at: &u64| *at > offset) else {
                continue;
            };
            let state = paths.hash_state(algorithm, at);
            let removed = driver.delete_if_there(&state, Durability::Scratch);
            removed.await.map_err(storage)?;
        }
    }
    Ok(())
}

/// Removes an ingest with all that is known of it. Its start goes first: from then on there is no
/// such ingest, and nobody takes what is left of it for the whole.
pub(super) async fn remove(context: &IngestContext, paths: &IngestPaths) -> driver::Result<()> {
    let driver = &context.driver;
    driver
        .delete_if_there(&paths.started_at(), Durability::Scratch)
        .await?;
    driver
        .delete_if_there(&paths.directory, Durability::Scratch)
        .await?;
    Ok(())
}

/// Hashes what `hasher` does not cover yet.
pub(super) async fn read_back(
    context: &IngestContext,
    ingest: &mut dyn driver::Ingest,
    hasher: Hasher,
) -> driver::Result<Hasher> {
    let range = ReadRange::from(hasher.bytes_hashed());
    let bytes = ingest.read_back(range).await?.bytes;
    hash_on(hasher, bytes, &context.runtime.blocking).await
}

/// Saves checkpoints while data arrives.
#[derive(Debug)]
struct CheckpointSaver {
    context: Arc<IngestContext>,
    paths: IngestPaths,
    /// What the marker says beside the checkpoint.
    marker: Marker,
}

#[async_trait]
impl SavesPoints for CheckpointSaver {
    async fn save(&self, point: &SavePoint) {
        let marker = Marker {
            synced: Some(point.clone()),
            ..self.marker.clone()
        };
        let saved = async {
            self.context.write_marker(&self.paths, &marker).await?;
            // The upload itself is found by its start time only.
            self.context.driver.settle(&self.paths.started_at()).await
        };
        if let Err(error) = saved.await {
            tracing::warn!(directory = %self.paths.directory, %error, "could not save a checkpoint");
        }
    }
}
