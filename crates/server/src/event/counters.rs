//! Counts of events, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Event, EventAction, EventSink, Target};

/// Counts events by what happened and to what kind of thing.
#[derive(Debug, Default)]
pub struct EventCounters {
    counts: [[AtomicU64; 3]; 4],
}

impl EventCounters {
    /// Starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how often `action` happened to a blob.
    #[must_use]
    pub fn blobs(&self, action: EventAction) -> u64 {
        self.counts[row(action)][0].load(Ordering::Relaxed)
    }

    /// Returns how often `action` happened to a manifest.
    #[must_use]
    pub fn manifests(&self, action: EventAction) -> u64 {
        self.counts[row(action)][1].load(Ordering::Relaxed)
    }

    /// Returns how often `action` happened to a tag by itself.
    #[must_use]
    pub fn tags(&self, action: EventAction) -> u64 {
        self.counts[row(action)][2].load(Ordering::Relaxed)
    }
}

impl EventSink for EventCounters {
    fn accept(&self, event: &Event<'_>) {
        let column = match event.target {
            Target::Blob { .. } => 0,
            Target::Manifest { .. } => 1,
            Target::Tag { .. } => 2,
        };
        self.counts[row(event.action)][column].fetch_add(1, Ordering::Relaxed);
    }
}

fn row(action: EventAction) -> usize {
    match action {
        EventAction::Push => 0,
        EventAction::Pull => 1,
        EventAction::Mount => 2,
        EventAction::Delete => 3,
    }
}
