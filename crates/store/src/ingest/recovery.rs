//! Where an ingest stands when it is opened, and how much of it is hashed.
//!
//! Three witnesses may be there: the data, our marker, and the state that Distribution saves at the
//! end of each of its requests. What is believed of them:
//!
//! - Our marker's `latest` in the boot of the machine that wrote it. After a power cut only
//!   `synced`: what came later may be there as zeros, so the data is cut back to it. On another
//!   machine that shares the storage, too, only `synced`; there the rest is read back.
//! - A foreign state only at exactly the data's size: Distribution saves one after a crash whose
//!   name tells less than it covers, and only its own rule of the exact size never meets it. And
//!   only one written since this machine booted, since it may have outlived what it covers.
//! - Whatever is not covered is read back and hashed: a short rest at once, a long one at the end.

use wharfinger_driver::{Checkpoint, DriverExt as _, Metadata};
use wharfinger_oci::{Algorithm, HashState, Hasher};
use wharfinger_runtime::Host;

use crate::error::{Error, Result};
use crate::layout::IngestPaths;

use super::IngestContext;
use super::marker::{Marker, Readings, SavePoint};

/// Where to go on.
#[derive(Debug)]
pub(super) struct Plan {
    /// The offset to open the data at; what lies beyond is cut off.
    pub(super) at: u64,
    /// What is known up to there; it may cover less.
    pub(super) hashed: SavePoint,
    /// Whether any of it was read from a file rather than computed by this process.
    pub(super) loaded: bool,
    /// Whether our marker says so.
    pub(super) marked: bool,
    /// The last point that outlives a power cut.
    pub(super) synced: Option<SavePoint>,
    /// The point at which the last request ended that was answered, if it is known.
    pub(super) acknowledged: Option<SavePoint>,
    /// What reading all of it back has come to.
    pub(super) readings: Readings,
    /// Whether what lies beyond `at`, data and states, has to go first.
    pub(super) cut: bool,
}

impl Plan {
    /// The plan of an ingest that holds nothing.
    pub(super) fn fresh() -> Self {
        Self {
            at: 0,
            hashed: nothing(Algorithm::Sha256),
            loaded: false,
            marked: false,
            synced: None,
            acknowledged: None,
            readings: Readings::default(),
            cut: false,
        }
    }

    /// Goes back to where the last answered request has ended, if that was at `offset`.
    pub(super) fn go_back_to(&mut self, offset: u64) {
        let acknowledged = self.acknowledged.as_ref().map_or(0, SavePoint::offset);
        if offset >= self.at || offset != acknowledged {
            return;
        }
        self.hashed = self
            .acknowledged
            .clone()
            .unwrap_or_else(|| nothing(self.hashed.hasher.algorithm()));
        self.synced.take_if(|synced| synced.offset() > offset);
        (self.at, self.cut) = (offset, true);
    }

    /// Goes back to what is hashed, so that nothing has to be read.
    pub(super) fn go_back_to_saved(&mut self) {
        let saved = self.hashed.offset();
        if saved < self.at {
            (self.at, self.cut) = (saved, true);
        }
    }

    /// What our marker has to say once it stands there.
    pub(super) fn marker(&self, host: &Host) -> Marker {
        Marker {
            latest: (self.hashed.offset() == self.at).then(|| self.hashed.clone()),
            synced: self.synced.clone(),
            readings: self.readings.clone(),
            ..Marker::of(host)
        }
    }

    /// Where the driver has to go on.
    pub(super) fn point(&self) -> Checkpoint {
        Checkpoint {
            offset: self.at,
            state: self.hashed.driver.clone(),
        }
    }
}

/// A point that covers nothing.
pub(super) fn nothing(algorithm: Algorithm) -> SavePoint {
    SavePoint {
        hasher: Hasher::new(algorithm),
        driver: None,
    }
}

/// Decides where to go on with an ingest whose data is as `data` says; that is `None` when there is
/// none, or the driver does not show it. Changes nothing.
pub(super) async fn plan(
    context: &IngestContext,
    paths: &IngestPaths,
    data: Option<&Metadata>,
) -> Result<Plan> {
    let marker = context.read_marker(paths).await?;
    let Some(data) = data else {
        return Ok(marker.map_or_else(Plan::fresh, |marker| without_data(context, marker)));
    };
    let size = data.size_bytes;
    let foreign = foreign_state(context, paths, size).await?;
    Ok(match marker {
        Some(marker) => with_marker(context, marker, data, foreign),
        None => Plan {
            at: size,
            loaded: true,
            acknowledged: foreign.clone(),
            hashed: foreign.unwrap_or_else(|| nothing(Algorithm::Sha256)),
            ..Plan::fresh()
        },
    })
}

fn from_latest(marker: Marker, size: Option<u64>) -> Plan {
    let hashed = marker.latest.clone().or_else(|| marker.synced.clone());
    let hashed = hashed.unwrap_or_else(|| nothing(Algorithm::Sha256));
    Plan {
        at: size.unwrap_or_else(|| hashed.offset()),
        hashed,
        loaded: true,
        marked: true,
        synced: marker.synced,
        acknowledged: marker.latest,
        readings: marker.readings,
        cut: false,
    }
}

/// There is no data to be seen: moved to its place by a finish that was cut short, unless it went
/// with the power; or the driver shows none, and then all that a marker tells of is durable.
fn without_data(context: &IngestContext, marker: Marker) -> Plan {
    if context.driver.capabilities().staged_is_visible && lost_power(context, &marker, None) {
        Plan::fresh()
    } else {
        from_latest(marker, None)
    }
}

fn with_marker(
    context: &IngestContext,
    mut marker: Marker,
    data: &Metadata,
    foreign: Option<SavePoint>,
) -> Plan {
    let size = data.size_bytes;
    let ours = marker
        .latest
        .as_ref()
        .is_some_and(|latest| latest.offset() == size);
    if ours && same_boot(context, &marker) {
        return from_latest(marker, Some(size));
    }
    if let Some(foreign) = foreign.filter(|_| !ours) {
        // A foreign node has written since, and saved what it knew.
        marker.synced.take_if(|synced| synced.offset() > size);
        return Plan {
            at: size,
            hashed: foreign.clone(),
            loaded: true,
            synced: marker.synced,
            acknowledged: Some(foreign),
            readings: marker.readings,
            ..Plan::fresh()
        };
    }
    if lost_power(context, &marker, Some(data)) {
        let synced = marker.synced.filter(|synced| synced.offset() <= size);
        let hashed = synced.clone().unwrap_or_else(|| nothing(Algorithm::Sha256));
        let at = hashed.offset();
        return Plan {
            at,
            hashed,
            loaded: true,
            synced,
            readings: marker.readings,
            cut: at < size,
            ..Plan::fresh()
        };
    }
    // What lies behind the save points is bytes that arrived; what is short of them was cut off by
    // somebody else. What another machine has not synced it may have lost: that is read back.
    let acknowledged = marker.latest.clone();
    let whole = same_boot(context, &marker);
    marker
        .latest
        .take_if(|latest| latest.offset() > size || !whole);
    marker.synced.take_if(|synced| synced.offset() > size);
    let furthest = match (&marker.latest, &marker.synced) {
        (Some(latest), Some(synced)) if synced.offset() > latest.offset() => Some(synced.clone()),
        _ => None,
    };
    let plan = from_latest(marker, Some(size));
    Plan {
        acknowledged,
        hashed: furthest.unwrap_or(plan.hashed),
        marked: false,
        ..plan
    }
}

/// Whether what the marker says of unsynced bytes still holds: nobody has lost power since.
fn same_boot(context: &IngestContext, marker: &Marker) -> bool {
    let host = &context.runtime.host;
    marker.boot == host.boot() && !host.boot().is_empty()
}

/// Whether the machine that wrote the marker is this one, and has lost what it had not synced.
/// Where machines have no names, as in most containers, it is this one unless somebody has written
/// since this one has booted.
fn lost_power(context: &IngestContext, marker: &Marker, data: Option<&Metadata>) -> bool {
    let host = &context.runtime.host;
    if same_boot(context, marker) {
        return false;
    }
    if marker.host.is_empty() || host.machine().is_empty() {
        return data.is_some_and(|data| !host.has_run_since(data.modified));
    }
    marker.host == host.machine()
}

/// The state that a foreign node has saved at exactly `size`.
async fn foreign_state(
    context: &IngestContext,
    paths: &IngestPaths,
    size: u64,
) -> Result<Option<SavePoint>> {
    if size == 0 {
        return Ok(Some(nothing(Algorithm::Sha256)));
    }
    let path = paths.hash_state(Algorithm::Sha256, size);
    let storage = |error| Error::storage(path.to_string(), error);
    let metadata = context.driver.find(&path).await.map_err(storage)?;
    if !metadata
        .is_some_and(|metadata: Metadata| context.runtime.host.has_run_since(metadata.modified))
    {
        return Ok(None);
    }
    let bytes = context.driver.find_small(&path).await.map_err(storage)?;
    let state = bytes.and_then(|bytes| HashState::from_bytes(&bytes).ok());
    let hasher = state.and_then(|state| Hasher::restore(&state).ok());
    Ok(hasher
        .filter(|hasher| hasher.bytes_hashed() == size && hasher.algorithm() == Algorithm::Sha256)
        .map(|hasher| SavePoint {
            hasher,
            driver: None,
        }))
}
