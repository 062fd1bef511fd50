//! The journal where write-back fails, and over segments that no process of today writes.

mod in_part;
mod left;
mod others;
mod retiring;

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use wharfinger_runtime::{Clock, Host, ManualClock, Runtime};

use crate::filesystem::sync::WriteBack;
use crate::filesystem::tree::Tree;
use crate::{Condition, FilesystemOptions, Put};
use crate::{Driver, DriverExt as _, DriverPath, Durability, ErrorKind, Filesystem};

use super::format::{Entry, Operation, header};

const JOURNAL: &str = "journal";

/// Write-back that fails as often as it is told to.
#[derive(Debug, Default)]
struct Faults {
    data: AtomicI32,
    /// How many syncs of files succeed before one fails.
    data_before: AtomicUsize,
    file_system: AtomicI32,
    /// The inodes of the files that were synced by themselves.
    synced: Mutex<Vec<u64>>,
}

impl Faults {
    fn take(next: &AtomicI32) -> Result<(), Errno> {
        match next.swap(0, Ordering::SeqCst) {
            0 => Ok(()),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }

    fn fail_data(&self, errno: Errno) {
        self.data.store(errno.raw_os_error(), Ordering::SeqCst);
    }

    fn fail_data_after(&self, successes: usize, errno: Errno) {
        self.data_before.store(successes, Ordering::SeqCst);
        self.fail_data(errno);
    }

    fn fail_file_system(&self) {
        self.file_system
            .store(Errno::IO.raw_os_error(), Ordering::SeqCst);
    }
}

impl WriteBack for Faults {
    fn data(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        let fewer = |before: usize| before.checked_sub(1);
        let before = &self.data_before;
        if before
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
            .is_err()
        {
            Self::take(&self.data)?;
        }
        let inode = rustix::fs::fstat(file)?.st_ino;
        self.synced.lock().unwrap().push(inode);
        Ok(())
    }

    fn file_system(&self, _: BorrowedFd<'_>) -> Result<(), Errno> {
        Self::take(&self.file_system)
    }
}

struct Place {
    directory: tempfile::TempDir,
    faults: Arc<Faults>,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            faults: Arc::default(),
        }
    }

    fn try_open(&self, boot: &str) -> std::io::Result<Filesystem> {
        let mut runtime = Runtime::new(8);
        runtime.host = host(boot);
        self.open_with(runtime)
    }

    fn open_with(&self, runtime: Runtime) -> std::io::Result<Filesystem> {
        let mut options = FilesystemOptions::new(self.directory.path());
        options.journal = Some(path(JOURNAL));
        self.open_as(options, runtime)
    }

    fn open_as(&self, options: FilesystemOptions, runtime: Runtime) -> std::io::Result<Filesystem> {
        let mut tree = Tree::open(&options.root, Vec::new())?;
        tree.write_back = Arc::clone(&self.faults) as Arc<dyn WriteBack>;
        Filesystem::open_in(tree, options, runtime)
    }

    fn open(&self, boot: &str) -> Filesystem {
        self.try_open(boot).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn inode(&self, name: &str) -> u64 {
        fs::metadata(self.file(name)).unwrap().ino()
    }

    fn is_synced_by_itself(&self, name: &str) -> bool {
        self.faults
            .synced
            .lock()
            .unwrap()
            .contains(&self.inode(name))
    }

    fn segments(&self) -> Vec<String> {
        let entries = fs::read_dir(self.file(JOURNAL)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Leaves what a process would have that died.
    fn leave_segment(&self, name: &str, boot: &str, promises: &[(SystemTime, Operation<'_>)]) {
        let mut bytes = header(&host(boot));
        for (number, (written, operation)) in (1..).zip(promises) {
            let operations = vec![*operation];
            Entry::Promise {
                number,
                written: *written,
                operations,
            }
            .append_to(&mut bytes);
        }
        fs::create_dir_all(self.file(JOURNAL)).unwrap();
        fs::write(self.file(JOURNAL).join(name), bytes).unwrap();
    }
}

fn host(boot: &str) -> Host {
    Host::fixed("machine", boot, SystemTime::UNIX_EPOCH)
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

fn put_of<'a>(path: &'a str, bytes: &'a str) -> Operation<'a> {
    Operation::Put {
        path,
        bytes: bytes.as_bytes(),
        verified: false,
    }
}

async fn put(driver: &Filesystem, name: &str, bytes: &'static str) {
    driver
        .put_one(&path(name), bytes.into(), Durability::Durable)
        .await
        .unwrap();
}

async fn get(driver: &Filesystem, name: &str) -> Option<String> {
    let bytes = driver.find_small(&path(name)).await.unwrap()?;
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

async fn delete(driver: &Filesystem, name: &str) {
    driver
        .delete(&path(name), Durability::Durable)
        .await
        .unwrap();
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about");
}

#[tokio::test]
async fn after_a_failed_sync_nothing_more_is_promised_and_all_of_it_is_kept() {
    let place = Place::new();
    let driver = place.open("boot");
    put(&driver, "a/kept", "kept").await;
    put(&driver, "a/deleted", "x").await;
    place.faults.fail_file_system();
    driver.close().await;
    let segments = place.segments();
    assert_eq!(segments.len(), 1, "{segments:?}");
    assert!(segments[0].ends_with(".suspect"), "{segments:?}");

    for number in 0..20 {
        put(&driver, &format!("b/{number}"), "by itself").await;
        delete(&driver, &format!("b/{number}")).await;
    }
    driver.close().await;
    assert_eq!(place.segments(), segments, "each is synced by itself");
    delete(&driver, "a/deleted").await;
    assert_eq!(place.segments().len(), 2, "the delete is noted");
    let (kept, other) = (place.inode("a/kept"), place.open("boot"));
    assert_eq!(place.segments().len(), 2, "the living process holds them");
    drop((driver, other));

    let driver = place.open("boot");
    assert_eq!(get(&driver, "a/kept").await.unwrap(), "kept");
    assert_ne!(place.inode("a/kept"), kept, "it is written anew");
    assert_eq!(get(&driver, "a/deleted").await, None);
    assert!(place.segments().is_empty());
}

#[tokio::test]
async fn a_failed_sync_of_a_dead_process_is_not_believed_away() {
    let place = Place::new();
    let driver = place.open("boot");
    put(&driver, "a/kept", "kept").await;
    put(&driver, "a/deleted", "x").await;
    drop(driver);
    place.faults.fail_file_system();
    let driver = place.open("boot");
    until("the segment is suspect", || {
        place.segments()[0].ends_with(".suspect")
    })
    .await;
    delete(&driver, "a/deleted").await;
    until("the journal takes nothing more", || {
        driver.inner.journal.as_ref().unwrap().is_suspect()
    })
    .await;
    put(&driver, "b", "by itself").await;
    assert!(
        place
            .segments()
            .iter()
            .all(|name| name.ends_with(".suspect")),
        "{:?}",
        place.segments()
    );
    drop(driver);
    let kept = place.inode("a/kept");
    let driver = place.open("boot");
    assert_eq!(get(&driver, "a/kept").await.unwrap(), "kept");
    assert_ne!(place.inode("a/kept"), kept, "it is written anew");
    assert_eq!(get(&driver, "a/deleted").await, None);
}

#[tokio::test]
async fn a_replay_that_could_not_be_synced_is_not_believed_the_next_time() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "a", "promised").await;
    drop(driver);
    fs::remove_file(place.file("a")).unwrap();
    place.faults.fail_file_system();
    place.try_open("second boot").unwrap_err();
    let put_back = place.inode("a");
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "promised");
    assert_ne!(place.inode("a"), put_back, "it is written anew");
    assert!(place.segments().is_empty());
}

#[tokio::test]
async fn all_segments_of_a_process_are_gone_through_when_one_is() {
    let place = Place::new();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let after = now + Duration::from_secs(1);
    let process = "0123456789abcdef";
    let (one, two) = (
        format!("{process}.00000000.suspect"),
        format!("{process}.00000001"),
    );
    place.leave_segment(&one, "boot", &[(now, put_of("tag", "old"))]);
    let then = [
        (after, Operation::Delete { path: "tag" }),
        (after, put_of("other", "not lost")),
    ];
    place.leave_segment(&two, "boot", &then);
    let driver = place.open("boot");
    assert_eq!(get(&driver, "tag").await, None, "it was deleted after");
    assert_eq!(get(&driver, "other").await.unwrap(), "not lost");
    assert!(place.segments().is_empty());
}

#[tokio::test]
async fn beside_a_failed_sync_nobodys_promises_are_believed_to_be_kept() {
    let place = Place::new();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let after = now + Duration::from_secs(1);
    place.leave_segment(
        "0123456789abcdef.00000000.suspect",
        "boot",
        &[(now, put_of("tag", "old"))],
    );
    let alone = [
        (after, Operation::Delete { path: "tag" }),
        (after, put_of("lost", "x")),
    ];
    place.leave_segment("1123456789abcdef.00000000", "boot", &alone);
    let driver = place.open("boot");
    assert_eq!(get(&driver, "tag").await, None, "it was deleted after");
    assert_eq!(get(&driver, "lost").await.unwrap(), "x");
}

#[tokio::test]
async fn a_disk_that_is_full_only_when_it_is_synced_is_called_full() {
    let place = Place::new();
    let driver = place.open("boot");
    for (errno, kind) in [
        (Errno::NOSPC, ErrorKind::Full),
        (Errno::DQUOT, ErrorKind::Full),
        (Errno::IO, ErrorKind::Unsynced),
    ] {
        for durability in [Durability::Durable, Durability::Apart] {
            place.faults.fail_data(errno);
            let put = Put {
                condition: Condition::Replace,
                ..Put::replace(path("a"), "x".into())
            };
            let failed = driver.put(&[put], durability).await.unwrap_err();
            assert_eq!(failed.kind(), kind, "{durability:?}");
        }
    }
    put(&driver, "a", "x").await;
}

#[tokio::test]
async fn a_delete_is_done_again_on_what_is_older_and_on_nothing_else() {
    let place = Place::new();
    let now = Runtime::new(1).clock.now();
    let soon = now + Duration::from_secs(3600);
    let write = |name: &str, bytes: &str, modified: SystemTime| {
        let name = place.file(name);
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        fs::write(&name, bytes).unwrap();
        let file = fs::File::options().write(true).open(&name).unwrap();
        file.set_modified(modified).unwrap();
    };
    let old = now - Duration::from_secs(3600);
    // The last change of all of these is now.
    write("old/a/link", "x", old);
    write("mixed/a/old", "x", old);
    write("mixed/b/young", "x", soon + Duration::from_secs(1));
    write("renamed", "x", old);
    let then = now - Duration::from_secs(60);
    place.leave_segment(
        "0123456789abcdef.00000000",
        "first boot",
        &[
            (then, Operation::Delete { path: "renamed" }),
            (then, Operation::Delete { path: "missing" }),
            (soon, Operation::Delete { path: "old" }),
            (soon, Operation::Delete { path: "mixed" }),
        ],
    );
    let driver = place.open("second boot");
    assert!(!place.file("old").exists(), "its directories look young");
    assert!(!place.file("mixed/a").exists());
    assert_eq!(get(&driver, "mixed/b/young").await.unwrap(), "x");
    let renamed = get(&driver, "renamed").await;
    assert_eq!(renamed.unwrap(), "x", "it came there after the delete");
    assert!(place.segments().is_empty());
}

#[tokio::test]
async fn within_a_tick_of_the_clock_only_what_was_promised_before_is_deleted_again() {
    let place = Place::new();
    for name in ["tag/promised", "tag/by another"] {
        fs::create_dir_all(place.file("tag")).unwrap();
        fs::write(place.file(name), name).unwrap();
    }
    let metadata = fs::metadata(place.file("tag/promised")).unwrap();
    let written = metadata.modified().unwrap();
    let promises = [
        (written, put_of("tag/promised", "tag/promised")),
        (written, Operation::Delete { path: "tag" }),
    ];
    place.leave_segment("0123456789abcdef.00000000", "first boot", &promises);
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "tag/promised").await, None);
    assert!(get(&driver, "tag/by another").await.is_some());
}

#[tokio::test]
async fn a_segment_ends_by_its_age_also_while_it_is_written() {
    let place = Place::new();
    let mut runtime = Runtime::new(8);
    let clock = Arc::new(ManualClock::new(runtime.clock.now()));
    runtime.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let driver = place.open_with(runtime).unwrap();
    for _ in 0..3 {
        put(&driver, "a", "x").await;
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(place.segments().len(), 1, "4 s are not too old");
    put(&driver, "a", "x").await;
    until("the segment is removed", || place.segments().is_empty()).await;
}

#[tokio::test]
async fn on_a_full_disk_a_delete_is_durable_all_the_same() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "tag", "promised").await;
    place.faults.fail_data(Errno::NOSPC);
    delete(&driver, "tag").await;
    assert!(place.segments().is_empty(), "nothing could bring it back");
    drop(driver);
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "tag").await, None);
}

#[tokio::test]
async fn why_a_segment_cannot_be_begun_is_told_as_it_is() {
    let place = Place::new();
    let driver = place.open("boot");
    let write = |name| {
        let put = Put::replace(path(name), "x".into());
        async {
            driver
                .put(&[put], Durability::Durable)
                .await
                .map_err(|error| error.kind())
        }
    };
    fs::write(place.file(JOURNAL), "in the way").unwrap();
    assert_eq!(write("a").await, Err(ErrorKind::Unavailable));
    fs::remove_file(place.file(JOURNAL)).unwrap();
    std::os::unix::fs::symlink(".", place.file(JOURNAL)).unwrap();
    assert_eq!(write("a").await, Err(ErrorKind::Refused));
    fs::remove_file(place.file(JOURNAL)).unwrap();
    assert_eq!(write("a").await, Ok(()));
}
