//! The names of repositories, read from the tree one after the other.

use std::sync::Arc;

use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, EntryKind, ErrorKind as DriverErrorKind,
};
use wharfinger_oci::RepositoryName;

use super::CatalogPage;
use crate::error::{Error, Result};
use crate::layout;

/// What makes a directory a repository.
const MANIFESTS: &str = "_manifests";

/// 1,000 names are asked of the driver at once.
const LIST_PAGE: usize = 1000;

/// Returns up to `limit` repositories after the name `after`, which need not be there any more.
pub(super) async fn page(
    driver: &Arc<dyn Driver>,
    after: Option<&str>,
    limit: usize,
) -> Result<CatalogPage> {
    let mut walk = Walk::new(driver, after);
    let mut page = CatalogPage::default();
    let mut count = 0;
    while let Some(name) = walk.next().await? {
        if count == limit {
            page.more = true;
            break;
        }
        page.names.push(name.as_str());
        count += 1;
    }
    Ok(page)
}

/// A walk in order with a stack of its own; it holds at most one page of names for each level.
pub(super) struct Walk<'a> {
    driver: &'a Arc<dyn Driver>,
    stack: Vec<Level>,
}

/// A directory on the way.
struct Level {
    /// Its name below `repositories`; empty for that itself.
    name: String,
    /// Whether it may be a repository that is still to be told of.
    is_new: bool,
    /// The children that were read and not yet visited, last first.
    children: Vec<String>,
    /// The last child that was read.
    last: Option<String>,
    /// Whether there are more children to read.
    more: bool,
}

impl Level {
    fn new(name: String) -> Self {
        Self {
            name,
            is_new: true,
            children: Vec::new(),
            last: None,
            more: true,
        }
    }

    /// A directory that does not come after where the walk begins.
    fn passed(name: String) -> Self {
        Self {
            is_new: false,
            ..Self::new(name)
        }
    }
}

impl<'a> Walk<'a> {
    /// Begins after the name `after`.
    pub(super) fn new(driver: &'a Arc<dyn Driver>, after: Option<&str>) -> Self {
        let mut walk = Self {
            driver,
            stack: vec![Level::passed(String::new())],
        };
        if let Some(after) = after {
            walk.go_to_start(after);
        }
        walk
    }

    /// Puts the directories that `after` leads through on the stack, so that nothing ahead of it is read.
    fn go_to_start(&mut self, after: &str) {
        let mut name = String::new();
        for component in after.split('/').filter(|component| !component.is_empty()) {
            if let Some(level) = self.stack.last_mut() {
                level.last = Some(component.to_owned());
            }
            let length = name.len() + 1 + component.len();
            if component.starts_with('_') || length > RepositoryName::MAX_LENGTH {
                // Nothing below has a name that is listed.
                return;
            }
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(component);
            self.stack.push(Level::passed(name.clone()));
        }
    }

    /// Returns the next name.
    pub(super) async fn next(&mut self) -> Result<Option<RepositoryName>> {
        while let Some(level) = self.stack.last_mut() {
            if level.children.is_empty() && level.more {
                let is_repository = read_children(self.driver, level).await?;
                if is_repository && let Ok(name) = level.name.parse() {
                    return Ok(Some(name));
                }
                continue;
            }
            let Some(child) = level.children.pop() else {
                self.stack.pop();
                continue;
            };
            let name = if level.name.is_empty() {
                child
            } else {
                format!("{}/{child}", level.name)
            };
            self.stack.push(Level::new(name));
        }
        Ok(None)
    }
}

/// Reads further children, and tells whether the directory turned out to be a repository. One look
/// tells both.
async fn read_children(driver: &Arc<dyn Driver>, level: &mut Level) -> Result<bool> {
    let Ok(directory) = directory_of(&level.name) else {
        // No path can hold that name, so nothing lies there.
        level.more = false;
        return Ok(false);
    };
    let page = match driver
        .list(&directory, level.last.as_deref(), LIST_PAGE)
        .await
    {
        Ok(page) => page,
        Err(error) if error.kind() == DriverErrorKind::NotFound => {
            level.more = false;
            return Ok(false);
        }
        Err(error) => return Err(Error::storage("catalog", error)),
    };
    let is_directory = |kind| kind == EntryKind::Directory;
    let last = page.entries.last().map(|entry| entry.name.clone());
    let is_repository = match std::mem::take(&mut level.is_new) {
        false => false,
        true if page.more && last.as_deref().is_some_and(|last| last < MANIFESTS) => {
            let path = directory.join(MANIFESTS).expect("a plain word is a path");
            let found = driver.find(&path).await;
            found
                .map_err(|error| Error::storage("catalog", error))?
                .is_some()
        }
        true => {
            let mut entries = page.entries.iter();
            entries.any(|entry| entry.name == MANIFESTS && is_directory(entry.kind))
        }
    };
    level.more = page.more;
    level.last = last.or(level.last.take());
    let children = page.entries.into_iter();
    let children =
        children.filter(|entry| is_directory(entry.kind) && !entry.name.starts_with('_'));
    level.children = children.map(|entry| entry.name).rev().collect();
    Ok(is_repository)
}

fn directory_of(name: &str) -> Result<DriverPath, wharfinger_driver::PathError> {
    if name.is_empty() {
        Ok(layout::repositories())
    } else {
        layout::repositories().join(name)
    }
}

/// Tells whether there is a repository of this name.
pub(crate) async fn exists(driver: &Arc<dyn Driver>, name: &RepositoryName) -> Result<bool> {
    let path = layout::manifests(name);
    let found = driver.find(&path).await;
    Ok(found
        .map_err(|error| Error::storage(format!("repository {name}"), error))?
        .is_some())
}
