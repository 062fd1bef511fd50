//! The filesystem's journal: what is found again after the process, or the machine, has died.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;
use wharfinger_driver::{
    Commit, Condition, Driver, DriverExt as _, DriverPath, Durability, Filesystem,
    FilesystemOptions, Put, Target,
};
use wharfinger_runtime::{Host, Runtime};

const JOURNAL: &str = "own/journal";

/// A directory that one process after the other opens.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, boot: &str) -> Filesystem {
        let mut options = FilesystemOptions::new(self.0.path());
        options.journal = Some(path(JOURNAL));
        let mut runtime = Runtime::new(8);
        runtime.host = Host::fixed("machine", boot, SystemTime::UNIX_EPOCH);
        Filesystem::open(options, runtime).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn segments(&self) -> usize {
        fs::read_dir(self.file(JOURNAL)).map_or(0, Iterator::count)
    }

    /// A power cut that takes all that was not synced: here, all but the journal.
    fn lose_everything_unsynced(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "own" {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }

    async fn wait_until_no_segment_is_left(&self) {
        for _ in 0..200 {
            if self.segments() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} segments are left", self.segments());
    }
}

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

async fn put(driver: &Filesystem, name: &str, bytes: &'static str) {
    driver
        .put_one(&path(name), bytes.into(), Durability::Durable)
        .await
        .unwrap();
}

async fn get(driver: &Filesystem, name: &str) -> Option<Bytes> {
    driver.find_small(&path(name)).await.unwrap()
}

async fn commit_small(driver: &Filesystem, target: Target, to: &str, bytes: &'static str) {
    let mut ingest = driver.begin(&target).await.unwrap();
    ingest.append(vec![bytes.into()]).await.unwrap();
    let then = vec![Put::replace(path("links/after"), "the link".into())];
    ingest
        .commit(Commit {
            verified: true,
            then,
            ..Commit::new(path(to))
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_the_journal_does_is_counted() {
    let place = Place::new();
    let driver = place.open("boot");
    let before = driver.journal_stats().unwrap();
    let link = path("a/link");
    let content = Bytes::from_static(b"x");
    driver
        .put_one(&link, content, Durability::Durable)
        .await
        .unwrap();
    let after = driver.journal_stats().unwrap();
    assert_eq!(after.syncs, before.syncs + 1);
    assert!(after.written_bytes > before.written_bytes);
    assert_eq!((after.segments, after.ended), (1, false));
    driver.close().await;
    assert_eq!(driver.journal_stats().unwrap().segments, 0);
}

#[tokio::test]
async fn after_a_power_cut_all_that_was_answered_is_there() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "tags/v1", "old").await;
    put(&driver, "tags/v1", "new").await;
    put(&driver, "tags/gone/current", "x").await;
    put(&driver, "tags/back/current", "x").await;
    driver
        .delete(&path("tags/gone"), Durability::Durable)
        .await
        .unwrap();
    driver
        .delete(&path("tags/back"), Durability::Durable)
        .await
        .unwrap();
    put(&driver, "tags/back/current", "again").await;
    commit_small(
        &driver,
        Target::Staged(path("uploads/1/data")),
        "blobs/staged",
        "staged bytes",
    )
    .await;
    commit_small(
        &driver,
        Target::Final(path("blobs/direct")),
        "blobs/direct",
        "direct bytes",
    )
    .await;
    drop(driver);
    place.lose_everything_unsynced();

    let driver = place.open("second boot");
    assert_eq!(get(&driver, "tags/v1").await.unwrap(), "new");
    assert_eq!(get(&driver, "tags/gone/current").await, None);
    assert_eq!(get(&driver, "tags/back/current").await.unwrap(), "again");
    assert_eq!(get(&driver, "blobs/staged").await.unwrap(), "staged bytes");
    assert_eq!(get(&driver, "blobs/direct").await.unwrap(), "direct bytes");
    assert_eq!(get(&driver, "links/after").await.unwrap(), "the link");
    assert!(driver.stat(&path("blobs/staged")).await.unwrap().verified);
    assert!(!driver.stat(&path("links/after")).await.unwrap().verified);
    assert_eq!(place.segments(), 0, "what was replayed is not kept");
}

#[tokio::test]
async fn what_was_put_apart_is_not_brought_back_when_its_directory_is_deleted() {
    let place = Place::new();
    let driver = place.open("first boot");
    driver
        .put_one(&path("up/1/state"), "state".into(), Durability::Apart)
        .await
        .unwrap();
    assert_eq!(place.segments(), 0, "it does not go through the journal");
    put(&driver, "a", "through the journal").await;
    driver
        .delete(&path("up/1"), Durability::Scratch)
        .await
        .unwrap();
    drop(driver);
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "through the journal");
    assert_eq!(get(&driver, "up/1/state").await, None);
}

#[tokio::test]
async fn what_a_power_cut_has_torn_is_put_right_and_what_others_wrote_stays() {
    let place = Place::new();
    let driver = place.open("first boot");
    for name in [
        "a/empty",
        "a/zeros",
        "a/short",
        "a/whole",
        "a/older",
        "a/younger",
    ] {
        put(&driver, name, "what was promised").await;
    }
    drop(driver);
    fs::write(place.file("a/empty"), "").unwrap();
    fs::write(place.file("a/zeros"), [0; 17]).unwrap();
    fs::write(place.file("a/short"), "what was").unwrap();
    fs::write(place.file("a/older"), "from before").unwrap();
    let older = fs::File::options()
        .write(true)
        .open(place.file("a/older"))
        .unwrap();
    older
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000))
        .unwrap();
    fs::write(place.file("a/younger"), "by somebody else").unwrap();

    let driver = place.open("second boot");
    for name in ["a/empty", "a/zeros", "a/short", "a/whole", "a/older"] {
        assert_eq!(
            get(&driver, name).await.unwrap(),
            "what was promised",
            "{name}"
        );
    }
    assert_eq!(get(&driver, "a/younger").await.unwrap(), "by somebody else");
}

#[tokio::test]
async fn when_only_the_process_died_nothing_is_done_again() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "a/kept", "kept").await;
    put(&driver, "a/deleted by another", "x").await;
    drop(driver);
    fs::remove_file(place.file("a/deleted by another")).unwrap();
    let driver = place.open("first boot");
    assert_eq!(get(&driver, "a/kept").await.unwrap(), "kept");
    assert_eq!(get(&driver, "a/deleted by another").await, None);
    place.wait_until_no_segment_is_left().await;
}

#[tokio::test]
async fn what_could_not_be_done_is_not_done_later() {
    let place = Place::new();
    let driver = place.open("first boot");
    // A value lies where a directory would have to be.
    put(&driver, "a", "in the way").await;
    let failed = driver
        .put_one(&path("a/b"), "never answered".into(), Durability::Durable)
        .await;
    failed.unwrap_err();
    put(&driver, "c", "the note goes with this one").await;
    drop(driver);
    fs::remove_file(place.file("a")).unwrap();
    fs::remove_file(place.file("c")).unwrap();
    let driver = place.open("second boot");
    assert_eq!(
        get(&driver, "c").await.unwrap(),
        "the note goes with this one"
    );
    assert_eq!(get(&driver, "a").await.unwrap(), "in the way");
    assert!(driver.find(&path("a/b")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_journal_of_a_living_process_is_left_alone() {
    let place = Place::new();
    let living = place.open("first boot");
    put(&living, "a", "x").await;
    fs::remove_file(place.file("a")).unwrap();
    let other = place.open("second boot");
    assert_eq!(get(&other, "a").await, None);
    assert_eq!(place.segments(), 1);
}

#[tokio::test]
async fn who_starts_while_another_goes_through_the_journal_waits() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "a", "x").await;
    drop(driver);
    fs::remove_file(place.file("a")).unwrap();
    // As the other one does.
    let other = fs::File::open(place.file(JOURNAL)).unwrap();
    other.lock().unwrap();
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let place = &place;
        scope.spawn(move || tell.send(place.open("second boot")).unwrap());
        told.recv_timeout(Duration::from_millis(200)).unwrap_err();
        assert!(!place.file("a").exists());
        other.unlock().unwrap();
        told.recv().unwrap();
    });
    assert!(place.file("a").exists());
}

#[tokio::test]
async fn a_torn_end_of_a_segment_costs_only_what_was_never_answered() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "a", "answered").await;
    drop(driver);
    let segment = fs::read_dir(place.file(JOURNAL))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend_from_slice(&[7; 100]);
    fs::write(&segment, &bytes).unwrap();
    fs::remove_file(place.file("a")).unwrap();
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn segments_are_retired_while_many_write_and_all_of_it_is_there() {
    let place = Place::new();
    let driver = place.open("first boot");
    let value = Bytes::from(vec![b'v'; 60_000]);
    // 48 MiB: three segments.
    let writers = (0..8).map(|writer| {
        let (driver, value) = (driver.clone(), value.clone());
        async move {
            for number in 0..100 {
                let put = Put {
                    condition: Condition::IfAbsent,
                    ..Put::replace(path(&format!("w{writer}/{number}")), value.clone())
                };
                driver.put(&[put], Durability::Durable).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(writers).await;
    for _ in 0..500 {
        if place.segments() <= 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        place.segments() <= 1,
        "{} segments are left",
        place.segments()
    );
    drop(driver);
    let driver = place.open("second boot");
    for writer in 0..8 {
        for number in 0..100 {
            assert_eq!(
                get(&driver, &format!("w{writer}/{number}")).await.unwrap(),
                value
            );
        }
    }
}

/// Promises something below a directory that is not to be reached at the next start.
async fn leave_what_cannot_be_put_right(place: &Place) {
    let driver = place.open("first boot");
    put(&driver, "blocked/tag", "blocked").await;
    put(&driver, "free/tag", "free").await;
    drop(driver);
    fs::rename(place.file("blocked"), place.file("aside")).unwrap();
    std::os::unix::fs::symlink("aside", place.file("blocked")).unwrap();
}

#[tokio::test]
async fn what_cannot_be_put_right_keeps_no_other_promise() {
    let place = Place::new();
    leave_what_cannot_be_put_right(&place).await;
    let driver = place.open("second boot");
    assert_eq!(place.segments(), 1, "the one promise that is left");
    driver
        .delete(&path("free/tag"), Durability::Durable)
        .await
        .unwrap();
    driver.close().await;
    drop(driver);

    let driver = place.open("second boot");
    assert_eq!(get(&driver, "free/tag").await, None, "it was deleted");
    drop(driver);
    fs::remove_file(place.file("blocked")).unwrap();
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "blocked/tag").await.unwrap(), "blocked");
    assert_eq!(place.segments(), 0);
}

#[tokio::test]
async fn what_could_not_be_put_right_and_was_deleted_since_stays_deleted() {
    let place = Place::new();
    leave_what_cannot_be_put_right(&place).await;
    let driver = place.open("second boot");
    fs::remove_file(place.file("blocked")).unwrap();
    fs::rename(place.file("aside"), place.file("blocked")).unwrap();
    driver
        .delete(&path("blocked"), Durability::Durable)
        .await
        .unwrap();
    driver.close().await;
    drop(driver);
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "blocked/tag").await, None);
    assert_eq!(place.segments(), 0);
}

#[tokio::test]
async fn one_segment_that_cannot_be_read_does_not_stop_the_start() {
    let place = Place::new();
    let driver = place.open("first boot");
    put(&driver, "a", "promised").await;
    drop(driver);
    fs::remove_file(place.file("a")).unwrap();
    let unreadable = place.file(JOURNAL).join("0000000000000000.00000000");
    std::os::unix::fs::symlink("nowhere", unreadable).unwrap();
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "promised");
    assert_eq!(place.segments(), 1, "it is left alone");
}
