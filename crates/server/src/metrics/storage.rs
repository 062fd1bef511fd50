//! What is shown of the storage: its driver, its journal, its cache and its disk.

use std::fmt;
use std::time::Duration;

use wharfinger_driver::{DURATION_BOUNDS, Filesystem, Method, MethodMetrics};

use super::Sources;
use super::exposition::Exposition;
use super::families as family;
use super::histogram::{Counts, as_f64};

/// Returns the name that Distribution's metrics have for a call, or our own where it has none.
fn action(method: Method) -> &'static str {
    match method {
        Method::Stat => "Stat",
        Method::Get => "GetContent",
        Method::Read => "Reader",
        Method::Put => "PutContent",
        Method::List => "List",
        Method::Delete => "Delete",
        Method::Begin => "Writer",
        Method::Redirect => "RedirectURL",
        Method::Resume => "Resume",
        Method::MarkVerified => "MarkVerified",
        Method::Settle => "Settle",
        Method::Append => "Append",
        Method::Checkpoint => "Checkpoint",
        Method::Rewind => "Rewind",
        Method::ReadBack => "ReadBack",
        Method::Commit => "Commit",
        Method::Close => "Close",
        Method::Abort => "Abort",
        // A method that is new there goes by its own name.
        other => other.name(),
    }
}

fn durations(metrics: &MethodMetrics) -> Counts {
    let bounds = DURATION_BOUNDS.iter().map(Duration::as_secs_f64);
    let buckets: Vec<_> = bounds
        .zip(metrics.durations)
        .chain([(f64::INFINITY, metrics.longer)])
        .collect();
    Counts {
        count: buckets.iter().map(|(_, count)| count).sum(),
        sum: metrics.duration.as_secs_f64(),
        buckets,
    }
}

impl Sources {
    pub(super) fn storage(&self, out: &mut Exposition<'_>) -> fmt::Result {
        self.driver(out)?;
        if let Some(cache) = &self.cache {
            let (hits, misses) = (cache.hits(), cache.misses());
            out.counter(&family::CACHE_REQUESTS, hits + misses)?;
            out.counter(&family::CACHE_HITS, hits)?;
            out.counter(&family::CACHE_MISSES, misses)?;
        }
        let journal = self.filesystem.as_ref();
        if let Some(counts) = journal.and_then(Filesystem::journal_stats) {
            out.gauge(&family::JOURNAL_SEGMENTS, Some(as_f64(counts.segments)))?;
            out.counter(&family::JOURNAL_BYTES, counts.written_bytes)?;
            out.counter(&family::JOURNAL_SYNCS, counts.syncs)?;
            let seconds = counts.sync_time.as_secs_f64();
            out.counter_f64(&family::JOURNAL_SYNC_SECONDS, seconds)?;
            let ended = f64::from(u8::from(counts.ended));
            out.gauge(&family::JOURNAL_ENDED, Some(ended))?;
        }
        if let Some(space) = self.disk.as_ref().and_then(|disk| disk.space().ok()) {
            out.gauge(&family::DISK_BYTES, Some(as_f64(space.total_bytes)))?;
            let available = as_f64(space.available_bytes);
            out.gauge(&family::DISK_AVAILABLE, Some(available))?;
        }
        Ok(())
    }

    fn driver(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let (driver, metrics) = &self.storage;
        let methods = metrics.snapshot();
        let labels = |method| [("driver", *driver), ("action", action(method))];
        out.histograms(
            &family::STORAGE_DURATIONS,
            methods
                .iter()
                .map(|counts| (labels(counts.method), durations(counts))),
        )?;
        let kinds: Vec<_> = methods
            .iter()
            .flat_map(|counts| {
                let failures = counts.failures.iter();
                failures.map(|(kind, count)| {
                    let kind = kind.to_string().replace(' ', "_");
                    (action(counts.method), kind, *count)
                })
            })
            .collect();
        let failures = kinds.iter().map(|(action, kind, count)| {
            let labels = [("driver", *driver), ("action", *action), ("kind", kind)];
            (labels, *count)
        });
        out.counters(&family::STORAGE_ERRORS, failures)?;
        let dropped = methods.iter().filter(|counts| counts.dropped > 0);
        out.counters(
            &family::STORAGE_DROPPED,
            dropped.map(|counts| (labels(counts.method), counts.dropped)),
        )?;
        let bytes_in = methods.iter().map(|counts| counts.bytes_in).sum();
        let bytes_out = methods.iter().map(|counts| counts.bytes_out).sum();
        let samples = [("in", bytes_in), ("out", bytes_out)];
        out.counters(
            &family::STORAGE_BYTES,
            samples
                .map(|(direction, bytes)| ([("driver", *driver), ("direction", direction)], bytes)),
        )
    }
}
