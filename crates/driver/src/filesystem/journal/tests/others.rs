//! Those that die beside a process that lives.

use super::super::others::look_once;
use super::*;

#[tokio::test]
async fn what_died_beside_a_living_process_does_not_undo_its_deletes() {
    let place = Place::new();
    let (dies, lives) = (place.open("boot"), place.open("boot"));
    put(&dies, "tag", "x").await;
    put(&dies, "kept", "x").await;
    look_once(&lives.inner, &path(JOURNAL));
    assert_eq!(place.segments().len(), 1, "it lives");
    drop(dies);
    look_once(&lives.inner, &path(JOURNAL));
    assert!(place.segments().is_empty());
    delete(&lives, "tag").await;
    lives.close().await;
    drop(lives);
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "tag").await, None);
    assert_eq!(get(&driver, "kept").await.unwrap(), "x");
}

#[tokio::test]
async fn what_has_to_be_looked_at_is_left_to_the_next_start() {
    let place = Place::new();
    let lives = place.open("boot");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for (name, boot) in [
        ("0123456789abcdef.00000000", "another boot"),
        ("1123456789abcdef.00000000", "boot"),
    ] {
        place.leave_segment(name, boot, &[(now, put_of("tag", name))]);
        look_once(&lives.inner, &path(JOURNAL));
    }
    assert_eq!(place.segments().len(), 2);
    assert_eq!(get(&lives, "tag").await, None);
}

#[tokio::test]
async fn a_failed_sync_of_what_died_beside_ends_the_journal() {
    let place = Place::new();
    let (dies, lives) = (place.open("boot"), place.open("boot"));
    put(&dies, "tag", "x").await;
    drop(dies);
    place.faults.fail_file_system();
    look_once(&lives.inner, &path(JOURNAL));
    assert!(lives.inner.journal.as_ref().unwrap().is_suspect());
    delete(&lives, "tag").await;
    look_once(&lives.inner, &path(JOURNAL));
    drop(lives);
    assert_eq!(get(&place.open("boot"), "tag").await, None);
}
