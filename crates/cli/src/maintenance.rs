//! The commands that keep a storage in order, and what `serve` does for it in the background.

mod garbage;
mod purging;
mod uploads;

pub(crate) use garbage::{GarbageArgs, collect};
pub(crate) use purging::purge_regularly;
pub(crate) use uploads::{UploadsCommand, run as uploads};

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use wharfinger_driver::{Driver, Filesystem};
use wharfinger_runtime::Runtime;

use crate::config::{DriverConfig, ServeConfig};
use crate::storage::Storage;

/// 16 calls at once, as `serve`.
const THREADS: usize = 16;

/// The storage of a command, and the threads to use it from.
pub(crate) struct Opened {
    runtime: Runtime,
    driver: Arc<dyn Driver>,
    filesystem: Option<Filesystem>,
}

/// Opens the storage that `config` describes, has `work` done on it, and leaves it in order.
fn with_storage<T, F, W>(config: &ServeConfig, work: W) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
    W: FnOnce(Arc<Opened>) -> F,
{
    if let DriverConfig::Filesystem { root, .. } = &config.storage.driver {
        // It would be made where it is not there.
        anyhow::ensure!(root.is_dir(), "there is no directory {}", root.display());
    }
    let home = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .context("cannot start the main thread")?;
    home.block_on(async {
        let runtime = Runtime::new(THREADS);
        let Storage {
            driver, filesystem, ..
        } = Storage::open(config, &runtime)?;
        let opened = Arc::new(Opened {
            runtime,
            driver,
            filesystem,
        });
        let done = work(Arc::clone(&opened)).await;
        if let Some(filesystem) = &opened.filesystem {
            filesystem.close().await;
        }
        done
    })
}
