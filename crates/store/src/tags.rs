//! Tags: names that point at manifests.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharfinger_driver::{
    Driver, DriverExt as _, Durability, EntryKind, ErrorKind as DriverErrorKind, Metadata, Put,
};
use wharfinger_oci::{Digest, RepositoryName, Tag};

use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::links::{LinkSet, Links, link_content};
use crate::names::Names;
use crate::pages::TagPages;

/// 1,000 names are asked of the driver at once.
const LIST_PAGE: usize = 1000;

/// A part of the tags of a repository, in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagPage {
    /// The tags: nothing but what [`Tag`] allows.
    pub tags: Names,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// The tags of one repository.
#[derive(Debug, Clone)]
pub(crate) struct Tags {
    links: Links,
    name: RepositoryName,
}

impl Tags {
    pub(crate) fn new(links: Links, name: RepositoryName) -> Self {
        Self { links, name }
    }

    fn driver(&self) -> &dyn Driver {
        &*self.links.driver
    }

    fn subject(&self, tag: &Tag) -> String {
        format!("tag {}:{tag}", self.name)
    }

    /// Returns what `tag` points at.
    pub(crate) async fn resolve(&self, tag: &Tag) -> Result<Digest> {
        let path = layout::tag_current(&self.name, tag);
        let link = self.links.read(&path).await?;
        link.ok_or_else(|| Error::new(ErrorKind::TagUnknown, self.subject(tag)))
    }

    /// The writes that make `tag` point at `digest`: first its history, then the tag.
    pub(crate) fn point(&self, tag: &Tag, digest: &Digest) -> [Put; 2] {
        let (name, tag) = (self.name.clone(), tag.clone());
        let current = Put::replace(layout::tag_current(&name, &tag), link_content(digest));
        let history = LinkSet::new(self.links.clone(), move |digest| {
            layout::tag_index_link(&name, &tag, digest)
        });
        [history.link(digest), current]
    }

    /// Removes `tag` with its history.
    pub(crate) async fn remove(&self, tag: &Tag) -> Result<()> {
        let path = layout::tag(&self.name, tag);
        let removed = self
            .driver()
            .delete_if_there(&path, Durability::Durable)
            .await;
        removed.map_err(|error| Error::storage(self.subject(tag), error))?;
        Ok(())
    }

    /// Returns the tags that point at one of `digests`; `at_once` tags are looked at at a time.
    pub(crate) async fn pointing_at(&self, digests: &[Digest], at_once: usize) -> Result<Vec<Tag>> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let (page, _) = self.list(after.as_deref(), LIST_PAGE).await?;
            after = page.tags.last().map(str::to_owned);
            let tags: Vec<Tag> = page
                .tags
                .iter()
                .filter_map(|tag| tag.parse().ok())
                .collect();
            let looks = stream::iter(tags).map(|tag| async move {
                let path = layout::tag_current(&self.name, &tag);
                let named = self.links.read(&path).await?;
                let points = named.is_some_and(|named| digests.contains(&named));
                Ok::<_, Error>(points.then_some(tag))
            });
            let pointing: Vec<_> = looks.buffered(at_once).try_collect().await?;
            found.extend(pointing.into_iter().flatten());
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// Returns up to `limit` tags after the name `after`, from `pages` where they still count.
    pub(crate) async fn page(
        &self,
        pages: &TagPages,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Arc<TagPage>> {
        let part = (after, limit);
        let directory = layout::tags(&self.name);
        let found = match self.driver().capabilities().directories {
            true => self.driver().find(&directory).await,
            false => Ok(None),
        };
        let found =
            found.map_err(|error| Error::storage(format!("tags of {}", self.name), error))?;
        let Some(Metadata { modified, .. }) = found else {
            return self
                .list(after, limit)
                .await
                .map(|(page, _)| Arc::new(page));
        };
        if let Some(page) = pages.get(&self.name, part, modified) {
            return Ok(page);
        }
        let may_keep = pages.may_keep(modified);
        let (page, all_there) = self.list(after, limit).await?;
        let page = Arc::new(page);
        if may_keep && all_there {
            pages.keep(&self.name, part, modified, &page);
        }
        Ok(page)
    }

    /// Returns up to `limit` tags after the name `after`, and whether all directories that were
    /// looked at are tags.
    ///
    /// A tag's directory may be there before its link, when somebody is just pushing it, and is
    /// left out until then.
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<(TagPage, bool)> {
        let directory = layout::tags(&self.name);
        let mut page = TagPage::default();
        let mut count = 0;
        let mut all_there = true;
        let mut after = after.map(str::to_owned);
        // One more than is wanted tells whether there is more.
        while !page.more {
            let wanted = (limit + 1 - count).min(LIST_PAGE);
            let names = match self
                .driver()
                .list(&directory, after.as_deref(), wanted)
                .await
            {
                Ok(names) => names,
                Err(error) if error.kind() == DriverErrorKind::NotFound => break,
                Err(error) => return Err(Error::storage(format!("tags of {}", self.name), error)),
            };
            for entry in &names.entries {
                let Ok(tag) = entry.name.parse::<Tag>() else {
                    continue;
                };
                if entry.kind != EntryKind::Directory || !self.is_there(&tag).await? {
                    all_there = false;
                } else if count < limit {
                    page.tags.push(tag.as_str());
                    count += 1;
                } else {
                    page.more = true;
                }
            }
            after = names
                .entries
                .last()
                .map(|entry| entry.name.clone())
                .or(after);
            if !names.more {
                break;
            }
        }
        page.tags.shrink();
        Ok((page, all_there))
    }

    async fn is_there(&self, tag: &Tag) -> Result<bool> {
        let found = self
            .driver()
            .find(&layout::tag_current(&self.name, tag))
            .await;
        Ok(found
            .map_err(|error| Error::storage(self.subject(tag), error))?
            .is_some())
    }
}
