//! Tenants of the content service: what each has a right to, and what it is writing.
//!
//! A tenant has *claims* as a repository has links. Bytes are shared by all; claims are not. On a
//! filesystem a claim keeps a second name of the bytes, so that a collector which knows nothing of
//! claims, such as Distribution's, cannot take them: it removes the first name only, and whoever asks
//! next puts it back.

mod claim;
mod claims;
mod ingests;
mod name;

pub use claim::{Claim, Labels, MAX_LABELS_BYTES};
pub use claims::ClaimPage;
pub use ingests::{MAX_REFERENCE_BYTES, TenantIngest};
pub use name::{TenantName, TenantNameError};

use std::sync::Arc;

use wharfinger_driver::DriverPath;

use crate::layout;
use crate::links::LinkSet;
use crate::store::Shared;

/// One tenant of a store, or one namespace of a tenant. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Tenant {
    shared: Arc<Shared>,
    directory: DriverPath,
}

impl Tenant {
    pub(crate) fn new(shared: Arc<Shared>, directory: DriverPath) -> Self {
        Self { shared, directory }
    }

    /// Returns a view of its own within the tenant: neither sees what the other has.
    #[must_use]
    pub fn namespace(&self, name: &TenantName) -> Self {
        let directory = layout::namespace(&self.directory, name);
        Self::new(Arc::clone(&self.shared), directory)
    }

    /// Returns what names it among all tenants and namespaces of the store.
    #[must_use]
    pub fn key(&self) -> &str {
        self.directory.as_str()
    }

    /// The links to its blobs.
    fn links(&self) -> LinkSet {
        let directory = self.directory.clone();
        LinkSet::new(self.shared.links.clone(), move |digest| {
            layout::ClaimPaths::new(&directory, digest).link()
        })
    }
}
