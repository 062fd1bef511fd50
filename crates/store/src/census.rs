//! How many uploads are open, and how old the oldest is: a look through the tree, for metrics.
//!
//! Nothing is locked and nothing is kept of what is seen, so that the look costs memory for one page of
//! names on each level. It stops at a number of directories that no registry of a usual size has.

use std::sync::Arc;
use std::time::SystemTime;

use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, EntryKind, ErrorKind as DriverErrorKind, Page,
};
use wharfinger_oci::UploadId;

use crate::error::{Error, Result};
use crate::ingest::started;
use crate::layout;

/// 1,000 names are asked of the driver at once.
const LIST_PAGE: usize = 1000;

/// 200,000 directories are looked into at most, which takes a few seconds.
const MOST_DIRECTORIES: usize = 200_000;

/// The uploads that are in the storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadCount {
    /// How many have a start, and so were neither finished nor cancelled.
    pub open: u64,
    /// When the oldest of them was started.
    pub oldest_started_at: Option<SystemTime>,
    /// Whether all were seen.
    pub complete: bool,
}

/// Looks through the tree.
pub(crate) async fn count(driver: &Arc<dyn Driver>) -> Result<UploadCount> {
    let mut count = UploadCount::default();
    let mut left = MOST_DIRECTORIES;
    let mut waiting = vec![layout::repositories()];
    while let Some(directory) = waiting.pop() {
        let mut after = None;
        loop {
            let Some(less) = left.checked_sub(1) else {
                return Ok(count);
            };
            left = less;
            let page = list(driver, &directory, after.as_deref()).await?;
            for entry in &page.entries {
                if entry.kind != EntryKind::Directory {
                    continue;
                }
                let Ok(path) = directory.join(&entry.name) else {
                    continue;
                };
                if entry.name == "_uploads" {
                    left = left.saturating_sub(count_in(driver, &path, &mut count).await?);
                } else if !entry.name.starts_with('_') {
                    waiting.push(path);
                }
            }
            match page.entries.into_iter().next_back() {
                Some(last) if page.more => after = Some(last.name),
                _ => break,
            }
        }
    }
    count.complete = true;
    Ok(count)
}

/// Counts the uploads of one repository; returns how many names were looked at.
async fn count_in(
    driver: &Arc<dyn Driver>,
    uploads: &DriverPath,
    count: &mut UploadCount,
) -> Result<usize> {
    let (mut after, mut seen) = (None, 0);
    while seen < MOST_DIRECTORIES {
        let page = list(driver, uploads, after.as_deref()).await?;
        for entry in &page.entries {
            seen += 1;
            let path = match entry.name.parse::<UploadId>() {
                Ok(id) => uploads.join(&format!("{id}/startedat")),
                Err(_) => continue,
            };
            let Ok(path) = path else { continue };
            let found = driver.find_small(&path).await;
            let found = found.map_err(|error| Error::storage("uploads", error))?;
            if let Some(started_at) = found.and_then(|bytes| started::parse(&bytes)) {
                count.open += 1;
                let oldest = count.oldest_started_at.get_or_insert(started_at);
                *oldest = started_at.min(*oldest);
            }
        }
        match page.entries.into_iter().next_back() {
            Some(last) if page.more => after = Some(last.name),
            _ => break,
        }
    }
    Ok(seen)
}

/// Lists a page; a directory that is gone meanwhile is empty.
async fn list(driver: &Arc<dyn Driver>, path: &DriverPath, after: Option<&str>) -> Result<Page> {
    match driver.list(path, after, LIST_PAGE).await {
        Ok(page) => Ok(page),
        Err(error) if error.kind() == DriverErrorKind::NotFound => Ok(Page {
            entries: Vec::new(),
            more: false,
        }),
        Err(error) => Err(Error::storage("uploads", error)),
    }
}
