//! Counters of a driver's calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{ErrorKind, Method};

/// Counters of a driver's calls by method, to be shared by all that use the driver.
#[derive(Debug, Default)]
pub struct DriverMetrics {
    methods: [Counters; Method::ALL.len()],
}

/// What is counted of one method.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    dropped: AtomicU64,
    duration_ns: AtomicU64,
    /// How many calls took so long and not longer, and how many took longer than that.
    durations: [AtomicU64; DURATION_BOUNDS.len()],
    longer: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    failures: [AtomicU64; KINDS.len()],
}

/// How the calls of one method went, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodMetrics {
    /// Which method.
    pub method: Method,
    /// How many calls began.
    pub calls: u64,
    /// How many of them were dropped before they ended.
    pub dropped: u64,
    /// How many failed, by kind, without those that never did. A stream that fails counts too.
    pub failures: Vec<(ErrorKind, u64)>,
    /// How long they took in all. A stream counts only until it was open.
    pub duration: Duration,
    /// How many calls that have ended took no longer than each of [`DURATION_BOUNDS`], and longer than the one
    /// before it.
    pub durations: [u64; DURATION_BOUNDS.len()],
    /// How many took longer than any of them.
    pub longer: u64,
    /// How many bytes were given to calls that succeeded.
    pub bytes_in: u64,
    /// How many bytes were returned.
    pub bytes_out: u64,
}

/// The durations by which calls are told apart: Distribution's, and four below them, since most calls
/// are answered from memory.
pub const DURATION_BOUNDS: [Duration; 15] = [
    Duration::from_micros(50),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// All kinds, in the order of their declaration; [`kind_index`] is their place here.
const KINDS: [ErrorKind; 11] = [
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::Busy,
    ErrorKind::Full,
    ErrorKind::TooLarge,
    ErrorKind::Invalid,
    ErrorKind::Unsupported,
    ErrorKind::Refused,
    ErrorKind::Broken,
    ErrorKind::Unavailable,
    ErrorKind::Unsynced,
];

impl DriverMetrics {
    /// Makes counters that stand at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the counters of every method that was called. They are read one after the other,
    /// so calls that run meanwhile may be in some and not yet in others.
    #[must_use]
    pub fn snapshot(&self) -> Vec<MethodMetrics> {
        let all = Method::ALL.into_iter().map(|method| self.method(method));
        all.filter(|metrics| metrics.calls > 0).collect()
    }

    /// Returns the counters of one method.
    #[must_use]
    pub fn method(&self, method: Method) -> MethodMetrics {
        let counters = self.of(method);
        let failures = KINDS.into_iter().zip(counters.failures.iter().map(load));
        MethodMetrics {
            method,
            calls: load(&counters.calls),
            dropped: load(&counters.dropped),
            failures: failures.filter(|(_, count)| *count > 0).collect(),
            duration: Duration::from_nanos(load(&counters.duration_ns)),
            durations: std::array::from_fn(|index| load(&counters.durations[index])),
            longer: load(&counters.longer),
            bytes_in: load(&counters.bytes_in),
            bytes_out: load(&counters.bytes_out),
        }
    }

    fn of(&self, method: Method) -> &Counters {
        &self.methods[method as usize]
    }

    pub(super) fn call_began(&self, method: Method) {
        add(&self.of(method).calls, 1);
    }

    pub(super) fn call_took(&self, method: Method, duration: Duration) {
        let counters = self.of(method);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        add(&counters.duration_ns, nanoseconds);
        let index = DURATION_BOUNDS.partition_point(|bound| *bound < duration);
        add(counters.durations.get(index).unwrap_or(&counters.longer), 1);
    }

    pub(super) fn call_dropped(&self, method: Method) {
        add(&self.of(method).dropped, 1);
    }

    pub(super) fn failed(&self, method: Method, kind: ErrorKind) {
        add(&self.of(method).failures[kind_index(kind)], 1);
    }

    pub(super) fn took_in(&self, method: Method, bytes: u64) {
        add(&self.of(method).bytes_in, bytes);
    }

    pub(super) fn gave_out(&self, method: Method, bytes: u64) {
        add(&self.of(method).bytes_out, bytes);
    }
}

/// Written out, so that a new kind does not compile until it has a counter.
fn kind_index(kind: ErrorKind) -> usize {
    match kind {
        ErrorKind::NotFound => 0,
        ErrorKind::AlreadyExists => 1,
        ErrorKind::Busy => 2,
        ErrorKind::Full => 3,
        ErrorKind::TooLarge => 4,
        ErrorKind::Invalid => 5,
        ErrorKind::Unsupported => 6,
        ErrorKind::Refused => 7,
        ErrorKind::Broken => 8,
        ErrorKind::Unavailable => 9,
        ErrorKind::Unsynced => 10,
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_how_long_it_took() {
        let metrics = DriverMetrics::new();
        for millis in [0, 5, 6, 10_001] {
            metrics.call_took(Method::Get, Duration::from_millis(millis));
        }
        let counted = metrics.method(Method::Get);
        assert!(DURATION_BOUNDS.is_sorted());
        assert_eq!((counted.durations[0], counted.durations[4]), (1, 1));
        assert_eq!((counted.durations[5], counted.longer), (1, 1));
    }

    #[test]
    fn every_kind_and_method_has_its_own_counter() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind_index(kind), index);
        }
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, index, "{}", method.name());
        }
    }
}
