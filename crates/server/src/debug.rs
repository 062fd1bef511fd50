//! The listener for operators: metrics, health, liveness and readiness.
//!
//! ```text
//! /metrics          what Prometheus reads, if it is switched on; the path can be chosen
//! /debug/health     the checks that fail, and why: 200 and {} when none does, as in Distribution
//! /livez            200 as long as the process answers
//! /readyz           200 if it should be sent requests
//! ```
//!
//! It knows nobody, so it belongs on an address that only operators reach. There is nothing here that
//! tells of the configuration, of a secret or of what is stored.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use wharfinger_runtime::Runtime;

use crate::health::{Health, Readiness};
use crate::metrics::Metrics;

/// 64: a scraper and a few probes; further ones wait.
const MAX_CONNECTIONS: usize = 64;

/// 10 s: a head is one packet.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// 60 s: probes come again every few seconds over a connection of their own.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// 8 KiB: the head of a scrape has a tenth.
const BUFFER_BYTES: usize = 8 * 1024;

/// 100 ms: how long to wait when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listener shows.
#[derive(Debug)]
pub struct Debug {
    /// The path of the metrics, which begins with a slash, and the metrics.
    pub metrics: Option<(String, Metrics)>,
    /// The checks.
    pub health: Arc<Health>,
    /// The probe of the storage.
    pub readiness: Readiness,
}

type Answer = Response<Full<Bytes>>;

impl Debug {
    /// Answers whoever connects to `listener`, until the runtime's tasks are asked to end: a load
    /// balancer hears of the end of the registry for as long as it takes.
    pub async fn serve(self, listener: TcpListener, runtime: Runtime) {
        let shown = Arc::new(self);
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let permit = Arc::clone(&permits)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = runtime.tasks.cancelled() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection for operators");
                    runtime.clock.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (shown, ended) = (Arc::clone(&shown), runtime.tasks.cancelled());
            let too_long = runtime.clock.sleep(CONNECTION_TIMEOUT);
            runtime.tasks.spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&shown), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(BUFFER_BYTES)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    result = connection => if let Err(error) = result {
                        tracing::debug!(%error, "connection of an operator ended");
                    },
                    () = too_long => {}
                    () = ended => {}
                }
                drop(permit);
            });
        }
    }

    async fn page(&self, path: &str) -> Answer {
        match path {
            "/livez" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready().await,
            "/debug/health" => self.checks(),
            _ => match &self.metrics {
                Some((of_metrics, metrics)) if of_metrics == path => scrape(metrics),
                _ => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
            },
        }
    }

    /// Answers as Distribution does: the checks that fail, by name.
    fn checks(&self) -> Answer {
        let reasons = self.health.reasons();
        let status = if reasons.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let reasons: Map<_, _> = reasons
            .into_iter()
            .map(|(name, reason)| (name, reason.into()))
            .collect();
        json(status, reasons)
    }

    async fn ready(&self) -> Answer {
        let mut report = Map::new();
        if self.health.is_draining() {
            report.insert("process".to_owned(), "ending".into());
        } else {
            if let Some(failing) = self.health.failing() {
                report.insert("health".to_owned(), format!("{failing} checks fail").into());
            }
            let found = self.readiness.report().await;
            if let Err(reason) = found.storage {
                report.insert("storage".to_owned(), reason.into());
            }
            if report.is_empty() {
                let mut fine = Map::new();
                if let Some(percent) = found.nearly_full {
                    // It still answers, and what is asked for most is there.
                    fine.insert("disk".to_owned(), format!("{percent} % full").into());
                }
                return json(StatusCode::OK, fine);
            }
        }
        json(StatusCode::SERVICE_UNAVAILABLE, report)
    }
}

async fn answer(shown: Arc<Debug>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match *request.method() {
        Method::GET | Method::HEAD => shown.page(request.uri().path()).await,
        _ => {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            refused
        }
    })
}

fn scrape(metrics: &Metrics) -> Answer {
    match metrics.text() {
        Ok(text) => page(StatusCode::OK, Metrics::CONTENT_TYPE, text),
        Err(error) => {
            tracing::error!(%error, "cannot write metrics");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "500 cannot write metrics\n",
            )
        }
    }
}

fn json(status: StatusCode, object: Map<String, Value>) -> Answer {
    let text = Value::Object(object).to_string();
    page(status, "application/json; charset=utf-8", text)
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    page(status, "text/plain; charset=utf-8", text)
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What was true a moment ago is of no use to anybody.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Tells whether an address can be reached from this machine alone.
#[must_use]
pub fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
