//! The streams of an HTTP/2 connection: a task each, and each has to be taken in time.
//!
//! A client that reads its connection may leave one answer alone by giving it no window. Nothing is
//! wrong with the connection then, so the answer is watched by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use wharfinger_runtime::Tasks;

use super::alarm::Alarm;
use super::requests::{Requests, UnderWay};

/// How far an answer was taken.
#[derive(Debug, Default)]
pub(super) struct Taking {
    /// How many times a piece was asked for or offered: an odd number while one waits to be taken.
    turn: AtomicUsize,
}

impl Taking {
    pub(super) fn asked(&self) {
        if is_waiting(self.turn()) {
            self.turn.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn offered(&self) {
        if !is_waiting(self.turn()) {
            self.turn.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn turn(&self) -> usize {
        self.turn.load(Ordering::Acquire)
    }
}

fn is_waiting(turn: usize) -> bool {
    !turn.is_multiple_of(2)
}

/// Runs the streams of one connection.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: Tasks,
    requests: Requests,
    write_idle_timeout: Duration,
    /// The answer of the request that was begun last: hyper begins a request and then runs its stream.
    begun: Arc<Mutex<Option<Arc<Taking>>>>,
}

impl Streams {
    pub(super) fn new(tasks: Tasks, requests: Requests, write_idle_timeout: Duration) -> Self {
        Self {
            tasks,
            requests,
            write_idle_timeout,
            begun: Arc::default(),
        }
    }

    /// Begins a request, whose stream is run next.
    pub(super) fn begin(&self) -> UnderWay {
        let taking = Arc::new(Taking::default());
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&taking));
        self.requests.begin_beside(taking)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let begun = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let stream = Stream {
            stream: Box::pin(stream),
            taking: begun.unwrap_or_default(),
            turn: 0,
            unread: Alarm::default(),
            write_idle_timeout: self.write_idle_timeout,
        };
        // It goes on without us, and ends with its connection at the latest.
        drop(self.tasks.spawn(stream));
    }
}

/// A stream that is reset once nothing of its answer was taken for too long.
struct Stream<F> {
    stream: Pin<Box<F>>,
    taking: Arc<Taking>,
    /// What the turn of `taking` was when `unread` was set.
    turn: usize,
    unread: Alarm,
    write_idle_timeout: Duration,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let turn = this.taking.turn();
        if !is_waiting(turn) {
            this.unread.clear();
            return Poll::Pending;
        }
        if turn != this.turn || !this.unread.is_set() {
            this.turn = turn;
            this.unread.set(this.write_idle_timeout);
        }
        ready!(this.unread.poll(cx));
        tracing::debug!("the client does not read its answer");
        Poll::Ready(())
    }
}
