//! Marking what the tenants of the content service claim.
//!
//! A directory counts as missing only when the one above it does not list it: a listing that fails must
//! not be taken for one of nothing.

use wharfinger_driver::DriverPath;
use wharfinger_oci::Algorithm;

use crate::error::Result;
use crate::layout;
use crate::walk::{Listing, has_directory, names_in};

use super::mark::Marking;

impl Marking<'_, '_> {
    /// Marks what all tenants claim, in all their namespaces.
    pub(super) async fn mark_claims(&mut self) -> Result<()> {
        let Some(ours) = self.within(&layout::root(), "_wharfinger").await? else {
            return Ok(());
        };
        let Some(tenants) = self.within(&ours, "tenants").await? else {
            return Ok(());
        };
        let driver = self.driver;
        let mut tenants = Listing::new(driver, tenants);
        while let Some((_, tenant)) = tenants.next_directory().await? {
            self.mark_claims_of(&tenant).await?;
            if let Some(namespaces) = self.within(&tenant, "namespaces").await? {
                let mut namespaces = Listing::new(driver, namespaces);
                while let Some((_, namespace)) = namespaces.next_directory().await? {
                    self.mark_claims_of(&namespace).await?;
                }
            }
        }
        Ok(())
    }

    async fn mark_claims_of(&mut self, tenant: &DriverPath) -> Result<()> {
        let Some(claims) = self.within(tenant, "claims").await? else {
            return Ok(());
        };
        for algorithm in Algorithm::ALL {
            let Some(claims) = self.within(&claims, algorithm.as_str()).await? else {
                continue;
            };
            let mut claims = Listing::new(self.driver, claims);
            // Also one that is only half made: it is about to be one.
            while let Some(entry) = claims.next().await? {
                if let Ok(digest) = format!("{algorithm}:{}", entry.name).parse() {
                    self.marks.insert(&digest);
                }
            }
        }
        Ok(())
    }

    /// Returns the directory `name` in another that holds a few, if it is there.
    async fn within(&mut self, directory: &DriverPath, name: &str) -> Result<Option<DriverPath>> {
        let entries = names_in(self.driver, directory).await?;
        has_directory(self.driver, directory, &entries, name).await
    }
}
