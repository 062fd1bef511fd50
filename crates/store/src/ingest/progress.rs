//! What outlives a writer: the states that are saved when it ends, and the way back when it fails.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use wharfinger_driver::{
    self as driver, DriverExt as _, Durability, ErrorKind as DriverErrorKind, Put, ReadRange,
    Resume, Target,
};
use wharfinger_oci::{Algorithm, Hasher};

use crate::error::{Error, Result};
use crate::layout::IngestPaths;

use super::IngestContext;
use super::marker::{Marker, SavePoint};
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
    /// Whether part of the hasher's state was read from a file.
    pub(super) loaded: bool,
    /// Whether all bytes were once read back.
    pub(super) rehashed: bool,
}

impl Progress {
    /// The point at which the last request has ended that was answered.
    pub(super) fn acknowledged(&self) -> Option<SavePoint> {
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
                .await;
        }
        Ok(offset)
    }

    /// Saves our marker, and the state for a foreign node that goes on from here. Without them
    /// whoever goes on reads the bytes back, so a failure is only told in the log.
    async fn save(
        &self,
        context: &IngestContext,
        paths: &IngestPaths,
        latest: &SavePoint,
        synced: Option<SavePoint>,
    ) {
        let offset = latest.offset();
        let marker = Marker {
            host: context.runtime.host.machine().to_owned(),
            boot: context.runtime.host.boot().to_owned(),
            rehashed: self.rehashed,
            latest: Some(latest.clone()),
            synced,
        };
        let state = latest.hasher.state();
        let writes = [
            Put::replace(
                paths.marker(),
                marker.print(&context.secret, &paths.directory),
            ),
            Put::replace(
                paths.hash_state(latest.hasher.algorithm(), offset),
                Bytes::copy_from_slice(state.as_bytes()),
            ),
        ];
        if let Err(error) = context.driver.put(&writes, Durability::Scratch).await {
            tracing::warn!(upload = %self.subject, offset, %error, "could not save the state of an upload");
        }
        if offset != self.opened_at && self.opened_at > 0 {
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
    }

    /// Saves checkpoints of a staged ingest.
    pub(super) fn saver(&self, context: &Arc<IngestContext>) -> Option<Arc<dyn SavesPoints>> {
        let paths = self.paths.clone()?;
        let context = Arc::clone(context);
        Some(Arc::new(CheckpointSaver {
            context,
            paths,
            latest: self.acknowledged(),
            rehashed: self.rehashed,
        }))
    }

    /// Goes back to where the ingest stood when it was opened; after a failed sync, when `unsynced`,
    /// to the last point that is known to be durable.
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
        let (to, point) = if unsynced {
            let synced = core
                .synced
                .filter(|synced| synced.offset() <= self.opened_at);
            (synced.as_ref().map_or(0, SavePoint::offset), synced)
        } else {
            (self.opened_at, self.acknowledged())
        };
        // Dropped and not closed: closing would give a later state, and end the one to go back to.
        drop(ingest);
        drop_states_beyond(context, paths, to, None).await?;
        if let Some(point) = self
            .cut_data(context, paths, to, point)
            .await
            .map_err(storage)?
        {
            let synced = unsynced.then(|| point.clone());
            self.save(context, paths, &point, synced).await;
        }
        Ok(())
    }

    /// Cuts the data off at `to`, and returns the point that is to be saved for it.
    async fn cut_data(
        &self,
        context: &IngestContext,
        paths: &IngestPaths,
        to: u64,
        point: Option<SavePoint>,
    ) -> driver::Result<Option<SavePoint>> {
        if to == 0 {
            return empty(context, paths).await.map(|()| None);
        }
        let resume = Resume {
            at: Some(to),
            state: point.as_ref().and_then(|point| point.driver.clone()),
            found: None,
        };
        match context.driver.resume(&paths.data(), resume).await {
            Ok(mut ingest) => {
                let closed = ingest.close().await?;
                Ok(point.map(|point| SavePoint {
                    driver: closed.state,
                    ..point
                }))
            }
            // It was moved to its place already, and what is known of it leads there.
            Err(error) if error.kind() == DriverErrorKind::NotFound => Ok(point),
            Err(error) => Err(error),
        }
    }
}

/// Removes the data of an ingest, unless somebody else has it open.
async fn empty(context: &IngestContext, paths: &IngestPaths) -> driver::Result<()> {
    let driver = &context.driver;
    let opened = if driver.capabilities().staged_is_visible {
        let start = Resume {
            at: Some(0),
            ..Resume::default()
        };
        driver.resume(&paths.data(), start).await
    } else {
        driver.begin(&Target::Staged(paths.data())).await
    };
    match opened {
        Ok(mut ingest) => ingest.abort().await,
        Err(error) if error.kind() == DriverErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes every saved state that covers more than `offset` bytes; before other bytes may follow.
/// The marker goes altogether, unless `keep` is what it shall say.
pub(super) async fn drop_states_beyond(
    context: &IngestContext,
    paths: &IngestPaths,
    offset: u64,
    keep: Option<&SavePoint>,
) -> Result<()> {
    let storage = |error| Error::storage(paths.directory.to_string(), error);
    context
        .driver
        .delete_if_there(&paths.marker(), Durability::Scratch)
        .await
        .map_err(storage)?;
    for algorithm in Algorithm::ALL {
        let states = paths.hash_states().join(algorithm.as_str());
        let states = states.expect("the name of an algorithm is a component");
        for entry in context.driver.list_all(&states).await.map_err(storage)? {
            // Names that are no numbers are nobody's states.
            if entry.name.parse::<u64>().is_ok_and(|at| at > offset) {
                let state = paths.hash_state(algorithm, entry.name.parse().unwrap_or(u64::MAX));
                context
                    .driver
                    .delete_if_there(&state, Durability::Scratch)
                    .await
                    .map_err(storage)?;
            }
        }
    }
    if let Some(point) = keep.filter(|point| point.offset() > 0) {
        let marker = Marker {
            host: context.runtime.host.machine().to_owned(),
            boot: context.runtime.host.boot().to_owned(),
            rehashed: false,
            latest: Some(point.clone()),
            synced: None,
        };
        let write = marker.print(&context.secret, &paths.directory);
        context
            .driver
            .put_one(&paths.marker(), write, Durability::Scratch)
            .await
            .map_err(storage)?;
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
    ingest: &mut dyn driver::Ingest,
    mut hasher: Hasher,
) -> driver::Result<Hasher> {
    let mut stream = ingest
        .read_back(ReadRange::from(hasher.bytes_hashed()))
        .await?
        .bytes;
    while let Some(piece) = stream.next().await {
        hasher.update(&piece?);
        tokio::task::consume_budget().await;
    }
    Ok(hasher)
}

/// Saves checkpoints while data arrives.
#[derive(Debug)]
struct CheckpointSaver {
    context: Arc<IngestContext>,
    paths: IngestPaths,
    /// Where the last answered request has ended.
    latest: Option<SavePoint>,
    rehashed: bool,
}

#[async_trait]
impl SavesPoints for CheckpointSaver {
    async fn save(&self, point: &SavePoint) {
        let marker = Marker {
            host: self.context.runtime.host.machine().to_owned(),
            boot: self.context.runtime.host.boot().to_owned(),
            rehashed: self.rehashed,
            latest: self.latest.clone(),
            synced: Some(point.clone()),
        };
        let write = Put::replace(
            self.paths.marker(),
            marker.print(&self.context.secret, &self.paths.directory),
        );
        let saved = async {
            let driver = &self.context.driver;
            // Scratch that is made durable by itself: it goes with the ingest, which no journal
            // should know of.
            driver.put(&[write], Durability::Scratch).await?;
            driver.settle(&self.paths.marker()).await?;
            // The upload itself is found by its start time only.
            driver.settle(&self.paths.started_at()).await
        };
        if let Err(error) = saved.await {
            tracing::warn!(directory = %self.paths.directory, %error, "could not save a checkpoint");
        }
    }
}
