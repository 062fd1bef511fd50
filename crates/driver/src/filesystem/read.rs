//! Reading: inline while the page cache has the bytes, from the pool when it has not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::Stream;
use wharfinger_runtime::BlockingPool;

use crate::{DriverPath, Error, Result};

use super::NAME;

/// 128 KiB: a client's socket buffer takes no more at once, and it stays in the processor's cache
/// between the copy from the page cache and the copy to the socket.
const PIECE_BYTES: usize = 128 * 1024;

/// A file as a stream of pieces.
pub(super) struct FileStream {
    file: Arc<File>,
    path: DriverPath,
    pool: BlockingPool,
    at: u64,
    left: u64,
    waiting: Option<BoxFuture<'static, io::Result<Vec<u8>>>>,
}

impl FileStream {
    pub(super) fn new(
        file: Arc<File>,
        path: DriverPath,
        pool: BlockingPool,
        at: u64,
        left: u64,
    ) -> Self {
        Self {
            file,
            path,
            pool,
            at,
            left,
            waiting: None,
        }
    }

    fn piece_bytes(&self) -> usize {
        usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES))
    }

    /// Accounts for a piece that was read.
    fn take(&mut self, read: io::Result<Vec<u8>>) -> Option<Result<Bytes>> {
        let failed = match read {
            Ok(piece) if !piece.is_empty() => {
                self.at += piece.len() as u64;
                self.left -= piece.len() as u64;
                return Some(Ok(piece.into()));
            }
            Ok(_) => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ended before its length when it was opened",
            ),
            Err(error) => error,
        };
        self.left = 0;
        Some(Err(Error::from_io(NAME, &self.path, failed)))
    }
}

impl Stream for FileStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(waiting) = &mut this.waiting {
            let read = std::task::ready!(waiting.as_mut().poll(context));
            this.waiting = None;
            return Poll::Ready(this.take(read));
        }
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let length = this.piece_bytes();
        match read_cached(&this.file, length, this.at) {
            Some(read) => Poll::Ready(this.take(read)),
            None => {
                let (file, at, pool) = (Arc::clone(&this.file), this.at, this.pool.clone());
                this.waiting = Some(Box::pin(async move {
                    pool.run(move || {
                        let mut piece = vec![0; length];
                        let read = file.read_at(&mut piece, at)?;
                        piece.truncate(read);
                        Ok(piece)
                    })
                    .await
                }));
                let waiting = this.waiting.as_mut().expect("it was set in the line above");
                let read = std::task::ready!(waiting.as_mut().poll(context));
                this.waiting = None;
                Poll::Ready(this.take(read))
            }
        }
    }
}

/// Reads what the page cache has, without waiting for the disk; `None` when it has nothing.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, length: usize, at: u64) -> Option<io::Result<Vec<u8>>> {
    use rustix::io::{Errno, ReadWriteFlags};
    let mut piece = vec![0; length];
    let mut slices = [io::IoSliceMut::new(&mut piece)];
    match rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
        Ok(read) => {
            piece.truncate(read);
            Some(Ok(piece))
        }
        Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => None,
        Err(errno) => Some(Err(errno.into())),
    }
}

/// Elsewhere nobody can tell beforehand whether a read waits.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: usize, _: u64) -> Option<io::Result<Vec<u8>>> {
    None
}
