//! Notes that a value was hashed and found right.

use crate::{Commit, Driver, Durability, Put, Target};

use super::Subject;
use super::tools::{assert_value, begin_with, path, pattern, put, replacing};

async fn is_verified(driver: &dyn Driver, at: &str) -> bool {
    driver.stat(&path(at)).await.unwrap().verified
}

async fn put_verified(driver: &dyn Driver, at: &str, bytes: &'static str) {
    let write = Put {
        verified: true,
        ..Put::replace(path(at), bytes.into())
    };
    driver.put(&[write], Durability::Durable).await.unwrap();
}

/// A write says by itself whether its bytes were hashed, and everyone hears of it.
pub async fn a_write_that_vouches_is_verified(subject: &Subject) {
    let (driver, other) = (&*subject.driver, subject.other());
    put_verified(driver, "x/vouched", "bytes").await;
    put(driver, "x/plain", "bytes").await;
    for seen_by in [driver, &*other] {
        assert!(is_verified(seen_by, "x/vouched").await);
        assert!(!is_verified(seen_by, "x/plain").await);
        let stream = seen_by
            .read(&path("x/vouched"), crate::ReadRange::WHOLE)
            .await
            .unwrap();
        assert!(stream.metadata.verified);
    }
    assert_eq!(super::tools::names(driver, "x").await, ["plain", "vouched"]);
}

/// A commit says the same of its value, and of each write that follows.
pub async fn a_commit_that_vouches_is_verified(subject: &Subject) {
    let driver = &*subject.driver;
    for vouched in [true, false] {
        let mut staged = begin_with(driver, "up/data", &pattern(1, 1000)).await;
        let follows = Put::replace(path("kept/follows"), "link".into());
        let then = vec![Put {
            verified: !vouched,
            ..follows
        }];
        let commit = Commit {
            verified: vouched,
            then,
            ..replacing("kept/staged")
        };
        staged.commit(commit).await.unwrap();
        assert_eq!(is_verified(driver, "kept/staged").await, vouched);
        assert_eq!(is_verified(driver, "kept/follows").await, !vouched);

        let mut direct = driver
            .begin(&Target::Final(path("kept/final")))
            .await
            .unwrap();
        direct.append(vec![pattern(2, 1000)]).await.unwrap();
        let commit = Commit {
            verified: vouched,
            ..replacing("kept/final")
        };
        direct.commit(commit).await.unwrap();
        assert_eq!(is_verified(driver, "kept/final").await, vouched);
    }
}

/// Another version is not vouched for by what was said of the last one.
pub async fn a_rewrite_loses_the_note(subject: &Subject) {
    let driver = &*subject.driver;
    put_verified(driver, "x/value", "first").await;
    put(driver, "x/value", "second, longer").await;
    assert!(!is_verified(driver, "x/value").await);
    put_verified(driver, "x/value", "third").await;
    assert!(is_verified(driver, "x/value").await);
    driver
        .delete(&path("x/value"), Durability::Scratch)
        .await
        .unwrap();
    put(driver, "x/value", "fourth").await;
    assert!(!is_verified(driver, "x/value").await);

    put_verified(driver, "x/value", "fifth, as long as never").await;
    let mut ingest = begin_with(driver, "up/data", &"sixth".into()).await;
    ingest.commit(replacing("x/value")).await.unwrap();
    assert!(!is_verified(driver, "x/value").await);
}

/// Who has hashed an older version vouches for nothing.
pub async fn a_note_about_an_older_version_does_not_count(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/value", "first").await;
    let older = driver.stat(&path("x/value")).await.unwrap();
    put(driver, "x/value", "second, longer").await;
    driver
        .mark_verified(&path("x/value"), &older)
        .await
        .unwrap();
    assert!(!is_verified(driver, "x/value").await);

    let newer = driver.stat(&path("x/value")).await.unwrap();
    let earlier = newer.modified - std::time::Duration::from_secs(1);
    let wrong_time = crate::Metadata {
        modified: earlier,
        ..newer.clone()
    };
    driver
        .mark_verified(&path("x/value"), &wrong_time)
        .await
        .unwrap();
    assert!(!is_verified(driver, "x/value").await);
    let wrong_size = crate::Metadata {
        size_bytes: newer.size_bytes - 1,
        ..newer.clone()
    };
    driver
        .mark_verified(&path("x/value"), &wrong_size)
        .await
        .unwrap();
    assert!(!is_verified(driver, "x/value").await);

    driver
        .mark_verified(&path("x/value"), &newer)
        .await
        .unwrap();
    assert!(is_verified(driver, "x/value").await);
    driver
        .mark_verified(&path("x/value"), &newer)
        .await
        .unwrap();
    assert!(is_verified(&*subject.other(), "x/value").await);
}

/// The note is all that a mark changes: neither bytes nor version, nor the list of names.
pub async fn marking_changes_nothing_else(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/value", "bytes").await;
    let before = driver.stat(&path("x/value")).await.unwrap();
    driver
        .mark_verified(&path("x/value"), &before)
        .await
        .unwrap();
    let after = driver.stat(&path("x/value")).await.unwrap();
    assert_eq!(
        after,
        crate::Metadata {
            verified: true,
            ..before
        }
    );
    assert_value(driver, "x/value", b"bytes").await;
    assert_eq!(super::tools::names(driver, "x").await, ["value"]);
}
