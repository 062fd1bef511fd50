//! The access log: one line for each request, when its answer has been sent or given up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use tracing::Span;
use wharfinger_runtime::Clock;

use crate::listener::UnderWay;
use crate::request::RequestInfo;
use crate::response::{Body, BodyError};

/// The target of the access log's lines, by which they are switched on and off.
pub const TARGET: &str = "wharfinger::access";

/// The body of an answer, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct LoggedBody {
    body: Body,
    line: Line,
    _under_way: UnderWay,
}

/// What the line says.
#[derive(Debug)]
struct Line {
    status: StatusCode,
    sent_bytes: u64,
    request: Arc<RequestInfo>,
    clock: Arc<dyn Clock>,
    span: Span,
}

impl LoggedBody {
    pub(crate) fn new(
        body: Body,
        status: StatusCode,
        request: Arc<RequestInfo>,
        clock: Arc<dyn Clock>,
        span: Span,
        under_way: UnderWay,
    ) -> Self {
        Self {
            body,
            _under_way: under_way,
            line: Line {
                status,
                sent_bytes: 0,
                request,
                clock,
                span,
            },
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let duration = self.clock.monotonic().saturating_sub(self.request.began());
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        tracing::info!(
            target: TARGET,
            status = self.status.as_u16(),
            bytes = self.sent_bytes,
            duration_us,
            user_agent = self.request.user_agent(),
            "answered"
        );
    }
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, line, .. } = self.get_mut();
        let polled = {
            let _entered = line.span.enter();
            ready!(Pin::new(body).poll_frame(cx))
        };
        match &polled {
            Some(Ok(frame)) => line.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(error)) => {
                let _entered = line.span.enter();
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "cutting the connection within an answer");
            }
            None => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
