//! Collecting garbage: freeing the bytes that nothing names any more.
//!
//! For a registry that is stopped or read-only. First everything that is still needed is *marked*:
//!
//! - each manifest that a repository links, or with [`GarbageOptions::delete_untagged`] each that a
//!   tag leads to: itself, the children of an index, the subject and the referrers of a manifest, on
//!   and on, as far as the repository links them;
//! - what these manifests name, wherever its bytes lie, and the signatures beside those of schema 1;
//! - what links with tarsum digests name;
//! - what a tenant of the content service claims.
//!
//! A blob that is linked and that no manifest names is garbage, as in Distribution: its push was given
//! up, or its manifest deleted. [`GarbageOptions::keep_younger`] keeps those that may be part of a push
//! which is only interrupted.
//!
//! Whatever stands in the way of certainty, an unreadable manifest or a link that is none, is told, and
//! then nothing is deleted. Otherwise the rest is *swept*: untagged manifests, then the links to what is
//! not marked, then the bytes, then what is left of empty directories. So a run that was cut short
//! leaves no link without its bytes, and another one goes on from there.
//!
//! Marking walks with lists of its own, never by recursion. It holds at most 75 bytes for each digest
//! that is marked and 80 for each blob that is garbage; 130 for each manifest of the repository that it is
//! at, 350 with `delete_untagged`, and 80 for each manifest that it removes.

mod claims;
mod graph;
mod mark;
mod marks;
mod sweep;

use std::time::Duration;

use wharfinger_driver::{Driver, DriverPath};
use wharfinger_oci::Digest;
use wharfinger_runtime::Clock;

use crate::error::{Error, ErrorKind, Result};

use self::mark::Marking;
use self::sweep::Sweep;

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GarbageOptions {
    /// Deletes nothing, and tells what would be.
    pub dry_run: bool,
    /// Removes the manifests that no tag leads to.
    pub delete_untagged: bool,
    /// Keeps what was written or linked within this time.
    pub keep_younger: Duration,
}

/// What happens meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GarbageEvent<'a> {
    /// A repository is looked at.
    Repository {
        /// Its name.
        name: &'a str,
    },
    /// A manifest is kept.
    ManifestMarked {
        /// Where.
        repository: &'a str,
        /// Which one.
        digest: &'a Digest,
    },
    /// A blob is kept.
    BlobMarked {
        /// The first repository that needs it.
        repository: &'a str,
        /// Which one.
        digest: &'a Digest,
    },
    /// Something is in the way of certainty: nothing will be deleted.
    Unsure {
        /// What it is about.
        path: &'a DriverPath,
        /// What is wrong with it, and what can be done.
        why: &'a str,
    },
    /// Everything is marked, and what is garbage is known.
    Planned {
        /// How much of what.
        report: &'a GarbageReport,
    },
    /// A manifest that no tag leads to is removed from its repository.
    Manifest {
        /// Where.
        repository: &'a str,
        /// Which one.
        digest: &'a Digest,
    },
    /// A link to a blob that is not there, or is not for long, is removed.
    Link {
        /// Where.
        repository: &'a str,
        /// Which one.
        digest: &'a Digest,
    },
    /// A blob is deleted.
    Blob {
        /// Which one.
        digest: &'a Digest,
        /// How many bytes that frees.
        size_bytes: u64,
    },
}

/// How much of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GarbageReport {
    /// Repositories that have had a manifest.
    pub repositories: u64,
    /// Manifests that are kept, counted in each repository.
    pub manifests: u64,
    /// Digests that are needed, whether their bytes are there or not.
    pub marked: u64,
    /// Blobs that nothing needs and that are too young to be taken.
    pub young: u64,
    /// Manifests that no tag leads to, counted in each repository.
    pub untagged: u64,
    /// Blobs that are garbage.
    pub blobs: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// Links to them, and to what was gone before.
    pub links: u64,
}

/// Takes what happens.
pub type GarbageEvents<'a> = dyn FnMut(GarbageEvent<'_>) + Send + 'a;

/// Collects the garbage of the store on `driver`, where nobody may be writing. Where a dry run says
/// what would be done, the report of any other says what was.
///
/// # Errors
/// Fails with `Unsure` when it cannot be told for certain what is needed, with `RepositoryUnknown` when
/// there is no repository that has had a manifest, and when the storage does. Before anything was
/// deleted, unless the storage has failed while that was done.
///
/// # Cancellation
/// Dropping the future may leave any part of the work done; another run does the rest.
pub async fn collect_garbage(
    driver: &dyn Driver,
    clock: &dyn Clock,
    options: GarbageOptions,
    events: &mut GarbageEvents<'_>,
) -> Result<GarbageReport> {
    // Whatever comes later than this is somebody's who ought not to be here, and none of ours.
    let began = clock.now();
    let cutoff = began.checked_sub(options.keep_younger).unwrap_or(began);
    let mut marking = Marking::new(driver, options, cutoff, events);
    marking.mark_all().await?;
    let (marks, untagged, mut report) = marking.finish()?;
    let mut sweep = Sweep::new(driver, options, cutoff, marks, untagged);
    sweep.plan(&mut report).await?;
    events(GarbageEvent::Planned { report: &report });
    sweep.run(&mut report, events).await?;
    Ok(report)
}

/// The error of a run that is not certain.
fn unsure(faults: u64) -> Error {
    let what = if faults == 1 { "fault" } else { "faults" };
    Error::new(
        ErrorKind::Unsure,
        format!("garbage collection: {faults} {what} while marking"),
    )
}
