//! What only a filesystem can do to its driver.

use std::fs::File;

use rustix::fs::IFlags;
use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, Durability, ErrorKind, Filesystem, FilesystemOptions,
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
