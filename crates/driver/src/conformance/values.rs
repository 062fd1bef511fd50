//! Whole values: put, get, stat.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use wharfinger_runtime::Tasks;

use crate::{Driver, Durability, EntryKind, ErrorKind, Put, ReadRange, RedirectMethod};

use super::Subject;
use super::tools::{
    assert_missing, assert_value, get, kind, path, pattern, put, put_if_absent, read,
};

/// What was put can be had by every way of asking, with either durability.
pub async fn what_was_put_is_there(subject: &Subject) {
    let driver = &*subject.driver;
    for (at, durability) in [
        ("a", Durability::Scratch),
        ("deep/er/down", Durability::Durable),
    ] {
        let bytes = pattern(1, 1000);
        driver
            .put(&[Put::replace(path(at), bytes.clone())], durability)
            .await
            .unwrap();
        assert_value(driver, at, &bytes).await;
        let metadata = driver.stat(&path(at)).await.unwrap();
        assert_eq!(metadata.kind, EntryKind::File);
    }
}

/// A longer and a shorter value replace what was there.
pub async fn a_put_replaces_and_the_version_changes(subject: &Subject) {
    let driver = &*subject.driver;
    let mut last = None;
    for (seed, length) in [(1, 100), (2, 5000), (3, 7), (4, 0), (5, 70_000)] {
        let bytes = pattern(seed, length);
        put(driver, "x/value", bytes.clone()).await;
        assert_value(driver, "x/value", &bytes).await;
        let metadata = driver.stat(&path("x/value")).await.unwrap();
        assert_ne!(Some(&metadata), last.as_ref());
        last = Some(metadata);
    }
}

/// `IfAbsent` writes where nothing is, and otherwise leaves what is there.
pub async fn if_absent_refuses_what_is_there(subject: &Subject) {
    let driver = &*subject.driver;
    let first = put_if_absent("x/value", "first");
    driver.put(&[first], Durability::Durable).await.unwrap();
    let error = driver
        .put(&[put_if_absent("x/value", "second")], Durability::Durable)
        .await
        .expect_err("something is there");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.path(), &path("x/value"));
    assert_value(driver, "x/value", b"first").await;
}

/// What lies before the write that failed is there, and nothing after it.
pub async fn a_failing_batch_leaves_its_prefix(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/taken", "old").await;
    let writes = [
        Put::replace(path("x/1"), "one".into()),
        put_if_absent("y/2", "two"),
        put_if_absent("x/taken", "new"),
        Put::replace(path("x/3"), "three".into()),
    ];
    let result = driver.put(&writes, Durability::Durable).await;
    assert_eq!(kind(result), ErrorKind::AlreadyExists);
    assert_value(driver, "x/1", b"one").await;
    assert_value(driver, "y/2", b"two").await;
    assert_value(driver, "x/taken", b"old").await;
    assert_missing(driver, "x/3").await;
}

/// The writes of a batch are made in their order, also to the same path.
pub async fn a_later_write_of_a_batch_wins(subject: &Subject) {
    let driver = &*subject.driver;
    let writes = [
        put_if_absent("x/value", "first"),
        Put::replace(path("x/value"), "second".into()),
        put_if_absent("x/value", "third"),
    ];
    let result = driver.put(&writes, Durability::Durable).await;
    assert_eq!(kind(result), ErrorKind::AlreadyExists);
    assert_value(driver, "x/value", b"second").await;
}

/// Writing nothing succeeds.
pub async fn an_empty_batch_is_no_failure(subject: &Subject) {
    subject.driver.put(&[], Durability::Durable).await.unwrap();
}

/// Every question about what is missing is answered with `NotFound`, at the path that was asked for.
pub async fn missing_values_are_not_found(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/value", "here").await;
    for at in [
        "y",
        "x/other",
        "x/value-2",
        "x/val",
        "x/value/below",
        "no/such/place",
    ] {
        assert_missing(driver, at).await;
        let error = driver.stat(&path(at)).await.expect_err("nothing is there");
        assert_eq!(error.path(), &path(at));
    }
}

/// What lies above a value can be asked for, and has no bytes.
pub async fn a_directory_is_no_value(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/y/value", "here").await;
    let metadata = driver.stat(&path("x/y")).await.unwrap();
    assert_eq!(metadata.kind, EntryKind::Directory);
    assert_eq!(metadata.size_bytes, 0);
    assert!(!metadata.verified);
    // An object store does not look below the name of what it does not find.
    let allowed = [ErrorKind::Invalid, ErrorKind::NotFound];
    assert!(allowed.contains(&kind(get(driver, "x/y").await)));
    assert!(allowed.contains(&kind(read(driver, "x/y", ReadRange::WHOLE).await)));
}

/// A value of exactly the limit is returned, and one byte more is too large.
pub async fn a_value_beyond_the_limit_is_too_large(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "value", pattern(1, 100)).await;
    assert_eq!(driver.get(&path("value"), 100).await.unwrap().len(), 100);
    assert_eq!(
        kind(driver.get(&path("value"), 99).await),
        ErrorKind::TooLarge
    );
    assert_eq!(
        kind(driver.get(&path("value"), 0).await),
        ErrorKind::TooLarge
    );
}

/// Names that mean something to shells, URLs or file systems are names like all others.
pub async fn odd_names_are_kept_as_they_are(subject: &Subject) {
    let driver = &*subject.driver;
    let long = "l".repeat(255);
    let odd = [
        "=",
        "+",
        "a+b=c",
        ".hidden",
        "..x",
        "x..",
        "...",
        " ",
        " lead",
        "trail ",
        "two  spaces",
        "%41",
        "a%2Fb",
        "?q=1",
        "#frag",
        "é",
        "e\u{301}",
        "日本",
        "🚢",
        "~",
        "*",
        "\"quoted\"",
        "'",
        "&amp;",
        "a:b",
        "-rf",
        "_",
        "@",
        &long,
    ];
    for name in odd {
        put(driver, &format!("odd/{name}"), name.to_owned()).await;
        put(driver, &format!("deep/{name}/in"), name.to_owned()).await;
    }
    for name in odd {
        assert_value(driver, &format!("odd/{name}"), name.as_bytes()).await;
        assert_value(driver, &format!("deep/{name}/in"), name.as_bytes()).await;
    }
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(super::tools::names(driver, "odd").await, sorted);
    assert_eq!(super::tools::names(driver, "deep").await, sorted);
}

/// No bytes are a value like any other.
pub async fn an_empty_value_is_a_value(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/empty", "").await;
    assert_value(driver, "x/empty", b"").await;
    let result = driver
        .put(&[put_if_absent("x/empty", "more")], Durability::Durable)
        .await;
    assert_eq!(kind(result), ErrorKind::AlreadyExists);
}

/// While a value is replaced again and again, every reader sees one of its versions, whole.
pub async fn readers_see_old_or_new_and_never_a_mixture(subject: &Subject) {
    let versions: Vec<Bytes> = [(b'a', 70_000), (b'b', 300_000), (b'c', 1)]
        .map(|(byte, n)| vec![byte; n].into())
        .into();
    put(&*subject.driver, "x/value", versions[0].clone()).await;
    let done = Arc::new(AtomicBool::new(false));
    let tasks = Tasks::new();
    let readers = (0..8).map(|number| {
        let driver = if number % 2 == 0 {
            Arc::clone(&subject.driver)
        } else {
            subject.other()
        };
        let (done, versions) = (Arc::clone(&done), versions.clone());
        tasks.spawn(async move {
            let mut last_round = false;
            while !last_round {
                last_round = done.load(Ordering::SeqCst);
                let seen = match number % 4 {
                    0 | 1 => get(&*driver, "x/value").await.unwrap(),
                    _ => read(&*driver, "x/value", ReadRange::WHOLE).await.unwrap(),
                };
                assert!(
                    versions.contains(&seen),
                    "{} bytes of no version",
                    seen.len()
                );
                tokio::task::yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 0..60 {
        let write = Put::replace(path("x/value"), versions[round % versions.len()].clone());
        subject
            .driver
            .put(&[write], Durability::Scratch)
            .await
            .unwrap();
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Of many that write the same path `IfAbsent` at once exactly one succeeds, and its bytes stay.
pub async fn of_many_writes_if_absent_one_wins(subject: &Subject) {
    for round in 0..10 {
        let at = format!("race/{round}");
        let writers = (0..8).map(|number| {
            let driver = if number % 2 == 0 {
                Arc::clone(&subject.driver)
            } else {
                subject.other()
            };
            let write = put_if_absent(&at, format!("writer {number}"));
            async move {
                driver
                    .put(&[write], Durability::Scratch)
                    .await
                    .map(|()| number)
            }
        });
        let results = join_all(writers).await;
        let won: Vec<i32> = results
            .iter()
            .filter_map(|result| result.as_ref().ok())
            .copied()
            .collect();
        assert_eq!(won.len(), 1, "one wins");
        for result in results {
            assert!(result.is_ok() || kind(result) == ErrorKind::AlreadyExists);
        }
        assert_value(
            &*subject.driver,
            &at,
            format!("writer {}", won[0]).as_bytes(),
        )
        .await;
    }
}

/// Another process sees what was written, replaced and deleted, at once.
pub async fn another_process_sees_what_was_written(subject: &Subject) {
    let (driver, other) = (&*subject.driver, subject.other());
    put(driver, "x/value", "first").await;
    assert_value(&*other, "x/value", b"first").await;
    put(&*other, "x/value", "second").await;
    assert_value(driver, "x/value", b"second").await;
    driver
        .delete(&path("x/value"), Durability::Durable)
        .await
        .unwrap();
    assert_missing(&*other, "x/value").await;
}

/// What someone else has written can be settled, and what is missing cannot.
pub async fn settle_needs_something_there(subject: &Subject) {
    put(&*subject.other(), "x/y/value", "theirs").await;
    let driver: &dyn Driver = &*subject.driver;
    driver.settle(&path("x/y/value")).await.unwrap();
    assert_eq!(
        kind(driver.settle(&path("x/y/other")).await),
        ErrorKind::NotFound
    );
    assert_value(driver, "x/y/value", b"theirs").await;
}

/// A driver that cannot sign says so.
pub async fn redirect_is_told_by_the_capabilities(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "value", "here").await;
    for method in [RedirectMethod::Get, RedirectMethod::Head] {
        let result = driver
            .redirect(&path("value"), method, Duration::from_secs(60))
            .await;
        if driver.capabilities().redirect {
            assert!(result.unwrap().starts_with("http"));
        } else {
            assert_eq!(kind(result), ErrorKind::Unsupported);
        }
    }
}
