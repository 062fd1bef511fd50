//! Second names of a value. Where there are none every call says so.

use crate::{Condition, Driver, ErrorKind};

use super::Subject;
use super::tools::{assert_missing, assert_value, kind, path, put};

/// Gives `from` the name `to`; tells whether the driver can.
async fn link(driver: &dyn Driver, from: &str, to: &str, condition: Condition) -> bool {
    let linked = driver.link(&path(from), &path(to), condition).await;
    if driver.capabilities().links {
        linked.unwrap();
        return true;
    }
    assert_eq!(kind(linked), ErrorKind::Unsupported);
    false
}

/// Either name is the value, and goes and changes by itself.
pub async fn a_second_name_stays_when_the_first_goes(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/first", "one").await;
    if !link(driver, "x/first", "y/deep/second", Condition::IfAbsent).await {
        return;
    }
    assert_value(&*subject.other(), "y/deep/second", b"one").await;
    put(driver, "x/first", "two").await;
    assert_value(driver, "y/deep/second", b"one").await;
    driver
        .delete(&path("x/first"), crate::Durability::Durable)
        .await
        .unwrap();
    assert_value(driver, "y/deep/second", b"one").await;
    assert_missing(driver, "x/first").await;
}

/// A note that the bytes were hashed goes with them.
pub async fn a_second_name_is_as_verified_as_the_first(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/first", "one").await;
    let metadata = driver.stat(&path("x/first")).await.unwrap();
    driver
        .mark_verified(&path("x/first"), &metadata)
        .await
        .unwrap();
    if link(driver, "x/first", "x/second", Condition::IfAbsent).await {
        let second = driver.stat(&path("x/second")).await.unwrap();
        assert_eq!(second.modified, metadata.modified);
        assert_eq!(second.size_bytes, 3);
    }
}

/// What is there is replaced only when that was asked for.
pub async fn a_name_that_is_taken_is_replaced_when_told_to(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/first", "one").await;
    put(driver, "x/second", "other").await;
    if !driver.capabilities().links {
        return;
    }
    let (first, second) = (path("x/first"), path("x/second"));
    let refused = driver.link(&first, &second, Condition::IfAbsent).await;
    assert_eq!(kind(refused), ErrorKind::AlreadyExists);
    assert_value(driver, "x/second", b"other").await;
    for _again in 0..2 {
        link(driver, "x/first", "x/second", Condition::Replace).await;
        assert_value(driver, "x/second", b"one").await;
    }
    assert_eq!(super::tools::names(driver, "x").await, ["first", "second"]);
}

/// Nothing and a directory have no second name.
pub async fn only_a_value_has_a_second_name(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/y/value", "one").await;
    if !driver.capabilities().links {
        return;
    }
    for (from, wanted) in [
        ("x/missing", ErrorKind::NotFound),
        ("nowhere/at/all", ErrorKind::NotFound),
        ("x/y", ErrorKind::Invalid),
    ] {
        let refused = driver
            .link(&path(from), &path("z/second"), Condition::Replace)
            .await;
        assert_eq!(kind(refused), wanted, "{from}");
    }
    assert_missing(driver, "z/second").await;
}
