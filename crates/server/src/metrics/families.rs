//! Every family of metrics, in the order in which they are written.
//!
//! This table is what is written at a scrape and what `docs/operation.md` lists; a test holds the two
//! against each other. What Distribution has too carries the name and labels that it has there.

/// A family of metrics: all samples of one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// The name, as it is queried.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The names of the labels.
    pub(super) labels: &'static [&'static str],
    /// What is counted.
    pub(super) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) static $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them.
        #[cfg(test)]
        pub(super) static ALL: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    REQUESTS: Counter "registry_http_requests_total" ["handler", "method", "code"]
        "Requests that have ended, by what they asked for, their method and the status of the answer; 499 if the client did not wait for one.";
    DURATIONS: Histogram "registry_http_request_duration_seconds" ["handler", "method"]
        "How long requests took, from the head to the last byte of the answer.";
    REQUEST_SIZES: Histogram "registry_http_request_size_bytes" ["handler"]
        "Bytes of the bodies of requests.";
    RESPONSE_SIZES: Histogram "registry_http_response_size_bytes" ["handler"]
        "Bytes of the bodies of answers.";
    IN_FLIGHT: Gauge "registry_http_in_flight_requests" ["handler"]
        "Requests under way.";
    FAILURES: Counter "wharfinger_http_failures_total" ["handler", "code"]
        "Answers that are errors, by the code of the first error.";
    AUTH_FAILURES: Counter "wharfinger_auth_failures_total" ["reason"]
        "Requests that were refused for lack of credentials (unauthorized) or of a right (denied).";
    SHED: Counter "wharfinger_shed_total" ["reason"]
        "Connections and requests that were turned away because a limit was reached.";
    CONNECTIONS_OPENED: Counter "wharfinger_connections_opened_total" []
        "Connections that were accepted.";
    CONNECTIONS_OPEN: Gauge "wharfinger_connections_open" []
        "Connections that are open.";
    EVENTS: Counter "wharfinger_events_total" ["action", "target"]
        "What happened to content: pushes, pulls, mounts and deletes of blobs, manifests and tags.";
    STORAGE_DURATIONS: Histogram "registry_storage_action_seconds" ["driver", "action"]
        "How long calls of the storage took; a read counts until its stream is open.";
    STORAGE_ERRORS: Counter "wharfinger_storage_errors_total" ["driver", "action", "kind"]
        "Calls of the storage that failed. Some failures are answers: what is not there is not found.";
    STORAGE_DROPPED: Counter "wharfinger_storage_dropped_total" ["driver", "action"]
        "Calls of the storage that were given up before they ended.";
    STORAGE_BYTES: Counter "wharfinger_storage_bytes_total" ["driver", "direction"]
        "Bytes that the storage took in or gave out.";
    CACHE_REQUESTS: Counter "registry_storage_cache_requests_total" []
        "Questions to the descriptor cache. Only where the cache is in use: a filesystem is faster than any cache, and has none.";
    CACHE_HITS: Counter "registry_storage_cache_hits_total" []
        "Questions that the descriptor cache could answer.";
    CACHE_MISSES: Counter "wharfinger_storage_cache_misses_total" []
        "Questions that the descriptor cache could not answer.";
    JOURNAL_SEGMENTS: Gauge "wharfinger_journal_segments" []
        "Segments of the journal that are not settled yet; rising for long means that the disk cannot sync.";
    JOURNAL_BYTES: Counter "wharfinger_journal_bytes_total" []
        "Bytes that were written to the journal.";
    JOURNAL_SYNCS: Counter "wharfinger_journal_syncs_total" []
        "Syncs of the journal.";
    JOURNAL_SYNC_SECONDS: Counter "wharfinger_journal_sync_seconds_total" []
        "How long these syncs took in all.";
    JOURNAL_ENDED: Gauge "wharfinger_journal_ended" []
        "1 once a sync has failed and the journal takes nothing more: each write is then synced by itself. Look at the disk.";
    DISK_BYTES: Gauge "wharfinger_disk_bytes" []
        "Size of the file system that holds the storage.";
    DISK_AVAILABLE: Gauge "wharfinger_disk_available_bytes" []
        "Bytes that are free there for this process.";
    UPLOADS_OPEN: Gauge "wharfinger_uploads_open" []
        "Uploads in the storage that were neither finished nor cancelled, whoever started them, at the last look; at most as many as one look counts.";
    UPLOADS_OLDEST: Gauge "wharfinger_uploads_oldest_age_seconds" []
        "Age of the oldest of them since its start; 0 if there is none.";
    UPLOADS_LOOKED: Gauge "wharfinger_uploads_looked_at_timestamp_seconds" []
        "When the last look at the uploads ended.";
    HEALTHY: Gauge "wharfinger_healthy" []
        "1 unless a health check fails, and every request is answered with 503.";
    BUILD: Gauge "wharfinger_build_info" ["version"]
        "Always 1; the label tells the version.";
    START: Gauge "process_start_time_seconds" []
        "When the process started.";
    CPU: Counter "process_cpu_seconds_total" []
        "Processor time of the process.";
    RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in use.";
    VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Memory of the process that is mapped.";
    OPEN_FDS: Gauge "process_open_fds" []
        "Open files and connections.";
    MAX_FDS: Gauge "process_max_fds" []
        "How many of them the system allows.";
    THREADS: Gauge "process_threads" []
        "Threads of the process.";
}
