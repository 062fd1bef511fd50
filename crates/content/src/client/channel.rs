//! The connection to a socket, made when it is needed and made anew when it has ended.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tonic::Status as GrpcStatus;
use tonic::body::Body;
use tonic::codegen::Service;
use wharfinger_runtime::Tasks;

use crate::socket::OnTasks;

/// 8 MiB of a call may be on the way to us.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// 32 MiB of all calls may be.
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// 1 MiB: a piece of a blob in one frame.
const FRAME_BYTES: u32 = 1024 * 1024;

/// A way to a socket, for whoever speaks the wire over it. Clones share one connection.
#[derive(Clone)]
pub struct Channel {
    socket: Arc<Path>,
    connection: Arc<Mutex<Option<SendRequest<Body>>>>,
    tasks: Tasks,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Channel {
    /// The way to `socket`. It connects when it is needed, and again when the other side was away.
    #[must_use]
    pub fn new(socket: &Path, tasks: Tasks) -> Self {
        Self {
            socket: socket.into(),
            connection: Arc::default(),
            tasks,
        }
    }

    /// Returns the connection, made anew if it has ended. Others wait for whoever makes it.
    async fn connected(&self) -> Result<SendRequest<Body>, GrpcStatus> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        let made = self.connect().await?;
        *connection = Some(made.clone());
        Ok(made)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, GrpcStatus> {
        let socket = self.socket.display();
        let away = |error: &dyn fmt::Display| {
            GrpcStatus::unavailable(format!("no content store at {socket}: {error}"))
        };
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| away(&error))?;
        let (sender, connection) = http2::Builder::new(OnTasks(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| away(&error))?;
        drop(self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a content store ended");
            }
        }));
        Ok(sender)
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = GrpcStatus;
    type Future = BoxFuture<'static, Result<Self::Response, GrpcStatus>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GrpcStatus>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut connection = this.connected().await?;
            let away = |error: hyper::Error| GrpcStatus::unavailable(error.to_string());
            connection.ready().await.map_err(away)?;
            connection.send_request(request).await.map_err(away)
        })
    }
}
