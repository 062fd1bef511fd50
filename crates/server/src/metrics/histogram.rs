//! Counts of values by how large they are.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts values in buckets, by atomic additions alone.
///
/// The values are whole: microseconds or bytes. Whoever shows them turns them into other units.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    /// The most that a value of each bucket may be, in rising order.
    bounds: &'static [u64; N],
    buckets: [AtomicU64; N],
    /// What no bucket is large enough for.
    beyond: AtomicU64,
    sum: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counts {
    /// The bound of each bucket, the last infinite, and how many values it has, smaller buckets left out.
    pub(super) buckets: Vec<(f64, u64)>,
    /// The sum of all values.
    pub(super) sum: f64,
    /// How many there were.
    pub(super) count: u64,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; N],
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        let bucket = self.buckets.get(index).unwrap_or(&self.beyond);
        bucket.fetch_add(1, Ordering::Relaxed);
        if value > 0 {
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Returns what was counted, in a unit of which one has `per_unit`; `None` if nothing was.
    pub(super) fn counts(&self, per_unit: f64) -> Option<Counts> {
        let in_unit = |value: u64| as_f64(value) / per_unit;
        let bounds = self.bounds.iter().map(|bound| in_unit(*bound));
        let loaded = self.buckets.iter().chain([&self.beyond]);
        let buckets: Vec<_> = bounds
            .chain([f64::INFINITY])
            .zip(loaded.map(|bucket| bucket.load(Ordering::Relaxed)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (count > 0).then(|| Counts {
            buckets,
            sum: in_unit(self.sum.load(Ordering::Relaxed)),
            count,
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are read as such numbers"
)]
pub(super) fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_smallest_bucket_that_holds_it() {
        let histogram = Histogram::new(&[10, 100]);
        assert_eq!(histogram.counts(1.0), None);
        for value in [0, 10, 11, 100, 101] {
            histogram.observe(value);
        }
        let counts = histogram.counts(10.0).unwrap();
        assert_eq!(
            counts.buckets,
            [(1.0, 2), (10.0, 2), (f64::INFINITY, 1)],
            "bounds belong to their buckets"
        );
        assert!((counts.sum - 22.2).abs() < 1e-9);
        assert_eq!(counts.count, 5);
    }
}
