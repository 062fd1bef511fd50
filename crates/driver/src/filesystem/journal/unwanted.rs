//! Deleting again what was deleted before, and nothing that was written since.

use std::ffi::CStr;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;

use crate::{ErrorKind, Result};

use super::super::remove::open_directory;
use super::super::tree::{Tree, errno_at};
use super::super::verified::Version;
use super::super::{MOST_JOURNALLED_BYTES, READ};
use super::repair::CLOCK_TICK;
use super::wanted::Wanted;

/// 256: no path of ours is nearly as deep, and each level holds a descriptor.
const MOST_LEVELS: usize = 256;

/// Removes the files from before the promise at its path and below, and the directories that are
/// empty then. Their own times say nothing: our unfinished removal has changed them as well.
pub(super) fn remove_again(tree: &Tree, wanted: &Wanted<'_>) -> Result<()> {
    let directory = match tree.parent_of(&wanted.path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let name = std::ffi::CString::new(wanted.path.name()).expect("a path holds no NUL");
    remove_older(directory.as_fd(), &name, wanted, MOST_LEVELS)
        .map_err(|errno| errno_at(&wanted.path, errno))
}

fn remove_older(
    directory: BorrowedFd<'_>,
    name: &CStr,
    wanted: &Wanted<'_>,
    levels: usize,
) -> Result<(), Errno> {
    let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let flags = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let levels = levels.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
        let below = open_directory(directory, name)?;
        for entry in Dir::read_from(&below)? {
            let entry = entry?;
            if ![c".", c".."].contains(&entry.file_name()) {
                remove_older(below.as_fd(), entry.file_name(), wanted, levels)?;
            }
        }
        AtFlags::REMOVEDIR
    } else if is_older(directory, name, &stat, wanted) {
        AtFlags::empty()
    } else {
        return Ok(());
    };
    match rustix::fs::unlinkat(directory, name, flags) {
        // Something younger lies in it.
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A rename keeps the time of the last write, and sets that of the last change. Where the clock is
/// too coarse to tell, a file is ours when it holds what was promised before the delete.
fn is_older(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat, wanted: &Wanted<'_>) -> bool {
    let changed = Version::of(stat).modified().max(changed_at(stat));
    if changed > wanted.written + CLOCK_TICK {
        return false;
    }
    if changed + CLOCK_TICK < wanted.written {
        return true;
    }
    let flags = READ | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty()) else {
        return false;
    };
    let mut found = Vec::new();
    let read = std::fs::File::from(file)
        .take(MOST_JOURNALLED_BYTES + 1)
        .read_to_end(&mut found);
    read.is_ok() && wanted.earlier.contains(&&found[..])
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a file that was changed before 1970 is older than any promise, and the types differ by platform"
)]
fn changed_at(stat: &Stat) -> SystemTime {
    let since = std::time::Duration::new(stat.st_ctime.max(0) as u64, stat.st_ctime_nsec as u32);
    SystemTime::UNIX_EPOCH + since
}
