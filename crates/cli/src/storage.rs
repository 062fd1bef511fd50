//! Opening the storage that a configuration names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use wharfinger_driver::{
    Driver, DriverMetrics, ErrorKind, Filesystem, FilesystemOptions, Held, Hold, Memory, Observed,
};
use wharfinger_runtime::Runtime;
use wharfinger_server::Disk;

use crate::config::{DriverConfig, Durability, ServeConfig};

/// 5 ms: how long a small write may wait for others with `durability: group`.
const GATHER: Duration = Duration::from_millis(5);

/// Where the content lies.
pub(crate) struct Storage {
    pub(crate) driver: Arc<dyn Driver>,
    /// A filesystem also as itself, to be closed.
    pub(crate) filesystem: Option<Filesystem>,
    pub(crate) metrics: Arc<DriverMetrics>,
    pub(crate) disk: Option<Disk>,
}

impl Storage {
    /// Opens the storage that a configuration names.
    pub(crate) fn open(config: &ServeConfig, runtime: &Runtime) -> anyhow::Result<Self> {
        let mut disk = None;
        let (driver, filesystem): (Arc<dyn Driver>, _) = match &config.storage.driver {
            DriverConfig::Filesystem { root, .. } => {
                warn_unless_durable(config.durability);
                let filesystem = filesystem(root, config.durability, runtime)?;
                disk = Some(Disk::of(root));
                (Arc::new(filesystem.clone()), Some(filesystem))
            }
            DriverConfig::Memory => {
                tracing::warn!("storage in memory: everything is lost when the process ends");
                (Arc::new(Memory::new()), None)
            }
        };
        Ok(Self::over(driver, filesystem, disk, runtime))
    }

    /// Opens a directory.
    pub(crate) fn in_directory(root: &Path, runtime: &Runtime) -> anyhow::Result<Self> {
        let filesystem = filesystem(root, Durability::Full, runtime)?;
        let driver = Arc::new(filesystem.clone());
        let disk = Some(Disk::of(root));
        Ok(Self::over(driver, Some(filesystem), disk, runtime))
    }

    fn over(
        driver: Arc<dyn Driver>,
        filesystem: Option<Filesystem>,
        disk: Option<Disk>,
        runtime: &Runtime,
    ) -> Self {
        let metrics = Arc::new(DriverMetrics::new());
        let observed = Observed::new(driver, Arc::clone(&metrics), Arc::clone(&runtime.clock));
        Self {
            driver: Arc::new(observed),
            filesystem,
            metrics,
            disk,
        }
    }

    /// Keeps away whoever collects garbage, until the process ends.
    pub(crate) fn hold_as_writer(&self) -> anyhow::Result<Option<Held>> {
        let Some(filesystem) = &self.filesystem else {
            return Ok(None);
        };
        match filesystem.hold(&wharfinger_store::writers(), Hold::Shared) {
            Err(error) if error.kind() == ErrorKind::Busy => anyhow::bail!(
                "garbage is being collected in this storage; wait for its end, or serve read-only meanwhile"
            ),
            held => held.map(Some).context("cannot lock the storage"),
        }
    }
}

fn filesystem(
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
