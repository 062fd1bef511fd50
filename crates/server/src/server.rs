//! The server as a whole: bound, run, and ended.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharfinger_auth::Gate;
use wharfinger_oci::CodeTable;
use wharfinger_runtime::Runtime;
use wharfinger_store::Store;

use crate::app::App;
use crate::config::{Config, Endpoint};
use crate::event::EventSink;
use crate::health::Health;
use crate::listener::{Connections, accept};
use crate::metrics::HttpMetrics;

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
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    config: Config,
}

impl Server {
    /// Takes the addresses of `config`. From here on clients can connect; they are answered by
    /// [`Server::run`].
    ///
    /// # Errors
    /// Fails if an endpoint has no address that can be had.
    pub async fn bind(config: Config, parts: Parts) -> Result<Self, Error> {
        let mut listeners = Vec::with_capacity(config.endpoints.len());
        let mut addresses = Vec::with_capacity(config.endpoints.len());
        for endpoint in &config.endpoints {
            let listener = bind(endpoint).await?;
            addresses.push(
                listener
                    .local_addr()
                    .map_err(|error| Error::listen(endpoint, error))?,
            );
            listeners.push(listener);
        }
        Ok(Self {
            app: Arc::new(App::new(&config, parts)),
            listeners,
            addresses,
            config,
        })
    }

    /// Returns the addresses that were taken, one for each endpoint.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
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
        let connections = Arc::new(Connections::new(Arc::clone(&self.app), &self.config.limits));
        let stop = CancellationToken::new();
        let stop_on_drop = stop.clone().drop_guard();
        let cut_on_drop = connections.cut_on_drop();
        for listener in self.listeners {
            let accepting = accept(Arc::clone(&connections), listener);
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move {
                tokio::select! {
                    () = stopped => {}
                    () = accepting => {}
                }
            });
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

async fn bind(endpoint: &Endpoint) -> Result<TcpListener, Error> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
    for address in &endpoint.candidates {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(Error::listen(endpoint, last))
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}")]
pub struct Error {
    kind: ErrorKind,
    endpoint: String,
    #[source]
    source: io::Error,
}

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else listens on the address. Wait for them, or take another.
    AddressInUse,
    /// The address is not to be had. Take another.
    AddressUnavailable,
}

impl Error {
    fn listen(endpoint: &Endpoint, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
            _ => ErrorKind::AddressUnavailable,
        };
        let names: Vec<_> = endpoint
            .candidates
            .iter()
            .map(SocketAddr::to_string)
            .collect();
        Self {
            kind,
            endpoint: names.join(" or "),
            source,
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
