//! The access log: one line for each request, when it ends in whatever way.
//!
//! The line says `cut=true` where the connection ended before the answer did. It has the status 499,
//! as nginx has, where the client left before there was an answer, or within the body of its request.
//! What such a request has begun may still be done; lines of their own tell of that.

mod combined;

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use tracing::{Level, Span};

use self::combined::Combined;
use crate::app::Call;
use crate::body::BodyEnd;
use crate::error::FailureCode;
use crate::listener::UnderWay;
use crate::metrics::{Ended, Handler};
use crate::quotas::Place;
use crate::response::{Body, BodyError, Response};

/// The target of the access log's lines, by which they are switched on and off.
pub const TARGET: &str = "wharfinger::access";

/// The target of the same lines in the Combined Log Format: their message is the whole line.
pub const COMBINED_TARGET: &str = "wharfinger::access::combined";

/// 499: the status of a request that nobody waited for.
static CLIENT_CLOSED_REQUEST: LazyLock<StatusCode> =
    LazyLock::new(|| StatusCode::from_u16(499).expect("it has three digits"));

/// 1 KiB: no path or name of a client that means anything is longer, and a line stays a line.
const MAX_TEXT_BYTES: usize = 1024;

/// Returns as much of what a client has sent as the log repeats.
pub(crate) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// The line of a request, written when this is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    status: Option<StatusCode>,
    failure: Option<&'static str>,
    sent_bytes: u64,
    /// All of the answer was handed to the connection.
    whole: bool,
    call: Call,
    body_end: BodyEnd,
    span: Span,
    /// What the request takes of what all may have.
    _place: Option<Place>,
}

impl Line {
    /// Begins the line of a request that has no answer yet.
    pub(crate) fn new(call: Call, body_end: BodyEnd, span: Span) -> Self {
        Self {
            status: None,
            failure: None,
            sent_bytes: 0,
            whole: false,
            call,
            body_end,
            span,
            _place: None,
        }
    }

    /// Keeps a place until the request has ended.
    pub(crate) fn hold(&mut self, place: Place) {
        self._place = Some(place);
    }

    /// Goes on with the body of the answer.
    pub(crate) fn answered(
        mut self,
        response: Response,
        mut under_way: UnderWay,
    ) -> http::Response<LoggedBody> {
        self.status = (!self.body_end.client_gone()).then_some(response.status());
        let failure = response.extensions().get::<FailureCode>();
        self.failure = failure.map(|FailureCode(id)| *id);
        under_way.answered();
        // Such a body is not sent.
        self.whole = *self.call.request.method() == Method::HEAD;
        response.map(|body| LoggedBody {
            body,
            line: self,
            under_way,
        })
    }
}

impl Line {
    fn count(&self, duration: Duration) {
        let Call { app, request } = &self.call;
        let handler = request.handler().unwrap_or_else(|| {
            // It never came so far as to be counted among those under way.
            app.metrics.began(Handler::None);
            Handler::None
        });
        app.metrics.ended(&Ended {
            handler,
            method: request.method(),
            status: self.status.unwrap_or(*CLIENT_CLOSED_REQUEST),
            failure: self.failure,
            duration,
            received_bytes: self.body_end.received_bytes(),
            sent_bytes: self.sent_bytes,
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Call { app, request } = &self.call;
        let duration = app
            .runtime
            .clock
            .monotonic()
            .saturating_sub(request.began());
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let status = self.status.as_ref().map(StatusCode::as_u16);
        self.count(duration);
        let cut = !self.whole || status.is_none();
        let _entered = self.span.enter();
        if tracing::enabled!(target: COMBINED_TARGET, Level::INFO) {
            let line = Combined {
                request,
                status: status.unwrap_or(CLIENT_CLOSED_REQUEST.as_u16()),
                sent_bytes: self.sent_bytes,
                at: app.runtime.clock.now(),
            };
            tracing::info!(target: COMBINED_TARGET, "{line}");
        }
        tracing::info!(
            target: TARGET,
            status = status.unwrap_or(CLIENT_CLOSED_REQUEST.as_u16()),
            bytes = self.sent_bytes,
            duration_us,
            cut = cut.then_some(true),
            user_agent = request.user_agent().map(excerpt),
            "{}",
            if status.is_some() { "answered" } else { "not answered" }
        );
    }
}

/// The body of an answer, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct LoggedBody {
    body: Body,
    line: Line,
    under_way: UnderWay,
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        self.line.whole |= self.body.is_sent();
    }
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self {
            body,
            line,
            under_way,
        } = self.get_mut();
        under_way.asked();
        let polled = {
            let _entered = line.span.enter();
            ready!(Pin::new(body).poll_frame(cx))
        };
        match &polled {
            Some(Ok(frame)) => {
                line.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                under_way.offered();
            }
            Some(Err(error)) => {
                let _entered = line.span.enter();
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "cutting the connection within an answer");
            }
            None => line.whole = true,
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
