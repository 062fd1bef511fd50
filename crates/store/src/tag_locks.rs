//! One writer of a tag, of a manifest's place in a repository, or of a tenant's claim at a time in
//! this process, so that a delete that has compared a tag does not remove what another request has
//! just put there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};
use wharfinger_driver::DriverPath;
use wharfinger_oci::{Digest, RepositoryName, Tag};

/// 1,024 locks: two busy tags seldom meet at one, and waiting there does no harm.
const LOCKS: usize = 1024;

/// The locks of all repositories: one set for tags, and one for manifests. Whoever takes both takes
/// the manifest's first.
#[derive(Debug)]
pub(crate) struct TagLocks {
    tags: Box<[Mutex<()>]>,
    manifests: Box<[Mutex<()>]>,
    claims: Box<[Mutex<()>]>,
}

impl TagLocks {
    pub(crate) fn new() -> Self {
        let locks = || (0..LOCKS).map(|_| Mutex::new(())).collect();
        Self {
            tags: locks(),
            manifests: locks(),
            claims: locks(),
        }
    }

    /// Waits until no other request writes `tag` of `name`.
    pub(crate) async fn tag(&self, name: &RepositoryName, tag: &Tag) -> MutexGuard<'_, ()> {
        self.tags[place_of((name, tag))].lock().await
    }

    /// Waits until no other request writes any of `tags`. Two who want several take them in the same
    /// order, so that neither waits for the other.
    pub(crate) async fn all_tags(
        &self,
        name: &RepositoryName,
        tags: &[Tag],
    ) -> Vec<MutexGuard<'_, ()>> {
        let places: BTreeSet<_> = tags.iter().map(|tag| place_of((name, tag))).collect();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(self.tags[place].lock().await);
        }
        guards
    }

    /// Waits until no other request tags the manifest `digest` of `name`, or removes it.
    pub(crate) async fn manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> MutexGuard<'_, ()> {
        self.manifests[place_of((name, digest))].lock().await
    }

    /// Waits until nobody else makes, changes or drops the claim at `path`.
    pub(crate) async fn claim(&self, path: &DriverPath) -> MutexGuard<'_, ()> {
        self.claims[place_of(path)].lock().await
    }
}

fn place_of(what: impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0)
}
