//! The body of a request, as a stream of pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::header::EXPECT;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharfinger_runtime::Clock;

use crate::request::RequestInfo;

/// 64 KiB: most of a refused body that is read only to keep the connection. A client that has more
/// to send loses the connection, which costs less than the bytes.
const MAX_DRAINED_BYTES: usize = 64 * 1024;

/// 32 KiB: what costs less to copy than to leave in the buffer that it came in.
const MIN_SHARED_BYTES: usize = 32 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    clock: Arc<dyn Clock>,
    idle_timeout: Duration,
    /// The client waits to be asked for the body, and was not yet.
    withheld: bool,
    end: BodyEnd,
}

/// Tells whether a body was read to its end, also after the body itself is gone.
#[derive(Debug, Clone)]
pub(crate) struct BodyEnd(Arc<AtomicBool>);

impl BodyEnd {
    /// Tells whether nothing is left to read.
    pub(crate) fn reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn reach(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The connection is gone.
    #[error("the connection ended within the body")]
    Connection(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing of the body came for {0:?}")]
    Idle(Duration),
}

/// Why a body was not taken whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// It ended too early.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// There is more than is taken.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLong {
        /// How much is taken.
        limit_bytes: usize,
    },
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        request: &RequestInfo,
        clock: Arc<dyn Clock>,
        idle_timeout: Duration,
    ) -> Self {
        let end = BodyEnd(Arc::new(AtomicBool::new(incoming.is_end_stream())));
        let withheld = !end.reached() && request.headers().contains_key(EXPECT);
        Self {
            incoming,
            clock,
            idle_timeout,
            withheld,
            end,
        }
    }

    /// Returns what goes on telling whether the end was reached.
    pub(crate) fn end(&self) -> BodyEnd {
        self.end.clone()
    }

    /// Returns the next piece, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// Fails if the body is cut, and must not be called again then.
    ///
    /// # Cancellation
    /// No piece is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        self.withheld = false;
        while let Some(frame) = self.frame().await? {
            // Anything but data is a trailer, which nobody asked for.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(unpinned(data)));
            }
        }
        self.end.reach();
        Ok(None)
    }

    async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Cut> {
        // Mostly the next piece is there already, and needs no timer.
        let frame = match self.incoming.frame().now_or_never() {
            Some(frame) => frame,
            None => {
                let sleep = self.clock.sleep(self.idle_timeout);
                match select(self.incoming.frame(), sleep).await {
                    Either::Left((frame, _)) => frame,
                    Either::Right(((), _)) => return Err(Cut::Idle(self.idle_timeout)),
                }
            }
        };
        frame.transpose().map_err(Cut::Connection)
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// Fails if the body is cut, or has more than `limit_bytes`; then no more than a piece beyond
    /// the limit was read.
    pub(crate) async fn collect(&mut self, limit_bytes: usize) -> Result<Bytes, CollectError> {
        let Some(mut first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let mut rest = BytesMut::new();
        loop {
            if first.len() + rest.len() > limit_bytes {
                return Err(CollectError::TooLong { limit_bytes });
            }
            match self.next().await? {
                Some(piece) if rest.is_empty() => {
                    rest.extend_from_slice(&first);
                    rest.extend_from_slice(&piece);
                    first.clear();
                }
                Some(piece) => rest.extend_from_slice(&piece),
                None if rest.is_empty() => return Ok(first),
                None => return Ok(rest.freeze()),
            }
        }
    }

    /// Reads the rest if it is short, so that the connection can be kept after a refusal.
    pub(crate) async fn drain(&mut self) {
        let mut left = MAX_DRAINED_BYTES;
        let longer = self.incoming.size_hint().lower() > left as u64;
        if self.end.reached() || self.withheld || longer {
            return;
        }
        while let Ok(Some(piece)) = self.next().await {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}

/// Returns short pieces in memory of their own. As part of the connection's buffer they would hold
/// all of it for as long as they wait to be written, and a thousand slow uploads as many buffers.
fn unpinned(data: Bytes) -> Bytes {
    if data.len() < MIN_SHARED_BYTES {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}
