//! What an open blob gives.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::stream::{BoxStream, Stream};
use wharfinger_oci::Digest;

use crate::error::{Error, ErrorKind, Result};

/// 64 KiB: what is no longer is read before anything is answered, so that a failure still gets an answer of
/// its own.
pub(super) const MOST_WHOLE_BYTES: u64 = 64 * 1024;

/// The bytes of a blob, or of a part of it.
///
/// As a stream it gives them in pieces. When they turn out not to be those of the digest, it ends in an
/// error before its last piece: whoever passes it on has to cut it off there.
pub enum BlobBytes {
    /// All of them, at most 64 KiB; none are left once they were taken.
    Whole(Bytes),
    /// Piece by piece.
    Pieces(BoxStream<'static, Result<Bytes>>),
}

impl Stream for BlobBytes {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Pieces(pieces) => pieces.as_mut().poll_next(cx),
        }
    }
}

impl fmt::Debug for BlobBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

/// Reads all of a short stream of the blob `digest`, which has to have the length that it was opened with.
pub(super) async fn whole(
    digest: &Digest,
    mut pieces: BoxStream<'static, Result<Bytes>>,
    length: u64,
) -> Result<Bytes> {
    let wrong = || Error::new(ErrorKind::Damaged, format!("blob {digest}"));
    let first = pieces.try_next().await?.unwrap_or_default();
    let mut all = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
        if all.len() as u64 > length {
            return Err(wrong());
        }
    }
    let bytes = if all.is_empty() { first } else { all.freeze() };
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use wharfinger_oci::Algorithm;

    use super::*;

    fn collected(pieces: &[&'static [u8]], length: u64) -> Option<Bytes> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece)))
            .collect();
        let digest = Digest::empty(Algorithm::Sha256);
        let collected = whole(&digest, stream::iter(pieces).boxed(), length);
        let collected = collected.now_or_never().unwrap();
        collected
            .map_err(|error| assert_eq!(*error.kind(), ErrorKind::Damaged))
            .ok()
    }

    #[test]
    fn a_short_stream_of_another_length_is_a_fault() {
        assert_eq!(collected(&[], 0).unwrap(), "");
        assert_eq!(collected(&[b"abc"], 3).unwrap(), "abc");
        assert_eq!(collected(&[b"ab", b"c"], 3).unwrap(), "abc");
        assert_eq!(collected(&[b"ab", b"c"], 4), None);
        assert_eq!(collected(&[b"ab", b"c", b"d"], 2), None);
        assert_eq!(collected(&[b"abc"], 2), None);
        assert_eq!(collected(&[], 1), None);
    }
}
