//! Lists of names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wharfinger_runtime::Tasks;

use crate::{Durability, Entry, EntryKind, ErrorKind, Put, Target};

use super::Subject;
use super::tools::{MIB, kind, names, path, pattern, put};

const SORTED: [&str; 12] = [
    " ", "+", "-", "0", "A", "Z", "a", "a-b", "a.b", "a0", "b", "é",
];

/// Names are ordered by their bytes.
pub async fn names_come_in_byte_order(subject: &Subject) {
    let driver = &*subject.driver;
    for name in [
        "b", "a0", "é", "A", "a.b", "0", "a", "-", "Z", "a-b", " ", "+",
    ] {
        put(driver, &format!("x/{name}"), "value").await;
    }
    assert_eq!(names(driver, "x").await, SORTED);
}

/// A directory stands where its name belongs, before longer names that a slash would sort after.
pub async fn a_directory_is_listed_among_its_siblings_by_its_name(subject: &Subject) {
    let driver = &*subject.driver;
    for at in ["x/a/1", "x/a/2", "x/a-b", "x/a.b/1", "x/a0", "x/A/1"] {
        put(driver, at, "value").await;
    }
    let page = driver.list(&path("x"), None, 100).await.unwrap();
    let entry = |name: &str, kind| Entry {
        name: name.to_owned(),
        kind,
    };
    let wanted = [
        entry("A", EntryKind::Directory),
        entry("a", EntryKind::Directory),
        entry("a-b", EntryKind::File),
        entry("a.b", EntryKind::Directory),
        entry("a0", EntryKind::File),
    ];
    assert_eq!(page.entries, wanted);
    assert!(!page.more);
}

/// Pages of any size, one after the other, give every name once, and say truly whether more follow.
pub async fn pages_join_without_gaps(subject: &Subject) {
    let driver = &*subject.driver;
    for (number, name) in SORTED.iter().enumerate() {
        let below = if number % 3 == 0 { "/1" } else { "" };
        put(driver, &format!("x/{name}{below}"), "value").await;
    }
    for limit in [1, 2, 3, 5, 11, 12, 13, 100] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = driver
                .list(&path("x"), seen.last().map(String::as_str), limit)
                .await;
            let page = page.unwrap();
            assert!(page.entries.len() <= limit);
            seen.extend(page.entries.into_iter().map(|entry| entry.name));
            assert_eq!(page.more, seen.len() < SORTED.len(), "limit {limit}");
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, SORTED, "limit {limit}");
    }
}

/// A page can begin after a name that is not there.
pub async fn after_need_not_exist(subject: &Subject) {
    let driver = &*subject.driver;
    for name in SORTED {
        put(driver, &format!("x/{name}"), "value").await;
    }
    let after = async |after: &str| {
        let page = driver.list(&path("x"), Some(after), 2).await.unwrap();
        page.entries
            .into_iter()
            .map(|entry| entry.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(after("a-").await, ["a-b", "a.b"]);
    assert_eq!(after("a-a").await, ["a-b", "a.b"]);
    assert_eq!(after("a-c").await, ["a.b", "a0"]);
    assert_eq!(after("B").await, ["Z", "a"]);
    assert_eq!(after("!").await, ["+", "-"]);
    assert_eq!(after("b").await, ["é"]);
    assert!(after("é").await.is_empty());
    assert!(after("🚢").await.is_empty());
}

/// A directory that is not there, or is a value, has no names; whether that is a failure is told
/// by the capabilities.
pub async fn a_missing_directory_lists_by_capability(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "x/value", "here").await;
    for at in ["no", "x/no", "x/value", "x/val"] {
        let result = driver.list(&path(at), None, 10).await;
        if driver.capabilities().directories {
            assert_eq!(kind(result), ErrorKind::NotFound);
        } else {
            let page = result.unwrap();
            assert!(page.entries.is_empty() && !page.more);
        }
    }
}

/// What lies deeper is not listed, nor what only begins with the same letters.
pub async fn only_direct_children_are_listed(subject: &Subject) {
    let driver = &*subject.driver;
    for at in ["x/y/1", "x/y/2/3", "x/y-2/4", "x/y2", "x/5", "y/6"] {
        put(driver, at, "value").await;
    }
    assert_eq!(names(driver, "x").await, ["5", "y", "y-2", "y2"]);
    assert_eq!(names(driver, "x/y").await, ["1", "2"]);
    assert_eq!(names(driver, "x/y/2").await, ["3"]);
}

/// Neither a write that is under way nor an ingest on its way to a path shows another name.
pub async fn unfinished_writes_are_never_listed(subject: &Subject) {
    let driver = Arc::clone(&subject.driver);
    put(&*driver, "x/a", "value").await;
    let mut ingest = driver.begin(&Target::Final(path("x/b"))).await.unwrap();
    ingest.append(vec![pattern(1, 6 * MIB)]).await.unwrap();
    assert_eq!(names(&*driver, "x").await, ["a"]);
    let mut elsewhere = driver.begin(&Target::Final(path("y/z/b"))).await.unwrap();
    elsewhere.append(vec![pattern(1, 10)]).await.unwrap();
    assert!(names(&*driver, "y/z").await.is_empty());

    let done = Arc::new(AtomicBool::new(false));
    let tasks = Tasks::new();
    let lister = tasks.spawn({
        let (driver, done) = (subject.other(), Arc::clone(&done));
        async move {
            let mut last_round = false;
            while !last_round {
                last_round = done.load(Ordering::SeqCst);
                assert_eq!(names(&*driver, "x").await, ["a"]);
                tokio::task::yield_now().await;
            }
        }
    });
    for round in 0..60 {
        let write = Put::replace(path("x/a"), pattern(round, 50_000));
        driver.put(&[write], Durability::Scratch).await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    lister.await.unwrap();
}
