//! What only a filesystem can do to its driver.

use std::fs::File;

use rustix::fs::IFlags;
use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, Durability, ErrorKind, Filesystem, FilesystemOptions, Hold,
};
use wharfinger_runtime::Runtime;

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

/// Makes a file that nobody may delete; false where only a file system or user other than ours can.
fn make_immutable(file: &File, immutable: bool) -> bool {
    let Ok(flags) = rustix::fs::ioctl_getflags(file) else {
        return false;
    };
    let flags = if immutable {
        flags | IFlags::IMMUTABLE
    } else {
        flags - IFlags::IMMUTABLE
    };
    rustix::fs::ioctl_setflags(file, flags).is_ok()
}

#[tokio::test]
async fn what_may_not_be_deleted_is_refused_and_never_missing() {
    let place = tempfile::tempdir().unwrap();
    let mut options = FilesystemOptions::new(place.path());
    options.journal = Some(path("journal"));
    let driver = Filesystem::open(options, Runtime::new(2)).unwrap();
    let tag = path("tags/v1/link");
    driver
        .put_one(&tag, "x".into(), Durability::Durable)
        .await
        .unwrap();
    let file = File::open(place.path().join(tag.as_str())).unwrap();
    if !make_immutable(&file, true) {
        eprintln!("skipped: no file can be made immutable here");
        return;
    }
    let mut kinds = Vec::new();
    for gone in [tag.clone(), path("tags")] {
        for durability in [Durability::Durable, Durability::Scratch] {
            let failed = driver.delete(&gone, durability).await;
            kinds.push(failed.map_err(|error| error.kind()));
        }
    }
    // Before anything can fail, so that the directory can be removed.
    assert!(make_immutable(&file, false));
    assert_eq!(kinds, [Err(ErrorKind::Refused); 4]);
    assert_eq!(driver.get_small(&tag).await.unwrap(), "x");
}

#[tokio::test]
async fn a_followed_link_is_a_directory_and_any_other_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["top/followed", "top/other"] {
        std::fs::create_dir_all(place.path().join("top")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join(name)).unwrap();
    }
    let mut options = FilesystemOptions::new(place.path());
    options.followed = vec![path("top/followed")];
    options.journal = Some(path("top/followed/journal"));
    let driver = Filesystem::open(options, Runtime::new(2)).unwrap();
    for durability in [Durability::Durable, Durability::Apart] {
        let (followed, other) = (path("top/followed/value"), path("top/other/value"));
        let put = driver.put_one(&followed, "x".into(), durability);
        put.await.unwrap();
        let put = driver.put_one(&other, "x".into(), durability);
        assert_eq!(put.await.unwrap_err().kind(), ErrorKind::Refused);
    }
    let listed = driver.list_all(&path("top/followed")).await.unwrap();
    let names: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["journal", "value"]);
    let listed = driver.list_all(&path("top/other")).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn a_value_below_a_value_is_an_invalid_call() {
    let place = tempfile::tempdir().unwrap();
    let driver = Filesystem::open(FilesystemOptions::new(place.path()), Runtime::new(2)).unwrap();
    let (value, below) = (path("value"), path("value/below/it"));
    let put = driver.put_one(&value, "x".into(), Durability::Durable);
    put.await.unwrap();
    let failed = driver
        .put_one(&below, "x".into(), Durability::Durable)
        .await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(driver.find(&below).await.unwrap().is_none());
}

#[test]
fn those_who_share_a_directory_keep_out_who_wants_it_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let open = || {
        let options = FilesystemOptions::new(scratch.path());
        Filesystem::open(options, Runtime::new(1)).unwrap()
    };
    let path = path("a/b/lock");
    let (one, two) = (open(), open());
    let shared = one.hold(&path, Hold::Shared).unwrap();
    let also = two.hold(&path, Hold::Shared).unwrap();
    let busy = two.hold(&path, Hold::Exclusive).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    drop((shared, also));
    let alone = two.hold(&path, Hold::Exclusive).unwrap();
    for hold in [Hold::Shared, Hold::Exclusive] {
        assert_eq!(one.hold(&path, hold).unwrap_err().kind(), ErrorKind::Busy);
    }
    drop(alone);
    drop(one.hold(&path, Hold::Exclusive).unwrap());
}

#[tokio::test]
async fn temporary_files_of_dead_writers_go_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let driver = Filesystem::open(FilesystemOptions::new(scratch.path()), Runtime::new(1)).unwrap();
    let root = scratch.path().join("a");
    std::fs::create_dir_all(root.join("b/c")).unwrap();
    let old = "b/c/link.8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b0.tmp";
    let young = "b/link.0123456789abcdef.tmp";
    let others = ["b/c/link", "b/notes.tmp", "b/c/data"];
    for name in others.into_iter().chain([old, young]) {
        let file = File::create(root.join(name)).unwrap();
        if name != young {
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }
    }
    let outside = scratch.path().join("lock.0000000000000000.tmp");
    File::create(&outside).unwrap();
    std::os::unix::fs::symlink(scratch.path(), root.join("b/link-out")).unwrap();
    let before = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(60);
    assert_eq!(
        driver.remove_temporaries(&path("a"), before).await.unwrap(),
        1
    );
    assert!(!root.join(old).exists() && root.join(young).exists() && outside.exists());
    assert!(others.iter().all(|name| root.join(name).exists()));
    assert_eq!(
        driver
            .remove_temporaries(&path("missing"), before)
            .await
            .unwrap(),
        0
    );
}
