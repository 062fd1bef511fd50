//! The descriptor cache in this process's memory.

use async_trait::async_trait;
use moka::sync::Cache;
use wharfinger_oci::{Digest, RepositoryName};

use super::{CachedDescriptor, DescriptorCache};

/// A bounded cache in memory; the entries least used go first.
#[derive(Debug)]
pub struct MemoryDescriptorCache {
    entries: Cache<(Option<RepositoryName>, Digest), CachedDescriptor>,
}

impl MemoryDescriptorCache {
    /// 10,000 entries, as Distribution's `blobdescriptorsize` has it.
    pub const DEFAULT_ENTRIES: u64 = 10_000;

    /// Makes a cache of at most `entries`.
    #[must_use]
    pub fn new(entries: u64) -> Self {
        Self {
            entries: Cache::new(entries),
        }
    }
}

#[async_trait]
impl DescriptorCache for MemoryDescriptorCache {
    async fn stat(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
    ) -> Option<CachedDescriptor> {
        self.entries.get(&(repository.cloned(), *digest))
    }

    async fn set(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
        descriptor: CachedDescriptor,
    ) {
        self.entries
            .insert((repository.cloned(), *digest), descriptor);
    }

    async fn clear(&self, repository: Option<&RepositoryName>, digest: &Digest) {
        self.entries.invalidate(&(repository.cloned(), *digest));
    }
}
