//! Values that arrive piece by piece: what is seen of them, and what is left.

use bytes::Bytes;

use crate::{Checkpoint, Commit, Condition, ErrorKind, Put, ReadRange, Resume, Target};

use super::Subject;
use super::tools::{
    MIB, assert_missing, assert_same, assert_value, begin, begin_with, commit, drain, kind, names,
    path, pattern, put, replacing, resume,
};

/// Nothing lies at the destination before the commit; where the staged bytes can be seen is told
/// by the capabilities.
pub async fn nothing_is_visible_before_the_commit(subject: &Subject) {
    let (driver, other) = (&*subject.driver, subject.other());
    let bytes = pattern(1, 6 * MIB);
    let mut ingest = begin_with(driver, "up/data", &bytes).await;
    ingest.checkpoint().await.unwrap();
    for seen_by in [driver, &*other] {
        assert_missing(seen_by, "kept/value").await;
        if driver.capabilities().staged_is_visible {
            assert_value(seen_by, "up/data", &bytes).await;
        } else {
            assert_missing(seen_by, "up/data").await;
            assert!(names(seen_by, "up").await.is_empty());
        }
    }
    ingest.commit(commit("kept/value")).await.unwrap();
    for seen_by in [driver, &*other] {
        assert_value(seen_by, "kept/value", &bytes).await;
        assert_missing(seen_by, "up/data").await;
    }
}

/// 12 MiB in appends of odd sizes, of one and of many pieces, come out as they went in.
pub async fn a_large_value_of_odd_pieces_is_whole(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(7, 12 * MIB + 12_345);
    for (name, target) in [
        ("staged", Target::Staged(path("up/data"))),
        ("final", Target::Final(path("kept/final"))),
    ] {
        let mut ingest = driver.begin(&target).await.unwrap();
        let mut rest = value.clone();
        let sizes = [1, 4096, 65_537, 1_000_003, 0, 3, 5 * MIB + 1, 131_072, 7];
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let mut taken = rest.split_to(size.min(rest.len()));
            let first = taken.split_to(taken.len() / 3);
            ingest
                .append(vec![first, Bytes::new(), taken])
                .await
                .unwrap();
        }
        assert_eq!(ingest.offset(), value.len() as u64);
        let to = format!("kept/{name}");
        ingest.commit(commit(&to)).await.unwrap();
        assert_value(driver, &to, &value).await;
    }
}

/// An append of more pieces than the kernel takes at once is whole.
pub async fn an_append_of_very_many_pieces_is_whole(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 15_000);
    let pieces = (0..5000)
        .map(|number| value.slice(number * 3..number * 3 + 3))
        .collect();
    let mut ingest = begin(driver, "up/data").await;
    ingest.append(pieces).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &value).await;
}

/// An ingest without bytes becomes an empty value.
pub async fn an_empty_ingest_makes_an_empty_value(subject: &Subject) {
    let driver = &*subject.driver;
    let targets = [
        Target::Staged(path("up/data")),
        Target::Final(path("kept/1")),
    ];
    for (target, to) in targets.into_iter().zip(["kept/0", "kept/1"]) {
        let mut ingest = driver.begin(&target).await.unwrap();
        ingest.append(Vec::new()).await.unwrap();
        ingest.append(vec![Bytes::new()]).await.unwrap();
        assert_eq!(ingest.offset(), 0);
        ingest.commit(commit(to)).await.unwrap();
        assert_value(driver, to, b"").await;
    }
}

/// Back at the start only the bytes that follow count, for either target.
pub async fn rewinding_to_the_start_forgets_what_was_appended(subject: &Subject) {
    let driver = &*subject.driver;
    let targets = [
        Target::Staged(path("up/data")),
        Target::Final(path("kept/1")),
    ];
    for (target, to) in targets.into_iter().zip(["kept/0", "kept/1"]) {
        let mut ingest = driver.begin(&target).await.unwrap();
        ingest.append(vec![pattern(1, 11 * MIB)]).await.unwrap();
        ingest.rewind(&Checkpoint::START).await.unwrap();
        assert_eq!(ingest.offset(), 0);
        let value = pattern(2, 6 * MIB + 1);
        ingest.append(vec![value.clone()]).await.unwrap();
        assert_eq!(ingest.offset(), value.len() as u64);
        ingest.commit(commit(to)).await.unwrap();
        assert_value(driver, to, &value).await;
    }
}

/// Back at a point that was given before, what came later is gone, and other bytes may follow.
pub async fn rewinding_to_a_point_drops_what_came_later(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 13 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value.slice(..6 * MIB)).await;
    let closed = ingest.close().await.unwrap();
    drop(ingest);
    let mut ingest = resume(driver, "up/data", &closed).await.unwrap();
    ingest.append(vec![pattern(2, 12 * MIB)]).await.unwrap();
    ingest.rewind(&closed).await.unwrap();
    assert_eq!(ingest.offset(), closed.offset);
    ingest.append(vec![value.slice(6 * MIB..)]).await.unwrap();
    let back = ingest.read_back(ReadRange::WHOLE).await.unwrap();
    assert_same(&drain(back).await.unwrap(), &value);
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &value).await;
}

/// There is no way forward to bytes that were never appended, nor back once the bytes have moved
/// or the handle was closed.
pub async fn rewinding_needs_the_bytes_to_be_there(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &pattern(1, 100)).await;
    let beyond = Checkpoint {
        offset: 101,
        state: None,
    };
    assert_eq!(kind(ingest.rewind(&beyond).await), ErrorKind::Invalid);
    ingest.close().await.unwrap();
    let rewound = ingest.rewind(&Checkpoint::START).await;
    assert_eq!(kind(rewound), ErrorKind::Broken);

    // The value is in its place, and what was to follow could not be written.
    let mut ingest = begin_with(driver, "up/moved", &pattern(1, 6 * MIB)).await;
    put(driver, "kept/link", "there").await;
    let follows = Put {
        condition: Condition::IfAbsent,
        ..Put::replace(path("kept/link"), "other".into())
    };
    let failing = Commit {
        then: vec![follows],
        ..commit("kept/value")
    };
    assert_eq!(kind(ingest.commit(failing).await), ErrorKind::AlreadyExists);
    let rewound = ingest.rewind(&Checkpoint::START).await;
    assert_eq!(kind(rewound), ErrorKind::NotFound);
    assert_value(driver, "kept/value", &pattern(1, 6 * MIB)).await;
}

/// A staged ingest can be read back, in whole and in part, and goes on afterwards.
pub async fn what_is_read_back_is_what_was_appended(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 6 * MIB + 100);
    let mut ingest = begin_with(driver, "up/data", &value.slice(..6 * MIB)).await;
    ingest.append(vec![value.slice(6 * MIB..)]).await.unwrap();
    let whole = ingest.read_back(ReadRange::WHOLE).await.unwrap();
    assert_same(&drain(whole).await.unwrap(), &value);
    let range = ReadRange {
        start: 1000,
        length: Some(5 * MIB as u64),
    };
    let part = ingest.read_back(range).await.unwrap();
    assert_same(&drain(part).await.unwrap(), &value[1000..1000 + 5 * MIB]);
    let end = ingest
        .read_back(ReadRange::from(value.len() as u64))
        .await
        .unwrap();
    assert_eq!(end.length, 0);
    let beyond = ingest
        .read_back(ReadRange::from(value.len() as u64 + 1))
        .await;
    assert_eq!(kind(beyond), ErrorKind::Invalid);
    ingest.append(vec!["more".into()]).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &[&value, &b"more"[..]].concat()).await;
}

/// Nothing is left of an aborted ingest, and its path is free.
pub async fn an_aborted_ingest_is_gone(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &pattern(1, 6 * MIB)).await;
    let checkpoint = ingest.checkpoint().await.unwrap();
    ingest.abort().await.unwrap();
    let resume = Resume {
        at: None,
        state: checkpoint.state,
    };
    assert_eq!(
        kind(driver.resume(&path("up/data"), resume).await),
        ErrorKind::NotFound
    );
    assert_missing(driver, "up/data").await;
    assert!(names(driver, "up").await.is_empty());
    drop(ingest);
    let mut again = begin_with(driver, "up/data", &"again".into()).await;
    again.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"again").await;

    let mut direct = driver
        .begin(&Target::Final(path("kept/other")))
        .await
        .unwrap();
    direct.append(vec![pattern(1, 100)]).await.unwrap();
    direct.abort().await.unwrap();
    assert_missing(driver, "kept/other").await;
}

/// Nothing is left of an ingest with a final target when its handle is dropped.
pub async fn a_dropped_final_ingest_leaves_nothing(subject: &Subject) {
    let driver = &*subject.driver;
    let target = Target::Final(path("kept/value"));
    let mut ingest = driver.begin(&target).await.unwrap();
    ingest.append(vec![pattern(1, 6 * MIB)]).await.unwrap();
    assert_missing(driver, "kept/value").await;
    drop(ingest);
    assert_missing(driver, "kept/value").await;
    assert!(names(driver, "kept").await.is_empty());
    let result = driver.resume(&path("kept/value"), Resume::default()).await;
    assert_eq!(kind(result), ErrorKind::NotFound);
}

/// An ingest with a final target is seen there once it was committed, and can be nowhere else.
pub async fn a_final_ingest_commits_only_where_it_was_meant_to(subject: &Subject) {
    let driver = &*subject.driver;
    let target = Target::Final(path("kept/value"));
    let mut wrong = driver.begin(&target).await.unwrap();
    wrong.append(vec![pattern(1, 100)]).await.unwrap();
    assert_eq!(
        kind(wrong.commit(commit("kept/other")).await),
        ErrorKind::Invalid
    );
    drop(wrong);
    assert!(names(driver, "kept").await.is_empty());

    // Several may be on their way to the same path; they do not disturb each other.
    let mut first = driver.begin(&target).await.unwrap();
    let mut second = driver.begin(&target).await.unwrap();
    first.append(vec!["first".into()]).await.unwrap();
    second.append(vec!["second".into()]).await.unwrap();
    first.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"first").await;
    let refused = second.commit(commit("kept/value")).await;
    assert_eq!(kind(refused), ErrorKind::AlreadyExists);
    assert_value(driver, "kept/value", b"first").await;
    second.commit(replacing("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"second").await;
}

/// Only a staged ingest can be read back.
pub async fn a_final_ingest_cannot_be_read_back(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = driver
        .begin(&Target::Final(path("kept/value")))
        .await
        .unwrap();
    ingest.append(vec!["bytes".into()]).await.unwrap();
    let result = ingest.read_back(ReadRange::WHOLE).await;
    assert_eq!(kind(result), ErrorKind::Unsupported);
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"bytes").await;
}

/// Beginning where an ingest was left starts anew, unless others can see its bytes: then it has to
/// be resumed at 0.
pub async fn begin_replaces_what_nobody_can_see(subject: &Subject) {
    let (driver, target) = (&*subject.driver, Target::Staged(path("up/data")));
    let mut left = begin_with(driver, "up/data", &pattern(1, 6 * MIB)).await;
    left.close().await.unwrap();
    drop(left);
    let begun = subject.other().begin(&target).await;
    let mut ingest = if driver.capabilities().staged_is_visible {
        assert_eq!(kind(begun), ErrorKind::Busy);
        let start = Resume {
            at: Some(0),
            ..Resume::default()
        };
        driver.resume(&path("up/data"), start).await.unwrap()
    } else {
        begun.unwrap()
    };
    assert_eq!(ingest.offset(), 0);
    ingest.append(vec!["new".into()]).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"new").await;
}

/// A checkpoint that nobody waits for yet does not hold up what is appended, and covers no more
/// than what was there when it was asked for.
pub async fn a_checkpoint_does_not_hold_up_appends(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 12 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value.slice(..6 * MIB)).await;
    let early = ingest.checkpoint();
    ingest.append(vec![value.slice(6 * MIB..)]).await.unwrap();
    let late = ingest.checkpoint();
    let (early, late) = (early.await.unwrap(), late.await.unwrap());
    assert!(early.offset <= 6 * MIB as u64);
    assert!(late.offset <= 12 * MIB as u64);
    assert!(
        late.offset >= 6 * MIB as u64,
        "a checkpoint covers at least what makes a part"
    );
    let dropped = ingest.checkpoint();
    ingest.append(vec!["end".into()]).await.unwrap();
    drop(dropped);
    let late = ingest.checkpoint();
    ingest.commit(commit("kept/value")).await.unwrap();
    // Whatever comes of it: it was overtaken.
    drop(late.await);
    assert_value(driver, "kept/value", &[&value, &b"end"[..]].concat()).await;
}

/// The offset grows by what was appended, piece by piece.
pub async fn the_offset_counts_what_was_appended(subject: &Subject) {
    let mut ingest = begin(&*subject.driver, "up/data").await;
    let mut expected = 0;
    for size in [0, 1, 100_000, 5 * MIB, 3] {
        ingest
            .append(vec![pattern(1, size), pattern(2, 1)])
            .await
            .unwrap();
        expected += size as u64 + 1;
        assert_eq!(ingest.offset(), expected);
    }
    assert_eq!(ingest.close().await.unwrap().offset, expected);
}
