//! What a connection knows of its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::streams::Taking;

/// 1,000: a client that gives up so many more requests than it waits for is not interested in answers. Each
/// costs it a few bytes and us the beginning of an answer (CVE-2023-44487).
const MAX_GIVEN_UP: isize = 1000;

/// The requests of a connection: one after the other, or many at once with HTTP/2.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many have ever begun.
    begun: AtomicUsize,
    under_way: AtomicUsize,
    /// How many more were given up than were answered.
    given_up: AtomicIsize,
    /// The connection. It has asked for something to read while a request was under way, and would
    /// not ask again.
    reader: AtomicWaker,
    /// No further request is wanted.
    ending: AtomicBool,
    /// Told when no request has begun for too long, or none is wanted.
    unasked: Notify,
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    requests: Requests,
    answered: bool,
    /// Set where many requests share the connection.
    taking: Option<Arc<Taking>>,
}

impl Requests {
    /// Begins the only request at this time.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay {
            requests: self.clone(),
            answered: false,
            taking: None,
        }
    }

    /// Begins one of several requests, whose answer is watched by itself.
    pub(super) fn begin_beside(&self, taking: Arc<Taking>) -> UnderWay {
        let mut request = self.begin();
        request.taking = Some(taking);
        request
    }

    /// Returns a number that changes with each request that begins.
    pub(super) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Tells whether a request is under way. If so `waker` is woken when the last one has ended.
    pub(super) fn are_under_way(&self, waker: &Waker) -> bool {
        if self.0.under_way.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.0.reader.register(waker);
        // It may have ended before somebody waited for that.
        self.0.under_way.load(Ordering::Acquire) > 0
    }

    /// Tells whether a request is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.under_way.load(Ordering::Acquire) > 0
    }

    /// Tells whether the client has given up more requests than anybody would.
    pub(super) fn are_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed) > MAX_GIVEN_UP
    }

    /// Says that no further request is wanted; the connection has to end soon after the last one.
    pub(super) fn end(&self) {
        self.0.ending.store(true, Ordering::Release);
        self.0.reader.wake();
    }

    /// Tells whether [`Requests::end`] was called.
    pub(super) fn are_ending(&self) -> bool {
        self.0.ending.load(Ordering::Acquire)
    }

    /// Says that no request has begun for too long, or that none is wanted.
    pub(super) fn tell_unasked(&self) {
        self.0.unasked.notify_one();
    }

    /// Completes when no request has begun for too long, or none is wanted, and somebody has to say so to
    /// the client.
    pub(super) async fn unasked(&self) {
        self.0.unasked.notified().await;
    }
}

impl UnderWay {
    /// Notes that there is an answer.
    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }

    /// Notes that the next piece of the answer was asked for.
    pub(crate) fn asked(&self) {
        if let Some(taking) = &self.taking {
            taking.asked();
        }
    }

    /// Notes that a piece of the answer waits to be taken.
    pub(crate) fn offered(&self) {
        if let Some(taking) = &self.taking {
            taking.offered();
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Requests(shared) = &self.requests;
        if !self.answered {
            shared.given_up.fetch_add(1, Ordering::Relaxed);
        } else if shared.given_up.load(Ordering::Relaxed) > 0 {
            shared.given_up.fetch_sub(1, Ordering::Relaxed);
        }
        shared.under_way.fetch_sub(1, Ordering::AcqRel);
        shared.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_given_up_count_against_those_that_are_answered() {
        let requests = Requests::default();
        for _ in 0..=MAX_GIVEN_UP {
            drop(requests.begin());
        }
        assert!(requests.are_given_up());
        requests.begin().answered();
        assert!(!requests.are_given_up());
        assert!(!requests.is_under_way());
    }

    #[test]
    fn many_are_under_way_until_the_last_has_ended() {
        let requests = Requests::default();
        let (first, second) = (requests.begin(), requests.begin());
        assert_eq!(requests.begun(), 2);
        drop(first);
        assert!(requests.are_under_way(Waker::noop()));
        drop(second);
        assert!(!requests.are_under_way(Waker::noop()));
    }
}
