//! Several tags in one write: all of them, or none.

use bytes::Bytes;
use wharfinger_driver::{self as driver, DriverExt as _, Durability, Put};
use wharfinger_oci::{Digest, Tag};

use crate::error::{Error, Result};
use crate::layout;
use crate::repository::Repository;

impl Repository {
    /// Makes `writes`, and points every tag at `digest` or none.
    pub(super) async fn write_with_tags(
        &self,
        mut writes: Vec<Put>,
        tags: &[Tag],
        digest: &Digest,
    ) -> Result<()> {
        let set = self.tag_set();
        writes.extend(tags.iter().flat_map(|tag| set.point(tag, digest)));
        let _turns = self.shared.tag_locks.all_tags(&self.name, tags).await;
        let written = match tags {
            [] | [_] => self.shared.driver.put(&writes, Durability::Durable).await,
            several => self.write_all_or_none(&writes, several).await,
        };
        // Also after a failure, which may have made it.
        self.shared.catalog.pushed(&self.name);
        written
            .map_err(|error| Error::storage(format!("manifest {digest} in {}", self.name), error))
    }

    /// A write that fails may have pointed some of the tags, and these are put back.
    async fn write_all_or_none(&self, writes: &[Put], tags: &[Tag]) -> driver::Result<()> {
        let driver = &self.shared.driver;
        let mut before = Vec::with_capacity(tags.len());
        for tag in tags {
            let current = layout::tag_current(&self.name, tag);
            before.push((tag, driver.find_small(&current).await?));
        }
        let written = driver.put(writes, Durability::Durable).await;
        if written.is_err() {
            for (tag, content) in before {
                if let Err(error) = self.put_back(tag, content).await {
                    tracing::error!(%tag, repository = %self.name, %error, "could not put back a tag of a push that failed");
                }
            }
        }
        written
    }

    /// Points a tag where it pointed before, if anywhere.
    async fn put_back(&self, tag: &Tag, content: Option<Bytes>) -> driver::Result<()> {
        let driver = &self.shared.driver;
        if let Some(content) = content {
            let current = layout::tag_current(&self.name, tag);
            return driver.put_one(&current, content, Durability::Durable).await;
        }
        // With its history: whatever lies below the tags is one.
        let directory = layout::tag(&self.name, tag);
        let removed = driver.delete_if_there(&directory, Durability::Durable);
        removed.await.map(drop)
    }
}
