//! A wrapper that traces and counts the calls of any driver.

mod ingest;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tracing::{Instrument as _, Span, debug, debug_span};
use wharfinger_runtime::Clock;

use crate::{
    Capabilities, Condition, Driver, DriverPath, Durability, Ingest, Metadata, Method, Page, Put,
    ReadRange, ReadStream, RedirectMethod, Result, Resume, Target,
};

pub use metrics::{DURATION_BOUNDS, DriverMetrics, MethodMetrics};

use ingest::ObservedIngest;

/// A wrapper that traces and counts the calls of any driver and of its ingests.
///
/// Each call has a span at debug level with `driver`, `method` and `path`, and one event in it at
/// its end with how long it took and how it went. Where nobody listens to them, a call costs a few
/// atomic additions and two looks at the clock.
#[derive(Debug, Clone)]
pub struct Observed {
    inner: Arc<dyn Driver>,
    observer: Observer,
}

impl Observed {
    /// Wraps `inner` and counts into `metrics`.
    #[must_use]
    pub fn new(inner: Arc<dyn Driver>, metrics: Arc<DriverMetrics>, clock: Arc<dyn Clock>) -> Self {
        let observer = Observer {
            driver: inner.name(),
            metrics,
            clock,
        };
        Self { inner, observer }
    }

    fn wrap(&self, path: &DriverPath, ingest: Box<dyn Ingest>) -> Box<dyn Ingest> {
        Box::new(ObservedIngest::new(ingest, self.observer.clone(), path))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Observed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        self.observer
            .watch(Method::Stat, Some(path), self.inner.stat(path))
            .await
    }

    async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes> {
        let call = self.inner.get(path, limit_bytes);
        let bytes = self.observer.watch(Method::Get, Some(path), call).await?;
        self.observer
            .metrics
            .gave_out(Method::Get, bytes.len() as u64);
        Ok(bytes)
    }

    async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream> {
        let call = self.inner.read(path, range);
        let stream = self.observer.watch(Method::Read, Some(path), call).await?;
        Ok(self.observer.count_stream(Method::Read, stream))
    }

    async fn put(&self, writes: &[Put], durability: Durability) -> Result<()> {
        let path = writes.first().map(|write| &write.path);
        self.observer
            .watch(Method::Put, path, self.inner.put(writes, durability))
            .await?;
        self.observer
            .metrics
            .took_in(Method::Put, length_of(writes));
        Ok(())
    }

    async fn list(
        &self,
        directory: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let call = self.inner.list(directory, after, limit);
        self.observer
            .watch(Method::List, Some(directory), call)
            .await
    }

    async fn delete(&self, path: &DriverPath, durability: Durability) -> Result<()> {
        self.observer
            .watch(
                Method::Delete,
                Some(path),
                self.inner.delete(path, durability),
            )
            .await
    }

    async fn begin(&self, target: &Target) -> Result<Box<dyn Ingest>> {
        let (Target::Staged(path) | Target::Final(path)) = target;
        let call = self.inner.begin(target);
        let ingest = self.observer.watch(Method::Begin, Some(path), call).await?;
        Ok(self.wrap(path, ingest))
    }

    async fn resume(&self, path: &DriverPath, resume: Resume) -> Result<Box<dyn Ingest>> {
        let call = self.inner.resume(path, resume);
        let ingest = self
            .observer
            .watch(Method::Resume, Some(path), call)
            .await?;
        Ok(self.wrap(path, ingest))
    }

    async fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        let call = self.inner.mark_verified(path, metadata);
        self.observer
            .watch(Method::MarkVerified, Some(path), call)
            .await
    }

    async fn settle(&self, path: &DriverPath) -> Result<()> {
        self.observer
            .watch(Method::Settle, Some(path), self.inner.settle(path))
            .await
    }

    async fn link(&self, from: &DriverPath, to: &DriverPath, condition: Condition) -> Result<()> {
        let call = self.inner.link(from, to, condition);
        self.observer.watch(Method::Link, Some(to), call).await
    }

    async fn redirect(
        &self,
        path: &DriverPath,
        method: RedirectMethod,
        expiry: Duration,
    ) -> Result<String> {
        let call = self.inner.redirect(path, method, expiry);
        self.observer
            .watch(Method::Redirect, Some(path), call)
            .await
    }
}

/// What watches over the calls of a driver and of its ingests.
#[derive(Debug, Clone)]
struct Observer {
    driver: &'static str,
    metrics: Arc<DriverMetrics>,
    clock: Arc<dyn Clock>,
}

impl Observer {
    /// Makes `call` in a span of its own and counts it.
    async fn watch<T>(
        &self,
        method: Method,
        path: Option<&DriverPath>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let watched = self.begin(method, path);
        let result = if watched.span.is_disabled() {
            call.await
        } else {
            call.instrument(watched.span.clone()).await
        };
        watched.end(&result);
        result
    }

    fn begin(&self, method: Method, path: Option<&DriverPath>) -> Watched {
        let span = debug_span!(
            "driver",
            driver = self.driver,
            method = method.name(),
            path = path.map(tracing::field::display),
        );
        self.metrics.call_began(method);
        let began = self.clock.monotonic();
        Watched {
            observer: self.clone(),
            method,
            span,
            began,
            ended: false,
        }
    }

    /// Counts the bytes of a stream as they pass, and its failure.
    fn count_stream(&self, method: Method, mut stream: ReadStream) -> ReadStream {
        let metrics = Arc::clone(&self.metrics);
        let counted = stream.bytes.inspect(move |piece| match piece {
            Ok(bytes) => metrics.gave_out(method, bytes.len() as u64),
            Err(error) => metrics.failed(method, error.kind()),
        });
        stream.bytes = counted.boxed();
        stream
    }
}

/// A call that is under way.
#[derive(Debug)]
struct Watched {
    observer: Observer,
    method: Method,
    span: Span,
    began: Duration,
    ended: bool,
}

impl Watched {
    fn end<T>(mut self, result: &Result<T>) {
        self.ended = true;
        let took = self.took();
        if let Err(error) = result {
            self.observer.metrics.failed(self.method, error.kind());
        }
        if !self.span.is_disabled() {
            let outcome = result.as_ref().err().map(tracing::field::display);
            let duration_us = duration_us(took);
            debug!(parent: &self.span, duration_us, error = outcome, "call ended");
        }
    }

    fn took(&self) -> Duration {
        let took = self.observer.clock.monotonic().saturating_sub(self.began);
        self.observer.metrics.call_took(self.method, took);
        took
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended {
            let duration_us = duration_us(self.took());
            self.observer.metrics.call_dropped(self.method);
            debug!(parent: &self.span, duration_us, "call dropped");
        }
    }
}

fn duration_us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn length_of(writes: &[Put]) -> u64 {
    writes.iter().map(|write| write.bytes.len() as u64).sum()
}
