//! The descriptor cache: what is known of blobs without asking the storage.
//!
//! A cache answers *maybe*. What it says saves reading a link's content or asking for a size that
//! was known; whether a link is there, and whether the bytes are, the storage decides each time.

mod counted;
mod memory;

pub use counted::{CacheCounters, CountedDescriptorCache};
pub use memory::MemoryDescriptorCache;

use std::fmt::Debug;

use async_trait::async_trait;
use wharfinger_oci::{Digest, RepositoryName};

/// What is remembered of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedDescriptor {
    /// The digest that the bytes lie under; another than the one asked for where the same bytes
    /// were linked under a second algorithm.
    pub digest: Digest,
    /// How many bytes there are.
    pub size_bytes: u64,
}

/// A place that remembers descriptors, for everybody or for one repository.
///
/// # Contract
/// - What was never set is never returned, and what a repository knows is not known to another.
/// - After `clear` returns, what was set before is not returned any more.
/// - An entry may vanish at any time. A cache that cannot be reached answers nothing, and says so
///   in the log: it never fails a request.
/// - Every call may be dropped; then it may or may not have had its effect.
#[async_trait]
pub trait DescriptorCache: Debug + Send + Sync + 'static {
    /// Returns what is remembered of `digest`: in `repository`, or of the bytes when it is `None`.
    async fn stat(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
    ) -> Option<CachedDescriptor>;

    /// Remembers `descriptor` for `digest`.
    async fn set(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
        descriptor: CachedDescriptor,
    );

    /// Forgets `digest`.
    async fn clear(&self, repository: Option<&RepositoryName>, digest: &Digest);
}
