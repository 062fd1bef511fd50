//! How much of a connection is read at once.
//!
//! hyper makes the room for what it reads as large as what it got before, up to one limit for heads and
//! bodies alike. So what it gets decides how much memory it takes: a head has as much as heads may have,
//! a body as much as a thousand of them can have at once, and a few large bodies several times that.
//! They take a third fewer calls and acknowledgements, and with them a tenth of the time of a push.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

use crate::quotas::{Place, Places};

use super::requests::Requests;

/// 128 KiB at once of a large body. It is as much as is read at once of an answer: hyper has one limit
/// for both directions.
pub(super) const WIDE_BYTES: usize = 128 * 1024;

/// 256 KiB: from here on a body is a large one.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// A connection of HTTP/1 that is read in portions.
#[derive(Debug)]
pub(super) struct Portions<S> {
    stream: Take<S>,
    requests: Requests,
    /// What is read at once, and all that a head may have.
    narrow_bytes: usize,
    wide: Places,
    /// How many of `requests` had begun when this part of the connection began: a head, or what follows it.
    part: (usize, bool),
    /// How much of it has come.
    come_bytes: usize,
    /// The right to wide portions, until the request ends.
    place: Option<Place>,
}

impl<S: AsyncRead> Portions<S> {
    pub(super) fn new(stream: S, requests: Requests, narrow_bytes: usize, wide: Places) -> Self {
        Self {
            stream: stream.take(0),
            part: (requests.begun(), false),
            requests,
            narrow_bytes,
            wide,
            come_bytes: 0,
            place: None,
        }
    }

    /// How much may be read now; `None` when a head is as long as one may be and has not ended.
    fn portion(&mut self) -> Option<usize> {
        let part = (self.requests.begun(), self.requests.is_under_way());
        if part != self.part {
            (self.part, self.come_bytes) = (part, 0);
            self.place = None;
        }
        let (_, is_under_way) = part;
        if !is_under_way {
            let left = self.narrow_bytes.saturating_sub(self.come_bytes);
            return (left > 0).then_some(left);
        }
        if self.place.is_none() && self.come_bytes >= LARGE_BODY_BYTES {
            self.place = self.wide.take();
        }
        Some(match self.place {
            Some(_) => WIDE_BYTES,
            // hyper doubles the room that was filled.
            None => self.narrow_bytes - 1,
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Portions<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(portion) = self.portion() else {
            // The answer to such a head is hyper's, once its room is full.
            let room = buffer.remaining();
            buffer.initialize_unfilled().fill(b'.');
            buffer.advance(room);
            return Poll::Ready(Ok(()));
        };
        self.stream.set_limit(portion as u64);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.come_bytes += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Portions<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream.get_mut()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: usize = 32 * 1024;

    async fn reads(portions: &mut Portions<tokio::io::Repeat>, most: usize) -> usize {
        let mut room = vec![0; most];
        portions.read(&mut room).await.unwrap()
    }

    #[tokio::test]
    async fn a_head_has_its_room_and_then_only_what_makes_it_too_long() {
        let requests = Requests::default();
        let endless = tokio::io::repeat(b'x');
        let mut portions = Portions::new(endless, requests.clone(), NARROW, Places::new(1));
        assert_eq!(reads(&mut portions, NARROW - 1).await, NARROW - 1);
        assert_eq!(reads(&mut portions, NARROW).await, 1);
        let mut room = [0; 100];
        portions.read_exact(&mut room).await.unwrap();
        assert_eq!(room, [b'.'; 100]);
        // The next one begins anew.
        drop(requests.begin());
        assert_eq!(reads(&mut portions, 2 * NARROW).await, NARROW);
    }

    #[tokio::test]
    async fn as_many_large_bodies_as_there_are_places_have_wide_portions() {
        let wide = Places::new(1);
        let begin = || {
            let requests = Requests::default();
            let endless = tokio::io::repeat(b'x');
            let portions = Portions::new(endless, requests.clone(), NARROW, wide.clone());
            (portions, requests.begin())
        };
        let ((mut first, under_way), (mut second, _other)) = (begin(), begin());
        for _ in 0..LARGE_BODY_BYTES.div_ceil(NARROW - 1) {
            assert_eq!(reads(&mut first, WIDE_BYTES).await, NARROW - 1);
            assert_eq!(reads(&mut second, WIDE_BYTES).await, NARROW - 1);
        }
        assert_eq!(reads(&mut first, 2 * WIDE_BYTES).await, WIDE_BYTES);
        assert_eq!(reads(&mut second, WIDE_BYTES).await, NARROW - 1);
        drop(under_way);
        assert_eq!(reads(&mut first, WIDE_BYTES).await, NARROW);
        assert_eq!(reads(&mut second, WIDE_BYTES).await, WIDE_BYTES);
    }
}
