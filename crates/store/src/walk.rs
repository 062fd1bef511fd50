//! Walking the tree for those who decide what to delete.
//!
//! Whoever lists repositories for a client leaves out what it cannot read. Here that would be a loss:
//! what a repository holds that was left out is taken for garbage. So everything below a directory is
//! seen, whatever its name; a symbolic link where a directory is expected is an error, and so is
//! what a directory lists and then is not there. Those who only look for uploads pass over both: others
//! write meanwhile, and what they miss is found the next time.

use std::collections::VecDeque;

use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, Entry, EntryKind, ErrorKind as DriverErrorKind, Page,
};
use wharfinger_oci::{Algorithm, Digest};

use crate::error::{Error, ErrorKind, Result};
use crate::layout;

/// 1,000 names are asked of the driver at once.
const LIST_PAGE: usize = 1000;

/// What to do about links, and about what is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Fail: nothing may be missed.
    Fails,
    /// Go on without it.
    Passes,
}

/// The names in one directory, page by page.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    driver: &'a dyn Driver,
    missing: Missing,
    directory: DriverPath,
    page: VecDeque<Entry>,
    after: Option<String>,
    more: bool,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(driver: &'a dyn Driver, directory: DriverPath) -> Self {
        Self::with(driver, directory, Missing::Fails)
    }

    pub(crate) fn with(driver: &'a dyn Driver, directory: DriverPath, missing: Missing) -> Self {
        Self {
            driver,
            missing,
            directory,
            page: VecDeque::new(),
            after: None,
            more: true,
        }
    }

    /// Returns the next name. Entries that were returned before may be deleted meanwhile.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        while self.page.is_empty() && self.more {
            let after = self.after.as_deref();
            let page = match self.driver.list(&self.directory, after, LIST_PAGE).await {
                Err(error) if error.kind() == DriverErrorKind::NotFound && self.passes() => {
                    Page::default()
                }
                page => page.map_err(|error| storage(&self.directory, error))?,
            };
            self.more = page.more;
            self.after = page.entries.last().map(|entry| entry.name.clone());
            self.more &= self.after.is_some();
            self.page = page.entries.into();
        }
        Ok(self.page.pop_front())
    }

    /// Returns the next directory in it, with its path. What is neither a directory nor a link is passed over.
    pub(crate) async fn next_directory(&mut self) -> Result<Option<(String, DriverPath)>> {
        while let Some(entry) = self.next().await? {
            // Nobody could have written below a name that is no path.
            let Ok(path) = self.directory.join(&entry.name) else {
                continue;
            };
            if entry.kind == EntryKind::Directory {
                return Ok(Some((entry.name, path)));
            }
            if !self.passes() {
                refuse_link(self.driver, &path).await?;
            }
        }
        Ok(None)
    }

    fn passes(&self) -> bool {
        self.missing == Missing::Passes
    }
}

/// The directories `ALG/HEX` below one, each with the digest that it stands for. What is no digest is
/// nobody's that we know, and is passed over.
#[derive(Debug)]
pub(crate) struct Digests<'a> {
    driver: &'a dyn Driver,
    algorithms: Listing<'a>,
    within: Option<(Algorithm, Listing<'a>)>,
}

impl<'a> Digests<'a> {
    pub(crate) fn new(driver: &'a dyn Driver, directory: DriverPath) -> Self {
        Self {
            driver,
            algorithms: Listing::new(driver, directory),
            within: None,
        }
    }

    /// Returns the next one. It may be deleted before the one after it is asked for.
    pub(crate) async fn next(&mut self) -> Result<Option<(Digest, DriverPath)>> {
        loop {
            if let Some((algorithm, listing)) = &mut self.within {
                while let Some((hex, path)) = listing.next_directory().await? {
                    if let Some(digest) = digest_of(*algorithm, &hex) {
                        return Ok(Some((digest, path)));
                    }
                }
            }
            let Some((name, path)) = self.algorithms.next_directory().await? else {
                return Ok(None);
            };
            let algorithm = name.parse().ok();
            self.within = algorithm.map(|it| (it, Listing::new(self.driver, path)));
        }
    }
}

/// Makes a digest of the two names that lead to a link or a blob; `None` when they are none.
pub(crate) fn digest_of(algorithm: Algorithm, hex: &str) -> Option<Digest> {
    format!("{algorithm}:{hex}").parse().ok()
}

/// Makes an error of a failed driver call that was about `path`.
pub(crate) fn storage(path: &DriverPath, error: wharfinger_driver::Error) -> Error {
    Error::storage(path.to_string(), error)
}

/// Returns the names in a directory that holds a few.
pub(crate) async fn names_in(driver: &dyn Driver, directory: &DriverPath) -> Result<Vec<Entry>> {
    let mut listing = Listing::new(driver, directory.clone());
    let mut entries = Vec::new();
    while let Some(entry) = listing.next().await? {
        entries.push(entry);
    }
    Ok(entries)
}

/// Tells whether `entries` has the directory `name`; a link there is an error.
pub(crate) async fn has_directory(
    driver: &dyn Driver,
    directory: &DriverPath,
    entries: &[Entry],
    name: &str,
) -> Result<Option<DriverPath>> {
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        return Ok(None);
    };
    let path = directory.join(name).expect("a plain word is a path");
    if entry.kind == EntryKind::Directory {
        return Ok(Some(path));
    }
    refuse_link(driver, &path).await?;
    Ok(None)
}

/// Fails when a symbolic link lies at `path`: something else may be reached through it, by others.
async fn refuse_link(driver: &dyn Driver, path: &DriverPath) -> Result<()> {
    match driver.find(path).await {
        Err(error) if error.kind() == DriverErrorKind::Refused => Err(storage(path, error)),
        // A stray file is nobody's, and neither is one that has gone again.
        _ => Ok(()),
    }
}

/// A directory in which a repository keeps something.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryDirectory {
    /// Its name as it is listed, whether it is one that clients can use or not.
    pub(crate) name: String,
    /// `_manifests`, which makes it a repository.
    pub(crate) manifests: Option<DriverPath>,
    /// `_layers`
    pub(crate) layers: Option<DriverPath>,
    /// `_uploads`
    pub(crate) uploads: Option<DriverPath>,
}

/// All directories that repositories have, each before those in it. Holds the names of one directory
/// for each level on the way.
#[derive(Debug)]
pub(crate) struct Repositories<'a> {
    driver: &'a dyn Driver,
    missing: Missing,
    /// What was seen and not yet looked at, the next one last.
    left: Vec<DriverPath>,
}

impl<'a> Repositories<'a> {
    /// # Errors
    /// Fails with `RepositoryUnknown` when there is no place for repositories at all.
    pub(crate) async fn open(driver: &'a dyn Driver, missing: Missing) -> Result<Self> {
        let root = layout::repositories();
        let found = driver.find(&root).await;
        match found.map_err(|error| storage(&root, error))? {
            Some(_) => Ok(Self {
                driver,
                missing,
                left: vec![root],
            }),
            None => Err(Error::new(ErrorKind::RepositoryUnknown, root.to_string())),
        }
    }

    /// Returns the next one.
    pub(crate) async fn next(&mut self) -> Result<Option<RepositoryDirectory>> {
        while let Some(path) = self.left.pop() {
            let found = self.look_at(path).await?;
            if found.manifests.is_some() || found.layers.is_some() || found.uploads.is_some() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn look_at(&mut self, path: DriverPath) -> Result<RepositoryDirectory> {
        let name = path.strip(&layout::repositories()).unwrap_or_default();
        let mut found = RepositoryDirectory {
            name: name.to_owned(),
            manifests: None,
            layers: None,
            uploads: None,
        };
        let below = self.left.len();
        let mut listing = Listing::with(self.driver, path, self.missing);
        while let Some((name, path)) = listing.next_directory().await? {
            match name.as_str() {
                "_manifests" => found.manifests = Some(path),
                "_layers" => found.layers = Some(path),
                "_uploads" => found.uploads = Some(path),
                _ if name.starts_with('_') => {}
                _ => self.left.push(path),
            }
        }
        // The first is taken first.
        self.left[below..].reverse();
        Ok(found)
    }
}
