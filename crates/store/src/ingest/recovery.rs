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

use wharfinger_driver::{DriverExt as _, Metadata};
use wharfinger_oci::{Algorithm, HashState, Hasher};

use crate::error::{Error, Result};
use crate::layout::IngestPaths;

use super::IngestContext;
use super::marker::{Marker, SavePoint};

/// Where to go on.
#[derive(Debug)]
pub(super) struct Plan {
    /// The offset to open the data at; what lies beyond is cut off.
    pub(super) at: u64,
    /// What is known up to there; it may cover less.
    pub(super) hashed: SavePoint,
    /// Whether any of it was read from a file rather than computed by this process.
    pub(super) loaded: bool,
    /// The last point that outlives a power cut.
    pub(super) synced: Option<SavePoint>,
    /// The offset at which the last request ended that was answered, if it is known.
    pub(super) acknowledged: Option<u64>,
    /// Whether all of it was once read back.
    pub(super) rehashed: bool,
    /// Whether what lies beyond `at`, data and states, has to go first.
    pub(super) cut: bool,
    /// How long the data is; `None` when there is none to be seen.
    pub(super) found: Option<u64>,
}

impl Plan {
    /// The plan of an ingest that holds nothing.
    pub(super) fn fresh() -> Self {
        Self {
            at: 0,
            hashed: nothing(Algorithm::Sha256),
            loaded: false,
            synced: None,
            acknowledged: None,
            rehashed: false,
            cut: false,
            found: None,
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

/// Looks at what is there and decides. Changes nothing.
pub(super) async fn plan(context: &IngestContext, paths: &IngestPaths) -> Result<Plan> {
    let marker = read_marker(context, paths).await?;
    if !context.driver.capabilities().staged_is_visible {
        // Only the marker tells what is there, and what it tells of is durable.
        return Ok(marker.map_or_else(Plan::fresh, |marker| from_latest(marker, None)));
    }
    let data = context.driver.find(&paths.data()).await;
    let data = data.map_err(|error| Error::storage(paths.directory.to_string(), error))?;
    let Some(size) = data.map(|metadata| metadata.size_bytes) else {
        return Ok(marker.map_or_else(Plan::fresh, |marker| without_data(context, marker)));
    };
    let foreign = foreign_state(context, paths, size).await?;
    let plan = match marker {
        Some(marker) => with_marker(context, marker, size, foreign),
        None => Plan {
            at: size,
            acknowledged: foreign.is_some().then_some(size),
            loaded: true,
            hashed: foreign.unwrap_or_else(|| nothing(Algorithm::Sha256)),
            ..Plan::fresh()
        },
    };
    Ok(Plan {
        found: Some(size),
        ..plan
    })
}

fn from_latest(marker: Marker, size: Option<u64>) -> Plan {
    let acknowledged = marker.latest.as_ref().map(SavePoint::offset);
    let hashed = marker.latest.or_else(|| marker.synced.clone());
    let hashed = hashed.unwrap_or_else(|| nothing(Algorithm::Sha256));
    Plan {
        at: size.unwrap_or_else(|| hashed.offset()),
        hashed,
        loaded: true,
        synced: marker.synced,
        acknowledged,
        rehashed: marker.rehashed,
        cut: false,
        found: None,
    }
}

/// The data is gone: moved to its place by a finish that was cut short, unless the machine was.
fn without_data(context: &IngestContext, marker: Marker) -> Plan {
    if lost_power(context, &marker) {
        Plan::fresh()
    } else {
        from_latest(marker, None)
    }
}

fn with_marker(
    context: &IngestContext,
    mut marker: Marker,
    size: u64,
    foreign: Option<SavePoint>,
) -> Plan {
    if let Some(latest) = &marker.latest
        && latest.offset() == size
        && same_boot(context, &marker)
    {
        return from_latest(marker, Some(size));
    }
    let ours = marker
        .latest
        .as_ref()
        .is_some_and(|latest| latest.offset() == size);
    if let Some(foreign) = foreign.filter(|_| !ours) {
        // A foreign node has written since, and saved what it knew.
        marker.synced.take_if(|synced| synced.offset() > size);
        return Plan {
            at: size,
            hashed: foreign,
            loaded: true,
            synced: marker.synced,
            acknowledged: Some(size),
            rehashed: false,
            cut: false,
            found: None,
        };
    }
    if lost_power(context, &marker) {
        let synced = marker.synced.filter(|synced| synced.offset() <= size);
        let hashed = synced.clone().unwrap_or_else(|| nothing(Algorithm::Sha256));
        let at = hashed.offset();
        return Plan {
            at,
            hashed,
            loaded: true,
            synced,
            cut: at < size,
            ..Plan::fresh()
        };
    }
    // What lies behind the save points is bytes that arrived; what is short of them was cut off by
    // somebody else. What another machine has not synced it may have lost: that is read back.
    let acknowledged = marker.latest.as_ref().map(SavePoint::offset);
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
        ..plan
    }
}

/// Whether what the marker says of unsynced bytes still holds: nobody has lost power since.
fn same_boot(context: &IngestContext, marker: &Marker) -> bool {
    let host = &context.runtime.host;
    marker.boot == host.boot() && !host.boot().is_empty()
}

/// Whether the machine that wrote the marker is this one, and has lost what it had not synced.
fn lost_power(context: &IngestContext, marker: &Marker) -> bool {
    let host = &context.runtime.host;
    !same_boot(context, marker) && marker.host == host.machine() && !host.machine().is_empty()
}

async fn read_marker(context: &IngestContext, paths: &IngestPaths) -> Result<Option<Marker>> {
    let path = paths.marker();
    let bytes = context.driver.find_small(&path).await;
    let bytes = bytes.map_err(|error| Error::storage(path.to_string(), error))?;
    Ok(bytes.and_then(|bytes| Marker::parse(&context.secret, &paths.directory, &bytes)))
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
