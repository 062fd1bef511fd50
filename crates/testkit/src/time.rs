//! Real time, for tests of real processes. Everything else takes the clock of `runtime`.

use std::time::{Duration, Instant};

/// How often a condition is looked at: short, so that measured times mean something.
const POLL: Duration = Duration::from_millis(1);

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// Starts at once.
    #[expect(
        clippy::disallowed_methods,
        reason = "other processes live by the real clock"
    )]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Asks `condition` again and again until it holds or `timeout` is over; returns whether it held.
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let watch = Stopwatch::start();
    loop {
        if condition() {
            return true;
        }
        if watch.elapsed() >= timeout {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Panics unless the condition holds within ten seconds, or within the time given first.
///
/// ```
/// use std::time::Duration;
/// use wharfinger_testkit::eventually;
///
/// let mut asked = 0;
/// eventually!({ asked += 1; asked == 3 });
/// eventually!(Duration::from_millis(50), asked == 3);
/// ```
#[macro_export]
macro_rules! eventually {
    ($timeout:expr, $condition:expr $(,)?) => {{
        let timeout: ::std::time::Duration = $timeout;
        if !$crate::wait_until(timeout, || $condition) {
            panic!("not within {timeout:?}: {}", stringify!($condition));
        }
    }};
    ($condition:expr $(,)?) => {
        $crate::eventually!(::std::time::Duration::from_secs(10), $condition)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_ends_at_the_timeout() {
        let watch = Stopwatch::start();
        assert!(!wait_until(Duration::from_millis(20), || false));
        assert!(watch.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    #[should_panic(expected = "not within 5ms: 1 > 2")]
    fn eventually_says_what_did_not_happen() {
        eventually!(Duration::from_millis(5), 1 > 2);
    }
}
