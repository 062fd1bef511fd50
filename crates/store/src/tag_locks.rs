//! One writer of a repository's tags at a time in this process, so that a delete that has compared
//! a tag does not remove what another request has just put there.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};
use wharfinger_oci::RepositoryName;

/// 64 locks: two busy repositories seldom meet at one, and waiting there does no harm.
const LOCKS: usize = 64;

/// The locks of all repositories.
#[derive(Debug)]
pub(crate) struct TagLocks([Mutex<()>; LOCKS]);

impl TagLocks {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }

    /// Waits until no other request writes tags of `name`.
    pub(crate) async fn lock(&self, name: &RepositoryName) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.0[at].lock().await
    }
}
