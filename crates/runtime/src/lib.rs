//! What every other crate needs from the world, behind traits: time, randomness, tasks and
//! bounded pools. Tests and simulations replace them; nothing else in the workspace asks the
//! operating system for the time or spawns a task by itself.
//!
//! ```
//! use std::time::Duration;
//! use wharfinger_runtime::{Clock, ManualClock, Runtime};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let runtime = Runtime::new(2);
//! let answer = runtime.blocking.run(|| 6 * 7).await;
//! assert_eq!(answer, 42);
//!
//! let clock = ManualClock::new(std::time::UNIX_EPOCH);
//! clock.advance(Duration::from_secs(5));
//! assert_eq!(clock.now(), std::time::UNIX_EPOCH + Duration::from_secs(5));
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

mod blocking;
mod clock;
mod entropy;
mod host;
mod secret;
mod tasks;
mod workers;

pub use blocking::BlockingPool;
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, OsEntropy, SeededEntropy};
pub use host::Host;
pub use secret::Secret;
pub use tasks::Tasks;

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

/// The bundle that long-running code is given: one clock, one source of randomness, one set of
/// tasks, one bounded pool for calls that block.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Where tasks live until shutdown.
    pub tasks: Tasks,
    /// Where blocking calls run.
    pub blocking: BlockingPool,
    /// Which machine this is, and since which boot.
    pub host: Host,
}

impl Runtime {
    /// Makes the runtime of a real process, with at most `blocking_threads` blocking calls at once.
    #[must_use]
    pub fn new(blocking_threads: usize) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
            tasks: Tasks::new(),
            blocking: BlockingPool::new(blocking_threads),
            host: Host::detect(),
        }
    }

    /// Gives the process `workers` threads for [`Tasks::spawn_apart`]. Blocking calls run in the one
    /// pool of `home` then, wherever they are asked for.
    ///
    /// # Errors
    /// Fails when the system has no more threads. Give up, or ask for fewer.
    pub fn with_workers(self, workers: usize, home: Handle) -> io::Result<Self> {
        Ok(Self {
            tasks: Tasks::over(workers::Workers::start(workers)?),
            blocking: self.blocking.at(home),
            ..self
        })
    }
}
