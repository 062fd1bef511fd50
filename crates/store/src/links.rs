//! Sets of links: a repository's right to its blobs and manifests, the history of a tag, and later
//! what a tenant of the content service claims. One type serves them all, given where its links lie.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wharfinger_driver::{Driver, DriverExt as _, DriverPath, Durability, Put};
use wharfinger_oci::{Digest, RepositoryName};
use wharfinger_runtime::Clock;

use crate::error::{Error, Result};
use crate::sources;

/// 20 ms: a link that was written longer ago than two ticks of a file system's clock is not just
/// being written.
pub(crate) const YOUNG: Duration = Duration::from_millis(20);

/// 2 ms: a hundred times as long as writing a link takes.
const PAUSE: Duration = Duration::from_millis(2);

/// 20 looks at a link that is no digest and young, and then it counts as none.
const LOOKS: usize = 20;

/// Reads links, wherever they lie.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Links {
    /// Reads the link at `path`, or returns `None` when there is none.
    ///
    /// Distribution 2.8 rewrites a link in place, and for a moment it is empty or short. One that was
    /// just written is looked at again until it is whole; one that stays so counts as none.
    pub(crate) async fn read(&self, path: &DriverPath) -> Result<Option<Digest>> {
        let storage = |error| Error::storage(format!("link {path}"), error);
        for _ in 0..LOOKS {
            let content = self.driver.find_small(path).await.map_err(storage)?;
            let Some(content) = content else {
                return Ok(None);
            };
            if let Some(digest) = parse_link(&content) {
                return Ok(Some(digest));
            }
            let metadata = self.driver.find(path).await.map_err(storage)?;
            let Some(metadata) = metadata else {
                return Ok(None);
            };
            let age = self.clock.now().duration_since(metadata.modified);
            if age.is_ok_and(|age| age > YOUNG) {
                break;
            }
            self.clock.sleep(PAUSE).await;
        }
        tracing::warn!(%path, "a link does not hold a digest, and counts as missing");
        Ok(None)
    }
}

/// Where the link to a digest lies.
type PathOf = dyn Fn(&Digest) -> DriverPath + Send + Sync;

/// A set of links.
#[derive(Clone)]
pub(crate) struct LinkSet {
    links: Links,
    path_of: Arc<PathOf>,
    /// The repository from which others may mount what is linked here.
    source: Option<RepositoryName>,
    /// What is written together with each link.
    with: Vec<Put>,
}

impl fmt::Debug for LinkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSet")
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

impl LinkSet {
    /// The set whose links lie where `path_of` says.
    pub(crate) fn new(
        links: Links,
        path_of: impl Fn(&Digest) -> DriverPath + Send + Sync + 'static,
    ) -> Self {
        Self {
            links,
            path_of: Arc::new(path_of),
            source: None,
            with: Vec::new(),
        }
    }

    /// Has `writes` made together with each link.
    pub(crate) fn with(mut self, writes: Vec<Put>) -> Self {
        self.with.extend(writes);
        self
    }

    /// Lets others mount from the repository `name` what is linked here.
    pub(crate) fn with_source(self, name: RepositoryName) -> Self {
        Self {
            source: Some(name),
            ..self
        }
    }

    /// The writes that link `digest`, whose bytes are new.
    pub(crate) fn link_first(&self, digest: &Digest) -> Vec<Put> {
        let source = self.source.as_ref();
        let noted = source.map(|name| sources::first(digest, name));
        let with = self.with.iter().cloned();
        [self.link(digest)]
            .into_iter()
            .chain(with)
            .chain(noted)
            .collect()
    }

    /// The writes that link `digest`, whose bytes were there already.
    pub(crate) async fn link_further(&self, digest: &Digest) -> Vec<Put> {
        let mut writes = vec![self.link(digest)];
        writes.extend(self.with.iter().cloned());
        if let Some(name) = &self.source {
            writes.extend(sources::further(&self.links.driver, digest, name).await);
        }
        writes
    }

    /// Returns the digest that the link to `digest` names, or `None` when there is no link. It is
    /// another digest only where Distribution has linked the same bytes under a second algorithm.
    pub(crate) async fn resolve(&self, digest: &Digest) -> Result<Option<Digest>> {
        let path = (self.path_of)(digest);
        let named = self.links.read(&path).await?;
        if let Some(named) = named.filter(|named| named != digest)
            && named.algorithm() == digest.algorithm()
        {
            tracing::error!(%path, %named, "a link names another digest than its own, and counts as missing");
            return Ok(None);
        }
        Ok(named)
    }

    /// The write that links `digest`.
    pub(crate) fn link(&self, digest: &Digest) -> Put {
        self.link_to(digest, digest)
    }

    /// The write that links `digest` to bytes that lie under `canonical`.
    pub(crate) fn link_to(&self, digest: &Digest, canonical: &Digest) -> Put {
        Put::replace((self.path_of)(digest), link_content(canonical))
    }

    /// Removes the link to `digest`, and tells whether it was there. The directory stays, as
    /// Distribution leaves it.
    pub(crate) async fn unlink(&self, digest: &Digest) -> Result<bool> {
        let path = (self.path_of)(digest);
        let removed = self
            .links
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

/// Reads the content of a link; `None` when it is no digest.
pub(crate) fn parse_link(content: &[u8]) -> Option<Digest> {
    let text = std::str::from_utf8(content).ok()?;
    text.trim_end_matches(['\r', '\n']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharfinger_oci::Algorithm;

    #[test]
    fn a_newline_at_the_end_is_tolerated_and_anything_else_is_no_link() {
        let digest = Digest::of(Algorithm::Sha256, b"x");
        assert_eq!(parse_link(&link_content(&digest)), Some(digest));
        assert_eq!(parse_link(format!("{digest}\n").as_bytes()), Some(digest));
        for bad in ["", "\n", "sha256:", "../../etc/passwd", "sha256:abc"] {
            assert_eq!(parse_link(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_link(&[0xff, 0xfe]), None);
    }
}
