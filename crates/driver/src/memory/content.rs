//! The bytes of a value, in the pieces they came in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::{DriverPath, ErrorKind, Metadata, ReadRange, ReadStream, Result};

use super::error;

/// The bytes of a value. Never changed, so that what was opened is read to its end.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pieces: Arc<[Bytes]>,
    size: u64,
}

impl Content {
    /// Takes over `pieces`, in order.
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let size = length_of(&pieces);
        Self {
            pieces: pieces.into(),
            size,
        }
    }

    /// Copies `bytes`: the caller's buffer may be part of a larger one, or of a pool that waits for it.
    pub(super) fn copy_of(bytes: &Bytes) -> Self {
        Self::new(vec![Bytes::copy_from_slice(bytes)])
    }

    /// Returns how many bytes there are.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the bytes in one piece.
    pub(super) fn whole(&self) -> Bytes {
        match &*self.pieces {
            [one] => one.clone(),
            pieces => joined(pieces),
        }
    }

    /// Opens `range` for streaming.
    pub(super) fn read(
        &self,
        path: &DriverPath,
        metadata: Metadata,
        range: ReadRange,
    ) -> Result<ReadStream> {
        if range.start > self.size {
            return Err(error(ErrorKind::Invalid, path));
        }
        let rest = self.size - range.start;
        let length = range.length.map_or(rest, |length| length.min(rest));
        let pieces = cut(&self.pieces, range.start, length);
        let bytes = stream::iter(pieces.into_iter().map(Ok)).boxed();
        Ok(ReadStream {
            metadata,
            length,
            bytes,
        })
    }
}

/// Returns how many bytes `pieces` hold together.
pub(super) fn length_of(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// Copies `pieces` into one.
pub(super) fn joined(pieces: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(piece);
    }
    whole.freeze()
}

/// Returns the `length` bytes from `start` on, sharing the pieces; less where they end before.
pub(super) fn cut(pieces: &[Bytes], start: u64, length: u64) -> Vec<Bytes> {
    let (mut skip, mut left) = (start, length);
    let mut taken = Vec::new();
    for piece in pieces {
        let size = piece.len() as u64;
        if skip >= size {
            skip -= size;
            continue;
        }
        let take = left.min(size - skip);
        if take == 0 {
            break;
        }
        taken.push(piece.slice(index(skip)..index(skip + take)));
        left -= take;
        skip = 0;
    }
    taken
}

fn index(offset_in_piece: u64) -> usize {
    usize::try_from(offset_in_piece).expect("an offset within a piece of memory fits in memory")
}
