//! A descriptor cache whose hits and misses are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use wharfinger_oci::{Digest, RepositoryName};

use super::{CachedDescriptor, DescriptorCache};

/// How often a cache was asked, and how often it knew.
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounters {
    /// Starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how often the cache knew.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Returns how often it did not.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// A cache that counts what another one answers.
#[derive(Debug)]
pub struct CountedDescriptorCache {
    inner: Arc<dyn DescriptorCache>,
    counters: Arc<CacheCounters>,
}

impl CountedDescriptorCache {
    /// Counts into `counters` what `inner` answers.
    #[must_use]
    pub fn new(inner: Arc<dyn DescriptorCache>, counters: Arc<CacheCounters>) -> Self {
        Self { inner, counters }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DescriptorCache for CountedDescriptorCache {
    async fn stat(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
    ) -> Option<CachedDescriptor> {
        let found = self.inner.stat(repository, digest).await;
        let counter = match found {
            Some(_) => &self.counters.hits,
            None => &self.counters.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    async fn set(
        &self,
        repository: Option<&RepositoryName>,
        digest: &Digest,
        descriptor: CachedDescriptor,
    ) {
        self.inner.set(repository, digest, descriptor).await;
    }

    async fn clear(&self, repository: Option<&RepositoryName>, digest: &Digest) {
        self.inner.clear(repository, digest).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDescriptorCache;
    use super::*;

    #[test]
    fn hits_and_misses_are_counted() {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let counters = Arc::new(CacheCounters::new());
        let inner = Arc::new(MemoryDescriptorCache::new(10));
        let cache = CountedDescriptorCache::new(inner, Arc::clone(&counters));
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let descriptor = CachedDescriptor {
            digest,
            size_bytes: 1,
        };
        tokio.block_on(async {
            assert_eq!(cache.stat(None, &digest).await, None);
            cache.set(None, &digest, descriptor).await;
            assert_eq!(cache.stat(None, &digest).await, Some(descriptor));
            cache.clear(None, &digest).await;
            assert_eq!(cache.stat(None, &digest).await, None);
        });
        assert_eq!((counters.hits(), counters.misses()), (1, 2));
    }
}
