//! From a listening socket to requests.

mod alarm;
mod linger;
mod pace;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::App;
use crate::config::Limits;
use crate::metrics::{HttpMetrics, Shed};
use crate::service::serve;

use self::linger::Lingering;
use self::watched::{Requests, Watched};

pub(crate) use self::watched::UnderWay;

/// 100: what the specifications define is a quarter of it.
const MAX_HEADERS: usize = 100;

/// 8 KiB: less is not enough for the head of a request.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// 100 ms: how long to wait when no file descriptor is left, until somebody closes one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    app: Arc<App>,
    http: http1::Builder,
    /// Each connection holds a permit.
    permits: Arc<Semaphore>,
    max: u32,
    /// No further request is read.
    draining: CancellationToken,
    /// Requests are cut.
    cut: CancellationToken,
}

impl Connections {
    pub(crate) fn new(app: Arc<App>, limits: &Limits) -> Self {
        let mut http = http1::Builder::new();
        // The connection itself sees to it that heads come.
        http.header_read_timeout(None)
            .max_buf_size(limits.buffer_bytes.max(MIN_BUFFER_BYTES))
            .max_headers(MAX_HEADERS);
        let max = u32::try_from(limits.max_connections.max(1)).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(usize::try_from(max).unwrap_or(1)));
        let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
        Self {
            app,
            http,
            permits,
            max,
            draining,
            cut,
        }
    }

    /// Returns a guard that cuts all connections when it is dropped.
    pub(crate) fn cut_on_drop(&self) -> DropGuard {
        self.cut.clone().drop_guard()
    }

    /// Lets requests go on for `timeout`, and then cuts those that are left. Nothing must be
    /// accepted any more.
    pub(crate) async fn drain(&self, timeout: Duration) {
        self.draining.cancel();
        let mut all = pin!(self.permits.acquire_many(self.max));
        tokio::select! {
            biased;
            _ended = &mut all => return,
            () = self.app.runtime.clock.sleep(timeout) => {}
        }
        tracing::warn!(?timeout, "cutting requests that go on for too long");
        self.cut.cancel();
        // Every connection looks at the token first, so this ends at once.
        drop(all.await);
    }

    /// Returns how many connections are left to clients that have not too many.
    fn reserve(&self) -> usize {
        usize::try_from(self.max / 4).unwrap_or(0)
    }

    /// Serves one connection to its end.
    async fn serve(
        &self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let app = &self.app;
        let _counted = Counted::new(&app.metrics);
        let connected = app.quotas.connect(peer.ip());
        let within_quota = connected.is_within_quota();
        if !within_quota && self.permits.available_permits() < self.reserve() {
            // It would keep others out until it is told why it is not served.
            app.metrics.shed(Shed::AddressConnections);
            return;
        }
        // It is waited for where it is served, not where it was accepted.
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%peer, %error, "cannot serve a connection");
                return;
            }
        };
        // In a box: a connection that waits for its next request holds no room for it.
        let requests = Requests::default();
        let stream = Watched::new(Lingering::new(stream), &app.limits, requests.clone());
        let io = TokioIo::new(stream);
        let service = service_fn(move |request| {
            let under_way = requests.begin();
            Box::pin(serve(
                Arc::clone(app),
                peer,
                request,
                under_way,
                within_quota,
            ))
        });
        let mut connection = pin!(self.http.serve_connection(io, service));
        let served = async {
            tokio::select! {
                result = connection.as_mut() => return result,
                () = self.draining.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            result = served => if let Err(error) = result {
                tracing::debug!(%peer, %error, "connection ended");
            }
        }
        drop(permit);
    }
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
struct Counted<'a>(&'a HttpMetrics);

impl<'a> Counted<'a> {
    fn new(metrics: &'a HttpMetrics) -> Self {
        metrics.connection_opened();
        Self(metrics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Accepts connections for as long as it is polled.
pub(crate) async fn accept(connections: Arc<Connections>, listener: TcpListener) {
    loop {
        let permits = Arc::clone(&connections.permits);
        let permit = permits
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let prepared = stream.set_nodelay(true).and_then(|()| stream.into_std());
                let stream = match prepared {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(%peer, %error, "connection is gone already");
                        continue;
                    }
                };
                let connections = Arc::clone(&connections);
                let tasks = connections.app.runtime.tasks.clone();
                tasks.spawn_apart(async move { connections.serve(stream, peer, permit).await });
            }
            Err(error) => {
                drop(permit);
                accept_failed(&connections, &error).await;
            }
        }
    }
}

async fn accept_failed(connections: &Connections, error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    // These are about one connection, which is gone; anything else is about all of them.
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::error!(%error, "cannot accept connections");
        connections.app.runtime.clock.sleep(ACCEPT_PAUSE).await;
    }
}
