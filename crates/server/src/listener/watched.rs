//! A connection whose other side has to do its part in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;

use super::alarm::Alarm;
use super::pace::Pace;
use super::requests::Requests;

/// 5 s: how long a connection that takes no further request may go on without one. A client that is there
/// needs a round trip to say that it has understood.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that ends once
///
/// - nothing of an answer was taken for too long, or little in a long time,
/// - a head that has begun is not complete in time,
/// - no request begins in time: sooner on a new connection than on one that had a request.
///
/// The beginning of a head that came together with the request before is not seen; such a head has
/// the time of a connection that is kept. So has every head but the first with HTTP/2, where what comes
/// between requests is mostly no head.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    heads: Heads,
    header_timeout: Duration,
    idle_timeout: Duration,
    pace: Pace,
    write_idle_timeout: Duration,
    requests: Requests,
    /// How many of `requests` had begun when the next head began to be waited for.
    begun_before: usize,
    /// Something of that head has come.
    begun: bool,
    /// Set while a head is waited for.
    unasked: Alarm,
    /// The other side was told that no further request is waited for.
    farewell: bool,
    /// Set while the other side takes nothing.
    unread: Alarm,
    /// Set while the other side does not take the last that was written.
    unflushed: Alarm,
}

/// How the heads of requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    /// One after the other, and nothing else comes between requests: HTTP/1.
    Alone,
    /// Among other things: HTTP/2.
    Amid,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, heads: Heads, limits: &Limits, requests: Requests) -> Self {
        let mut unasked = Alarm::default();
        unasked.set(limits.header_timeout);
        Self {
            stream,
            heads,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            pace: Pace::new(limits),
            write_idle_timeout: limits.write_idle_timeout,
            begun_before: requests.begun(),
            requests,
            begun: false,
            unasked,
            farewell: false,
            unread: Alarm::default(),
            unflushed: Alarm::default(),
        }
    }

    /// Holds a head that does not come against the clock.
    fn watch_read(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<()>>,
        read_bytes: usize,
    ) -> Poll<io::Result<()>> {
        if self.requests.are_given_up() {
            return Poll::Ready(Err(refused("too many requests are given up")));
        }
        let are_under_way = self.requests.are_under_way(cx.waker());
        if are_under_way || self.unread.is_set() || self.unflushed.is_set() {
            self.unasked.clear();
            return polled;
        }
        let begun = self.requests.begun();
        if begun != self.begun_before || !self.unasked.is_set() {
            self.begun_before = begun;
            self.begun = false;
            self.farewell = false;
            self.unasked.set(self.idle_timeout);
        }
        if read_bytes > 0 && !self.begun && self.heads == Heads::Alone {
            self.begun = true;
            self.unasked.set(self.header_timeout);
        }
        if polled.is_ready() {
            return polled;
        }
        ready!(self.poll_unasked(cx));
        Poll::Ready(if self.begun {
            Err(timed_out("the head of a request does not come to its end"))
        } else {
            // As if the other side had closed: nobody is owed anything.
            Ok(())
        })
    }

    /// Completes once no request has begun for too long. With HTTP/2 the client is told before, so that
    /// it knows of each request whether it was seen.
    fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.heads == Heads::Amid && !self.farewell {
            if !self.requests.are_ending() {
                ready!(self.unasked.poll(cx));
                self.requests.tell_unasked();
            }
            self.farewell = true;
            self.unasked.set(FAREWELL);
        }
        self.unasked.poll(cx)
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
            if waited.is_some() && !self.requests.is_under_way() {
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

    /// Holds the last of what was written against the clock. A socket keeps nothing back, TLS does.
    fn watch_flush(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if polled.is_ready() {
            if self.unflushed.is_set() {
                cx.waker().wake_by_ref();
            }
            self.unflushed.clear();
            return polled;
        }
        if !self.unflushed.is_set() {
            self.unflushed.set(self.write_idle_timeout);
        }
        ready!(self.unflushed.poll(cx));
        Poll::Ready(Err(timed_out("the client does not read its answer")))
    }
}

fn timed_out(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

fn refused(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, message)
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
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_flush(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch_flush(cx, polled)
    }
}
