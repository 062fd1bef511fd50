//! The bytes of a blob on their way out, as they were read.
//!
//! A message of a read is a few bytes of its own and then the data:
//!
//! ```text
//! 0, u32    not compressed; the length of the message
//! 08 VARINT the offset, unless it is 0
//! 12 VARINT the length of the data, unless it is 0
//! DATA
//! ```
//!
//! The encoder of other messages would copy the data into its buffer, and make a new buffer for each
//! message. So the answer to a read leaves the generated code without a body, with the pieces beside
//! it, and [`body`] makes one of them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::buf::Chain;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use prost::Message as _;
use tonic::{Response, Status as GrpcStatus};

use crate::error::Error;
use crate::proto::ReadContentResponse;
use crate::store::Pieces;
use crate::wire::signed;

use super::Answers;

/// 1 MiB: what clients expect one message of a read to hold at most.
const READ_AT_ONCE: usize = 1024 * 1024;

/// 32 bytes are enough for what stands before the data.
const MOST_HEAD_BYTES: usize = 32;

/// What stands ahead of the data: field 2, of so many bytes.
const DATA_KEY: u8 = 0x12;

/// Pieces that travel beside an answer. Whoever comes first takes them.
#[derive(Clone)]
struct Beside(Arc<Mutex<Option<Pieces>>>);

/// Answers a read with `pieces`.
pub(super) fn answer(pieces: Pieces) -> Response<Answers<ReadContentResponse>> {
    let mut response = Response::new(stream::empty().boxed());
    let beside = Beside(Arc::new(Mutex::new(Some(pieces))));
    response.extensions_mut().insert(beside);
    response
}

/// Gives an answer its body.
pub(crate) fn body(mut response: http::Response<tonic::body::Body>) -> http::Response<Answer> {
    let beside = response.extensions_mut().remove::<Beside>();
    let pieces = beside
        .and_then(|Beside(pieces)| pieces.lock().unwrap_or_else(PoisonError::into_inner).take());
    response.map(|encoded| match pieces {
        Some(pieces) => Answer::Blob(Reading::new(pieces)),
        None => Answer::Encoded(encoded),
    })
}

/// The body of an answer.
pub(crate) enum Answer {
    /// Made by the generated code.
    Encoded(tonic::body::Body),
    /// The bytes of a blob.
    Blob(Reading),
}

/// A blob that is read.
pub(crate) struct Reading {
    pieces: Pieces,
    /// How many bytes of it are on their way. It counts from where this read has begun: so have clients
    /// always had it.
    sent: u64,
    has_ended: bool,
}

impl Reading {
    fn new(pieces: Pieces) -> Self {
        Self {
            pieces: cut(pieces),
            sent: 0,
            has_ended: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Chain<Bytes, Bytes>>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let status = match ready!(self.pieces.as_mut().poll_next(cx)) {
            Some(Ok(data)) => {
                let head = head(self.sent, data.len());
                self.sent += data.len() as u64;
                return Poll::Ready(Some(Frame::data(head.chain(data))));
            }
            Some(Err(error)) => GrpcStatus::from(error),
            None => GrpcStatus::ok(""),
        };
        self.has_ended = true;
        Poll::Ready(Some(Frame::trailers(trailers(&status))))
    }
}

/// What the end of an answer says.
fn trailers(status: &GrpcStatus) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unsaid) = status.add_header(&mut trailers) {
        // Without a message that no header can hold.
        let code = GrpcStatus::new(unsaid.code(), "");
        code.add_header(&mut trailers).ok();
    }
    trailers
}

/// What stands before `length` bytes of data that lie at `offset` of the read.
fn head(offset: u64, length: usize) -> Bytes {
    let message = ReadContentResponse {
        offset: signed(offset),
        data: Bytes::new(),
    };
    let mut fields = BytesMut::with_capacity(MOST_HEAD_BYTES);
    let grows = "a buffer grows as it has to";
    message.encode(&mut fields).expect(grows);
    if length > 0 {
        fields.put_u8(DATA_KEY);
        prost::encode_length_delimiter(length, &mut fields).expect(grows);
    }
    let total = u32::try_from(fields.len() + length).expect("a piece was cut to 1 MiB at most");
    let mut head = BytesMut::with_capacity(MOST_HEAD_BYTES);
    head.put_u8(0);
    head.put_u32(total);
    head.extend_from_slice(&fields);
    head.freeze()
}

/// Cuts pieces to what one message may hold.
fn cut(pieces: Pieces) -> Pieces {
    let cut = pieces.map_ok(|mut piece| {
        let mut parts = Vec::with_capacity(1);
        while piece.len() > READ_AT_ONCE {
            parts.push(Ok::<_, Error>(piece.split_to(READ_AT_ONCE)));
        }
        parts.push(Ok(piece));
        stream::iter(parts)
    });
    cut.try_flatten().boxed()
}

impl Body for Answer {
    type Data = Chain<Bytes, Bytes>;
    type Error = GrpcStatus;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Encoded(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                let chained = |data: Bytes| data.chain(Bytes::new());
                Poll::Ready(frame.map(|frame| Ok(frame?.map_data(chained))))
            }
            Self::Blob(reading) => reading.poll(cx).map(|frame| frame.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Encoded(body) => body.is_end_stream(),
            Self::Blob(reading) => reading.has_ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Encoded(body) => body.size_hint(),
            Self::Blob(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::error::ErrorKind;

    /// The messages of an answer, and what its end says.
    fn read(pieces: Vec<Result<Bytes, Error>>) -> (Vec<ReadContentResponse>, HeaderMap) {
        let response = answer(stream::iter(pieces).boxed()).map(|_| tonic::body::Body::empty());
        let (_, message, extensions) = response.into_parts();
        let mut response = http::Response::new(message);
        *response.extensions_mut() = extensions;
        let mut body = body(response).into_body();
        let mut messages = Vec::new();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = frame.now_or_never().unwrap().unwrap().unwrap();
            let mut data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => return (messages, frame.into_trailers().ok().unwrap()),
            };
            assert_eq!(data.get_u8(), 0);
            assert_eq!(data.get_u32() as usize, data.remaining());
            let bytes = data.copy_to_bytes(data.remaining());
            let message = ReadContentResponse::decode(bytes.clone()).unwrap();
            assert_eq!(message.encode_to_vec(), bytes);
            messages.push(message);
        }
    }

    #[test]
    fn messages_are_those_that_the_generated_code_would_make() {
        let long = Bytes::from(vec![7; 2 * READ_AT_ONCE + 1]);
        let pieces = [Bytes::from_static(b"abc"), Bytes::new(), long];
        let (messages, trailers) = read(pieces.map(Ok).into());
        let seen: Vec<_> = messages
            .iter()
            .map(|message| (message.offset, message.data.len()))
            .collect();
        let at = |messages: usize| signed((messages * READ_AT_ONCE + 3) as u64);
        assert_eq!(
            seen,
            [
                (0, 3),
                (3, 0),
                (3, READ_AT_ONCE),
                (at(1), READ_AT_ONCE),
                (at(2), 1)
            ]
        );
        assert_eq!(trailers["grpc-status"], "0");
    }

    #[test]
    fn a_failure_ends_the_answer() {
        let failed = Error::new(ErrorKind::DataLoss, "wrong\nbytes");
        let pieces = vec![Ok(Bytes::from_static(b"abc")), Err(failed)];
        let (messages, trailers) = read(pieces);
        assert_eq!(messages.len(), 1);
        assert_eq!(trailers["grpc-status"], "15");
        assert_eq!(trailers["grpc-message"], "wrong%0Abytes");
    }
}
