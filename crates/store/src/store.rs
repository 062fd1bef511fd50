//! The store as a whole: one driver, what all repositories share, and the way to each of them.

use std::sync::Arc;
use std::time::Duration;

use wharfinger_driver::Driver;
use wharfinger_oci::RepositoryName;
use wharfinger_runtime::{BlockingPool, Runtime, Secret};

use crate::blobs::{Blobs, VerifyPolicy};
use crate::cache::DescriptorCache;
use crate::catalog::{Catalog, CatalogOptions, CatalogPage};
use crate::census::{self, UploadCount};
use crate::error::Result;
use crate::ingest::IngestContext;
use crate::layout;
use crate::links::Links;
use crate::manifests::ManifestRules;
use crate::pages::TagPages;
use crate::referrers::Referrers;
use crate::repository::Repository;
use crate::tag_locks::TagLocks;
use crate::tenant::{Tenant, TenantName};

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Keys the MAC of saved upload states. Nodes that share a directory share it.
    pub secret: Secret<Vec<u8>>,
    /// When bytes at rest are hashed again.
    pub verify: VerifyPolicy,
    /// What is asked of manifests.
    pub manifest_rules: ManifestRules,
    /// How late a repository may be listed that another process has made, where walking the tree takes
    /// no more than a twentieth of this time; with zero the tree is walked each time.
    pub catalog_rescan: Duration,
    /// Whether nothing may be written: the list of repositories is not saved then.
    pub read_only: bool,
    /// How many tags are looked at at once when a manifest is deleted; within 1 to 64.
    pub tag_lookups: usize,
}

/// 1 s: nobody notices, and one core is busy for a twentieth of it at most.
const CATALOG_RESCAN: Duration = Duration::from_secs(1);

impl StoreOptions {
    /// The default behaviour with this secret.
    #[must_use]
    pub fn new(secret: Secret<Vec<u8>>) -> Self {
        Self {
            secret,
            verify: VerifyPolicy::default(),
            manifest_rules: ManifestRules::default(),
            catalog_rescan: CATALOG_RESCAN,
            read_only: false,
            tag_lookups: 1,
        }
    }
}

/// 64 tags at once: where a look takes long it is the network that does, and that has enough of them.
const MOST_TAG_LOOKUPS: usize = 64;

/// A content store on Distribution's layout. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

/// What all repositories share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) driver: Arc<dyn Driver>,
    blocking: BlockingPool,
    pub(crate) links: Links,
    pub(crate) blobs: Blobs,
    pub(crate) cache: Option<Arc<dyn DescriptorCache>>,
    pub(crate) ingests: Arc<IngestContext>,
    pub(crate) tag_locks: TagLocks,
    pub(crate) referrers: Referrers,
    pub(crate) manifest_rules: ManifestRules,
    pub(crate) tag_pages: TagPages,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) tag_lookups: usize,
}

impl Store {
    /// Makes a store over `driver`.
    #[must_use]
    pub fn new(
        driver: Arc<dyn Driver>,
        cache: Option<Arc<dyn DescriptorCache>>,
        runtime: Runtime,
        options: StoreOptions,
    ) -> Self {
        let links = Links {
            driver: Arc::clone(&driver),
            clock: Arc::clone(&runtime.clock),
        };
        let blocking = runtime.blocking.clone();
        let tag_pages = TagPages::new(Arc::clone(&runtime.clock));
        let catalog = CatalogOptions {
            rescan: options.catalog_rescan,
            saves: !options.read_only,
        };
        let catalog = Catalog::new(Arc::clone(&driver), runtime.clone(), catalog);
        let sizes = cache.clone();
        let blobs = Blobs::new(Arc::clone(&driver), sizes, options.verify, runtime.clone());
        let ingests =
            IngestContext::new(Arc::clone(&driver), runtime, blobs.clone(), options.secret);
        Self {
            shared: Arc::new(Shared {
                driver,
                blocking,
                links,
                blobs,
                cache,
                ingests: Arc::new(ingests),
                tag_locks: TagLocks::new(),
                referrers: Referrers::new(),
                manifest_rules: options.manifest_rules,
                tag_pages,
                catalog: Arc::new(catalog),
                tag_lookups: options.tag_lookups.clamp(1, MOST_TAG_LOOKUPS),
            }),
        }
    }

    /// Returns the repository `name`, whether it exists or not.
    #[must_use]
    pub fn repository(&self, name: &RepositoryName) -> Repository {
        Repository::new(Arc::clone(&self.shared), name.clone())
    }

    /// Runs `work`, which asks this store for much and waits for nobody else, where its calls cost least:
    /// those that block are handed over together.
    ///
    /// # Cancellation
    /// The work may go on to its end.
    pub async fn host<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if self.shared.driver.capabilities().remote {
            // It waits for the network, and no thread need wait with it.
            return work.await;
        }
        self.shared.blocking.host(work).await
    }

    /// Counts the uploads that were neither finished nor cancelled. It looks through the whole tree, within a
    /// bound: do it seldom.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn count_uploads(&self) -> Result<UploadCount> {
        census::count(&self.shared.driver).await
    }

    /// Returns the tenant `name`, whether it has anything or not.
    #[must_use]
    pub fn tenant(&self, name: &TenantName) -> Tenant {
        Tenant::new(Arc::clone(&self.shared), layout::tenant(name))
    }

    /// Returns up to `limit` repositories after the name `after`, component by component.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn catalog(&self, after: Option<&str>, limit: usize) -> Result<CatalogPage> {
        self.shared.catalog.page(after, limit).await
    }
}
