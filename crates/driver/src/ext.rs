//! Conveniences over [`Driver`], written once for all of them.

use bytes::Bytes;

use crate::{Driver, DriverPath, Durability, Entry, ErrorKind, Metadata, Put, Result};

/// 64 KiB: far above any link, `startedat` or saved state.
const SMALL_VALUE_BYTES: u64 = 64 * 1024;

/// Conveniences over [`Driver`].
pub trait DriverExt {
    /// Returns a value of at most 64 KiB.
    fn get_small(&self, path: &DriverPath) -> impl Future<Output = Result<Bytes>> + Send;

    /// Returns a value of at most 64 KiB, or `None` when there is nothing.
    fn find_small(&self, path: &DriverPath) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Returns what lies at `path`, or `None` when there is nothing.
    fn find(&self, path: &DriverPath) -> impl Future<Output = Result<Option<Metadata>>> + Send;

    /// Writes one value, replacing what is there.
    fn put_one(
        &self,
        path: &DriverPath,
        bytes: Bytes,
        durability: Durability,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Returns a whole directory, which the caller knows to be small; empty when it is missing.
    fn list_all(&self, directory: &DriverPath) -> impl Future<Output = Result<Vec<Entry>>> + Send;

    /// Deletes what lies at `path`, if anything; tells whether there was.
    fn delete_if_there(
        &self,
        path: &DriverPath,
        durability: Durability,
    ) -> impl Future<Output = Result<bool>> + Send;
}

impl<D: Driver + ?Sized> DriverExt for D {
    async fn get_small(&self, path: &DriverPath) -> Result<Bytes> {
        self.get(path, SMALL_VALUE_BYTES).await
    }

    async fn find_small(&self, path: &DriverPath) -> Result<Option<Bytes>> {
        found(self.get(path, SMALL_VALUE_BYTES).await)
    }

    async fn find(&self, path: &DriverPath) -> Result<Option<Metadata>> {
        found(self.stat(path).await)
    }

    async fn put_one(&self, path: &DriverPath, bytes: Bytes, durability: Durability) -> Result<()> {
        self.put(&[Put::replace(path.clone(), bytes)], durability)
            .await
    }

    async fn list_all(&self, directory: &DriverPath) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        loop {
            let after = entries.last().map(|entry: &Entry| entry.name.clone());
            let Some(page) = found(self.list(directory, after.as_deref(), 1000).await)? else {
                return Ok(entries);
            };
            entries.extend(page.entries);
            if !page.more {
                return Ok(entries);
            }
        }
    }

    async fn delete_if_there(&self, path: &DriverPath, durability: Durability) -> Result<bool> {
        Ok(found(self.delete(path, durability).await)?.is_some())
    }
}

fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
