//! A second name for a value: a hard link.

use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::{Condition, DriverPath, Error, ErrorKind, Result};

use super::tree::errno_at;
use super::{Inner, NAME};

impl Inner {
    /// See [`crate::Driver::link`].
    pub(super) fn link(
        &self,
        from: &DriverPath,
        to: &DriverPath,
        condition: Condition,
    ) -> Result<()> {
        let source = self.tree.parent_of(from)?;
        let found = rustix::fs::statat(&source, from.name(), AtFlags::SYMLINK_NOFOLLOW);
        let found = found.map_err(|errno| errno_at(from, errno))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err(errno_at(from, Errno::LOOP)),
            _ => return Err(Error::new(ErrorKind::Invalid, NAME, from)),
        }
        let directory = self.tree.make_parent_of(to)?;
        let link = |name: &str| {
            rustix::fs::linkat(&source, from.name(), &directory, name, AtFlags::empty())
        };
        let linked = match condition {
            Condition::IfAbsent => link(to.name()),
            Condition::Replace => {
                let name = self.temporary_name(to);
                let linked = link(&name).and_then(|()| {
                    let beside = directory.as_fd();
                    self.rename_into_place(beside, &name, &directory, to, Condition::Replace)
                });
                // A rename between two names of one file does nothing, and leaves both.
                rustix::fs::unlinkat(&directory, &name, AtFlags::empty()).ok();
                linked
            }
        };
        linked.map_err(|errno| match errno {
            // Another file system, one without links, or a file that has as many as it can.
            Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK => {
                Error::with_source(ErrorKind::Unsupported, NAME, to, errno)
            }
            errno => errno_at(to, errno),
        })
    }
}
