//! Where the bytes of a blob come from.

use std::fmt::Debug;
use std::io::{self, SeekFrom};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeek, AsyncSeekExt as _};

/// 1 MiB: a piece large enough that asking for it costs nothing beside moving it.
const PIECE_BYTES: usize = 1024 * 1024;

/// The bytes of a blob, from the beginning or from somewhere else.
#[async_trait]
pub trait BlobSource: Debug + Send {
    /// Goes to `offset`; tells whether it can. One that cannot stays where it is.
    async fn seek(&mut self, offset: u64) -> io::Result<bool>;

    /// Returns the next bytes, and `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>>;

    /// Takes back what was read too much, to be returned first by the next call.
    fn give_back(&mut self, bytes: Bytes);
}

/// A source that only goes forward.
#[derive(Debug)]
pub struct Forward<R> {
    reader: R,
    given_back: Option<Bytes>,
}

impl<R> Forward<R> {
    /// Reads from `reader`, which stands at the beginning.
    pub fn new(reader: R) -> Self {
        let given_back = None;
        Self { reader, given_back }
    }
}

/// Fills one piece, or what there is.
async fn read_piece(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    while piece.len() < PIECE_BYTES && reader.read_buf(&mut piece).await? > 0 {}
    Ok((!piece.is_empty()).then(|| piece.freeze()))
}

#[async_trait]
impl<R: AsyncRead + Unpin + Send + Debug> BlobSource for Forward<R> {
    async fn seek(&mut self, _: u64) -> io::Result<bool> {
        Ok(false)
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.given_back.take() {
            Some(bytes) => Ok(Some(bytes)),
            None => read_piece(&mut self.reader).await,
        }
    }

    fn give_back(&mut self, bytes: Bytes) {
        self.given_back = Some(bytes);
    }
}

/// A source that can go anywhere, such as a file.
#[derive(Debug)]
pub struct Seeking<R>(Forward<R>);

impl<R> Seeking<R> {
    /// Reads from `reader`, which stands at the beginning.
    pub fn new(reader: R) -> Self {
        Self(Forward::new(reader))
    }
}

#[async_trait]
impl<R: AsyncRead + AsyncSeek + Unpin + Send + Debug> BlobSource for Seeking<R> {
    async fn seek(&mut self, offset: u64) -> io::Result<bool> {
        self.0.given_back = None;
        self.0.reader.seek(SeekFrom::Start(offset)).await?;
        Ok(true)
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.0.next().await
    }

    fn give_back(&mut self, bytes: Bytes) {
        self.0.give_back(bytes);
    }
}

/// Something that can be read at any offset, such as a blob of another store.
#[async_trait]
pub trait ReadAt: Debug + Send + Sync {
    /// Returns at most `length` bytes from `offset` on, and none only at the end.
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

/// A source over something that can be read at any offset.
#[derive(Debug)]
pub struct ReadingAt<R> {
    reader: R,
    offset: u64,
}

impl<R> ReadingAt<R> {
    /// Reads from the beginning of `reader`.
    pub fn new(reader: R) -> Self {
        let offset = 0;
        Self { reader, offset }
    }
}

#[async_trait]
impl<R: ReadAt> BlobSource for ReadingAt<R> {
    async fn seek(&mut self, offset: u64) -> io::Result<bool> {
        self.offset = offset;
        Ok(true)
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.reader.read_at(self.offset, PIECE_BYTES).await?;
        self.offset += piece.len() as u64;
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn give_back(&mut self, bytes: Bytes) {
        self.offset -= bytes.len() as u64;
    }
}
