//! Readiness: whether a write to the storage would succeed now.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use wharfinger_driver::{Driver, DriverExt as _, DriverPath, Durability};
use wharfinger_runtime::Runtime;

use super::Disk;

/// 5 s: a load balancer that asks more often costs no more than this, and learns soon enough.
const CACHED: Duration = Duration::from_secs(5);

/// 5 s: a write that takes longer is one that clients would not wait for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tries a write, a read and a delete, and remembers for a moment how that went.
#[derive(Debug)]
pub struct Readiness {
    driver: Arc<dyn Driver>,
    /// A place that nobody else uses.
    path: DriverPath,
    disk: Option<Disk>,
    runtime: Runtime,
    /// One probe at a time; who asks meanwhile hears of this one.
    last: Mutex<Option<Probe>>,
}

#[derive(Debug, Clone)]
struct Probe {
    at: Duration,
    found: Result<(), String>,
}

/// What a load balancer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Why the storage takes no writes.
    pub(crate) storage: Result<(), String>,
    /// How full the disk is in percent, if somebody should make room.
    pub(crate) nearly_full: Option<u64>,
}

impl Readiness {
    /// Writes to `path`, which must be nobody else's, also no other process's.
    #[must_use]
    pub fn new(
        driver: Arc<dyn Driver>,
        path: DriverPath,
        disk: Option<Disk>,
        runtime: Runtime,
    ) -> Self {
        Self {
            driver,
            path,
            disk,
            runtime,
            last: Mutex::new(None),
        }
    }

    /// Returns what the last probe has found, or makes one if that is too long ago.
    pub(crate) async fn report(&self) -> Report {
        let mut last = self.last.lock().await;
        let now = self.runtime.clock.monotonic();
        let storage = match &*last {
            Some(probe) if now.saturating_sub(probe.at) < CACHED => probe.found.clone(),
            _ => {
                let found = self.probe().await;
                let at = self.runtime.clock.monotonic();
                *last = Some(Probe {
                    at,
                    found: found.clone(),
                });
                found
            }
        };
        drop(last);
        let space = self.disk.as_ref().and_then(|disk| disk.space().ok());
        let nearly_full = space.filter(|space| space.is_nearly_full());
        Report {
            storage,
            nearly_full: nearly_full.map(super::Space::used_percent),
        }
    }

    /// Runs in a task of its own, so that what was written is also deleted when nobody waits any more.
    async fn probe(&self) -> Result<(), String> {
        let (driver, path) = (Arc::clone(&self.driver), self.path.clone());
        let probe = self
            .runtime
            .tasks
            .spawn(async move { round(&*driver, &path).await });
        tokio::select! {
            found = probe => match found {
                Ok(found) => found.map_err(|error| error.to_string()),
                Err(_) => Err("the probe panicked".to_owned()),
            },
            () = self.runtime.clock.sleep(TIMEOUT) => Err(format!("no answer within {TIMEOUT:?}")),
        }
    }
}

/// Writes durably, reads and deletes.
async fn round(driver: &dyn Driver, path: &DriverPath) -> Result<(), ProbeError> {
    const CONTENT: Bytes = Bytes::from_static(b"probe");
    driver.put_one(path, CONTENT, Durability::Durable).await?;
    let read = driver.get_small(path).await?;
    driver.delete(path, Durability::Scratch).await?;
    if read == CONTENT {
        Ok(())
    } else {
        Err(ProbeError::Differs)
    }
}

#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Driver(#[from] wharfinger_driver::Error),
    #[error("what was written is not what was read")]
    Differs,
}

#[cfg(test)]
mod tests {
    use wharfinger_driver::{ErrorKind, Fault, FaultPlan, Faulty, Memory, Method};

    use super::*;

    fn readiness(plan: FaultPlan) -> (Readiness, Faulty) {
        let faulty = Faulty::new(Arc::new(Memory::new()), plan);
        let path = "probe/x".parse().unwrap();
        let driver = Arc::new(faulty.clone());
        (Readiness::new(driver, path, None, Runtime::new(1)), faulty)
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(test)
    }

    #[test]
    fn a_probe_writes_reads_and_deletes_and_is_remembered() {
        let (readiness, driver) = readiness(FaultPlan::new());
        run(async {
            assert_eq!(readiness.report().await.storage, Ok(()));
            assert_eq!(readiness.report().await.storage, Ok(()));
        });
        let methods: Vec<_> = driver.calls().iter().map(|call| call.method).collect();
        assert_eq!(methods, [Method::Put, Method::Get, Method::Delete]);
    }

    #[test]
    fn a_storage_that_cannot_be_written_is_not_ready() {
        for method in [Method::Put, Method::Get, Method::Delete] {
            let fault = Fault::Before(ErrorKind::Full);
            let (readiness, _) = readiness(FaultPlan::new().always(method, fault));
            let report = run(readiness.report());
            assert!(report.storage.is_err(), "{method:?}");
        }
    }
}
