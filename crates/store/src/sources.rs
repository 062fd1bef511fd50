//! Where a blob may be mounted from when the client does not say.
//!
//! ```text
//! _wharfinger/sources/ALG/HH/HEX    names of repositories that have linked the blob, one a line
//! ```
//!
//! The file is a hint: a name counts only if that repository has a link to the blob now. A few names
//! are enough, so the file has a bound, and nothing is looked at but these; losing it costs an upload.

use std::sync::Arc;

use bytes::Bytes;
use wharfinger_driver::{Driver, DriverExt as _, Durability, Put};
use wharfinger_oci::{Digest, RepositoryName};

use crate::error::{Error, Result};
use crate::layout;
use crate::repository::Repository;

/// Four names: with one or two deleted, there still is one.
const MOST_NAMES: usize = 4;

/// Returns the write that notes `name` as the first repository with a link to `digest`.
pub(crate) fn first(digest: &Digest, name: &RepositoryName) -> Put {
    print(digest, std::slice::from_ref(name))
}

/// Returns the write that notes `name` beside others, unless it is there or there are enough.
pub(crate) async fn further(
    driver: &Arc<dyn Driver>,
    digest: &Digest,
    name: &RepositoryName,
) -> Option<Put> {
    let mut names = match names(driver, digest).await {
        Ok(names) => names,
        Err(error) => {
            tracing::debug!(%error, "cannot read where a blob may be mounted from");
            return None;
        }
    };
    if names.len() >= MOST_NAMES || names.contains(name) {
        return None;
    }
    names.push(name.clone());
    Some(print(digest, &names))
}

fn print(digest: &Digest, names: &[RepositoryName]) -> Put {
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    Put::replace(layout::sources(digest), Bytes::from(lines))
}

async fn names(driver: &Arc<dyn Driver>, digest: &Digest) -> Result<Vec<RepositoryName>> {
    let path = layout::sources(digest);
    let content = driver.find_small(&path).await;
    let content = content.map_err(|error| Error::storage(path.to_string(), error))?;
    let content = content.unwrap_or_default();
    // What a power cut has torn is no name, or one of a repository that has no link.
    let lines = std::str::from_utf8(&content).unwrap_or_default().lines();
    Ok(lines
        .filter_map(|line| line.parse().ok())
        .take(MOST_NAMES)
        .collect())
}

impl Repository {
    /// Returns some repositories that have a link to a blob, for this one to mount it from. The
    /// caller has to know whether whoever asks may pull from there.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn sources(&self, digest: &Digest) -> Result<Vec<RepositoryName>> {
        let names = names(&self.shared.driver, digest).await?;
        let mut linked = Vec::new();
        for name in &names {
            let source = Self::new(Arc::clone(&self.shared), name.clone());
            if source.layers().resolve(digest).await?.is_some() {
                linked.push(name.clone());
            }
        }
        if linked.is_empty() && !names.is_empty() {
            // The next one who has the blob is noted then.
            let path = layout::sources(digest);
            let removed = self
                .shared
                .driver
                .delete_if_there(&path, Durability::Scratch);
            if let Err(error) = removed.await {
                tracing::debug!(%path, %error, "cannot remove what leads nowhere");
            }
        }
        Ok(linked)
    }
}
