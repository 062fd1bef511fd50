//! Blobs, links, uploads, manifests and tags on Distribution's layout.
//!
//! [`Store`] stands on any [`wharfinger_driver::Driver`]; a [`Repository`] is what has links to
//! blobs and manifests; [`IngestSet`] and [`IngestWriter`] are how bytes come in. The paths are
//! drawn in `layout.rs`. The store knows no HTTP.
//!
//! ```
//! use std::sync::Arc;
//! use wharfinger_driver::{Memory, ReadRange};
//! use wharfinger_oci::{Algorithm, Digest};
//! use wharfinger_runtime::{Runtime, Secret};
//! use wharfinger_store::{Expected, Purpose, Store, StoreOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let options = StoreOptions::new(Secret::new(b"secret".to_vec()));
//! let store = Store::new(Arc::new(Memory::new()), None, Runtime::new(4), options);
//! let repository = store.repository(&"library/hello".parse()?);
//!
//! let id = "0190a2b4-0000-7000-8000-000000000001".parse()?;
//! repository.uploads().create(&id).await?;
//! let mut upload = repository.uploads().open(&id, Purpose::Append).await?;
//! upload.write("all aboard".into()).await?;
//! let digest = Digest::of(Algorithm::Sha256, b"all aboard");
//! upload.commit(Expected { digest, size_bytes: None }).await?;
//!
//! assert_eq!(repository.stat_blob(&digest).await?.size_bytes, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blobs;
mod cache;
mod catalog;
mod census;
mod error;
mod gc;
mod ingest;
mod layout;
mod links;
mod manifests;
mod names;
mod pages;
mod referrers;
mod repository;
mod sources;
mod store;
mod tag_locks;
mod tags;
mod tenant;
mod uploads;
mod walk;

pub use blobs::{BlobBytes, VerifyPolicy};
pub use cache::{
    CacheCounters, CachedDescriptor, CountedDescriptorCache, DescriptorCache, MemoryDescriptorCache,
};
pub use catalog::CatalogPage;
pub use census::UploadCount;
pub use error::{Error, ErrorKind, Result};
pub use gc::{GarbageEvent, GarbageEvents, GarbageOptions, GarbageReport, collect_garbage};
pub use ingest::{
    Committed, Expected, IngestSet, IngestStatus, IngestWriter, Purged, Purpose, UploadState,
    UploadSurvey,
};
pub use layout::{followed, journal, probe, root, secret, writers};
pub use manifests::{ManifestRules, RemovedManifest, RequiredPlatforms, StoredManifest, UrlRules};
pub use names::Names;
pub use referrers::{ReferrerPage, ReferrerQuery};
pub use repository::{BlobInfo, BlobRead, Repository};
pub use store::{Store, StoreOptions};
pub use tags::TagPage;
pub use tenant::{
    Claim, ClaimPage, Labels, MAX_LABELS_BYTES, MAX_REFERENCE_BYTES, Tenant, TenantIngest,
    TenantName, TenantNameError,
};
pub use uploads::{PurgeOptions, PurgeReport, UploadEvent};
