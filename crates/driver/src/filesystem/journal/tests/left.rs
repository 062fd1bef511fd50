//! What one start leaves to the next, and deletes meanwhile.

use std::os::unix::fs::symlink;

use rustix::fs::{FlockOperation, flock};

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

#[tokio::test]
async fn what_is_left_is_left_in_the_order_of_its_times() {
    let place = Place::new();
    let dead = [(at(1), put_of("b", "old")), (at(3), put_of("a", "x"))];
    place.leave_segment("0123456789abcdef.00000000", "first boot", &dead);
    let living = "1123456789abcdef.00000000";
    place.leave_segment(living, "first boot", &[(at(2), put_of("b", "new"))]);
    let held = fs::File::open(place.file(JOURNAL).join(living)).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    // A link is refused, so neither can be put.
    for name in ["a", "b"] {
        symlink("nowhere", place.file(name)).unwrap();
    }
    drop(place.open("second boot"));
    drop(held);
    for name in ["a", "b"] {
        fs::remove_file(place.file(name)).unwrap();
    }
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "x");
    assert_eq!(get(&driver, "b").await.unwrap(), "new");
}

#[tokio::test]
async fn a_delete_of_what_is_left_is_noted_also_where_nothing_is_synced() {
    let place = Place::new();
    let suspect = "0123456789abcdef.00000000.suspect";
    place.leave_segment(suspect, "boot", &[(at(1), put_of("tag", "x"))]);
    symlink("nowhere", place.file("tag")).unwrap();
    let open = || {
        let mut options = FilesystemOptions::new(place.directory.path());
        options.journal = Some(path(JOURNAL));
        options.sync = false;
        place.open_as(options, Runtime::new(8)).unwrap()
    };
    let driver = open();
    delete(&driver, "tag").await;
    drop(driver);
    assert_eq!(get(&open(), "tag").await, None);
}

#[tokio::test]
async fn what_is_written_again_after_a_delete_that_was_noted_stays() {
    let place = Place::new();
    let driver = place.open("boot");
    put(&driver, "tag", "the same").await;
    place.faults.fail_file_system();
    driver.close().await;
    delete(&driver, "tag").await;
    put(&driver, "tag", "the same").await;
    drop(driver);
    let driver = place.open("boot");
    assert_eq!(get(&driver, "tag").await.unwrap(), "the same");
}
