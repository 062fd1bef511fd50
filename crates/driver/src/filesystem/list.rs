//! Listing a page of a directory in byte order.
//!
//! A file system gives names in no order, so that a page costs the whole directory. What was read is
//! kept, sorted, and counts while the directory is the one that was read ([`super::hot`]): adding,
//! removing or renaming an entry changes its times. A directory too large to be kept is read for each
//! page, in memory bounded by the page.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;
use rustix::fs::{AtFlags, Dir, FileType};

use crate::{DriverPath, Entry, EntryKind, Page, Result};

use super::hot::{ENTRY_BYTES, Identity, identity_at};
use super::names::{Names, Unsorted};
use super::tree::{Tree, errno_at};
use super::write::is_temporary;
use super::{DIRECTORY, Inner};

/// 32 MiB for all that are kept.
const MOST_KEPT_BYTES: u64 = 32 * 1024 * 1024;

/// 24 MiB for one of them: a million names of 20 letters. Sorting takes twice as much for a moment.
const MOST_DIRECTORY_BYTES: usize = 24 * 1024 * 1024;

/// 16 directories are read at once; who wants one that is being read waits for it.
const READERS: usize = 16;

/// Directories that were read lately.
#[derive(Debug)]
pub(super) struct Listings {
    directories: Cache<DriverPath, Arc<Listing>>,
    readers: [Mutex<()>; READERS],
    hasher: std::hash::RandomState,
}

#[derive(Debug)]
struct Listing {
    identity: Identity,
    names: Names,
}

impl Default for Listings {
    fn default() -> Self {
        let weigh = |path: &DriverPath, listing: &Arc<Listing>| {
            let bytes = ENTRY_BYTES + path.as_str().len() + listing.names.bytes();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let directories = Cache::builder()
            .weigher(weigh)
            .max_capacity(MOST_KEPT_BYTES);
        Self {
            directories: directories.build(),
            readers: Default::default(),
            hasher: std::hash::RandomState::new(),
        }
    }
}

impl Listings {
    /// Returns a page of the directory at `path`, if it was read lately and is still the same.
    pub(super) fn page(
        &self,
        tree: &Tree,
        path: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Option<Page> {
        let listing = self.directories.get(path)?;
        let there = identity_at(tree, path);
        (there == Ok(listing.identity)).then(|| listing.names.page(after, limit))
    }

    fn reader_of(&self, path: &DriverPath) -> &Mutex<()> {
        let hash = self.hasher.hash_one(path);
        let reader = hash % READERS as u64;
        &self.readers[usize::try_from(reader).expect("it is less than 16")]
    }
}

impl Inner {
    /// See [`crate::Driver::list`].
    pub(super) fn list_page(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let _one_at_a_time = self
            .listings
            .reader_of(path)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Somebody else may just have read it.
        if let Some(page) = self.listings.page(&self.tree, path, after, limit) {
            return Ok(page);
        }
        let directory = self.tree.open_at(path, DIRECTORY)?;
        let now = self.runtime.clock.now();
        let stat = rustix::fs::fstat(&directory).map_err(|errno| errno_at(path, errno))?;
        let identity = Identity::of(&stat);
        let mut names = Unsorted::default();
        let mut fits = Some(());
        for_each_entry(&directory, path, |name, kind| {
            fits = names.add(name, kind, MOST_DIRECTORY_BYTES);
            fits.is_some()
        })?;
        if fits.is_none() {
            drop(names);
            return page_of_many(&directory, path, after, limit);
        }
        let names = names.sort();
        let page = names.page(after, limit);
        if identity.is_settled(now) {
            let listing = Arc::new(Listing { identity, names });
            self.listings.directories.insert(path.clone(), listing);
        }
        Ok(page)
    }
}

/// Reads a page of a directory, and keeps no more than that in memory.
fn page_of_many(
    directory: &OwnedFd,
    path: &DriverPath,
    after: Option<&str>,
    limit: usize,
) -> Result<Page> {
    let mut names = BTreeMap::new();
    let mut more = false;
    for_each_entry(directory, path, |name, kind| {
        if after.is_none_or(|after| name > after) {
            names.insert(name.to_owned(), kind);
            if names.len() > limit {
                names.pop_last();
                more = true;
            }
        }
        true
    })?;
    let entries = names
        .into_iter()
        .map(|(name, kind)| Entry { name, kind })
        .collect();
    Ok(Page { entries, more })
}

/// Hands on what lies in a directory, in no order, until it is told to end.
fn for_each_entry(
    directory: &OwnedFd,
    path: &DriverPath,
    mut goes_on: impl FnMut(&str, EntryKind) -> bool,
) -> Result<()> {
    for entry in Dir::read_from(directory).map_err(|errno| errno_at(path, errno))? {
        let entry = entry.map_err(|errno| errno_at(path, errno))?;
        // A name that is not UTF-8 is nobody's that writes here.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Directory => EntryKind::Directory,
            FileType::Unknown => {
                match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        EntryKind::Directory
                    }
                    Ok(_) => EntryKind::File,
                    // It has gone since.
                    Err(_) => continue,
                }
            }
            _ => EntryKind::File,
        };
        if kind == EntryKind::File && is_temporary(name) {
            continue;
        }
        if !goes_on(name, kind) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use wharfinger_runtime::Runtime;

    use super::*;
    use crate::{Filesystem, FilesystemOptions};

    fn names(page: Page) -> Vec<String> {
        page.entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_directory_is_read_once_until_something_is_added_or_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let options = FilesystemOptions::new(scratch.path());
        let driver = Filesystem::open(options, Runtime::new(1)).unwrap();
        let inner = &driver.inner;
        let place = scratch.path().join("tags");
        for name in ["v1", "v2", "v3"] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        let path: DriverPath = "tags".parse().unwrap();
        let kept = || inner.listings.page(&inner.tree, &path, None, 10);
        let keep = || {
            for _ in 0..1000 {
                let page = inner.list_page(&path, None, 10).unwrap();
                if let Some(kept) = kept() {
                    assert_eq!(kept, page);
                    return names(page);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            panic!("a directory is kept once it is 20 ms old");
        };
        assert_eq!(keep(), ["v1", "v2", "v3"]);
        fs::create_dir(place.join("v0")).unwrap();
        assert_eq!(kept(), None);
        assert_eq!(keep(), ["v0", "v1", "v2", "v3"]);
        fs::remove_dir(place.join("v2")).unwrap();
        assert_eq!(kept(), None);
        assert_eq!(keep(), ["v0", "v1", "v3"]);
        fs::rename(place.join("v3"), place.join("v4")).unwrap();
        assert_eq!(kept(), None);
        assert_eq!(
            names(inner.list_page(&path, Some("v0"), 1).unwrap()),
            ["v1"]
        );
    }

    #[test]
    fn a_directory_that_is_too_large_to_keep_has_the_same_pages() {
        let scratch = tempfile::tempdir().unwrap();
        for number in 0..30 {
            fs::create_dir(scratch.path().join(format!("{number:02}"))).unwrap();
        }
        let path: DriverPath = "all".parse().unwrap();
        let directory = fs::File::open(scratch.path()).unwrap().into();
        let page = page_of_many(&directory, &path, Some("05"), 3).unwrap();
        assert!(page.more);
        assert_eq!(names(page), ["06", "07", "08"]);
        let page = page_of_many(&directory, &path, Some("27"), 3).unwrap();
        assert!(!page.more);
        assert_eq!(names(page), ["28", "29"]);
    }
}
