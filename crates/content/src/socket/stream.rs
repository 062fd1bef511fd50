//! A Unix socket that is not woken for room which nobody waits for.
//!
//! Each time that the other side takes what we have sent, the kernel tells whoever waits at our end
//! that there is room again: another processor is interrupted, on the other side's time, and our thread
//! wakes for nothing. So we wait for what arrives alone, and for room by a descriptor of its own while the
//! socket is full.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Stream {
    socket: AsyncFd<UnixStream>,
    /// There as long as the socket is full.
    room: Option<AsyncFd<UnixStream>>,
}

impl Stream {
    /// Takes a socket that does not block.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        Ok(Self {
            socket: registered(socket, Interest::READABLE)?,
            room: None,
        })
    }

    /// Reads what has arrived; nothing at the end.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match ready.try_io(|socket| socket.get_ref().read(into)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => return Poll::Ready(read),
                Err(_would_block) => {}
            }
        }
    }

    /// Writes as much as there is room for.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(room) = &self.room {
                let mut ready = ready!(room.poll_write_ready(cx))?;
                ready.clear_ready();
            }
            match self.socket.get_ref().write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.room.is_none() {
                        let again = self.socket.get_ref().try_clone()?;
                        self.room = Some(registered(again, Interest::WRITABLE)?);
                    }
                }
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.room = None;
                    return Poll::Ready(written);
                }
            }
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        self.socket.get_ref().shutdown(std::net::Shutdown::Write)
    }
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for types that may change their descriptor; this one cannot"
)]
fn registered(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::future::join;

    use super::*;

    const LENGTH: usize = 4 * 1024 * 1024;

    #[tokio::test]
    async fn more_than_the_socket_holds_arrives_whole() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (mut ours, theirs) = (Stream::new(ours).unwrap(), Stream::new(theirs).unwrap());
        let bytes: Vec<u8> = (0..=255).cycle().take(LENGTH).collect();
        let writing = async {
            let (mut sent, mut was_full) = (0, false);
            while sent < LENGTH {
                sent += poll_fn(|cx| {
                    let written = ours.poll_write(cx, &[IoSlice::new(&bytes[sent..])]);
                    was_full |= written.is_pending();
                    written
                })
                .await
                .unwrap();
            }
            assert!(was_full && ours.room.is_none());
            ours.shut_down().unwrap();
        };
        let reading = async {
            let (mut all, mut piece) = (Vec::new(), vec![0; 100_000]);
            loop {
                match poll_fn(|cx| theirs.poll_read(cx, &mut piece))
                    .await
                    .unwrap()
                {
                    0 => return all,
                    length => all.extend_from_slice(&piece[..length]),
                }
            }
        };
        let ((), all) = join(writing, reading).await;
        assert!(all == bytes);
    }

    #[tokio::test]
    async fn whoever_writes_to_nobody_is_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        drop(theirs);
        let mut ours = Stream::new(ours).unwrap();
        let written = poll_fn(|cx| ours.poll_write(cx, &[IoSlice::new(b"x")])).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
