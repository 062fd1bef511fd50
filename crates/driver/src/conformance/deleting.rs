//! Deletion of values and of everything below a path.

use crate::{Durability, ErrorKind, Resume};

use super::Subject;
use super::tools::{assert_missing, assert_value, begin_with, kind, names, path, pattern, put};

/// A deleted value is missing, with either durability, and can be written anew.
pub async fn a_deleted_value_is_gone(subject: &Subject) {
    let driver = &*subject.driver;
    for durability in [Durability::Scratch, Durability::Durable] {
        put(driver, "x/value", "here").await;
        put(driver, "x/other", "here").await;
        driver.delete(&path("x/value"), durability).await.unwrap();
        assert_missing(driver, "x/value").await;
        assert_eq!(names(driver, "x").await, ["other"]);
    }
    put(driver, "x/value", "again").await;
    assert_value(driver, "x/value", b"again").await;
}

/// A directory is deleted with everything below it.
pub async fn a_directory_goes_with_everything_below(subject: &Subject) {
    let driver = &*subject.driver;
    for at in ["x/y/1", "x/y/2/3", "x/y/2/4/5", "x/6"] {
        put(driver, at, "value").await;
    }
    driver
        .delete(&path("x/y"), Durability::Durable)
        .await
        .unwrap();
    for at in ["x/y/1", "x/y/2/3", "x/y/2/4/5", "x/y/2", "x/y"] {
        assert_missing(driver, at).await;
    }
    assert_eq!(names(driver, "x").await, ["6"]);
    put(driver, "x/y/1", "again").await;
    assert_eq!(names(driver, "x/y").await, ["1"]);
}

/// What only begins with the same letters stays.
pub async fn siblings_with_a_common_prefix_stay(subject: &Subject) {
    let driver = &*subject.driver;
    for at in ["x/y/1", "x/y-2", "x/y.3/1", "x/y0", "x/yy/1", "xx"] {
        put(driver, at, "value").await;
    }
    driver
        .delete(&path("x/y"), Durability::Scratch)
        .await
        .unwrap();
    assert_eq!(names(driver, "x").await, ["y-2", "y.3", "y0", "yy"]);
    driver
        .delete(&path("x"), Durability::Scratch)
        .await
        .unwrap();
    assert_value(driver, "xx", b"value").await;
}

/// Deleting what is not there fails, and takes nothing else with it.
pub async fn deleting_nothing_is_not_found(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/value", "here").await;
    for at in ["y", "x/no", "x/val", "x/value/below", "no/such/place"] {
        for durability in [Durability::Scratch, Durability::Durable] {
            assert_eq!(
                kind(driver.delete(&path(at), durability).await),
                ErrorKind::NotFound
            );
        }
    }
    driver
        .delete(&path("x/value"), Durability::Durable)
        .await
        .unwrap();
    let again = driver.delete(&path("x/value"), Durability::Durable).await;
    assert_eq!(kind(again), ErrorKind::NotFound);
}

/// An ingest that is staged below a deleted directory cannot be resumed.
pub async fn deleting_the_directory_takes_the_staged_ingest(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/1/data", &pattern(1, 100)).await;
    put(driver, "up/1/startedat", "now").await;
    let checkpoint = ingest.close().await.unwrap();
    driver
        .delete(&path("up/1"), Durability::Scratch)
        .await
        .unwrap();
    let resume = Resume {
        at: None,
        state: checkpoint.state,
    };
    assert_eq!(
        kind(driver.resume(&path("up/1/data"), resume).await),
        ErrorKind::NotFound
    );
    assert!(names(driver, "up").await.is_empty());
}
