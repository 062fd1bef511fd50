//! The verified record: which version of a file somebody has hashed and found right.
//!
//! ```text
//! extended attribute user.wharfinger.verified, 21 bytes
//!   0     format, 1
//!   1..9  size in bytes, little-endian
//!   9..17 modification time, seconds since 1970, little-endian, signed
//!  17..21 modification time, nanoseconds, little-endian
//! ```
//!
//! Where a file system takes no extended attributes, the same bytes and then the file's name lie
//! in a file `wharfinger` beside it.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use crate::{EntryKind, Metadata};

const ATTRIBUTE: &str = "user.wharfinger.verified";
const SIDE_FILE: &str = "wharfinger";
const FORMAT: u8 = 1;
const RECORD_BYTES: usize = 21;

/// What identifies a version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    size: u64,
    seconds: i64,
    nanoseconds: u32,
}

impl Version {
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "the kernel's sizes are not negative, its nanoseconds are below 10^9, and the types differ by platform"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            size: stat.st_size as u64,
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u32,
        }
    }

    pub(super) fn modified(self) -> SystemTime {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let start = if self.seconds < 0 {
            SystemTime::UNIX_EPOCH - whole
        } else {
            SystemTime::UNIX_EPOCH + whole
        };
        start + Duration::from_nanos(u64::from(self.nanoseconds))
    }

    fn record(self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record[0] = FORMAT;
        record[1..9].copy_from_slice(&self.size.to_le_bytes());
        record[9..17].copy_from_slice(&self.seconds.to_le_bytes());
        record[17..].copy_from_slice(&self.nanoseconds.to_le_bytes());
        record
    }
}

/// Returns what is known of an open file; `place` is its directory and name, for the side file.
pub(super) fn metadata_of(file: BorrowedFd<'_>, stat: &Stat, place: Place<'_>) -> Metadata {
    let version = Version::of(stat);
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        let modified = version.modified();
        return Metadata {
            kind: EntryKind::Directory,
            size_bytes: 0,
            modified,
            verified: false,
        };
    }
    Metadata {
        kind: EntryKind::File,
        size_bytes: version.size,
        modified: version.modified(),
        verified: is_verified(file, place, version),
    }
}

/// Where a file lies, for the side file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Opens the directory, only when there is need for it.
    pub(super) directory: &'a dyn Fn() -> Option<std::os::fd::OwnedFd>,
    pub(super) name: &'a str,
}

fn is_verified(file: BorrowedFd<'_>, place: Place<'_>, version: Version) -> bool {
    let mut record = [0; RECORD_BYTES + 1];
    match rustix::fs::fgetxattr(file, ATTRIBUTE, &mut record) {
        Ok(length) => record[..length] == version.record(),
        Err(Errno::NOTSUP) => (place.directory)().is_some_and(|directory| {
            read_side_file(directory.as_fd())
                .is_ok_and(|bytes| bytes == side_record(version, place.name))
        }),
        Err(_) => false,
    }
}

/// Writes the record of the open file. Best effort: without it the next reader hashes once more.
pub(super) fn mark(file: BorrowedFd<'_>, place: Place<'_>, version: Version) -> Result<(), Errno> {
    match rustix::fs::fsetxattr(file, ATTRIBUTE, &version.record(), XattrFlags::empty()) {
        Err(Errno::NOTSUP) => match (place.directory)() {
            Some(directory) => {
                write_side_file(directory.as_fd(), &side_record(version, place.name))
            }
            None => Err(Errno::NOENT),
        },
        other => other,
    }
}

fn side_record(version: Version, name: &str) -> Vec<u8> {
    let mut record = version.record().to_vec();
    record.extend_from_slice(name.as_bytes());
    record
}

fn read_side_file(directory: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, SIDE_FILE, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(512)
        .read_to_end(&mut bytes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(bytes)
}

fn write_side_file(directory: BorrowedFd<'_>, record: &[u8]) -> Result<(), Errno> {
    let temporary = "wharfinger.0000000000000000.tmp";
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // As private as the directory that it is in.
    let mode = rustix::fs::fstat(directory)?.st_mode & 0o666;
    let file = rustix::fs::openat(directory, temporary, flags, Mode::from_raw_mode(mode))?;
    std::fs::File::from(file)
        .write_all(record)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::fs::renameat(directory, temporary, directory, SIDE_FILE).inspect_err(|_| {
        // The record is best effort, and so is tidying up after it.
        rustix::fs::unlinkat(directory, temporary, AtFlags::empty()).ok();
    })
}
