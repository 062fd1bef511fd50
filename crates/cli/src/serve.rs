//! The composition root: from settings to a running registry.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharfinger_driver::{Driver, Filesystem, Held};
use wharfinger_runtime::{Runtime, Secret};
use wharfinger_server::{Config, Endpoint, EventCounters, Health, HttpMetrics, Parts, Server};
use wharfinger_store::{
    CacheCounters, CountedDescriptorCache, DescriptorCache, MemoryDescriptorCache, Store,
    StoreOptions, VerifyPolicy,
};

use crate::config::{CacheConfig, DriverConfig, Listen, ServeConfig, Verify};
use crate::operation::{self, Shown};
use crate::storage::Storage;
use crate::{content, gate, limits, maintenance, systemd};

/// 16 calls at once: enough to keep any disk busy, and each thread costs a megabyte or two.
/// `maxthreads` of a file may only make it fewer.
pub(crate) const MOST_THREADS: usize = 16;

/// 2 s: threads that a burst has made do not stay.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// 30 s: once requests were cut, what they had sent is saved, which takes a moment. A finish that reads
/// a large upload again may take minutes, and any process can do it over.
const LAST_TASKS_TIMEOUT: Duration = Duration::from_secs(30);

/// 10 s: as long as a disk that works needs for what is left to sync.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the registry that `config` describes, until a signal ends it.
///
/// # Errors
/// Fails if the secret can be neither read nor made, the storage cannot be opened, or the address
/// cannot be had.
pub(crate) fn serve(
    config: ServeConfig,
    reload: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // This comes before every thread.
    let handed_down = systemd::sockets()?;
    let threads = match &config.storage.driver {
        DriverConfig::Filesystem { max_threads, .. } => (*max_threads).min(MOST_THREADS),
        DriverConfig::Memory => MOST_THREADS,
    };
    // One waits for the system's names, and one walks the storage for the catalog.
    let (home, runtime) = start_threads(threads, gate::threads(&config.auth) + 2)?;
    // This comes first: it makes ./wharfinger-data, for its owner alone.
    let secret = config.http.secret.obtain(&*runtime.entropy)?;
    let result = home.block_on(run(config, runtime, secret, handed_down, reload));
    // Whoever is still in a blocking call after all the waiting is not waited for.
    home.shutdown_background();
    result
}

/// Starts the threads: this one accepts connections, workers serve them, `blocking` ones wait for the
/// disk, and `more` for what else blocks.
pub(crate) fn start_threads(
    blocking: usize,
    more: usize,
) -> anyhow::Result<(tokio::runtime::Runtime, Runtime)> {
    let home = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(blocking + more)
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .build()
        .context("cannot start the main thread")?;
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = Runtime::new(blocking)
        .with_workers(workers, home.handle().clone())
        .context("cannot start the threads")?;
    Ok((home, runtime))
}

async fn run(
    config: ServeConfig,
    runtime: Runtime,
    secret: Secret<Vec<u8>>,
    handed_down: Vec<Endpoint>,
    reload: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let signals = Signals::install()?;
    let drain_timeout = config.http.drain_timeout;
    let Bound {
        server,
        contents,
        filesystem,
        _held,
    } = bind(config, &runtime, secret, handed_down).await?;
    for address in server.listening() {
        tracing::info!(address, "listening");
    }
    systemd::notify("READY=1");
    let files = server.reload();
    let (asked, insisted, reloaded) = signals.split(move || {
        read_again(&reload);
        files.notify_one();
    });
    let stopping = CancellationToken::new();
    let contents = join_all(contents.into_iter().map(|content| {
        let stopping = stopping.clone();
        content.run(drain_timeout, stopping.cancelled_owned())
    }));
    let asked = async move {
        asked.await;
        systemd::notify("STOPPING=1");
        stopping.cancel();
    };
    let ended = async {
        tokio::join!(server.run(asked), contents);
        settle(filesystem, &runtime).await;
    };
    tokio::select! {
        () = ended => tracing::info!("ended"),
        () = insisted => tracing::warn!("ended at once, since a second signal asked for it"),
        () = reloaded => {}
    }
    Ok(())
}

/// A registry that listens.
struct Bound {
    server: Server,
    /// The sockets of the content service.
    contents: Vec<wharfinger_content::Server>,
    /// To be closed at the end.
    filesystem: Option<Filesystem>,
    /// Keeps collectors of garbage away as long as it lives.
    _held: Option<Held>,
}

/// Puts the parts together, and listens.
async fn bind(
    config: ServeConfig,
    runtime: &Runtime,
    secret: Secret<Vec<u8>>,
    handed_down: Vec<Endpoint>,
) -> anyhow::Result<Bound> {
    let started = runtime.clock.now();
    let storage = Storage::open(&config, runtime)?;
    let held = match config.storage.read_only {
        false => storage.hold_as_writer()?,
        true => None,
    };
    let Storage {
        driver,
        filesystem,
        metrics: driver_metrics,
        disk,
    } = storage;
    let (cache, cache_counters) = cache(&config.storage.cache, &*driver);
    let options = store_options(&config, secret.clone());
    let store = Store::new(Arc::clone(&driver), cache, runtime.clone(), options);

    let server = Config {
        endpoints: endpoints(&config.http.listen, handed_down)?,
        tls: config.http.tls,
        http2: config.http.http2,
        h2c: config.http.h2c,
        urls: config.http.urls,
        headers: config.http.headers,
        secret,
        delete_enabled: config.storage.delete_enabled,
        read_only: config.storage.read_only,
        drain_timeout: config.http.drain_timeout,
        pages: config.pages,
        limits: limits::limits(&config.limits),
    };
    let purged = store.clone();
    let codes = wharfinger_server::codes();
    let (health, metrics) = (Arc::new(Health::new()), Arc::new(HttpMetrics::new(&codes)));
    let events = Arc::new(EventCounters::new());
    operation::watch(config.health, &health, &driver, runtime);
    if let Some(debug) = &config.http.debug {
        let shown = Shown {
            http: Arc::clone(&metrics),
            events: Arc::clone(&events),
            health: Arc::clone(&health),
            driver,
            driver_metrics,
            filesystem: filesystem.clone(),
            store: store.clone(),
            cache: cache_counters,
            disk,
            started,
        };
        operation::show(debug, shown, runtime).await?;
    }
    let contents = config.content.iter();
    let contents = contents.map(|socket| content::bind(socket, &store, runtime));
    let contents = contents.collect::<anyhow::Result<_>>()?;
    let parts = Parts {
        store,
        gate: gate::gate(&config.auth, runtime)?,
        runtime: runtime.clone(),
        codes,
        events: vec![events],
        metrics,
        health,
    };
    let server = Server::bind(server, parts).await?;
    if config.storage.purging.enabled && !config.storage.read_only {
        let purging = config.storage.purging.clone();
        let purging = maintenance::purge_regularly(purged, runtime.clone(), purging);
        drop(runtime.tasks.spawn(purging));
    }
    Ok(Bound {
        server,
        contents,
        filesystem,
        _held: held,
    })
}

fn store_options(config: &ServeConfig, secret: Secret<Vec<u8>>) -> StoreOptions {
    let mut options = StoreOptions::new(secret);
    options.verify = match config.verify {
        Verify::Changed => VerifyPolicy::Changed,
        Verify::Always => VerifyPolicy::Always,
        Verify::Never => VerifyPolicy::Never,
    };
    options.manifest_rules = config.manifest_rules.clone();
    options.catalog_rescan = config.catalog_rescan;
    options.read_only = config.storage.read_only;
    options.tag_lookups = match config.storage.tag_lookups {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        given => given,
    };
    options
}

/// Returns where to listen: sockets that were handed down come before what the configuration says.
fn endpoints(listen: &Listen, handed_down: Vec<Endpoint>) -> anyhow::Result<Vec<Endpoint>> {
    if !handed_down.is_empty() {
        tracing::info!(
            sockets = handed_down.len(),
            "listening on the sockets that were handed down; `http.addr` does not count"
        );
        return Ok(handed_down);
    }
    let endpoint = match listen {
        Listen::Tcp(address) => {
            let candidates = address.candidates()?;
            Endpoint::Tcp { candidates }
        }
        Listen::Unix(path) => Endpoint::Unix { path: path.clone() },
    };
    Ok(vec![endpoint])
}

/// Waits for what is left to do once nothing is served any more.
pub(crate) async fn settle(filesystem: Option<Filesystem>, runtime: &Runtime) {
    // What cut requests had sent of their uploads is being saved.
    if !tasks_end(runtime, LAST_TASKS_TIMEOUT).await {
        tracing::warn!(
            timeout = ?LAST_TASKS_TIMEOUT,
            "ending although not everything is done; what was not can be done again"
        );
        return;
    }
    if let Some(filesystem) = filesystem {
        close(&filesystem, runtime).await;
    }
}

/// Asks all tasks to end; tells whether they did in time.
async fn tasks_end(runtime: &Runtime, timeout: Duration) -> bool {
    runtime.tasks.shut_down();
    tokio::select! {
        () = runtime.tasks.ended() => true,
        () = runtime.clock.sleep(timeout) => false,
    }
}

/// Settles the journal, so that the next process finds nothing to go through. A disk that does not sync is
/// not waited for: what the journal holds is safe there, and the next process settles it.
async fn close(filesystem: &Filesystem, runtime: &Runtime) {
    tokio::select! {
        () = filesystem.close() => {}
        () = runtime.clock.sleep(CLOSE_TIMEOUT) => tracing::warn!(
            timeout = ?CLOSE_TIMEOUT,
            "ending although the disk has not synced everything; the next start goes through the journal"
        ),
    }
}

/// Reads the configuration again; one with faults changes nothing.
fn read_again(reload: &impl Fn() -> anyhow::Result<()>) {
    match reload() {
        Ok(()) => tracing::info!("the log level was read again"),
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "cannot read the configuration again; nothing has changed"
        ),
    }
}

/// Makes the cache of descriptors. It counts only where the store asks it: what a filesystem knows is asked
/// of the filesystem.
fn cache(
    config: &Option<CacheConfig>,
    driver: &dyn Driver,
) -> (Option<Arc<dyn DescriptorCache>>, Option<Arc<CacheCounters>>) {
    let Some(CacheConfig { entries }) = config else {
        return (None, None);
    };
    let cache = Arc::new(MemoryDescriptorCache::new(*entries as u64));
    if !driver.capabilities().remote {
        tracing::info!("`storage.cache` is not used: this storage answers as fast as a cache");
        return (None, None);
    }
    let counters = Arc::new(CacheCounters::new());
    let counted = CountedDescriptorCache::new(cache, Arc::clone(&counters));
    (Some(Arc::new(counted)), Some(counters))
}

/// The signals that end the process: the first asks for it, the second insists. And the one that has files
/// read again.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens for them from now on.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let install = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
            hangup: install(SignalKind::hangup())?,
        })
    }

    /// Returns a future for the first signal, one for the second, and one that never ends and has files
    /// read again; the latter two have to be polled from the beginning, too.
    pub(crate) fn split(
        self,
        reload: impl Fn(),
    ) -> (
        impl Future<Output = ()>,
        impl Future<Output = ()>,
        impl Future<Output = ()>,
    ) {
        let (first, asked) = tokio::sync::oneshot::channel();
        let Self {
            mut terminate,
            mut interrupt,
            mut hangup,
        } = self;
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let reloaded = async move {
            while hangup.recv().await.is_some() {
                tracing::info!("reading files again, since SIGHUP asks for it");
                reload();
            }
            std::future::pending().await
        };
        let insisted = async move {
            next().await;
            // Whoever waits for it may have ended by itself.
            first.send(()).ok();
            next().await;
        };
        let asked = async move {
            // The sender is dropped only when nobody listens for signals any more.
            if asked.await.is_err() {
                std::future::pending().await
            }
        };
        (asked, insisted, reloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let long = Duration::from_secs(600);
        let (quick, stuck) = (Runtime::new(1), Runtime::new(1));
        tokio.block_on(async {
            drop(quick.tasks.spawn(async {}));
            assert!(tasks_end(&quick, long).await);
            drop(stuck.tasks.spawn(std::future::pending::<()>()));
            assert!(!tasks_end(&stuck, Duration::from_millis(1)).await);
        });
    }
}
