//! The HTTP API of the registry.
//!
//! A request passes four stages, and nothing on the way runs back up:
//!
//! 1. `listener` and `service`: a connection, with or without TLS, and on it a request with its name, span
//!    and access log line;
//! 2. `router`: method and path become a typed action of [`wharfinger_auth::action`];
//! 3. the [`Gate`](wharfinger_auth::Gate) grants the action, or the request ends here;
//! 4. `handlers`: the granted action is done on the store, and events tell of it.
//!
//! Bodies are streams in both directions. Whatever changes the store runs in a task of its own: a
//! client that goes away cannot stop it halfway, and what it had sent of an upload is kept.
//!
//! ```
//! use std::sync::Arc;
//! use wharfinger_auth::{Gate, Open};
//! use wharfinger_driver::Memory;
//! use wharfinger_runtime::{Runtime, Secret};
//! use wharfinger_server::{Config, Health, HttpMetrics, Parts, Server};
//! use wharfinger_store::{Store, StoreOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let runtime = Runtime::new(4);
//! let secret = Secret::new(b"shared by all nodes".to_vec());
//! let options = StoreOptions::new(secret.clone());
//! let store = Store::new(Arc::new(Memory::new()), None, runtime.clone(), options);
//!
//! let config = Config::new(([127, 0, 0, 1], 0).into(), secret);
//! let gate = Gate::new(Arc::new(Open));
//! let codes = wharfinger_server::codes();
//! let metrics = Arc::new(HttpMetrics::new(&codes));
//! let health = Arc::new(Health::new());
//! let events = Vec::new();
//! let parts = Parts { store, gate, runtime: runtime.clone(), codes, events, metrics, health };
//! let server = Server::bind(config, parts).await?;
//! assert_ne!(server.local_addrs()[0].port(), 0);
//!
//! let stop_at_once = std::future::ready(());
//! server.run(stop_at_once).await;
//! runtime.tasks.shut_down();
//! runtime.tasks.ended().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access_log;
mod app;
mod body;
mod conditional;
mod config;
mod debug;
mod error;
mod event;
mod handlers;
mod health;
mod listener;
mod metrics;
mod page;
mod quotas;
mod request;
mod response;
mod router;
mod server;
mod service;
mod tls;
mod upload_token;
mod urls;

pub use crate::access_log::{COMBINED_TARGET as COMBINED_LOG, TARGET as ACCESS_LOG};
pub use crate::config::{
    Config, DEFAULT_BODY_GRACE, DEFAULT_BODY_IDLE_TIMEOUT, DEFAULT_BUFFER_BYTES,
    DEFAULT_DRAIN_TIMEOUT, DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_HEADER_TIMEOUT, DEFAULT_IDLE_TIMEOUT,
    DEFAULT_MANIFEST_MEMORY_BYTES, DEFAULT_MAX_ADDRESS_CONNECTIONS, DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_REQUESTS, DEFAULT_MAX_UPLOADS, DEFAULT_MIN_ANSWER_RATE, DEFAULT_MIN_BODY_RATE,
    DEFAULT_MOST_REPOSITORIES, DEFAULT_MOST_TAGS, DEFAULT_REFUSED_BODY_TIMEOUT,
    DEFAULT_WHOLE_BODY_TIMEOUT, DEFAULT_WRITE_IDLE_TIMEOUT, Endpoint, Inherited, Limits, Pages,
};
pub use crate::debug::{Debug, is_local};
pub use crate::error::{
    BODY_TIMEOUT, CODING_UNSUPPORTED, MANIFEST_TOO_LARGE, QUERY_INVALID, STORAGE_FULL,
    TARGET_TOO_LONG, codes,
};
pub use crate::event::{Event, EventAction, EventCounters, EventSink, Target};
pub use crate::health::{Check, CheckKind, Disk, Health, Readiness, Space, Web, WebError};
pub use crate::metrics::{HttpMetrics, Metrics, Sources, UploadCensus};
pub use crate::request::{Peer, RequestId, RequestInfo};
pub use crate::server::{Error, ErrorKind, Parts, Server};
pub use crate::tls::{
    CipherSuite, ClientAuth, Clients, DEFAULT_TLS_LOOK_INTERVAL, SuiteError, Tls, TlsVersion,
};
pub use crate::urls::{BaseUrl, Prefix, UrlError, Urls};
