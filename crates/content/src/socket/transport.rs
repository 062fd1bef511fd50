//! The bytes of a connection, moved in large pieces.
//!
//! HTTP/2 takes and gives them by the frame or less, 8 to 16 KiB at a time with the clients that there
//! are, and a system call for each is more than half of what a call of the service costs. So a read
//! takes all that has arrived, and what is written is held back until the connection and the calls
//! that it has just taken have done all that they can do for now: then [`drive`] sends it. Each time that
//! something is sent wakes the other side, which costs both more than the bytes do.

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
/// 36 KiB: an answer of 32 KiB, by which containerd unpacks, with all that belongs to it. Of a longer one
/// the other side takes three frames while we make the next.
const SENT_AT_ONCE: usize = 36 * 1024;

/// 8: HTTP/2 writes the head of a frame and one or two pieces of its data at once.
const MOST_PIECES: usize = 8;

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
    let mut has_waited = false;
    let ended = poll_fn(|cx| -> Poll<Result<(), Failed>> {
        let ended = connection.as_mut().poll(cx);
        has_waited = !has_waited && ended.is_pending() && sender.holds();
        if has_waited {
            // Whoever was woken meanwhile comes first, such as a call that was just taken: its answer
            // goes out with what is held, which is little else than that we have seen something.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
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
    fn holds(&self) -> bool {
        let shared = lock(&self.0);
        shared.sent < shared.held.len()
    }

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
        Poll::Ready(Ok(()))
    }

    /// Takes pieces to be sent, and tells how many bytes. What is held goes ahead of them; they are held
    /// as well as long as that is not too much, and else go out as they are.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.held.len() + length <= SENT_AT_ONCE {
            for piece in pieces {
                self.held.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(length));
        }
        let held = self.held.len() - self.sent;
        let sent = {
            let mut all = [IoSlice::new(&[]); MOST_PIECES];
            all[0] = IoSlice::new(&self.held[self.sent..]);
            let count = pieces.len().min(MOST_PIECES - 1);
            all[1..=count].copy_from_slice(&pieces[..count]);
            ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all[..=count]))?
        };
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if sent < held {
            // The rest goes ahead of what follows, once there is room for it.
            self.sent += sent;
            ready!(self.poll_send(cx))?;
        } else {
            self.held.clear();
            self.sent = 0;
        }
        match sent.saturating_sub(held) {
            // Nothing is held any more, so that this is held or sent.
            0 => self.poll_write(cx, pieces),
            taken => Poll::Ready(Ok(taken)),
        }
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
        lock(&self.shared).poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.shared).poll_write(cx, pieces)
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
    use wharfinger_runtime::Tasks;

    use super::*;

    /// Our end of a connection, and that of whoever speaks to us.
    fn pair() -> (Buffered, Sender, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (buffered, sender) = buffered(ours);
        (buffered, sender, theirs)
    }

    #[tokio::test]
    async fn what_is_written_arrives_and_only_so_much_is_held() {
        let (mut buffered, sender, mut theirs) = pair();
        let (mut written, mut pieces) = (0, 0_usize);
        let piece_of = |number: usize| vec![u8::try_from(number % 251).unwrap(); 16 * 1024];
        // Nobody reads, so that it comes to a stop.
        poll_fn(|cx| {
            loop {
                let piece = piece_of(pieces);
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let (first, last) = rest.split_at(rest.len().min(9));
                    let both = [IoSlice::new(first), IoSlice::new(last)];
                    match Pin::new(&mut buffered).poll_write_vectored(cx, &both) {
                        Poll::Ready(length) => rest = &rest[length.unwrap()..],
                        Poll::Pending => {
                            written = pieces * piece.len() + (piece.len() - rest.len());
                            return Poll::Ready(());
                        }
                    }
                }
                pieces += 1;
            }
        })
        .await;
        assert!(lock(&sender.0).held.len() <= SENT_AT_ONCE);
        let mut arrived = vec![0; written];
        let sent = poll_fn(|cx| sender.poll_send(cx));
        let (sent, _) = join(sent, theirs.read_exact(&mut arrived)).await;
        sent.unwrap();
        let expected: Vec<u8> = (0..=pieces).flat_map(piece_of).take(written).collect();
        assert!(arrived == expected);
    }

    #[tokio::test]
    async fn what_a_call_answers_goes_out_with_what_was_held_before() {
        let (mut buffered, sender, mut theirs) = pair();
        let mut polled = 0;
        let connection = poll_fn(|cx| {
            polled += 1;
            match polled {
                1 => {
                    let taken = cx.waker().clone();
                    drop(Tasks::new().spawn(async move { taken.wake() }));
                    assert!(Pin::new(&mut buffered).poll_write(cx, b"a").is_ready());
                }
                2 => assert!(Pin::new(&mut buffered).poll_write(cx, b"b").is_ready()),
                _ => {}
            }
            Poll::Pending
        });
        let mut arrived = [0; 2];
        tokio::select! {
            _ = drive(connection, &sender) => unreachable!("the connection does not end"),
            length = theirs.read(&mut arrived) => assert_eq!(length.unwrap(), 2),
        }
        assert_eq!(&arrived, b"ab");
    }

    #[tokio::test]
    async fn what_arrives_is_read_in_whatever_pieces_and_to_its_end() {
        let (mut buffered, _sender, mut theirs) = pair();
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
