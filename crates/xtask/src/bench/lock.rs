//! A lock that other work on the machine also takes, so that it does not run while a row does.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held by being there")] Option<File>);

impl Lock {
    /// Waits for the lock on `path`, which is made if it is not there; without a path there is nothing to wait for.
    pub(crate) fn take(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let open = || {
            let file = File::options().create(true).append(true).open(path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            std::io::Result::Ok(file)
        };
        let file = open().with_context(|| path.display().to_string())?;
        Ok(Self(Some(file)))
    }
}
