//! An ingest that can be resumed at every offset.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt as _};

use crate::{
    Checkpoint, Commit, EntryKind, ErrorKind, Ingest, Metadata, ReadRange, ReadStream, Result,
    Resume,
};

use super::content::{Content, cut, joined, length_of};
use super::error;
use super::handle::Handle;

/// An ingest whose bytes are kept outside the handle as soon as they are appended.
#[derive(Debug)]
pub(super) struct PlainIngest {
    handle: Handle,
    offset: u64,
}

impl PlainIngest {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, offset: 0 }
    }

    pub(super) fn resume(handle: Handle, resume: &Resume) -> Result<Self> {
        let path = &handle.path;
        let offset = handle.storage.with(handle.id, path, |held| {
            let size = length_of(&held.parts);
            let offset = resume.at.unwrap_or(size);
            if offset > size {
                return Err(error(ErrorKind::Invalid, path));
            }
            held.parts = cut(&held.parts, 0, offset);
            Ok(offset)
        })?;
        Ok(Self { handle, offset })
    }
}

#[async_trait]
impl Ingest for PlainIngest {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        self.handle.check_open()?;
        // Copied, so that the caller's buffers go back to where they came from.
        let piece = joined(&chunks);
        let length = piece.len() as u64;
        let handle = &mut self.handle;
        let written = handle.storage.with(handle.id, &handle.path, |held| {
            held.parts.push(piece);
            Ok(())
        });
        handle.broken_by(written)?;
        self.offset += length;
        Ok(())
    }

    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>> {
        let checkpoint = Checkpoint {
            offset: self.offset,
            state: None,
        };
        future::ready(self.handle.check_open().map(|()| checkpoint)).boxed()
    }

    async fn rewind(&mut self, point: &Checkpoint) -> Result<()> {
        self.handle.check_there()?;
        let handle = &mut self.handle;
        if point.offset > self.offset {
            return Err(error(ErrorKind::Invalid, &handle.path));
        }
        let cut_off = handle.storage.with(handle.id, &handle.path, |held| {
            held.parts = cut(&held.parts, 0, point.offset);
            Ok(())
        });
        handle.mended_by(cut_off)?;
        self.offset = point.offset;
        Ok(())
    }

    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream> {
        self.handle.check_readable()?;
        let handle = &self.handle;
        let parts = handle
            .storage
            .with(handle.id, &handle.path, |held| Ok(held.parts.clone()))?;
        let metadata = staged_metadata(self.offset);
        Content::new(parts).read(&handle.path, metadata, range)
    }

    async fn commit(&mut self, commit: Commit) -> Result<()> {
        self.handle.commit(None, 0, &commit)
    }

    async fn close(&mut self) -> Result<Checkpoint> {
        self.handle.check_closable()?;
        self.handle.end();
        Ok(Checkpoint {
            offset: self.offset,
            state: None,
        })
    }

    async fn abort(&mut self) -> Result<()> {
        self.handle.abort()
    }
}

/// What is told of an ingest that is read back: it has no version yet.
pub(super) fn staged_metadata(size_bytes: u64) -> Metadata {
    Metadata {
        kind: EntryKind::File,
        size_bytes,
        modified: std::time::UNIX_EPOCH,
        verified: false,
    }
}
