//! The body of an answer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http_body::{Frame, SizeHint};
use wharfinger_store as store;

/// The body of an answer: whole in memory, or a stream.
pub(crate) enum Body {
    /// The bytes; none are left once they were sent.
    Full(Bytes),
    /// The pieces, and how many bytes they have in all, if that is known.
    Stream(BoxStream<'static, store::Result<Bytes>>, Option<u64>),
}

impl Body {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self::Full(Bytes::new());

    /// Tells whether nothing is left. Of a stream without a length only its end tells that.
    pub(crate) fn is_sent(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(_, left) => *left == Some(0),
        }
    }
}

/// Why an answer was not sent whole. The connection is then cut: a short answer never looks like a
/// whole one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The store failed.
    #[error("cannot read on")]
    Store(#[from] store::Error),
    /// The store gave more or fewer bytes than it said.
    #[error("the content has not the length that was announced")]
    Length,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (stream, left) = match self.get_mut() {
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Self::Stream(stream, left) => (stream, left),
        };
        let piece = match ready!(stream.as_mut().poll_next(cx)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None if left.is_some_and(|left| left > 0) => {
                return Poll::Ready(Some(Err(BodyError::Length)));
            }
            None => return Poll::Ready(None),
        };
        if let Some(left) = left {
            match left.checked_sub(piece.len() as u64) {
                Some(less) => *left = less,
                None => return Poll::Ready(Some(Err(BodyError::Length))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_, Some(left)) => SizeHint::with_exact(*left),
            Self::Stream(_, None) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => f.debug_tuple("Full").field(&bytes.len()).finish(),
            Self::Stream(_, left) => f.debug_tuple("Stream").field(left).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;

    use super::*;

    fn collect(pieces: &[&'static str], length: u64) -> Result<Bytes, BodyError> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        let body = Body::Stream(stream::iter(pieces).boxed(), Some(length));
        let all = futures_util::FutureExt::now_or_never(body.collect()).unwrap();
        all.map(http_body_util::Collected::to_bytes)
    }

    #[test]
    fn a_stream_of_another_length_ends_in_an_error() {
        assert_eq!(collect(&["ab", "c"], 3).unwrap(), "abc");
        assert!(matches!(collect(&["ab", "c"], 4), Err(BodyError::Length)));
        assert!(matches!(collect(&["ab", "c"], 2), Err(BodyError::Length)));
    }
}
