//! Pages of lists that were put together lately.
//!
//! A page of tags costs a look at each of its tags, since a tag's directory may be there before the
//! tag. It counts again while the directory of the tags has the time that it had then: a name that
//! is added or removed changes that. What was changed less than two ticks of the clock ago might
//! change again without another time, and is not kept.
//!
//! A page of the catalog depends on more directories than can be looked at each time. It counts
//! until this process makes a repository, and a bounded time at most: so late may a repository be
//! seen that another process has made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use moka::sync::Cache;
use wharfinger_oci::RepositoryName;
use wharfinger_runtime::Clock;

use crate::catalog::CatalogPage;
use crate::links::YOUNG;
use crate::tags::TagPage;

/// 8 MiB for each kind of page: some thousand pages of 100 names.
const MOST_KEPT_BYTES: u64 = 8 * 1024 * 1024;

/// 128: what a page and each of its names take beside their letters.
const OVERHEAD_BYTES: usize = 128;

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

fn bytes_of<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let each = names.map(|name| name.len() + OVERHEAD_BYTES);
    each.sum::<usize>() + OVERHEAD_BYTES
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
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
            let tags = kept.page.tags.iter();
            weight(name.as_str().len() + part.bytes() + bytes_of(tags.map(|tag| tag.as_str())))
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

/// Pages of the catalog.
#[derive(Debug)]
pub(crate) struct CatalogPages {
    pages: Cache<Part, Arc<KeptNames>>,
    /// Repositories that this process has pushed to.
    known: Cache<RepositoryName, ()>,
    /// How many times this process has made a repository.
    made: AtomicU64,
    longest: Duration,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct KeptNames {
    /// When it was begun, on the monotonic clock.
    begun: Duration,
    made: u64,
    page: Arc<CatalogPage>,
}

/// When the reading of a page was begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Duration,
    made: u64,
}

/// 10,000 repositories are remembered; one that is not costs the pages that are kept.
const MOST_KNOWN: u64 = 10_000;

impl CatalogPages {
    /// Pages count for `longest`; with zero none is kept.
    pub(crate) fn new(longest: Duration, clock: Arc<dyn Clock>) -> Self {
        let weigh = |part: &Part, kept: &Arc<KeptNames>| {
            let names = kept.page.names.iter();
            weight(part.bytes() + bytes_of(names.map(RepositoryName::as_str)))
        };
        let pages = Cache::builder()
            .weigher(weigh)
            .max_capacity(MOST_KEPT_BYTES);
        Self {
            pages: pages.build(),
            known: Cache::new(MOST_KNOWN),
            made: AtomicU64::new(0),
            longest,
            clock,
        }
    }

    /// Returns a page that was put together lately.
    pub(crate) fn get(&self, after: Option<&str>, limit: usize) -> Option<Arc<CatalogPage>> {
        let kept = self.pages.get(&Part::new(after, limit))?;
        let age = self.clock.monotonic().saturating_sub(kept.begun);
        let counts = kept.made == self.made.load(Ordering::Acquire) && age < self.longest;
        counts.then(|| Arc::clone(&kept.page))
    }

    /// Notes that a page is being read from now on.
    pub(crate) fn begin(&self) -> Begun {
        Begun {
            at: self.clock.monotonic(),
            made: self.made.load(Ordering::Acquire),
        }
    }

    /// Keeps a page that was read since `begun`.
    pub(crate) fn keep(
        &self,
        (after, limit): (Option<&str>, usize),
        begun: Begun,
        page: &Arc<CatalogPage>,
    ) {
        if self.longest.is_zero() {
            return;
        }
        let kept = KeptNames {
            begun: begun.at,
            made: begun.made,
            page: Arc::clone(page),
        };
        self.pages.insert(Part::new(after, limit), Arc::new(kept));
    }

    /// Notes that a manifest was pushed; `existed` tells whether the repository had been there
    /// before. Somebody else's first push to it may not be answered yet.
    pub(crate) fn pushed(&self, name: &RepositoryName, existed: bool) {
        if !existed || !self.known.contains_key(name) {
            self.made.fetch_add(1, Ordering::AcqRel);
            self.known.insert(name.clone(), ());
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_page_of_the_catalog_counts_for_a_while_and_until_a_repository_is_made() {
        let clock = clock();
        let second = Duration::from_secs(1);
        let pages = CatalogPages::new(second, Arc::clone(&clock) as Arc<dyn Clock>);
        let page = Arc::new(CatalogPage::default());
        let keep = || pages.keep((None, 10), pages.begin(), &page);
        let is_kept = || pages.get(None, 10).is_some();
        keep();
        clock.advance(Duration::from_millis(999));
        assert!(is_kept());
        clock.advance(Duration::from_millis(1));
        assert!(!is_kept());

        keep();
        // Somebody else's first push may be under way, and the walk may have passed it.
        pages.pushed(&name(), true);
        assert!(!is_kept());
        keep();
        pages.pushed(&name(), true);
        assert!(is_kept());
        // It was removed meanwhile.
        pages.pushed(&name(), false);
        assert!(!is_kept());

        let begun = pages.begin();
        pages.pushed(&name(), false);
        pages.keep((None, 10), begun, &page);
        assert!(!is_kept(), "it may lack what was made while it was read");
    }

    #[test]
    fn with_no_time_at_all_nothing_is_kept() {
        let pages = CatalogPages::new(Duration::ZERO, clock());
        pages.keep((None, 10), pages.begin(), &Arc::default());
        assert!(pages.get(None, 10).is_none());
    }
}
