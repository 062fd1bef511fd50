//! The bytes of a connection, moved in large pieces.
//!
//! HTTP/2 takes and gives them by the frame or less, 8 to 16 KiB at a time with the clients that there
//! are, and a system call for each is more than half of what a call of the service costs. So a read
//! takes all that has arrived, and what is written is held back until the connection has done all
//! that it can do for now: it is sent by [`drive`], after each time that the connection was polled.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// 128 KiB: more than half of what a Unix socket holds, so that one side reads while the other writes.
const MOST_HELD_BYTES: usize = 128 * 1024;

/// Why a connection has ended.
pub(super) type Failed = Box<dyn Error + Send + Sync>;

/// A socket as the connection sees it.
#[derive(Debug)]
pub(super) struct Buffered {
    shared: Arc<Mutex<Shared>>,
    /// What has arrived; what lies in `untaken` was not taken yet.
    received: Box<[u8]>,
    untaken: Range<usize>,
}

/// The same socket as seen by whoever drives the connection.
#[derive(Debug)]
pub(super) struct Sender(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    stream: UnixStream,
    /// What is to be sent.
    held: BytesMut,
}

/// Splits a socket.
pub(super) fn buffered(stream: UnixStream) -> (Buffered, Sender) {
    let held = BytesMut::new();
    let shared = Arc::new(Mutex::new(Shared { stream, held }));
    let sender = Sender(Arc::clone(&shared));
    let buffered = Buffered {
        shared,
        received: vec![0; MOST_HELD_BYTES].into(),
        untaken: 0..0,
    };
    (buffered, sender)
}

/// Polls a connection to its end, and sends what it writes.
///
/// # Errors
/// Fails as the connection does, and as the socket does.
pub(super) async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    sender: &Sender,
) -> Result<(), Failed> {
    let mut connection = pin!(connection);
    let ended = poll_fn(|cx| -> Poll<Result<(), Failed>> {
        let ended = connection.as_mut().poll(cx);
        // While the socket is full the connection goes on, until it holds too much.
        if let Poll::Ready(Err(error)) = sender.poll_send(cx) {
            return Poll::Ready(Err(error.into()));
        }
        ended.map_err(Into::into)
    });
    ended.await?;
    poll_fn(|cx| sender.poll_send(cx)).await?;
    Ok(())
}

impl Sender {
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Sends all that is held.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(sent);
        }
        // Nothing keeps the memory of a burst.
        if self.held.capacity() > 2 * MOST_HELD_BYTES {
            self.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.untaken.is_empty() {
            let mut shared = lock(&this.shared);
            if into.remaining() >= MOST_HELD_BYTES {
                return Pin::new(&mut shared.stream).poll_read(cx, into);
            }
            let mut all = ReadBuf::new(&mut this.received);
            ready!(Pin::new(&mut shared.stream).poll_read(cx, &mut all))?;
            this.untaken = 0..all.filled().len();
        }
        let length = this.untaken.len().min(into.remaining());
        let end = this.untaken.start + length;
        into.put_slice(&this.received[this.untaken.start..end]);
        this.untaken.start = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        if shared.held.len() >= MOST_HELD_BYTES {
            ready!(shared.poll_send(cx))?;
        }
        shared.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        if shared.held.len() >= MOST_HELD_BYTES {
            ready!(shared.poll_send(cx))?;
        }
        let mut length = 0;
        for piece in pieces {
            shared.held.extend_from_slice(piece);
            length += piece.len();
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Sends nothing: [`drive`] does, once there is no more to come.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        ready!(shared.poll_send(cx))?;
        Pin::new(&mut shared.stream).poll_shutdown(cx)
    }
}
