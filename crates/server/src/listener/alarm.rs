//! A timer that is set often and seldom rings.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A timer of a connection, on the machine's own time: one is set for every head and every write that
/// waits, and the runtime's clock, which tests may move, costs an allocation each time. Setting it and clearing it costs next to nothing: the timer below is
/// made only when somebody waits, and moved only when it would ring too late.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    /// When it was set.
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Rings after `delay`, whatever was set before.
    pub(super) fn set(&mut self, delay: Duration) {
        let now = Instant::now();
        self.since = Some(now);
        self.at = Some(now + delay);
    }

    /// Does not ring.
    pub(super) fn clear(&mut self) {
        self.at = None;
    }

    /// Tells whether it is going to ring.
    pub(super) fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Returns how long ago it was set, if it is going to ring.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.at?;
        self.since.map(|since| since.elapsed())
    }

    /// Completes once it rings, which one that is not set never does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() == at {
                return Poll::Ready(());
            }
            // It rang for what was set before.
            sleep.as_mut().reset(at);
        }
    }
}
