//! What operators see of a running registry: checks, metrics and the listener that shows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::net::TcpListener;
use wharfinger_driver::{Driver, DriverMetrics, Filesystem};
use wharfinger_runtime::Runtime;
use wharfinger_server::{
    Check, CheckKind, Debug, Disk, EventCounters, Health, HttpMetrics, Metrics, Readiness, Sources,
    UploadCensus,
};
use wharfinger_store::{CacheCounters, Store};

use crate::config::{CheckConfig, DebugConfig, HealthConfig};

/// 10 s: a start has better to do than to look for uploads.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// 5 min: uploads are given up after days, and a look goes through every repository.
const BETWEEN_LOOKS: Duration = Duration::from_secs(300);

/// 60 s: a fifth of the time between two looks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// What the listener for operators shows, gathered while the registry is put together.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) http: Arc<HttpMetrics>,
    pub(crate) events: Arc<EventCounters>,
    pub(crate) health: Arc<Health>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) driver_metrics: Arc<DriverMetrics>,
    pub(crate) filesystem: Option<Filesystem>,
    pub(crate) store: Store,
    pub(crate) cache: Option<Arc<CacheCounters>>,
    pub(crate) disk: Option<Disk>,
    pub(crate) started: SystemTime,
}

/// Starts the checks of the configuration.
pub(crate) fn watch(
    config: HealthConfig,
    health: &Arc<Health>,
    driver: &Arc<dyn Driver>,
    runtime: &Runtime,
) {
    let storage = config.storage.map(|timing| Check {
        // The name that Distribution gives it.
        name: format!("storagedriver_{}", driver.name()),
        kind: CheckKind::Storage {
            driver: Arc::clone(driver),
            path: wharfinger_store::root(),
        },
        interval: timing.interval,
        timeout: timing.timeout,
        threshold: timing.threshold,
    });
    let others = config.checks.into_iter().map(|(name, what, timing)| Check {
        name,
        kind: match what {
            CheckConfig::File(path) => CheckKind::File {
                path,
                blocking: runtime.blocking.clone(),
            },
            CheckConfig::Tcp(address) => CheckKind::Tcp(address),
            CheckConfig::Http(web) => CheckKind::Web(web),
        },
        interval: timing.interval,
        timeout: timing.timeout,
        threshold: timing.threshold,
    });
    let checks: Vec<_> = storage.into_iter().chain(others).collect();
    for check in &checks {
        tracing::info!(check = check.name, interval = ?check.interval, "a health check is made");
    }
    health.watch(checks, runtime);
}

/// Takes the address of the listener for operators, and begins to answer there.
pub(crate) async fn show(
    config: &DebugConfig,
    shown: Shown,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let listener = bind(&config.addr.candidates()?).await?;
    let address = listener
        .local_addr()
        .context("the listener for operators")?;
    tracing::info!(%address, "listening for operators");
    if !wharfinger_server::is_local(address) {
        tracing::warn!(
            %address,
            "the listener for operators asks nobody who they are: let nobody else reach it"
        );
    }
    let mut id = [0; 8];
    runtime.entropy.fill(&mut id);
    let probe = wharfinger_store::probe(u64::from_ne_bytes(id));
    let readiness = Readiness::new(
        Arc::clone(&shown.driver),
        probe,
        shown.disk.clone(),
        runtime.clone(),
    );
    let health = Arc::clone(&shown.health);
    let metrics = config.metrics.clone().map(|path| {
        let uploads = Arc::new(UploadCensus::new());
        count_uploads(shown.store, Arc::clone(&uploads), runtime);
        let metrics = Metrics::new(Sources {
            http: shown.http,
            events: shown.events,
            storage: (shown.driver.name(), shown.driver_metrics),
            cache: shown.cache,
            filesystem: shown.filesystem,
            uploads,
            clock: Arc::clone(&runtime.clock),
            disk: shown.disk,
            health: shown.health,
            started: shown.started,
            version: env!("CARGO_PKG_VERSION"),
        });
        (path, metrics)
    });
    let debug = Debug {
        metrics,
        health,
        readiness,
    };
    runtime.tasks.spawn(debug.serve(listener, runtime.clone()));
    Ok(())
}

/// Counts the uploads in the storage from time to time. A look that takes too long is given up, and the
/// one before it stays, with its time.
fn count_uploads(store: Store, census: Arc<UploadCensus>, runtime: &Runtime) {
    let clock = Arc::clone(&runtime.clock);
    let ended = runtime.tasks.cancelled();
    let looking = async move {
        clock.sleep(FIRST_LOOK).await;
        loop {
            tokio::select! {
                count = store.count_uploads() => match count {
                    Ok(count) => census.note(count.open, count.oldest_started_at, clock.now()),
                    Err(error) => tracing::warn!(%error, "cannot count the open uploads"),
                },
                () = clock.sleep(LOOK_TIMEOUT) => tracing::warn!(
                    timeout = ?LOOK_TIMEOUT,
                    "counting the open uploads takes too long; they are shown as last counted"
                ),
            }
            clock.sleep(BETWEEN_LOOKS).await;
        }
    };
    runtime.tasks.spawn(async move {
        tokio::select! {
            () = ended => {}
            () = looking => {}
        }
    });
}

async fn bind(candidates: &[SocketAddr]) -> anyhow::Result<TcpListener> {
    let mut last = None;
    for address in candidates {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some((address, error)),
        }
    }
    let (address, error) = last.context("`http.debug.addr` has no address")?;
    Err(error).with_context(|| format!("cannot listen for operators on {address}"))
}
