//! How an ingest becomes a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use wharfinger_runtime::Tasks;

use crate::{Checkpoint, Commit, Durability, ErrorKind, Put, ReadRange, Target};

use super::Subject;
use super::tools::{
    MIB, assert_missing, assert_value, begin_with, commit, get, kind, names, path, pattern, put,
    put_if_absent, replacing,
};

/// A commit where something is fails; the caller may look, append and commit again.
pub async fn a_commit_if_absent_refuses_what_is_there_and_can_be_repeated(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "kept/value", "old").await;
    let value = pattern(1, 6 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value).await;
    for _ in 0..2 {
        let refused = Commit {
            then: vec![Put::replace(path("kept/link"), "link".into())],
            ..commit("kept/value")
        };
        assert_eq!(kind(ingest.commit(refused).await), ErrorKind::AlreadyExists);
        assert_value(driver, "kept/value", b"old").await;
        assert_missing(driver, "kept/link").await;
        assert_eq!(names(driver, "kept").await, ["value"]);
    }
    assert_eq!(ingest.offset(), value.len() as u64);
    ingest.append(vec!["more".into()]).await.unwrap();
    ingest.commit(replacing("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &[&value, &b"more"[..]].concat()).await;
}

/// A commit that may replace does, whether something is there or not, for either target.
pub async fn a_commit_replaces_when_told_to(subject: &Subject) {
    let driver = &*subject.driver;
    for (round, value) in ["first", "second, which is longer", "3"]
        .into_iter()
        .enumerate()
    {
        let mut ingest = begin_with(driver, "up/data", &value.into()).await;
        ingest.commit(replacing("kept/staged")).await.unwrap();
        assert_value(driver, "kept/staged", value.as_bytes()).await;

        let mut ingest = driver
            .begin(&Target::Final(path("kept/final")))
            .await
            .unwrap();
        ingest.append(vec![value.into()]).await.unwrap();
        ingest.commit(replacing("kept/final")).await.unwrap();
        assert_value(driver, "kept/final", value.as_bytes()).await;
        assert_eq!(
            names(driver, "kept").await,
            ["final", "staged"],
            "round {round}"
        );
    }
}

/// The writes that follow are made after the value, in their order.
pub async fn what_follows_is_written_in_order(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &"bytes".into()).await;
    let then = vec![
        put_if_absent("kept/link", "first"),
        Put::replace(path("kept/link"), "second".into()),
        put_if_absent("deep/er/link", "third"),
    ];
    ingest
        .commit(Commit {
            then,
            ..commit("kept/value")
        })
        .await
        .unwrap();
    assert_value(driver, "kept/value", b"bytes").await;
    assert_value(driver, "kept/link", b"second").await;
    assert_value(driver, "deep/er/link", b"third").await;
}

/// When a write that follows is refused the value is there, and what comes after the write is not.
pub async fn what_follows_stops_at_what_is_there(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "kept/taken", "old").await;
    let mut ingest = begin_with(driver, "up/data", &"bytes".into()).await;
    let then = vec![
        put_if_absent("kept/1", "one"),
        put_if_absent("kept/taken", "new"),
        put_if_absent("kept/3", "three"),
    ];
    let result = ingest
        .commit(Commit {
            then,
            ..commit("kept/value")
        })
        .await;
    let error = result.expect_err("something is there");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        error.path(),
        &path("kept/taken"),
        "the error tells which write it was"
    );
    assert_value(driver, "kept/value", b"bytes").await;
    assert_value(driver, "kept/1", b"one").await;
    assert_value(driver, "kept/taken", b"old").await;
    assert_missing(driver, "kept/3").await;
    assert_missing(driver, "up/data").await;
}

/// After a commit or a close every call fails and harms nothing.
pub async fn an_ended_handle_takes_nothing_more(subject: &Subject) {
    let driver = &*subject.driver;
    for target in [
        Target::Staged(path("up/data")),
        Target::Final(path("kept/value")),
    ] {
        let mut ingest = driver.begin(&target).await.unwrap();
        ingest.append(vec!["bytes".into()]).await.unwrap();
        ingest.commit(replacing("kept/value")).await.unwrap();
        ingest.append(vec!["more".into()]).await.unwrap_err();
        ingest.rewind(&Checkpoint::START).await.unwrap_err();
        ingest.read_back(ReadRange::WHOLE).await.unwrap_err();
        ingest.checkpoint().await.unwrap_err();
        ingest.commit(replacing("kept/value")).await.unwrap_err();
        ingest.commit(replacing("kept/other")).await.unwrap_err();
        // Whether there is anything left to abort is for the driver to say.
        drop(ingest.abort().await);
        drop(ingest);
        assert_value(driver, "kept/value", b"bytes").await;
        assert_eq!(names(driver, "kept").await, ["value"]);
    }

    let mut ingest = begin_with(driver, "up/data", &"bytes".into()).await;
    let closed = ingest.close().await.unwrap();
    ingest.append(vec!["more".into()]).await.unwrap_err();
    ingest.commit(commit("kept/other")).await.unwrap_err();
    assert_missing(driver, "kept/other").await;
    let mut again = super::tools::resume(driver, "up/data", &closed)
        .await
        .unwrap();
    again.commit(commit("kept/other")).await.unwrap();
    assert_value(driver, "kept/other", b"bytes").await;
}

/// Somebody deleted what was staged: nothing comes of the commit, and the handle is broken.
pub async fn a_commit_of_a_deleted_ingest_fails_and_breaks_the_handle(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/1/data", &pattern(1, 6 * MIB)).await;
    put(driver, "up/1/startedat", "now").await;
    subject
        .other()
        .delete(&path("up/1"), Durability::Scratch)
        .await
        .unwrap();
    let doomed = Commit {
        then: vec![Put::replace(path("kept/link"), "link".into())],
        ..commit("kept/value")
    };
    assert_eq!(kind(ingest.commit(doomed).await), ErrorKind::NotFound);
    assert!(names(driver, "kept").await.is_empty());
    assert_eq!(
        kind(ingest.append(vec!["more".into()]).await),
        ErrorKind::Broken
    );
    let rewound = ingest.rewind(&Checkpoint::START).await;
    assert_eq!(kind(rewound), ErrorKind::NotFound);
    assert_eq!(
        kind(ingest.commit(commit("kept/value")).await),
        ErrorKind::Broken
    );
    drop(ingest);
    assert!(names(driver, "kept").await.is_empty());
}

/// Of many that commit to the same path `IfAbsent` at once exactly one succeeds.
pub async fn of_many_commits_if_absent_one_wins(subject: &Subject) {
    for round in 0..5 {
        let to = format!("kept/{round}");
        let others = [Arc::clone(&subject.driver), subject.other()];
        let writers = (0..6).map(|number: usize| {
            let (driver, to) = (Arc::clone(&others[number % 2]), to.clone());
            async move {
                let staged = Target::Staged(path(&format!("up/{round}/{number}")));
                let target = if number < 3 {
                    staged
                } else {
                    Target::Final(path(&to))
                };
                let mut ingest = driver.begin(&target).await.unwrap();
                ingest
                    .append(vec![format!("writer {number}").into()])
                    .await
                    .unwrap();
                ingest.commit(commit(&to)).await.map(|()| number)
            }
        });
        let results = join_all(writers).await;
        let won: Vec<usize> = results
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
            &to,
            format!("writer {}", won[0]).as_bytes(),
        )
        .await;
    }
    assert_eq!(
        names(&*subject.driver, "kept").await,
        ["0", "1", "2", "3", "4"]
    );
}

/// While values are committed one over the other, every reader sees one of them, whole; and what
/// follows is seen only once the value is.
pub async fn readers_of_a_commit_see_all_or_nothing(subject: &Subject) {
    let driver = &*subject.driver;
    let versions: [Bytes; 2] = [pattern(1, 400_000), pattern(2, 100_001)];
    let done = Arc::new(AtomicBool::new(false));
    let tasks = Tasks::new();
    let readers = (0..4).map(|_| {
        let (driver, done, versions) = (subject.other(), Arc::clone(&done), versions.clone());
        tasks.spawn(async move {
            let mut last_round = false;
            while !last_round {
                last_round = done.load(Ordering::SeqCst);
                let linked = get(&*driver, "kept/link").await;
                match get(&*driver, "kept/value").await {
                    Ok(seen) => assert!(
                        versions.contains(&seen),
                        "{} bytes of no version",
                        seen.len()
                    ),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NotFound);
                        assert_eq!(kind(linked), ErrorKind::NotFound);
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 0..20 {
        let mut ingest = begin_with(driver, "up/data", &versions[round % 2]).await;
        let then = vec![Put::replace(path("kept/link"), "link".into())];
        ingest
            .commit(Commit {
                then,
                ..replacing("kept/value")
            })
            .await
            .unwrap();
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}
