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
use super::buffers::{Buffer, Buffers, PIECE_BYTES};

/// How a file is read without making the caller's thread wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The kernel gives what it has in memory, and says when it would have to wait.
    Asking,
    /// The file lies in memory: reading it never waits.
    Inline,
    /// Nobody can tell beforehand whether a read waits.
    Pool,
}

/// A file as a stream of pieces.
pub(super) struct FileStream {
    file: Arc<File>,
    path: DriverPath,
    pool: BlockingPool,
    buffers: Arc<Buffers>,
    way: Way,
    at: u64,
    left: u64,
    waiting: Option<BoxFuture<'static, io::Result<Buffer>>>,
}

impl FileStream {
    pub(super) fn new(
        file: Arc<File>,
        path: DriverPath,
        pool: BlockingPool,
        buffers: Arc<Buffers>,
        (at, left): (u64, u64),
    ) -> Self {
        Self {
            file,
            path,
            pool,
            buffers,
            way: Way::Asking,
            at,
            left,
            waiting: None,
        }
    }

    /// Accounts for a piece that was read.
    fn take(&mut self, read: io::Result<Buffer>) -> Option<Result<Bytes>> {
        let failed = match read {
            Ok(piece) if piece.filled() > 0 => {
                self.at += piece.filled() as u64;
                self.left -= piece.filled() as u64;
                return Some(Ok(piece.into_bytes()));
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

    /// Reads a piece on this thread, if that does not make it wait.
    fn read_now(&mut self, mut piece: Buffer) -> Result<io::Result<Buffer>, Buffer> {
        if self.way == Way::Asking {
            match read_cached(&self.file, piece.space(), self.at) {
                Cached::Read(read) => return Ok(read.map(|read| piece.fill(read))),
                Cached::WouldWait => return Err(piece),
                Cached::Unknown => self.way = way_without_asking(&self.file),
            }
        }
        match self.way {
            Way::Inline => {
                let read = read_at(&self.file, piece.space(), self.at);
                Ok(read.map(|read| piece.fill(read)))
            }
            Way::Asking | Way::Pool => Err(piece),
        }
    }
}

impl Stream for FileStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            if this.left == 0 {
                return Poll::Ready(None);
            }
            let length =
                usize::try_from(this.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            match this.read_now(this.buffers.take(length)) {
                Ok(read) => return Poll::Ready(this.take(read)),
                Err(mut piece) => {
                    let (file, at, pool) = (Arc::clone(&this.file), this.at, this.pool.clone());
                    let read =
                        move || read_at(&file, piece.space(), at).map(|read| piece.fill(read));
                    this.waiting = Some(Box::pin(async move { pool.run(read).await }));
                }
            }
        }
        let waiting = this
            .waiting
            .as_mut()
            .expect("it was there, or was set above");
        let read = std::task::ready!(waiting.as_mut().poll(context));
        this.waiting = None;
        Poll::Ready(this.take(read))
    }
}

/// Reads once more when a signal came between, as network file systems let one.
fn read_at(file: &File, space: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(space, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// What came of asking for bytes in memory.
enum Cached {
    Read(io::Result<usize>),
    WouldWait,
    /// The file system cannot tell.
    Unknown,
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, space: &mut [u8], at: u64) -> Cached {
    use rustix::io::{Errno, ReadWriteFlags};
    let mut slices = [io::IoSliceMut::new(space)];
    match rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
        Ok(read) => Cached::Read(Ok(read)),
        Err(Errno::AGAIN | Errno::INTR) => Cached::WouldWait,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Cached::Unknown,
        Err(errno) => Cached::Read(Err(errno.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> Cached {
    Cached::Unknown
}

/// `tmpfs` lies in memory and does not take the question whether it does.
#[cfg(target_os = "linux")]
fn way_without_asking(file: &File) -> Way {
    /// `TMPFS_MAGIC` of the kernel's `magic.h`.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    match rustix::fs::fstatfs(file) {
        Ok(system) if system.f_type == TMPFS => Way::Inline,
        _ => Way::Pool,
    }
}

#[cfg(not(target_os = "linux"))]
fn way_without_asking(_: &File) -> Way {
    Way::Pool
}

/// Reads a small file whole: `length` bytes, and one more if it has grown.
pub(super) async fn read_small(
    file: File,
    length: usize,
    pool: &BlockingPool,
) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length + 1];
    let inline = match read_cached(&file, &mut bytes, 0) {
        Cached::Read(read) => Some(read),
        Cached::Unknown if way_without_asking(&file) == Way::Inline => {
            Some(read_at(&file, &mut bytes, 0))
        }
        Cached::WouldWait | Cached::Unknown => None,
    };
    match inline {
        Some(Ok(read)) if read >= length => bytes.truncate(read),
        Some(Err(error)) => return Err(error),
        // Only part of it was in the page cache.
        Some(Ok(_)) | None => {
            bytes = pool
                .run(move || {
                    use std::io::Read as _;
                    let mut bytes = Vec::with_capacity(length + 1);
                    (&file)
                        .take(length as u64 + 1)
                        .read_to_end(&mut bytes)
                        .map(|_| bytes)
                })
                .await?;
        }
    }
    Ok(bytes)
}
