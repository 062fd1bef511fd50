//! Ingests that are left and gone on with, by the same process or another.

use bytes::Bytes;

use crate::{Driver, Durability, ErrorKind, Resume, Target};

use super::Subject;
use super::tools::{
    MIB, assert_missing, assert_value, begin, begin_with, commit, kind, path, pattern, resume,
};

/// Another process goes on at the end, with or without naming the offset.
pub async fn an_ingest_goes_on_at_its_end(subject: &Subject) {
    let driver = &*subject.driver;
    for (round, size) in [5, 6 * MIB, 10 * MIB].into_iter().enumerate() {
        let value = pattern(1, size + 20);
        let mut ingest = begin_with(driver, "up/data", &value.slice(..size)).await;
        let closed = ingest.close().await.unwrap();
        assert_eq!(closed.offset, size as u64);
        drop(ingest);

        let mut ingest = resume(&*subject.other(), "up/data", &closed).await.unwrap();
        assert_eq!(ingest.offset(), size as u64);
        ingest
            .append(vec![value.slice(size..size + 10)])
            .await
            .unwrap();
        let closed = ingest.close().await.unwrap();
        drop(ingest);

        let at_end = Resume {
            at: None,
            state: closed.state,
        };
        let mut ingest = driver.resume(&path("up/data"), at_end).await.unwrap();
        assert_eq!(ingest.offset(), size as u64 + 10);
        ingest.append(vec![value.slice(size + 10..)]).await.unwrap();
        let to = format!("kept/{round}");
        ingest.commit(commit(&to)).await.unwrap();
        assert_value(driver, &to, &value).await;
    }
}

/// Where the capabilities say so every offset will do, and what lies beyond it is dropped.
/// Elsewhere an offset that nobody gave is invalid.
pub async fn an_ingest_goes_on_at_an_offset(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 6 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value).await;
    let closed = ingest.close().await.unwrap();
    drop(ingest);
    let at = Resume {
        at: Some(1000),
        state: closed.state.clone(),
    };
    let result = driver.resume(&path("up/data"), at).await;
    if !driver.capabilities().resume_anywhere {
        assert_eq!(kind(result), ErrorKind::Invalid);
        // And the failure has cost nothing.
        let mut ingest = resume(driver, "up/data", &closed).await.unwrap();
        ingest.commit(commit("kept/value")).await.unwrap();
        assert_value(driver, "kept/value", &value).await;
        return;
    }
    let mut ingest = result.unwrap();
    assert_eq!(ingest.offset(), 1000);
    ingest.append(vec!["other".into()]).await.unwrap();
    let closed = ingest.close().await.unwrap();
    assert_eq!(closed.offset, 1005);
    drop(ingest);
    let too_far = Resume {
        at: Some(6 * MIB as u64),
        state: None,
    };
    assert_eq!(
        kind(driver.resume(&path("up/data"), too_far).await),
        ErrorKind::Invalid
    );
    let start = Resume {
        at: Some(0),
        state: None,
    };
    drop(driver.resume(&path("up/data"), start).await.unwrap());
    let end = Resume::default();
    let mut ingest = driver.resume(&path("up/data"), end).await.unwrap();
    assert_eq!(ingest.offset(), 0);
    ingest.append(vec!["anew".into()]).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"anew").await;
}

/// What a checkpoint covers is there when the process dies afterwards.
pub async fn a_checkpoint_is_enough_to_go_on(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 12 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value.slice(..11 * MIB)).await;
    let checkpoint = ingest.checkpoint().await.unwrap();
    let covered = usize::try_from(checkpoint.offset).unwrap();
    assert!((6 * MIB..=11 * MIB).contains(&covered));
    drop(ingest);
    let mut ingest = resume(&*subject.other(), "up/data", &checkpoint)
        .await
        .unwrap();
    assert_eq!(ingest.offset(), checkpoint.offset);
    ingest.append(vec![value.slice(covered..)]).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &value).await;
}

/// Going on from an older checkpoint forgets what was appended after it.
pub async fn an_older_checkpoint_drops_what_came_later(subject: &Subject) {
    let driver = &*subject.driver;
    let (first, wrong, right) = (
        pattern(1, 6 * MIB),
        pattern(2, 12 * MIB),
        pattern(3, 7 * MIB),
    );
    let mut ingest = begin_with(driver, "up/data", &first).await;
    let older = ingest.checkpoint().await.unwrap();
    ingest.append(vec![wrong]).await.unwrap();
    ingest.checkpoint().await.unwrap();
    drop(ingest);
    let mut ingest = resume(driver, "up/data", &older).await.unwrap();
    let covered = usize::try_from(older.offset).unwrap();
    ingest
        .append(vec![first.slice(covered..), right.clone()])
        .await
        .unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &[first, right].concat()).await;
}

/// An offset that the ingest does not reach is invalid, and nothing is lost by asking.
pub async fn beyond_the_end_is_invalid(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &"bytes".into()).await;
    let closed = ingest.close().await.unwrap();
    drop(ingest);
    for at in [6, u64::MAX] {
        let beyond = Resume {
            at: Some(at),
            state: closed.state.clone(),
        };
        assert_eq!(
            kind(driver.resume(&path("up/data"), beyond).await),
            ErrorKind::Invalid
        );
    }
    let mut ingest = resume(driver, "up/data", &closed).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"bytes").await;
}

/// What was never begun cannot be resumed, and asking for it makes nothing.
pub async fn nothing_to_resume_is_not_found(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &"bytes".into()).await;
    let closed = ingest.close().await.unwrap();
    for at in ["up/other", "no/such/place", "up/data/below"] {
        let resume = Resume {
            at: None,
            state: closed.state.clone(),
        };
        assert_eq!(
            kind(driver.resume(&path(at), resume).await),
            ErrorKind::NotFound
        );
        assert_missing(driver, at).await;
    }
}

async fn is_busy(driver: &dyn Driver, at: &str, state: Option<&Bytes>) -> bool {
    let resume = Resume {
        at: None,
        state: state.cloned(),
    };
    match driver.resume(&path(at), resume).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy);
            true
        }
    }
}

/// While a handle is open, none else is, neither on the ingest nor on a new one in its place.
pub async fn one_handle_at_a_time(subject: &Subject) {
    let (driver, other) = (&*subject.driver, subject.other());
    let value = pattern(1, 6 * MIB);
    let mut ingest = begin_with(driver, "up/data", &value).await;
    let checkpoint = ingest.checkpoint().await.unwrap();
    for driver in [driver, &*other] {
        assert!(is_busy(driver, "up/data", checkpoint.state.as_ref()).await);
        let result = driver.begin(&Target::Staged(path("up/data"))).await;
        assert_eq!(kind(result), ErrorKind::Busy);
    }
    let closed = ingest.close().await.unwrap();
    let mut ingest = resume(&*other, "up/data", &closed).await.unwrap();
    assert!(is_busy(driver, "up/data", closed.state.as_ref()).await);
    // Those that were turned away have changed nothing.
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &value).await;
}

/// A handle that was closed or dropped is in nobody's way, nor one whose ingest is gone.
pub async fn closing_and_dropping_let_others_in(subject: &Subject) {
    let (driver, other) = (&*subject.driver, subject.other());
    let mut closed = begin_with(driver, "up/data", &pattern(1, 100)).await;
    let state = closed.close().await.unwrap().state;
    // The handle is still there, and ended.
    assert!(!is_busy(&*other, "up/data", state.as_ref()).await);
    let held = driver
        .resume(
            &path("up/data"),
            Resume {
                at: None,
                state: state.clone(),
            },
        )
        .await;
    drop(closed);
    assert!(
        is_busy(&*other, "up/data", state.as_ref()).await,
        "an ended handle lets go once"
    );
    drop(held.unwrap());
    assert!(!is_busy(&*other, "up/data", state.as_ref()).await);

    let mut aborted = begin(driver, "up/other").await;
    aborted.abort().await.unwrap();
    let mut fresh = begin(&*other, "up/other").await;
    drop(aborted);
    fresh.append(vec!["fresh".into()]).await.unwrap();
    let state = fresh.checkpoint().await.unwrap().state;
    assert!(is_busy(driver, "up/other", state.as_ref()).await);
    fresh.commit(commit("kept/value")).await.unwrap();
    let again = begin(driver, "up/other").await;
    drop(fresh);
    let result = other.begin(&Target::Staged(path("up/other"))).await;
    assert_eq!(kind(result), ErrorKind::Busy);
    drop(again);
}

/// Once it was committed there is nothing to resume.
pub async fn a_committed_ingest_cannot_be_resumed(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin_with(driver, "up/data", &pattern(1, 6 * MIB)).await;
    let checkpoint = ingest.checkpoint().await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    let result = resume(driver, "up/data", &checkpoint).await;
    assert_eq!(kind(result), ErrorKind::NotFound);
    let result = driver.delete(&path("up/data"), Durability::Scratch).await;
    assert_eq!(kind(result), ErrorKind::NotFound);
}

/// An ingest that is closed and resumed for every piece becomes the same value.
pub async fn many_small_sessions_make_one_value(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 11 * MIB);
    let mut ingest = begin(driver, "up/data").await;
    let mut checkpoint = ingest.close().await.unwrap();
    drop(ingest);
    let mut rest = value.clone();
    let mut sizes = [1, MIB, 3 * MIB - 1, 17, 2 * MIB + 5].into_iter().cycle();
    while !rest.is_empty() {
        let mut ingest = resume(&*subject.other(), "up/data", &checkpoint)
            .await
            .unwrap();
        let size = sizes.next().unwrap().min(rest.len());
        ingest.append(vec![rest.split_to(size)]).await.unwrap();
        checkpoint = ingest.close().await.unwrap();
        assert_eq!(checkpoint.offset, (value.len() - rest.len()) as u64);
    }
    let mut ingest = resume(driver, "up/data", &checkpoint).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", &value).await;
}

/// An ingest without bytes can be left and gone on with too.
pub async fn an_empty_ingest_can_be_resumed(subject: &Subject) {
    let driver = &*subject.driver;
    let mut ingest = begin(driver, "up/data").await;
    let checkpoint = ingest.checkpoint().await.unwrap();
    assert_eq!(checkpoint.offset, 0);
    drop(ingest);
    let mut ingest = resume(&*subject.other(), "up/data", &checkpoint)
        .await
        .unwrap();
    assert_eq!(ingest.offset(), 0);
    ingest.append(vec!["bytes".into()]).await.unwrap();
    ingest.commit(commit("kept/value")).await.unwrap();
    assert_value(driver, "kept/value", b"bytes").await;
}
