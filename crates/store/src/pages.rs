//! Pages of tags that were put together lately.
//!
//! A page costs a look at each of its tags, since a tag's directory may be there before the tag. It
//! counts again while the directory of the tags has the time that it had then: a name that is added
//! or removed changes that. What was changed less than two ticks of the clock ago might change again
//! without another time, and is not kept.

use std::sync::Arc;
use std::time::SystemTime;

use moka::sync::Cache;
use wharfinger_oci::RepositoryName;
use wharfinger_runtime::Clock;

use crate::links::YOUNG;
use crate::tags::TagPage;

/// 32 MiB: ten thousand pages of 100 tags of 25 letters, all of a million.
const MOST_KEPT_BYTES: u64 = 32 * 1024 * 1024;

/// 512: what a page takes in the cache beside letters.
const OVERHEAD_BYTES: usize = 512;

/// Which part of a list: after which name, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    after: Option<String>,
    limit: usize,
}

impl Part {
    fn new(after: Option<&str>, limit: usize) -> Self {
        Self {
            after: after.map(str::to_owned),
            limit,
        }
    }

    fn bytes(&self) -> usize {
        self.after.as_ref().map_or(0, String::len)
    }
}

/// Pages of tags.
#[derive(Debug)]
pub(crate) struct TagPages {
    pages: Cache<(RepositoryName, Part), Arc<KeptTags>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct KeptTags {
    /// The time of the directory before it was read.
    modified: SystemTime,
    page: Arc<TagPage>,
}

impl TagPages {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let weigh = |(name, part): &(RepositoryName, Part), kept: &Arc<KeptTags>| {
            let letters = name.as_str().len() + part.bytes() + kept.page.tags.size_bytes();
            u32::try_from(OVERHEAD_BYTES + letters).unwrap_or(u32::MAX)
        };
        let pages = Cache::builder()
            .weigher(weigh)
            .max_capacity(MOST_KEPT_BYTES);
        Self {
            pages: pages.build(),
            clock,
        }
    }

    /// Returns the page that was put together when the directory had the time `modified`.
    pub(crate) fn get(
        &self,
        name: &RepositoryName,
        (after, limit): (Option<&str>, usize),
        modified: SystemTime,
    ) -> Option<Arc<TagPage>> {
        let kept = self.pages.get(&(name.clone(), Part::new(after, limit)))?;
        (kept.modified == modified).then(|| Arc::clone(&kept.page))
    }

    /// Tells whether a page may be kept that is put together from now on, of a directory that has
    /// the time `modified`.
    pub(crate) fn may_keep(&self, modified: SystemTime) -> bool {
        let age = self.clock.now().duration_since(modified);
        age.is_ok_and(|age| age > YOUNG)
    }

    /// Keeps a page.
    pub(crate) fn keep(
        &self,
        name: &RepositoryName,
        (after, limit): (Option<&str>, usize),
        modified: SystemTime,
        page: &Arc<TagPage>,
    ) {
        let page = Arc::clone(page);
        let kept = Arc::new(KeptTags { modified, page });
        self.pages
            .insert((name.clone(), Part::new(after, limit)), kept);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharfinger_runtime::ManualClock;

    use super::*;

    fn name() -> RepositoryName {
        "a/b".parse().unwrap()
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
        ))
    }

    #[test]
    fn a_page_of_tags_counts_at_one_time_of_its_directory() {
        let clock = clock();
        let pages = TagPages::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let modified = clock.now();
        assert!(!pages.may_keep(modified));
        clock.advance(YOUNG);
        assert!(!pages.may_keep(modified));
        clock.advance(Duration::from_millis(1));
        assert!(pages.may_keep(modified));
        let page = Arc::new(TagPage::default());
        pages.keep(&name(), (Some("v1"), 10), modified, &page);
        assert!(pages.get(&name(), (Some("v1"), 10), modified).is_some());
        assert!(pages.get(&name(), (None, 10), modified).is_none());
        assert!(pages.get(&name(), (Some("v1"), 9), modified).is_none());
        let later = modified + Duration::from_nanos(1);
        assert!(pages.get(&name(), (Some("v1"), 10), later).is_none());
    }
}
