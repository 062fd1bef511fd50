//! One connection: HTTP/2, and the calls that come over it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tonic::codegen::Service as _;
use wharfinger_runtime::Tasks;

use crate::proto::content_server::ContentServer;
use crate::server::{Service, body};

use super::transport::{buffered, drive};

/// 16 MiB: the longest message that clients send, and that they take.
const MOST_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// 4 MiB of a call may be on the way: a message of the usual length, and the next.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// 32 MiB of all calls may be on the way.
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// 1 MiB: a piece of a blob in one frame.
const FRAME_BYTES: u32 = 1024 * 1024;
/// 4,096 calls at once: each blob that is written has one for as long as that takes.
const MOST_CALLS: u32 = 4096;
/// 1,024 calls that were cancelled may not have been looked at yet: a client cancels every read of
/// which it has enough.
const MOST_CANCELLED: usize = 1024;
/// 20 s: how long a peer may not answer to a ping. Over a Unix socket it is there or it is not.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves one connection to its end; once `draining` completes, no further call is taken.
pub(super) async fn serve(
    stream: std::os::unix::net::UnixStream,
    service: Service,
    tasks: Tasks,
    draining: impl Future<Output = ()>,
) {
    let stream = match UnixStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "cannot serve a connection");
            return;
        }
    };
    let content = ContentServer::new(service)
        .max_decoding_message_size(MOST_MESSAGE_BYTES)
        .max_encoding_message_size(usize::MAX);
    let service = service_fn(move |request| {
        let answered = content.clone().call(request);
        async move { answered.await.map(body) }
    });
    let (stream, sender) = buffered(stream);
    let connection = http2::Builder::new(OnTasks(tasks))
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(MOST_CALLS)
        .max_pending_accept_reset_streams(MOST_CANCELLED)
        .max_local_error_reset_streams(MOST_CANCELLED)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut draining = pin!(draining);
    let mut is_draining = false;
    let served = poll_fn(|cx| {
        if !is_draining && draining.as_mut().poll(cx).is_ready() {
            is_draining = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    if let Err(error) = drive(served, &sender).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Runs the tasks of a connection among ours.
#[derive(Debug, Clone)]
pub(crate) struct OnTasks(pub(crate) Tasks);

impl<F> Executor<F> for OnTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}
