//! Segments that cannot be worked off in the ordinary way.

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::super::{MOST_FULL, lock};
use super::*;

#[tokio::test]
async fn segments_are_worked_off_also_when_no_thread_could_be_started() {
    let place = Place::new();
    let driver = place.open("boot");
    let shared = &driver.inner.journal.as_ref().unwrap().shared;
    for _ in 0..MOST_FULL {
        put(&driver, "a", "x").await;
        let mut state = lock(&shared.state);
        let segment = state.segment.take().unwrap();
        let undone = std::mem::take(&mut state.undone);
        state.full.push_back((segment, undone));
        state.first_asked = None;
    }
    // Writers wait by now.
    put(&driver, "b", "x").await;
    driver.close().await;
    assert!(place.segments().is_empty());
}

#[tokio::test]
async fn segments_that_cannot_be_removed_do_not_gather() {
    let place = Place::new();
    let driver = place.open("boot");
    put(&driver, "a", "x").await;
    let directory = fs::File::open(place.file(JOURNAL)).unwrap();
    let append_only = ioctl_getflags(&directory)
        .and_then(|flags| ioctl_setflags(&directory, flags | IFlags::APPEND));
    if append_only.is_err() {
        eprintln!("skipped: no directory can be made append-only here");
        return;
    }
    for _ in 0..3 {
        driver.close().await;
        put(&driver, "a", "y").await;
    }
    let flags = ioctl_getflags(&directory).unwrap();
    ioctl_setflags(&directory, flags - IFlags::APPEND).unwrap();
    assert_eq!(place.segments().len(), 1);
}

#[tokio::test]
async fn a_journal_that_somebody_removes_is_begun_anew() {
    let place = Place::new();
    let driver = place.open("boot");
    put(&driver, "a", "x").await;
    fs::remove_dir_all(place.file(JOURNAL)).unwrap();
    driver.close().await;
    put(&driver, "b", "x").await;
    assert_eq!(place.segments().len(), 1);
    driver.close().await;
    assert!(place.segments().is_empty());
}
