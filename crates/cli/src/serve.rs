//! The composition root: from settings to a running registry.

use std::future::Future;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use wharfinger_auth::{Gate, Open};
use wharfinger_driver::{Driver, DriverMetrics, Filesystem, FilesystemOptions, Memory, Observed};
use wharfinger_runtime::{Runtime, Secret};
use wharfinger_server::{Config, Endpoint, EventCounters, Limits, Parts, Server};
use wharfinger_store::{DescriptorCache, MemoryDescriptorCache, Store, StoreOptions, VerifyPolicy};

use crate::config::{CacheConfig, DriverConfig, Durability, Listen, ServeConfig, Verify};
use crate::descriptors;
use crate::systemd;

/// 16 calls at once: enough to keep any disk busy, and each thread costs a megabyte or two.
/// `maxthreads` of a file may only make it fewer.
pub(crate) const MOST_THREADS: usize = 16;

/// 5 ms: how long a small write may wait for others with `durability: group`.
const GATHER: Duration = Duration::from_millis(5);

/// 2 s: threads that a burst has made do not stay.
pub(crate) const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// 30 s: once requests were cut, what they had sent is saved, which takes a moment. A finish that reads
/// a large upload again may take minutes, and any process can do it over.
pub(crate) const LAST_TASKS_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the registry that `config` describes, until a signal ends it.
///
/// # Errors
/// Fails if the secret can be neither read nor made, the storage cannot be opened, or the address
/// cannot be had.
pub(crate) fn serve(config: ServeConfig) -> anyhow::Result<()> {
    // This comes before every thread.
    let handed_down = systemd::sockets()?;
    let threads = match &config.storage.driver {
        DriverConfig::Filesystem { max_threads, .. } => (*max_threads).min(MOST_THREADS),
        DriverConfig::Memory => MOST_THREADS,
    };
    // This thread accepts connections; workers serve them.
    let home = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One more, for the name service.
        .max_blocking_threads(threads + 1)
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .build()
        .context("cannot start the main thread")?;
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = Runtime::new(threads)
        .with_workers(workers, home.handle().clone())
        .context("cannot start the threads")?;
    // This comes first: it makes ./wharfinger-data, for its owner alone.
    let secret = config.http.secret.obtain(&*runtime.entropy)?;
    let result = home.block_on(run(config, runtime, secret, handed_down));
    // Whoever is still in a blocking call after all the waiting is not waited for.
    home.shutdown_background();
    result
}

async fn run(
    config: ServeConfig,
    runtime: Runtime,
    secret: Secret<Vec<u8>>,
    handed_down: Vec<Endpoint>,
) -> anyhow::Result<()> {
    let signals = Signals::install()?;
    let (driver, filesystem) = driver(&config, &runtime)?;
    let cache = config
        .storage
        .cache
        .as_ref()
        .map(|CacheConfig { entries }| {
            Arc::new(MemoryDescriptorCache::new(*entries as u64)) as Arc<dyn DescriptorCache>
        });
    let mut options = StoreOptions::new(secret.clone());
    options.verify = match config.verify {
        Verify::Changed => VerifyPolicy::Changed,
        Verify::Always => VerifyPolicy::Always,
        Verify::Never => VerifyPolicy::Never,
    };
    options.manifest_rules = config.manifest_rules.clone();
    options.catalog_rescan = config.catalog_rescan;
    let store = Store::new(driver, cache, runtime.clone(), options);

    let mut limits = Limits::default();
    limits.max_connections = descriptors::enough_for(limits.max_connections);
    let server = Config {
        endpoints: endpoints(&config.http.listen, handed_down)?,
        tls: config.http.tls,
        http2: config.http.http2,
        h2c: config.http.h2c,
        urls: config.http.urls,
        headers: config.http.headers,
        secret,
        delete_enabled: config.storage.delete_enabled,
        drain_timeout: config.http.drain_timeout,
        pages: config.pages,
        limits,
    };
    let parts = Parts {
        store,
        gate: Gate::new(Arc::new(Open)),
        runtime: runtime.clone(),
        codes: wharfinger_server::codes(),
        events: vec![Arc::new(EventCounters::default())],
    };
    let server = Server::bind(server, parts).await?;
    for address in server.listening() {
        tracing::info!(address, "listening");
    }
    systemd::notify("READY=1");
    let reload = server.reload();
    let (asked, insisted, reloaded) = signals.split(move || reload.notify_one());
    let asked = async move {
        asked.await;
        systemd::notify("STOPPING=1");
    };
    let ended = async {
        server.run(asked).await;
        // What cut requests had sent of their uploads is being saved.
        if !tasks_end(&runtime, LAST_TASKS_TIMEOUT).await {
            tracing::warn!(
                timeout = ?LAST_TASKS_TIMEOUT,
                "ending although not everything is done; what was not can be done again"
            );
            return;
        }
        if let Some(filesystem) = filesystem {
            // The next process finds nothing to go through.
            filesystem.close().await;
        }
    };
    tokio::select! {
        () = ended => tracing::info!("ended"),
        () = insisted => tracing::warn!("ended at once, since a second signal asked for it"),
        () = reloaded => {}
    }
    Ok(())
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

/// Asks all tasks to end; tells whether they did in time.
pub(crate) async fn tasks_end(runtime: &Runtime, timeout: Duration) -> bool {
    runtime.tasks.shut_down();
    tokio::select! {
        () = runtime.tasks.ended() => true,
        () = runtime.clock.sleep(timeout) => false,
    }
}

/// Opens the storage; a filesystem also as itself, to be closed.
fn driver(
    config: &ServeConfig,
    runtime: &Runtime,
) -> anyhow::Result<(Arc<dyn Driver>, Option<Filesystem>)> {
    let (driver, filesystem): (Arc<dyn Driver>, _) = match &config.storage.driver {
        DriverConfig::Filesystem { root, .. } => {
            warn_unless_durable(config.durability);
            let filesystem = filesystem(root, config.durability, runtime)?;
            (Arc::new(filesystem.clone()), Some(filesystem))
        }
        DriverConfig::Memory => {
            tracing::warn!("storage in memory: everything is lost when the process ends");
            (Arc::new(Memory::new()), None)
        }
    };
    let metrics = Arc::new(DriverMetrics::new());
    let observed = Observed::new(driver, metrics, Arc::clone(&runtime.clock));
    Ok((Arc::new(observed), filesystem))
}

/// Opens a directory as the storage.
pub(crate) fn filesystem(
    root: &Path,
    durability: Durability,
    runtime: &Runtime,
) -> anyhow::Result<Filesystem> {
    let mut options = FilesystemOptions::new(root);
    options.followed = wharfinger_store::followed();
    options.journal = Some(wharfinger_store::journal());
    match durability {
        Durability::Full => {}
        Durability::Group => options.gather = GATHER,
        Durability::None => options.sync = false,
    }
    Filesystem::open(options, runtime.clone())
        .with_context(|| format!("cannot open the storage directory {}", root.display()))
}

fn warn_unless_durable(durability: Durability) {
    if durability == Durability::None {
        tracing::warn!(
            "durability is none: a power cut may take what was acknowledged; `wharfinger.durability: full` prevents it"
        );
    }
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
