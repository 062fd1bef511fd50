//! From settings to whoever decides who may do what.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wharfinger_auth::{Authenticator, Gate, Htpasswd, Known, Open, Silly};
use wharfinger_runtime::Runtime;

use crate::config::AuthConfig;

/// 4 threads hold passwords against hashes at most: each has a core for itself while it does.
const MOST_HASH_THREADS: usize = 4;

/// Half of the cores, so that whoever guesses passwords leaves the other half to pulls.
fn hash_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (cores / 2).clamp(1, MOST_HASH_THREADS)
}

/// How many threads access control needs beside those of the storage.
pub(crate) fn threads(auth: &AuthConfig) -> usize {
    match auth {
        AuthConfig::Htpasswd { .. } => hash_threads() + Htpasswd::FILE_THREADS,
        AuthConfig::Open { .. } | AuthConfig::Silly { .. } => 0,
    }
}

/// Makes the gate that `auth` describes.
///
/// # Errors
/// Fails if the file of users cannot be used.
pub(crate) fn gate(auth: &AuthConfig, runtime: &Runtime) -> anyhow::Result<Gate> {
    let authenticator: Arc<dyn Authenticator> = match auth {
        AuthConfig::Open { .. } => return Ok(Gate::new(Arc::new(Open))),
        AuthConfig::Silly { realm, service } => Arc::new(Silly::new(realm, service)),
        AuthConfig::Htpasswd { realm, path } => {
            Arc::new(Htpasswd::open(realm, path, hash_threads(), runtime)?)
        }
    };
    Ok(Gate::new(Arc::new(Known)).with_authenticator(authenticator))
}
