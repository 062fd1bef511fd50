//! What a journal has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Journal, lock};

/// What the journal of a [`Filesystem`](crate::Filesystem) has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Segments whose promises are not all synced in the tree yet.
    pub segments: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Writes, each with its sync.
    pub syncs: u64,
    /// How long these took in all.
    pub sync_time: Duration,
    /// A sync of the tree has failed, and nothing more is promised.
    pub ended: bool,
}

/// What only grows; one thread at a time adds to it.
#[derive(Debug, Default)]
pub(super) struct Work {
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_ns: AtomicU64,
}

impl Work {
    pub(super) fn wrote(&self, bytes: usize, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns.fetch_add(took, Ordering::Relaxed);
    }
}

impl Journal {
    /// Returns what was done so far.
    pub(in crate::filesystem) fn stats(&self) -> JournalStats {
        let work = &self.shared.work;
        let state = lock(&self.shared.state);
        let segments = state.full.len() + usize::from(state.segment.is_some());
        JournalStats {
            segments: segments as u64,
            written_bytes: work.bytes.load(Ordering::Relaxed),
            syncs: work.syncs.load(Ordering::Relaxed),
            sync_time: Duration::from_nanos(work.sync_ns.load(Ordering::Relaxed)),
            ended: state.suspect,
        }
    }
}
