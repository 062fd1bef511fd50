//! What is counted of requests and connections.
//!
//! Every label has a few values that are known beforehand, so that counting is an atomic addition to a
//! place that is there already: no lock, no look-up by text, and nothing that a client could make grow.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use wharfinger_oci::{CodeTable, code};

use super::handler::{Handler, METHODS, STATUSES, method_index, status_index};
use super::histogram::{Counts, Histogram};

/// Distribution's buckets of seconds, in microseconds, and five below them: most answers take less
/// than its first.
const DURATION_BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 60_000_000,
];

/// Distribution's buckets of bytes: 1 KiB and all its doubles up to 2 GiB.
const SIZE_BOUNDS: [u64; 22] = {
    let mut bounds = [1024; 22];
    let mut index = 1;
    while index < bounds.len() {
        bounds[index] = bounds[index - 1] * 2;
        index += 1;
    }
    bounds
};

const MICROSECONDS: f64 = 1_000_000.0;

/// What is counted of requests and connections.
#[derive(Debug)]
pub struct HttpMetrics {
    handlers: [OfHandler; Handler::ALL.len()],
    /// The identifier of each code of errors, in order, and how many answers of each handler have it.
    failures: Vec<(&'static str, [AtomicU64; Handler::ALL.len()])>,
    connections: Connections,
    shed: [AtomicU64; Shed::ALL.len()],
}

#[derive(Debug)]
struct OfHandler {
    in_flight: AtomicI64,
    methods: [OfMethod; METHODS.len()],
    request_sizes: Histogram<22>,
    response_sizes: Histogram<22>,
}

#[derive(Debug)]
struct OfMethod {
    statuses: [AtomicU64; STATUSES.len()],
    durations: Histogram<18>,
}

#[derive(Debug, Default)]
struct Connections {
    opened: AtomicU64,
    closed: AtomicU64,
}

/// Why somebody was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// One address had too many connections.
    AddressConnections,
    /// Too many requests were under way.
    Requests,
    /// Too many uploads were being written.
    Uploads,
    /// The bodies in memory were too large together.
    BodyMemory,
}

impl Shed {
    pub(super) const ALL: [Self; 4] = [
        Self::AddressConnections,
        Self::Requests,
        Self::Uploads,
        Self::BodyMemory,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AddressConnections => "address_connections",
            Self::Requests => "requests",
            Self::Uploads => "uploads",
            Self::BodyMemory => "body_memory",
        }
    }
}

/// A request that has ended, in whatever way.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) handler: Handler,
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    /// The identifier of the first error of the answer.
    pub(crate) failure: Option<&'static str>,
    pub(crate) duration: Duration,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl HttpMetrics {
    /// Starts at zero; failures are counted by the codes of `codes`.
    #[must_use]
    pub fn new(codes: &CodeTable) -> Self {
        let mut ids: Vec<_> = codes.iter().map(|code| code.id).collect();
        ids.sort_unstable();
        // Several rows of the table may have one identifier.
        ids.dedup();
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            handlers: std::array::from_fn(|_| OfHandler::new()),
            failures: ids.into_iter().map(|id| (id, zeros())).collect(),
            connections: Connections::default(),
            shed: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Notes that a request is under way.
    pub(crate) fn began(&self, handler: Handler) {
        let in_flight = &self.of(handler).in_flight;
        in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a request that [`Self::began`] has ended.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        let of_handler = self.of(ended.handler);
        of_handler.in_flight.fetch_sub(1, Ordering::Relaxed);
        let of_method = &of_handler.methods[method_index(ended.method)];
        of_method.statuses[status_index(ended.status)].fetch_add(1, Ordering::Relaxed);
        let duration = u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX);
        of_method.durations.observe(duration);
        of_handler.request_sizes.observe(ended.received_bytes);
        of_handler.response_sizes.observe(ended.sent_bytes);
        if let Some(id) = ended.failure {
            self.failed(ended.handler, id);
        }
    }

    fn failed(&self, handler: Handler, id: &str) {
        let find = |id: &str| self.failures.binary_search_by_key(&id, |(known, _)| known);
        if let Ok(index) = find(id).or_else(|_| find(code::UNKNOWN.id)) {
            self.failures[index].1[handler as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a connection was opened.
    pub(crate) fn connection_opened(&self) {
        self.connections.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a connection that was opened is closed.
    pub(crate) fn connection_closed(&self) {
        self.connections.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that somebody was not served.
    pub(crate) fn shed(&self, why: Shed) {
        self.shed[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, handler: Handler) -> &OfHandler {
        &self.handlers[handler as usize]
    }

    /// Returns how many requests of each handler are under way.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = (Handler, i64)> {
        self.each().map(|(handler, counts)| {
            let in_flight = counts.in_flight.load(Ordering::Relaxed);
            (handler, in_flight)
        })
    }

    /// Returns how many requests have ended, by handler, method and status, without those of which
    /// there were none.
    pub(super) fn requests(&self) -> impl Iterator<Item = (Handler, &'static str, u16, u64)> {
        self.methods().flat_map(|(handler, method, counts)| {
            STATUSES
                .into_iter()
                .zip(counts.statuses.iter().map(load))
                .filter(|(_, count)| *count > 0)
                .map(move |(status, count)| (handler, method, status, count))
        })
    }

    /// Returns how long requests took, in seconds.
    pub(super) fn durations(&self) -> impl Iterator<Item = (Handler, &'static str, Counts)> {
        self.methods().filter_map(|(handler, method, counts)| {
            Some((handler, method, counts.durations.counts(MICROSECONDS)?))
        })
    }

    /// Returns how many bytes the bodies of requests had.
    pub(super) fn request_sizes(&self) -> impl Iterator<Item = (Handler, Counts)> {
        self.each()
            .filter_map(|(handler, counts)| Some((handler, counts.request_sizes.counts(1.0)?)))
    }

    /// Returns how many bytes the bodies of answers had.
    pub(super) fn response_sizes(&self) -> impl Iterator<Item = (Handler, Counts)> {
        self.each()
            .filter_map(|(handler, counts)| Some((handler, counts.response_sizes.counts(1.0)?)))
    }

    /// Returns how many answers were errors, by handler and code.
    pub(super) fn failures(&self) -> impl Iterator<Item = (Handler, &'static str, u64)> {
        self.failures.iter().flat_map(|(id, counts)| {
            Handler::ALL
                .into_iter()
                .zip(counts.iter().map(load))
                .filter(|(_, count)| *count > 0)
                .map(move |(handler, count)| (handler, *id, count))
        })
    }

    /// Returns how many connections were opened, and how many of them are open.
    pub(super) fn connections(&self) -> (u64, u64) {
        let closed = load(&self.connections.closed);
        let opened = load(&self.connections.opened);
        (opened, opened.saturating_sub(closed))
    }

    /// Returns how many were not served, by reason.
    pub(super) fn sheds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Shed::ALL
            .into_iter()
            .map(|why| (why.name(), load(&self.shed[why as usize])))
    }

    fn each(&self) -> impl Iterator<Item = (Handler, &OfHandler)> {
        Handler::ALL.into_iter().zip(&self.handlers)
    }

    fn methods(&self) -> impl Iterator<Item = (Handler, &'static str, &OfMethod)> {
        self.each().flat_map(|(handler, counts)| {
            METHODS
                .into_iter()
                .zip(&counts.methods)
                .map(move |(method, counts)| (handler, method, counts))
        })
    }
}

impl OfHandler {
    fn new() -> Self {
        Self {
            in_flight: AtomicI64::new(0),
            methods: std::array::from_fn(|_| OfMethod {
                statuses: std::array::from_fn(|_| AtomicU64::new(0)),
                durations: Histogram::new(&DURATION_BOUNDS_US),
            }),
            request_sizes: Histogram::new(&SIZE_BOUNDS),
            response_sizes: Histogram::new(&SIZE_BOUNDS),
        }
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(
        handler: Handler,
        status: StatusCode,
        failure: Option<&'static str>,
    ) -> Ended<'static> {
        Ended {
            handler,
            method: &Method::GET,
            status,
            failure,
            duration: Duration::from_micros(300),
            received_bytes: 0,
            sent_bytes: 4096,
        }
    }

    #[test]
    fn a_request_is_counted_under_its_handler_method_status_and_code() {
        let metrics = HttpMetrics::new(&crate::codes());
        for (handler, status, failure) in [
            (Handler::Blob, StatusCode::OK, None),
            (Handler::Blob, StatusCode::NOT_FOUND, Some("BLOB_UNKNOWN")),
            (Handler::Tags, StatusCode::IM_A_TEAPOT, Some("no such code")),
        ] {
            metrics.began(handler);
            metrics.ended(&ended(handler, status, failure));
        }
        metrics.began(Handler::Manifest);
        let requests: Vec<_> = metrics.requests().collect();
        assert_eq!(
            requests,
            [
                (Handler::Blob, "get", 200, 1),
                (Handler::Blob, "get", 404, 1),
                (Handler::Tags, "get", 0, 1),
            ]
        );
        let failures: Vec<_> = metrics.failures().collect();
        assert_eq!(
            failures,
            [
                (Handler::Blob, "BLOB_UNKNOWN", 1),
                (Handler::Tags, "UNKNOWN", 1),
            ]
        );
        let busy: Vec<_> = metrics
            .in_flight()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(busy, [(Handler::Manifest, 1)]);
        let (_, _, durations) = metrics.durations().next().unwrap();
        assert_eq!(durations.count, 2);
        assert_eq!(durations.buckets[2], (0.0005, 2));
        let (_, sizes) = metrics.response_sizes().next().unwrap();
        assert!((sizes.sum - 8192.0).abs() < f64::EPSILON);
    }

    #[test]
    fn each_reason_has_its_own_place() {
        for (index, why) in Shed::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index, "{}", why.name());
        }
    }
}
