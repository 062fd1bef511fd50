//! What every request shares, and what belongs to one.

use std::future::Future;
use std::sync::Arc;

use futures_util::TryFutureExt as _;
use http::{HeaderName, HeaderValue};
use tracing::{Instrument as _, Span};
use wharfinger_auth::{Gate, Principal};
use wharfinger_oci::{CodeTable, Query, RepositoryName, Route};
use wharfinger_runtime::Runtime;
use wharfinger_store::{Repository, Store};

use crate::config::{Config, Limits, Pages};
use crate::error::Failure;
use crate::event::{Event, EventAction, Events, Target};
use crate::health::Health;
use crate::metrics::{Handler, HttpMetrics};
use crate::quotas::Quotas;
use crate::request::{RequestIds, RequestInfo};
use crate::server::Parts;
use crate::upload_token::UploadTokens;
use crate::urls::Urls;

/// What every request shares.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) gate: Gate,
    pub(crate) runtime: Runtime,
    pub(crate) tokens: UploadTokens,
    pub(crate) ids: RequestIds,
    pub(crate) codes: CodeTable,
    pub(crate) delete_enabled: bool,
    pub(crate) urls: Urls,
    /// What every answer has besides its own headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) read_only: bool,
    pub(crate) pages: Pages,
    pub(crate) limits: Limits,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) metrics: Arc<HttpMetrics>,
    pub(crate) health: Arc<Health>,
    events: Events,
}

impl App {
    pub(crate) fn new(config: &Config, parts: Parts) -> Self {
        Self {
            ids: RequestIds::new(&*parts.runtime.entropy),
            store: parts.store,
            gate: parts.gate,
            runtime: parts.runtime,
            tokens: UploadTokens::new(&config.secret),
            codes: parts.codes,
            delete_enabled: config.delete_enabled,
            urls: config.urls.clone(),
            headers: config.headers.clone(),
            read_only: config.read_only,
            pages: config.pages,
            quotas: Arc::new(Quotas::new(&config.limits)),
            limits: config.limits.clone(),
            metrics: parts.metrics,
            health: parts.health,
            events: Events::new(parts.events),
        }
    }
}

/// One request on its way, without its body. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) request: Arc<RequestInfo>,
}

impl Call {
    /// Returns a repository, whether it exists or not.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Repository {
        self.app.store.repository(name)
    }

    /// Counts the request under what it asks for, from now on.
    pub(crate) fn begin(&self, handler: Handler) {
        self.request.note_handler(handler);
        self.app.metrics.began(handler);
    }

    /// Returns the URL of a route as the client sees it.
    pub(crate) fn location(&self, route: &Route, query: Option<Query>) -> HeaderValue {
        self.app.urls.location(&self.request, route, query)
    }

    /// Runs something to its end in a task of its own, also when the client goes away. It must not wait
    /// for the client: it may keep a thread.
    pub(crate) fn to_the_end<T: Send + 'static, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Failure>> + Send + use<T, W>
    where
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.to_the_end_in(Span::current(), self.hosted(work))
    }

    /// Runs something where the store makes its calls most cheaply.
    pub(crate) fn hosted<W>(&self, work: W) -> impl Future<Output = W::Output> + Send + use<W>
    where
        W: Future + Send + 'static,
        W::Output: Send + 'static,
    {
        // In a box: whoever waits for it holds no room for it.
        let (store, work) = (self.app.store.clone(), Box::pin(work));
        async move { store.host(work).await }
    }

    /// Does the same in a span, in which a failure is told too.
    ///
    /// The task starts at once, so that whoever waits for it need not hold room for the work.
    pub(crate) fn to_the_end_in<T: Send + 'static, W>(
        &self,
        span: Span,
        work: W,
    ) -> impl Future<Output = Result<T, Failure>> + Send + use<T, W>
    where
        W: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let task = self.app.runtime.tasks.spawn(told_in(span, work));
        async move {
            task.await
                .unwrap_or_else(|error| Err(Failure::internal(error)))
        }
    }

    /// Tells of something that happened to content of `repository`.
    pub(crate) fn emit(
        &self,
        action: EventAction,
        actor: &Principal,
        repository: &RepositoryName,
        target: Target<'_>,
    ) {
        let at = self.app.runtime.clock.now();
        let request = &*self.request;
        self.app.events.emit(&Event {
            action,
            target,
            repository,
            request,
            actor,
            at,
        });
    }
}

/// Does something in a span, in which a failure is told too.
pub(crate) fn told_in<T, W>(span: Span, work: W) -> impl Future<Output = Result<T, Failure>> + Send
where
    W: Future<Output = Result<T, Failure>> + Send,
{
    let work = work.inspect_err(Failure::log).map_err(Failure::logged);
    work.instrument(span)
}
