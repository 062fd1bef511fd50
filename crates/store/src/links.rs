//! Sets of links: a repository's right to its blobs and manifests, the history of a tag, and later
//! what a tenant of the content service claims. One type serves them all, given where its links lie.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use wharfinger_driver::{Driver, DriverExt as _, DriverPath, Durability, Put};
use wharfinger_oci::Digest;

use crate::error::{Error, Result};

/// Where the link to a digest lies.
type PathOf = dyn Fn(&Digest) -> DriverPath + Send + Sync;

/// A set of links.
#[derive(Clone)]
pub(crate) struct LinkSet {
    driver: Arc<dyn Driver>,
    path_of: Arc<PathOf>,
}

impl fmt::Debug for LinkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSet")
            .field("driver", &self.driver.name())
            .finish_non_exhaustive()
    }
}

impl LinkSet {
    /// The set whose links lie where `path_of` says.
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        path_of: impl Fn(&Digest) -> DriverPath + Send + Sync + 'static,
    ) -> Self {
        Self {
            driver,
            path_of: Arc::new(path_of),
        }
    }

    /// Returns the digest that the link to `digest` names, or `None` when there is no link. It is
    /// another digest only where Distribution has linked the same bytes under a second algorithm.
    pub(crate) async fn resolve(&self, digest: &Digest) -> Result<Option<Digest>> {
        let path = (self.path_of)(digest);
        read_link(&*self.driver, &path).await
    }

    /// Tells whether the link to `digest` is there, without reading it.
    pub(crate) async fn contains(&self, digest: &Digest) -> Result<bool> {
        let path = (self.path_of)(digest);
        let found = self.driver.find(&path).await;
        Ok(found
            .map_err(|error| Error::storage(format!("link {path}"), error))?
            .is_some())
    }

    /// The write that links `digest`.
    pub(crate) fn link(&self, digest: &Digest) -> Put {
        Put::replace((self.path_of)(digest), link_content(digest))
    }

    /// Removes the link to `digest`, and tells whether it was there. The directory stays, as
    /// Distribution leaves it.
    pub(crate) async fn unlink(&self, digest: &Digest) -> Result<bool> {
        let path = (self.path_of)(digest);
        let removed = self
            .driver
            .delete_if_there(&path, Durability::Durable)
            .await;
        removed.map_err(|error| Error::storage(format!("link {path}"), error))
    }
}

/// The content of a link to `digest`: no newline, since Distribution cannot read one.
pub(crate) fn link_content(digest: &Digest) -> Bytes {
    digest.to_string().into()
}

/// Reads a link. A foreign writer that rewrites links in place leaves one empty for a moment, so an
/// empty link counts as none.
pub(crate) async fn read_link(driver: &dyn Driver, path: &DriverPath) -> Result<Option<Digest>> {
    let content = driver.find_small(path).await;
    let content = content.map_err(|error| Error::storage(format!("link {path}"), error))?;
    Ok(content.and_then(|content| parse_link(path, &content)))
}

fn parse_link(path: &DriverPath, content: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(content)
        .unwrap_or_default()
        .trim_end_matches(['\r', '\n']);
    let parsed = text.parse().ok();
    if parsed.is_none() {
        tracing::warn!(%path, "a link does not hold a digest, and counts as missing");
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharfinger_oci::Algorithm;

    #[test]
    fn a_newline_at_the_end_is_tolerated_and_anything_else_is_no_link() {
        let path: DriverPath = "link".parse().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"x");
        assert_eq!(parse_link(&path, &link_content(&digest)), Some(digest));
        assert_eq!(
            parse_link(&path, format!("{digest}\n").as_bytes()),
            Some(digest)
        );
        for bad in ["", "\n", "sha256:", "../../etc/passwd", "sha256:abc"] {
            assert_eq!(parse_link(&path, bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_link(&path, &[0xff, 0xfe]), None);
    }
}
