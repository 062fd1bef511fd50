//! Time, as a trait: the wall clock for what is written down, a monotonic one for what is waited for.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// A source of time.
///
/// # Contract
/// `monotonic` never goes back; `now` may, when somebody sets the machine's clock.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the wall-clock time, for what is written down.
    fn now(&self) -> SystemTime;

    /// Returns the time since an arbitrary fixed moment, for measuring how long something took.
    fn monotonic(&self) -> Duration;

    /// Completes after `duration`. Dropping the future cancels it.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Makes a clock whose monotonic time starts now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    origin: SystemTime,
    elapsed: watch::Sender<Duration>,
    /// How far the wall clock was set apart from the monotonic one, for tests of skew.
    skew: Mutex<Skew>,
}

#[derive(Debug, Clone, Copy)]
enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

impl ManualClock {
    /// Makes a clock whose wall time is `origin`.
    #[must_use]
    pub fn new(origin: SystemTime) -> Self {
        let (elapsed, _) = watch::channel(Duration::ZERO);
        Self {
            origin,
            elapsed,
            skew: Mutex::new(Skew::Ahead(Duration::ZERO)),
        }
    }

    /// Moves both clocks forward and wakes what slept until then.
    pub fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Sets the wall clock back by `by` and leaves the monotonic one alone.
    pub fn set_back(&self, by: Duration) {
        *self
            .skew
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Skew::Behind(by);
    }

    /// Sets the wall clock forward by `by` and leaves the monotonic one alone.
    pub fn set_forward(&self, by: Duration) {
        *self
            .skew
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Skew::Ahead(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        let now = self.origin + *self.elapsed.borrow();
        match *self
            .skew
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            Skew::Ahead(by) => now + by,
            Skew::Behind(by) => now - by,
        }
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow() + duration;
        Box::pin(async move {
            // The sender lives as long as the clock; when it is gone nobody moves time any more,
            // and a sleeper that can never wake would hang its test.
            let _closed = elapsed.wait_for(|elapsed| *elapsed >= until).await.is_err();
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
        let mut sleep = clock.sleep(Duration::from_secs(10));
        clock.advance(Duration::from_secs(9));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        sleep.await;
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_monotonic_one_alone() {
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        clock.advance(Duration::from_secs(5));
        clock.set_back(Duration::from_secs(50));
        assert_eq!(
            clock.now(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(55)
        );
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
