//! Small files that were read lately, kept in memory.
//!
//! What is kept of a path counts only while the very file lies there that was read: a look at it by
//! its path, one call that opens nothing, has to find the same device, inode, size and times. The
//! time of change is that of the last write, rename or note, and nobody can set it. A clock ticks
//! seldom enough for two writes to share a time; so a file is kept only once its last change is
//! older than a few ticks, and whatever comes after that shows.
//!
//! A link may lie on the way that opening would refuse: then another file is found, or the same one
//! that was once found without it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use moka::sync::Cache;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::{DriverPath, Metadata};

use super::tree::Tree;

/// 64 KiB: links, manifests, configurations, signatures. What is longer costs more to send than to
/// find.
pub(super) const MOST_KEPT_BYTES: u64 = 64 * 1024;

/// 20 ms: two ticks of the slowest clock that file systems take their times from.
const SETTLED: Duration = Duration::from_millis(20);

/// 320: what an entry takes beside its path and its bytes.
pub(super) const ENTRY_BYTES: usize = 320;

/// The files that are kept.
#[derive(Debug)]
pub(super) struct Hot {
    files: Cache<DriverPath, Arc<Kept>>,
}

/// What is kept of a file.
#[derive(Debug)]
pub(super) struct Kept {
    identity: Identity,
    pub(super) metadata: Metadata,
    /// All of it, unless nobody has asked for its bytes yet.
    pub(super) bytes: Option<Bytes>,
}

/// What tells a version of a file from any other of the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Hot {
    /// Keeps as much as takes `most_bytes`; the files least used go first.
    pub(super) fn new(most_bytes: u64) -> Self {
        let weigh = |path: &DriverPath, kept: &Arc<Kept>| {
            let bytes = kept.bytes.as_ref().map_or(0, Bytes::len);
            u32::try_from(ENTRY_BYTES + path.as_str().len() + bytes).unwrap_or(u32::MAX)
        };
        let files = Cache::builder().weigher(weigh).max_capacity(most_bytes);
        Self {
            files: files.build(),
        }
    }

    /// Returns what is kept of the file at `path`, if that very file lies there now.
    pub(super) fn get(&self, tree: &Tree, path: &DriverPath) -> Option<Arc<Kept>> {
        let kept = self.files.get(path)?;
        let there = identity_at(tree, path);
        (there == Ok(kept.identity)).then_some(kept)
    }

    /// Keeps what was read of a file or directory, which had this identity before it was read, at `now`.
    pub(super) fn keep(
        &self,
        path: &DriverPath,
        identity: Identity,
        now: SystemTime,
        metadata: &Metadata,
        bytes: Option<&Bytes>,
    ) {
        if identity.is_settled(now) {
            let kept = Kept {
                identity,
                metadata: metadata.clone(),
                bytes: bytes.cloned(),
            };
            self.files.insert(path.clone(), Arc::new(kept));
        }
    }

    /// Forgets a file of which something is known by now that its identity does not show.
    pub(super) fn forget(&self, path: &DriverPath) {
        self.files.invalidate(path);
    }
}

impl Identity {
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "the kernel's sizes are not negative, its nanoseconds are below 10^9, and the types differ by platform"
    )]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// Whether every write from now on gives the file another time.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let last = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(seconds).unwrap_or_default(), nanoseconds);
        now.duration_since(last).is_ok_and(|age| age >= SETTLED)
    }
}

/// Looks at what lies at `path`, and opens nothing.
#[cfg(target_os = "linux")]
pub(super) fn identity_at(tree: &Tree, path: &DriverPath) -> Result<Identity, Errno> {
    use rustix::fs::{AtFlags, StatxFlags};
    // A network file system is asked, and not what it remembers.
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
    let wanted = StatxFlags::INO | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::CTIME;
    let there = rustix::fs::statx(tree.root(), path.as_str(), flags, wanted)?;
    Ok(Identity {
        device: rustix::fs::makedev(there.stx_dev_major, there.stx_dev_minor),
        inode: there.stx_ino,
        size: there.stx_size,
        modified: (there.stx_mtime.tv_sec, there.stx_mtime.tv_nsec),
        changed: (there.stx_ctime.tv_sec, there.stx_ctime.tv_nsec),
    })
}

/// Looks at what lies at `path`, and opens nothing.
#[cfg(not(target_os = "linux"))]
pub(super) fn identity_at(tree: &Tree, path: &DriverPath) -> Result<Identity, Errno> {
    use rustix::fs::AtFlags;
    rustix::fs::statat(tree.root(), path.as_str(), AtFlags::SYMLINK_NOFOLLOW)
        .map(|there| Identity::of(&there))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt as _;
    use std::path::PathBuf;

    use super::super::values::tests::opened;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A file of two bytes that was read a second after it was written, and so is kept.
    struct Fixture {
        scratch: tempfile::TempDir,
        tree: Tree,
        hot: Hot,
        path: DriverPath,
        identity: Identity,
        metadata: Metadata,
        modified: SystemTime,
    }

    impl Fixture {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let file = scratch.path().join("a/link");
            fs::create_dir(scratch.path().join("a")).unwrap();
            fs::write(&file, "ab").unwrap();
            let tree = Tree::open(scratch.path(), Vec::new()).unwrap();
            let path: DriverPath = "a/link".parse().unwrap();
            let (identity, metadata) = opened(&tree, &path);
            let fixture = Self {
                scratch,
                tree,
                hot: Hot::new(1024 * 1024),
                path,
                identity,
                modified: metadata.modified,
                metadata,
            };
            fixture.keep(fixture.modified + SECOND);
            fixture
        }

        fn keep(&self, now: SystemTime) {
            let bytes = Bytes::from_static(b"ab");
            let (identity, metadata) = (self.identity, &self.metadata);
            self.hot
                .keep(&self.path, identity, now, metadata, Some(&bytes));
        }

        fn file(&self) -> PathBuf {
            self.scratch.path().join("a/link")
        }

        fn kept(&self) -> Option<Bytes> {
            self.hot.get(&self.tree, &self.path)?.bytes.clone()
        }
    }

    #[test]
    fn what_was_read_is_kept_while_the_file_stays() {
        let fixture = Fixture::new();
        assert_eq!(fixture.kept().unwrap(), "ab");
        fs::remove_file(fixture.file()).unwrap();
        assert_eq!(fixture.kept(), None);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_kept() {
        let fixture = Fixture::new();
        fixture.hot.forget(&fixture.path);
        for age_ms in [0, 19] {
            fixture.keep(fixture.modified + Duration::from_millis(age_ms));
            assert_eq!(fixture.kept(), None);
        }
        // The clock was set back since.
        fixture.keep(fixture.modified - SECOND);
        assert_eq!(fixture.kept(), None);
    }

    #[test]
    fn a_write_in_place_shows_although_its_time_was_set_back() {
        let fixture = Fixture::new();
        std::thread::sleep(SETTLED);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(fixture.file())
            .unwrap();
        file.write_all_at(b"xy", 0).unwrap();
        file.set_modified(fixture.modified).unwrap();
        assert_eq!(fixture.kept(), None);
    }

    #[test]
    fn another_file_or_a_link_in_its_place_shows() {
        let fixture = Fixture::new();
        let aside = fixture.scratch.path().join("aside");
        fs::write(&aside, "xy").unwrap();
        fs::rename(fixture.file(), fixture.scratch.path().join("kept")).unwrap();
        fs::rename(&aside, fixture.file()).unwrap();
        assert_eq!(fixture.kept(), None);
        fs::remove_file(fixture.file()).unwrap();
        std::os::unix::fs::symlink("../kept", fixture.file()).unwrap();
        assert_eq!(fixture.kept(), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room() {
        let fixture = Fixture::new();
        let hot = Hot::new(10_000);
        for number in 0..100 {
            let path = format!("a/{number}").parse().unwrap();
            let bytes = Bytes::from(vec![0; 1000]);
            let now = fixture.modified + SECOND;
            hot.keep(
                &path,
                fixture.identity,
                now,
                &fixture.metadata,
                Some(&bytes),
            );
        }
        hot.files.run_pending_tasks();
        assert!(hot.files.weighted_size() <= 10_000);
        assert!(hot.files.entry_count() > 0);
    }
}
