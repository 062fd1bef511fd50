//! A connection whose other side has to do its part in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;

use super::alarm::Alarm;
use super::pace::Pace;

/// A connection that ends once
///
/// - nothing of an answer was taken for too long, or little in a long time,
/// - a head that has begun is not complete in time,
/// - no request begins in time: sooner on a new connection than on one that had a request.
///
/// The beginning of a head that came together with the request before is not seen; such a head has
/// the time of a connection that is kept.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    header_timeout: Duration,
    idle_timeout: Duration,
    pace: Pace,
    requests: Requests,
    /// What the turn of `requests` was when the next head began to be waited for.
    turn: usize,
    /// Something of that head has come.
    begun: bool,
    /// Set while a head is waited for.
    unasked: Alarm,
    /// Set while the other side takes nothing.
    unread: Alarm,
}

/// Tells a connection whether a request is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many times a request began or ended: an odd number while one is under way.
    turn: AtomicUsize,
    /// The connection. It has asked for something to read while the request was under way, and would
    /// not ask again.
    reader: AtomicWaker,
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Requests);

impl Requests {
    pub(super) fn begin(&self) -> UnderWay {
        self.0.turn.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }

    fn turn(&self) -> usize {
        self.0.turn.load(Ordering::Acquire)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(Requests(shared)) = self;
        shared.turn.fetch_add(1, Ordering::AcqRel);
        shared.reader.wake();
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, limits: &Limits, requests: Requests) -> Self {
        let mut unasked = Alarm::default();
        unasked.set(limits.header_timeout);
        Self {
            stream,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            pace: Pace::new(limits),
            turn: requests.turn(),
            requests,
            begun: false,
            unasked,
            unread: Alarm::default(),
        }
    }

    /// Holds a head that does not come against the clock.
    fn watch_read(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<()>>,
        read_bytes: usize,
    ) -> Poll<io::Result<()>> {
        let turn = self.requests.turn();
        if is_under_way(turn) || self.unread.is_set() {
            self.unasked.clear();
            self.requests.0.reader.register(cx.waker());
            return polled;
        }
        if turn != self.turn || !self.unasked.is_set() {
            self.turn = turn;
            self.begun = false;
            self.unasked.set(self.idle_timeout);
        }
        if read_bytes > 0 && !self.begun {
            self.begun = true;
            self.unasked.set(self.header_timeout);
        }
        if polled.is_ready() {
            return polled;
        }
        ready!(self.unasked.poll(cx));
        Poll::Ready(if self.begun {
            Err(timed_out("the head of a request does not come to its end"))
        } else {
            // As if the other side had closed: nobody is owed anything.
            Ok(())
        })
    }

    /// Holds a write that does not go on against the clock.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &polled {
            let bytes = written.as_ref().map_or(0, |bytes| *bytes as u64);
            let waited = self.unread.waited();
            if waited.is_some() && !is_under_way(self.requests.turn()) {
                // The last of an answer is on its way: the next request is waited for.
                cx.waker().wake_by_ref();
            }
            self.pace.took(bytes, waited.unwrap_or_default());
            self.unread.clear();
            return polled;
        }
        if !self.unread.is_set() {
            self.unread.set(self.pace.patience());
        }
        loop {
            ready!(self.unread.poll(cx));
            if self.pace.is_too_slow() {
                return Poll::Ready(Err(timed_out("the client does not read its answer")));
            }
            self.unread.set(self.pace.patience());
        }
    }
}

fn is_under_way(turn: usize) -> bool {
    !turn.is_multiple_of(2)
}

fn timed_out(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch_read(cx, polled, buffer.filled().len() - before)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket keeps nothing back: what was written is on its way.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
