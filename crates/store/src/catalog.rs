//! The list of repositories, read from the tree.
//!
//! A directory is a repository when it has `_manifests`. Names come component by component, so
//! that `a/b` stands before `a-b`: the order in which Distribution walks, and nodes of both kinds
//! have to cut their pages at the same place.

use std::sync::Arc;

use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, EntryKind, ErrorKind as DriverErrorKind,
};
use wharfinger_oci::RepositoryName;

use crate::error::{Error, Result};
use crate::layout;

/// 1,000 names are asked of the driver at once.
const LIST_PAGE: usize = 1000;

/// A part of the names of all repositories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogPage {
    /// The names.
    pub names: Vec<RepositoryName>,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// Returns up to `limit` repositories after the name `after`, which need not be there any more.
pub(crate) async fn page(
    driver: &Arc<dyn Driver>,
    after: Option<&str>,
    limit: usize,
) -> Result<CatalogPage> {
    let mut walk = Walk::new(driver, after);
    let mut page = CatalogPage::default();
    while let Some(name) = walk.next().await? {
        if page.names.len() == limit {
            page.more = true;
            break;
        }
        page.names.push(name);
    }
    Ok(page)
}

/// A walk in order with a stack of its own; it holds at most one page of names for each level.
struct Walk<'a> {
    driver: &'a Arc<dyn Driver>,
    stack: Vec<Level>,
    after: Option<String>,
}

/// A directory on the way.
struct Level {
    /// Its name below `repositories`; empty for that itself.
    name: String,
    /// The children that were read and not yet visited, last first.
    children: Vec<String>,
    /// The last child that was read.
    last: Option<String>,
    /// Whether there are more children to read.
    more: bool,
}

impl<'a> Walk<'a> {
    fn new(driver: &'a Arc<dyn Driver>, after: Option<&str>) -> Self {
        let root = Level {
            name: String::new(),
            children: Vec::new(),
            last: None,
            more: true,
        };
        let mut walk = Self {
            driver,
            stack: vec![root],
            after: after.map(str::to_owned),
        };
        walk.go_to_start();
        walk
    }

    /// Puts the directories that `after` leads through on the stack, so that nothing ahead of it is read.
    fn go_to_start(&mut self) {
        let Some(after) = &self.after else { return };
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
            self.stack.push(Level {
                name: name.clone(),
                children: Vec::new(),
                last: None,
                more: true,
            });
        }
    }

    async fn next(&mut self) -> Result<Option<RepositoryName>> {
        while let Some(level) = self.stack.last_mut() {
            if level.children.is_empty() && level.more {
                read_children(self.driver, level).await?;
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
            let parsed = name.parse::<RepositoryName>().ok();
            self.stack.push(Level {
                name,
                children: Vec::new(),
                last: None,
                more: true,
            });
            if let Some(repository) = parsed
                && exists(self.driver, &repository).await?
            {
                return Ok(Some(repository));
            }
        }
        Ok(None)
    }
}

async fn read_children(driver: &Arc<dyn Driver>, level: &mut Level) -> Result<()> {
    let Ok(directory) = directory_of(&level.name) else {
        // No path can hold that name, so nothing lies there.
        level.more = false;
        return Ok(());
    };
    match driver
        .list(&directory, level.last.as_deref(), LIST_PAGE)
        .await
    {
        Ok(page) => {
            level.more = page.more;
            level.last = page
                .entries
                .last()
                .map(|entry| entry.name.clone())
                .or(level.last.take());
            let names = page
                .entries
                .into_iter()
                .filter(|entry| entry.kind == EntryKind::Directory && !entry.name.starts_with('_'));
            level.children = names.map(|entry| entry.name).rev().collect();
            Ok(())
        }
        Err(error) if error.kind() == DriverErrorKind::NotFound => {
            level.more = false;
            Ok(())
        }
        Err(error) => Err(Error::storage("catalog", error)),
    }
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
