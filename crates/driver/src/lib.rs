//! Places that keep bytes under paths.
//!
//! [`Driver`] is the contract; [`Filesystem`] and [`Memory`] implement it, and wrappers add to any
//! of them: [`Observed`] counts and traces calls, [`Faulty`] makes chosen calls fail.
//! The macro `driver_conformance!`, behind the feature `conformance`, runs the one suite that every
//! driver and wrapper has to pass.
//!
//! A driver knows nothing of containers: it keeps values, ordered lists of names, and *ingests*,
//! values that arrive piece by piece and become visible by one step.
//!
//! ```
//! use wharfinger_driver::{Commit, Driver, DriverExt, DriverPath, Memory, Target};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let driver = Memory::new();
//! let staged: DriverPath = "uploads/1/data".parse()?;
//! let kept: DriverPath = "blobs/one".parse()?;
//!
//! let mut ingest = driver.begin(&Target::Staged(staged)).await?;
//! ingest.append(vec!["all ".into(), "aboard".into()]).await?;
//! ingest.commit(Commit::new(kept.clone())).await?;
//! assert_eq!(driver.get_small(&kept).await?, "all aboard");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).map_err(|error| error.to_string())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod driver;
mod error;
mod ext;
mod faulty;
mod filesystem;
mod ingest;
mod memory;
mod method;
mod observed;
mod path;

pub use driver::{
    Capabilities, Condition, Driver, Durability, Entry, EntryKind, Metadata, Page, Put, ReadRange,
    ReadStream, RedirectMethod,
};
pub use error::{Error, ErrorKind, Result};
pub use ext::DriverExt;
pub use faulty::{Fault, FaultPlan, Faulty, LoggedCall};
pub use filesystem::{Filesystem, FilesystemOptions, Held, Hold, JournalStats};
pub use ingest::{Checkpoint, Commit, Ingest, Resume, Target};
pub use memory::{Memory, MemoryOptions};
pub use method::Method;
pub use observed::{DURATION_BOUNDS, DriverMetrics, MethodMetrics, Observed};
pub use path::{DriverPath, PathError};
