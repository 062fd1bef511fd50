//! From a listening socket to requests.
//!
//! ```text
//! socket ─ Lingering ─┬──────────────────────────────── Watched ─ HTTP/1
//!                     ├─ first bytes (h2c) ─┐
//!                     └─ TLS ───────────────┴─ boxed ─── Watched ─ HTTP/1 or HTTP/2
//! ```
//!
//! What is most used, HTTP/1 in the clear, goes without the box.

mod alarm;
mod bound;
mod linger;
mod pace;
mod preface;
mod protocols;
mod requests;
mod socket;
mod streams;
mod watched;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::App;
use crate::config::Config;
use crate::metrics::{HttpMetrics, Shed};
use crate::request::{Peer, Via};
use crate::service::serve;
use crate::tls::Certificates;

use self::linger::Lingering;
use self::preface::speaks_http2;
use self::protocols::Protocols;
use self::requests::Requests;
use self::socket::{Accepted, Socket};
use self::streams::Streams;
use self::watched::{Heads, Watched};

pub(crate) use self::bound::Bound;
pub(crate) use self::requests::UnderWay;

/// 100 ms: how long to wait when no file descriptor is left, until somebody closes one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    app: Arc<App>,
    protocols: Protocols,
    certificates: Option<Arc<Certificates>>,
    /// HTTP/2 is spoken in the clear.
    h2c: bool,
    /// Each connection holds a permit.
    permits: Arc<Semaphore>,
    max: u32,
    /// No further request is read.
    draining: CancellationToken,
    /// Requests are cut.
    cut: CancellationToken,
}

/// A connection that is not served yet, and what is spoken on it.
struct Opened {
    stream: Box<dyn Stream>,
    is_http2: bool,
}

/// What can be read and written.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connections {
    pub(crate) fn new(
        app: Arc<App>,
        config: &Config,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let limits = &config.limits;
        let max = u32::try_from(limits.max_connections.max(1)).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(usize::try_from(max).unwrap_or(1)));
        let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
        Self {
            app,
            protocols: Protocols::new(limits),
            h2c: config.h2c && certificates.is_none(),
            certificates,
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
    async fn serve(&self, accepted: Accepted, peer: Peer, permit: OwnedSemaphorePermit) {
        let app = &self.app;
        let _counted = Counted::new(&app.metrics);
        let connected = app.quotas.connect(peer.client());
        let within_quota = connected.is_within_quota();
        if !within_quota && self.permits.available_permits() < self.reserve() {
            // It would keep others out until it is told why it is not served.
            app.metrics.shed(Shed::AddressConnections);
            return;
        }
        let served = async {
            // It is waited for where it is served, not where it was accepted.
            let socket = Lingering::new(Socket::try_from(accepted)?);
            let via = Via::new(peer, self.certificates.is_some(), within_quota);
            if self.certificates.is_none() && !self.h2c {
                return self.http1(socket, via).await;
            }
            let Opened { stream, is_http2 } = tokio::select! {
                opened = self.open(socket) => opened?,
                // Nothing was asked yet.
                () = self.draining.cancelled() => return Ok(()),
            };
            if is_http2 {
                Box::pin(self.http2(stream, via)).await
            } else {
                Box::pin(self.http1(stream, via)).await
            }
        };
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            result = served => if let Err(error) = result {
                tracing::debug!(%peer, error = describe(&*error), "connection ended");
            }
        }
        drop(permit);
    }

    /// Does what comes before the first request, in time.
    async fn open(&self, socket: Lingering<Socket>) -> io::Result<Opened> {
        let limits = &self.app.limits;
        let (timeout, what) = match self.certificates {
            Some(_) => (limits.handshake_timeout, "the handshake takes too long"),
            None => (limits.header_timeout, "the first request does not come"),
        };
        let opening = async {
            let Some(certificates) = &self.certificates else {
                let (stream, is_http2) = speaks_http2(socket).await?;
                let stream = Box::new(stream);
                return Ok(Opened { stream, is_http2 });
            };
            let acceptor = TlsAcceptor::from(certificates.current());
            let stream = Box::new(acceptor.accept(socket).await?);
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Opened { stream, is_http2 })
        };
        tokio::select! {
            opened = opening => opened,
            () = self.app.runtime.clock.sleep(timeout) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, what))
            }
        }
    }

    async fn http1<S>(&self, stream: S, via: Arc<Via>) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let app = &self.app;
        let requests = Requests::default();
        let io = Watched::new(stream, Heads::Alone, &app.limits, requests.clone());
        let served = requests.clone();
        // In a box: a connection that waits for its next request holds no room for it.
        let service = service_fn(move |request| {
            Box::pin(serve(
                Arc::clone(app),
                Arc::clone(&via),
                request,
                served.begin(),
            ))
        });
        let connection = self
            .protocols
            .http1
            .serve_connection(TokioIo::new(io), service);
        self.run(connection, &requests, |connection| {
            connection.graceful_shutdown()
        })
        .await
    }

    async fn http2(&self, stream: Box<dyn Stream>, via: Arc<Via>) -> Result<(), Error> {
        let app = &self.app;
        let requests = Requests::default();
        let io = Watched::new(stream, Heads::Amid, &app.limits, requests.clone());
        let patience = app.limits.write_idle_timeout;
        let streams = Streams::new(app.runtime.tasks.clone(), requests.clone(), patience);
        let (owned, begun, all) = (Arc::clone(app), streams.clone(), requests.clone());
        let service = service_fn(move |request| {
            if !via.within_quota {
                // Each of its requests is told so, and there shall be no further ones.
                all.tell_unasked();
            }
            let (owned, via) = (Arc::clone(&owned), Arc::clone(&via));
            serve(owned, via, request, begun.begin())
        });
        let http2 = self.protocols.http2(streams);
        let connection = http2.serve_connection(TokioIo::new(io), service);
        self.run(connection, &requests, |connection| {
            connection.graceful_shutdown()
        })
        .await
    }

    /// Runs a connection to its end; when no further request is wanted, `stop` tells it so.
    async fn run<C>(
        &self,
        connection: C,
        requests: &Requests,
        stop: impl FnOnce(Pin<&mut C>),
    ) -> Result<(), Error>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return Ok(result?),
            () = self.draining.cancelled() => {}
            () = requests.unasked() => {}
        }
        requests.end();
        stop(connection.as_mut());
        Ok(connection.await?)
    }
}

/// Why a connection ended before its time; nobody does anything about it.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Returns an error with its causes.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
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
pub(crate) async fn accept(connections: Arc<Connections>, listener: Bound) {
    loop {
        let permits = Arc::clone(&connections.permits);
        let permit = permits
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((accepted, peer)) => {
                let connections = Arc::clone(&connections);
                let tasks = connections.app.runtime.tasks.clone();
                tasks.spawn_apart(async move { connections.serve(accepted, peer, permit).await });
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
