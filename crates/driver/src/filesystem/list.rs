//! Listing one page of a directory in byte order, in memory bounded by the page.

use std::collections::BTreeMap;

use rustix::fs::{AtFlags, Dir, FileType};

use crate::{DriverPath, Entry, EntryKind, Page, Result};

use super::tree::errno_at;
use super::write::is_temporary;
use super::{DIRECTORY, Inner};

impl Inner {
    /// See [`crate::Driver::list`]. Reads the whole directory, and keeps no more than the page.
    pub(super) fn list_page(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let directory = self.tree.open_at(path, DIRECTORY)?;
        let mut names = BTreeMap::new();
        let mut more = false;
        for entry in Dir::read_from(&directory).map_err(|errno| errno_at(path, errno))? {
            let entry = entry.map_err(|errno| errno_at(path, errno))?;
            // A name that is not UTF-8 is nobody's that writes here.
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." || after.is_some_and(|after| name <= after) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Directory => EntryKind::Directory,
                FileType::Unknown => {
                    match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat)
                            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory =>
                        {
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
            names.insert(name.to_owned(), kind);
            if names.len() > limit {
                names.pop_last();
                more = true;
            }
        }
        let entries = names
            .into_iter()
            .map(|(name, kind)| Entry { name, kind })
            .collect();
        Ok(Page { entries, more })
    }
}
