//! Whether a client takes its answer fast enough.

use std::time::Duration;

use crate::config::Limits;

/// Counts what is taken within a stretch of waiting.
///
/// Only time in which nothing could be written counts: what the storage takes is not the client's fault.
/// A stretch is as long as a client may take nothing at all, since a kernel tells of what was taken in
/// lumps as large as its buffers. A stretch that began well does not make up for the next: buffers take
/// a few megabytes at once of somebody who reads nothing.
#[derive(Debug)]
pub(super) struct Pace {
    stretch: Duration,
    /// What has to be taken in each stretch.
    least_bytes: u64,
    waited: Duration,
    taken_bytes: u64,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        let stretch = limits.write_idle_timeout;
        Self {
            stretch,
            // At least something, as long as there is a limit of time.
            least_bytes: limits
                .min_answer_rate
                .saturating_mul(stretch.as_secs())
                .max(1),
            waited: Duration::ZERO,
            taken_bytes: 0,
        }
    }

    /// Notes that bytes were taken, after a time of waiting.
    pub(super) fn took(&mut self, bytes: u64, waited: Duration) {
        self.taken_bytes = self.taken_bytes.saturating_add(bytes);
        self.waited += waited;
    }

    /// Returns how long may be waited until it is decided whether the client is too slow.
    pub(super) fn patience(&self) -> Duration {
        self.stretch.saturating_sub(self.waited)
    }

    /// Decides, once the patience is over; a client that is fast enough has another stretch.
    pub(super) fn is_too_slow(&mut self) -> bool {
        let too_slow = self.taken_bytes < self.least_bytes;
        (self.waited, self.taken_bytes) = (Duration::ZERO, 0);
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_client_has_to_take_something_in_every_stretch() {
        let mut pace = Pace::new(&Limits::default());
        assert_eq!(pace.patience(), secs(120));
        pace.took(4 << 20, secs(100));
        assert_eq!(pace.patience(), secs(20));
        assert!(!pace.is_too_slow());
        // What the buffers took at first does not help it now.
        pace.took(119, secs(119));
        assert_eq!(pace.patience(), secs(1));
        assert!(pace.is_too_slow());
    }

    #[test]
    fn one_that_takes_a_kibibyte_a_second_may_go_on() {
        let mut pace = Pace::new(&Limits::default());
        for _ in 0..10 {
            pace.took(60 * 1024, secs(60));
            pace.took(60 * 1024, secs(60));
            assert_eq!(pace.patience(), secs(0));
            assert!(!pace.is_too_slow());
        }
    }
}
