//! The server as a whole: bound, run, and ended.

use std::error::Error as StdError;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wharfinger_auth::Gate;
use wharfinger_oci::CodeTable;
use wharfinger_runtime::Runtime;
use wharfinger_store::Store;

use crate::app::App;
use crate::config::Config;
use crate::event::EventSink;
use crate::health::Health;
use crate::listener::{Bound, Connections, accept};
use crate::metrics::HttpMetrics;
use crate::tls::{self, Certificates};

/// What the server is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where content lies.
    pub store: Store,
    /// Who may do what.
    pub gate: Gate,
    /// Time, randomness and tasks.
    pub runtime: Runtime,
    /// What can be answered when something is wrong: [`codes`](crate::codes), and those of others.
    pub codes: CodeTable,
    /// Who wants to hear of events, in this order.
    pub events: Vec<Arc<dyn EventSink>>,
    /// Where requests and connections are counted.
    pub metrics: Arc<HttpMetrics>,
    /// Whether requests are answered at all.
    pub health: Arc<Health>,
}

/// A server that listens and does not yet answer.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listeners: Vec<Bound>,
    addresses: Vec<SocketAddr>,
    certificates: Option<Arc<Certificates>>,
    reload: Arc<Notify>,
    config: Config,
}

impl Server {
    /// Reads the certificate and takes the addresses of `config`. From here on clients can connect; they
    /// are answered by [`Server::run`].
    ///
    /// # Errors
    /// Fails if the certificate cannot be used, or an endpoint has no address that can be had.
    pub async fn bind(mut config: Config, parts: Parts) -> Result<Self, Error> {
        let certificates = match config.tls.take() {
            Some(tls) => Some(Certificates::read(tls, config.http2, &parts.runtime).await?),
            None => None,
        };
        let mut listeners = Vec::with_capacity(config.endpoints.len());
        for endpoint in config.endpoints.drain(..) {
            let name = endpoint.to_string();
            let bound = Bound::new(endpoint).await;
            listeners.push(bound.map_err(|error| Error::listen(name, error))?);
        }
        Ok(Self {
            app: Arc::new(App::new(&config, parts)),
            addresses: listeners.iter().filter_map(Bound::address).collect(),
            listeners,
            certificates: certificates.map(Arc::new),
            reload: Arc::default(),
            config,
        })
    }

    /// Returns the addresses that were taken, in the order of the endpoints; a Unix socket has none.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns in words where the server listens.
    pub fn listening(&self) -> impl Iterator<Item = String> {
        self.listeners.iter().map(Bound::name)
    }

    /// Returns what has the certificate read again, when it is notified.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Answers requests until `shutdown` completes; then stops to accept connections, lets requests
    /// go on for the drain timeout, and cuts those that are left.
    ///
    /// What cut requests have sent of their uploads is still being saved when this returns: end the
    /// runtime's tasks, and wait for them, before the process ends.
    ///
    /// # Cancellation
    /// Dropping the future cuts all connections.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let tasks = self.app.runtime.tasks.clone();
        let app = Arc::clone(&self.app);
        let connections = Connections::new(app, &self.config, self.certificates.clone());
        let connections = Arc::new(connections);
        let stop = CancellationToken::new();
        let stop_on_drop = stop.clone().drop_guard();
        let cut_on_drop = connections.cut_on_drop();
        let until_stopped = |work: BoxFuture<'static, ()>| {
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move {
                tokio::select! {
                    () = stopped => {}
                    () = work => {}
                }
            });
        };
        for listener in self.listeners {
            until_stopped(Box::pin(accept(Arc::clone(&connections), listener)));
        }
        if let Some(certificates) = self.certificates {
            let runtime = self.app.runtime.clone();
            until_stopped(Box::pin(certificates.follow(self.reload, runtime)));
        }
        shutdown.await;
        // Whoever spreads requests over nodes hears of it first.
        self.app.health.drain();
        tracing::info!(timeout = ?self.config.drain_timeout, "letting requests end");
        drop(stop_on_drop);
        connections.drain(self.config.drain_timeout).await;
        drop(cut_on_drop);
    }
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Box<dyn StdError + Send + Sync>,
}

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else listens on the address. Wait for them, or take another.
    AddressInUse,
    /// The address is not to be had. Take another.
    AddressUnavailable,
    /// The certificate cannot be used. Look at its files.
    Certificate,
}

impl Error {
    fn listen(endpoint: impl Display, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
            _ => ErrorKind::AddressUnavailable,
        };
        Self {
            kind,
            message: format!("cannot listen on {endpoint}"),
            source: source.into(),
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<tls::Error> for Error {
    fn from(error: tls::Error) -> Self {
        Self {
            kind: ErrorKind::Certificate,
            message: "cannot serve TLS".to_owned(),
            source: error.into(),
        }
    }
}
