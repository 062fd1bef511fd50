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

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// 128 KiB: most of what a Unix socket holds.
const READ_AT_ONCE: usize = 128 * 1024;
/// 32 KiB: two frames, so that the other side works on these while we make the next.
const SENT_AT_ONCE: usize = 32 * 1024;

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
    /// What is to be sent, from `sent` on.
    held: Vec<u8>,
    sent: usize,
}

/// Splits a socket.
pub(super) fn buffered(stream: UnixStream) -> (Buffered, Sender) {
    let shared = Arc::new(Mutex::new(Shared {
        stream,
        held: Vec::new(),
        sent: 0,
    }));
    let sender = Sender(Arc::clone(&shared));
    let buffered = Buffered {
        shared,
        received: vec![0; READ_AT_ONCE].into(),
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
        while self.sent < self.held.len() {
            let rest = &self.held[self.sent..];
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.held.clear();
        self.sent = 0;
        // Nothing keeps the memory of a frame that was longer than others.
        self.held.shrink_to(2 * SENT_AT_ONCE);
        Poll::Ready(Ok(()))
    }

    /// Waits until more may be held.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.len() >= SENT_AT_ONCE {
            ready!(self.poll_send(cx))?;
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
            if into.remaining() >= READ_AT_ONCE {
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
        ready!(shared.poll_room(cx))?;
        shared.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.shared);
        ready!(shared.poll_room(cx))?;
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

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_and_only_so_much_is_held() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut buffered, sender) = buffered(ours);
        let piece = vec![7; 16 * 1024];
        let mut written = 0;
        // Nobody reads, so that it comes to a stop.
        poll_fn(|cx| {
            while let Poll::Ready(length) = Pin::new(&mut buffered).poll_write(cx, &piece) {
                written += length.unwrap();
            }
            Poll::Ready(())
        })
        .await;
        assert!(lock(&sender.0).held.len() <= SENT_AT_ONCE + piece.len());
        let mut arrived = vec![0; written];
        let sent = poll_fn(|cx| sender.poll_send(cx));
        let (sent, _) = join(sent, theirs.read_exact(&mut arrived)).await;
        sent.unwrap();
        assert!(arrived.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn what_arrives_is_read_in_whatever_pieces_and_to_its_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut buffered, _sender) = buffered(ours);
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut read: Vec<u8> = Vec::new();
        let reading = async {
            for length in [1_usize, 8192, 200_000].into_iter().cycle() {
                let mut piece = vec![0; length];
                let length = buffered.read(&mut piece).await.unwrap();
                if length == 0 {
                    return;
                }
                read.extend(&piece[..length]);
            }
        };
        let writing = async {
            theirs.write_all(&bytes).await.unwrap();
            drop(theirs);
        };
        join(reading, writing).await;
        assert_eq!(read, bytes);
    }
}
