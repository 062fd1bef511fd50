//! What every content store does.

use std::time::SystemTime;

use bytes::Bytes;
use wharfinger_content::{Commit, ErrorKind, LabelUpdate, Labels, Open};
use wharfinger_oci::{Algorithm, Digest};

use crate::subject::{MIB, Subject, fails, open, parse, sample, sha256};

/// Makes a test of each clause over each subject.
macro_rules! suite {
    ($($clause:ident)+) => {
        suite! { @over local; $($clause)+ }
        suite! { @over memory; $($clause)+ }
        suite! { @over client; $($clause)+ }
        suite! { @over chain; $($clause)+ }
    };
    (@over $subject:ident; $($clause:ident)+) => {
        mod $subject {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $clause() {
                    super::$clause(&crate::subject::Subject::$subject()).await;
                }
            )+
        }
    };
}

suite! {
    a_blob_is_there_with_its_labels_and_times
    ranges_are_cut_at_the_end
    what_is_not_there_is_not_found
    a_ref_has_one_writer
    an_ingest_goes_on_where_it_stood
    truncating_begins_anew
    what_is_not_what_was_announced_is_kept
    a_blob_that_is_there_is_told_and_its_ingest_removed
    an_abort_takes_the_ref_from_its_writer
    labels_are_replaced_and_set
    lists_are_filtered
    another_algorithm_counts_when_it_is_announced
    another_total_begins_anew
    a_long_piece_is_written_whole
    an_empty_ref_and_an_endless_one_are_refused
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn a_blob_is_there_with_its_labels_and_times(subject: &Subject) {
    for (number, length) in [0, 1, 70_000, 3 * MIB + 1].into_iter().enumerate() {
        let bytes = sample(length, 1);
        let before = subject.runtime.clock.now();
        let mut writer = subject
            .store
            .open(open(&format!("ref-{number}")))
            .await
            .unwrap();
        if length > 0 {
            writer.write(bytes.clone()).await.unwrap();
        }
        assert_eq!(writer.digest(), sha256(&bytes));
        let commit = Commit {
            labels: labels(&[("a/b.c", "1"), ("none", "")]),
            total_bytes: length as u64,
            expected: Some(sha256(&bytes)),
        };
        let digest = writer.commit(commit).await.unwrap();
        let info = subject.store.info(&digest).await.unwrap();
        assert_eq!(info.labels, labels(&[("a/b.c", "1")]), "{}", subject.name);
        assert_eq!((info.digest, info.size_bytes), (digest, length as u64));
        let now = subject.runtime.clock.now();
        for time in [info.created_at, info.updated_at] {
            assert!((before..=now).contains(&time), "{before:?} {time:?}");
        }
        assert_eq!(subject.read(&digest, 0, None).await.unwrap(), bytes);
    }
    assert_eq!(subject.store.statuses(&parse(&[])).await.unwrap(), []);
    assert_eq!(subject.list(&[]).await.len(), 4);
}

async fn ranges_are_cut_at_the_end(subject: &Subject) {
    let bytes = sample(2 * MIB + 10, 2);
    let digest = subject.write("ref", &bytes).await;
    let size = bytes.len() as u64;
    for (offset, length) in [
        (0, Some(1)),
        (5, Some(MIB as u64)),
        (size - 3, Some(10)),
        (size - 3, None),
        (7, Some(i64::MAX as u64)),
        (size, None),
        (size, Some(4)),
        (3, Some(0)),
    ] {
        let end = length.map_or(size, |length| offset.saturating_add(length).min(size));
        let wanted = bytes.slice(usize::try_from(offset).unwrap()..usize::try_from(end).unwrap());
        let read = subject.read(&digest, offset, length).await.unwrap();
        assert_eq!(read, wanted, "{offset} {length:?}");
    }
    fails(
        subject.read(&digest, size + 1, None).await,
        ErrorKind::OutOfRange,
    );
}

async fn what_is_not_there_is_not_found(subject: &Subject) {
    let (store, digest) = (&subject.store, sha256(b"nothing"));
    fails(store.info(&digest).await, ErrorKind::NotFound);
    fails(subject.read(&digest, 0, None).await, ErrorKind::NotFound);
    fails(store.delete(&digest).await, ErrorKind::NotFound);
    let update = LabelUpdate::Replace(Labels::new());
    fails(store.update(&digest, update).await, ErrorKind::NotFound);
    fails(store.status("ref").await, ErrorKind::NotFound);
    fails(store.abort("ref").await, ErrorKind::NotFound);
    let digest = subject.write("ref", &sample(10, 3)).await;
    store.delete(&digest).await.unwrap();
    fails(store.info(&digest).await, ErrorKind::NotFound);
    fails(store.delete(&digest).await, ErrorKind::NotFound);
    // What was deleted can be written again.
    subject.write("ref", &sample(10, 3)).await;
}

async fn a_ref_has_one_writer(subject: &Subject) {
    let store = &subject.store;
    let mut writer = store.open(open("ref")).await.unwrap();
    writer.write(sample(100, 1)).await.unwrap();
    let refused = store.open(open("ref")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains("locked for"), "{refused}");
    assert_eq!(store.status("ref").await.unwrap(), writer.status());
    writer.close().await.unwrap();
    let writer = store.open(open("ref")).await.unwrap();
    assert_eq!(writer.status().offset, 100);
    drop(writer);
    // Whoever goes away without a word is noticed in a moment.
    while store.open(open("ref")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

async fn an_ingest_goes_on_where_it_stood(subject: &Subject) {
    let (store, bytes) = (&subject.store, sample(3 * MIB, 4));
    let first = Open {
        total_bytes: bytes.len() as u64,
        expected: Some(sha256(&bytes)),
        ..open("ref")
    };
    let mut writer = store.open(first.clone()).await.unwrap();
    writer.write(bytes.slice(..MIB)).await.unwrap();
    let (status, digest) = (writer.status(), writer.digest());
    assert_eq!(digest, sha256(&bytes[..MIB]));
    assert_eq!((status.offset, status.total_bytes), (MIB as u64, 3 << 20));
    writer.close().await.unwrap();
    assert_eq!(store.status("ref").await.unwrap(), status);
    let all = store.statuses(&parse(&[])).await.unwrap();
    assert_eq!(all, std::slice::from_ref(&status));
    let mut writer = store.open(first).await.unwrap();
    assert_eq!((writer.status(), writer.digest()), (status, digest));
    writer.write(bytes.slice(MIB..)).await.unwrap();
    let committed = writer.commit(Commit::default()).await.unwrap();
    assert_eq!(committed, sha256(&bytes));
}

async fn truncating_begins_anew(subject: &Subject) {
    let store = &subject.store;
    let mut writer = store.open(open("ref")).await.unwrap();
    writer.write(sample(1000, 1)).await.unwrap();
    writer.truncate().await.unwrap();
    assert_eq!(writer.status().offset, 0);
    assert_eq!(writer.digest(), Digest::empty(Algorithm::Sha256));
    writer.write(sample(10, 2)).await.unwrap();
    writer.close().await.unwrap();
    let writer = store.open(open("ref")).await.unwrap();
    assert_eq!(writer.digest(), sha256(&sample(10, 2)));
    let digest = writer.commit(Commit::default()).await.unwrap();
    assert_eq!(subject.read(&digest, 0, None).await.unwrap(), sample(10, 2));
}

async fn what_is_not_what_was_announced_is_kept(subject: &Subject) {
    let (store, bytes) = (&subject.store, sample(500, 5));
    let mut writer = store.open(open("ref")).await.unwrap();
    writer.write(bytes.clone()).await.unwrap();
    for wrong in [
        Commit {
            total_bytes: 501,
            ..Commit::default()
        },
        Commit {
            expected: Some(sha256(b"other")),
            ..Commit::default()
        },
        Commit {
            expected: Some(Digest::of(Algorithm::Sha512, b"other")),
            ..Commit::default()
        },
    ] {
        fails(writer.commit(wrong).await, ErrorKind::FailedPrecondition);
        writer = store.open(open("ref")).await.unwrap();
        assert_eq!(writer.status().offset, 500);
        assert_eq!(writer.digest(), sha256(&bytes));
    }
    writer.commit(Commit::default()).await.unwrap();
    fails(store.status("ref").await, ErrorKind::NotFound);
}

async fn a_blob_that_is_there_is_told_and_its_ingest_removed(subject: &Subject) {
    let (store, bytes) = (&subject.store, sample(500, 6));
    let digest = subject.write("ref", &bytes).await;
    let known = Open {
        expected: Some(digest),
        ..open("ref")
    };
    fails(store.open(known).await, ErrorKind::AlreadyExists);
    for expected in [None, Some(digest)] {
        let mut writer = store.open(open("ref")).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        let commit = Commit {
            expected,
            ..Commit::default()
        };
        fails(writer.commit(commit).await, ErrorKind::AlreadyExists);
        fails(store.status("ref").await, ErrorKind::NotFound);
    }
}

async fn an_abort_takes_the_ref_from_its_writer(subject: &Subject) {
    let store = &subject.store;
    let mut writer = store.open(open("ref")).await.unwrap();
    writer.write(sample(100, 1)).await.unwrap();
    store.abort("ref").await.unwrap();
    let mut next = store.open(open("ref")).await.unwrap();
    assert_eq!(next.status().offset, 0);
    fails(writer.write(sample(1, 1)).await, ErrorKind::Aborted);
    next.write(sample(10, 2)).await.unwrap();
    drop(writer);
    assert_eq!(store.status("ref").await.unwrap().offset, 10);
    next.abort().await.unwrap();
    fails(store.status("ref").await, ErrorKind::NotFound);
    assert_eq!(store.statuses(&parse(&[])).await.unwrap(), []);
}

async fn labels_are_replaced_and_set(subject: &Subject) {
    let digest = subject.write("ref", &sample(10, 7)).await;
    let before = subject.store.info(&digest).await.unwrap();
    let replace = LabelUpdate::Replace(labels(&[("a", "1"), ("b", "2"), ("c", "")]));
    let info = subject.store.update(&digest, replace).await.unwrap();
    assert_eq!(info.labels, labels(&[("a", "1"), ("b", "2")]));
    assert_eq!(info.created_at, before.created_at);
    assert!(info.updated_at > before.updated_at);
    let set = [("a", Some("9")), ("b", None), ("x/y.z", Some("3"))];
    let set = set.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    let set = LabelUpdate::Set(set.into());
    let info = subject.store.update(&digest, set).await.unwrap();
    assert_eq!(info.labels, labels(&[("a", "9"), ("x/y.z", "3")]));
    assert_eq!(subject.store.info(&digest).await.unwrap(), info);
}

async fn lists_are_filtered(subject: &Subject) {
    let mut digests = Vec::new();
    for number in 0..120 {
        let bytes = Bytes::from(format!("blob {number}"));
        digests.push(subject.write("ref", &bytes).await);
    }
    let marked = LabelUpdate::Replace(labels(&[("mark", "yes")]));
    subject.store.update(&digests[3], marked).await.unwrap();
    let mut sorted = digests.clone();
    sorted.sort();
    assert_eq!(subject.list(&[]).await, sorted);
    let one = format!("digest=={}", digests[5]);
    assert_eq!(subject.list(&[&one]).await, [digests[5]]);
    assert_eq!(subject.list(&["labels.mark==yes"]).await, [digests[3]]);
    let mut two = [digests[3], digests[5]];
    two.sort();
    assert_eq!(subject.list(&["labels.mark", &one]).await, two);
    for reference in ["a/1", "a/2", "b"] {
        let writer = subject.store.open(open(reference)).await.unwrap();
        if reference == "a/2" {
            // It is written to no further, and still has to be seen.
            writer.close().await.unwrap();
        } else {
            std::mem::forget(writer);
        }
    }
    let matching = subject.store.statuses(&parse(&["ref~=/^a/"])).await;
    let mut matching: Vec<_> = matching
        .unwrap()
        .into_iter()
        .map(|one| one.reference)
        .collect();
    matching.sort();
    assert_eq!(matching, ["a/1", "a/2"], "{}", subject.name);
}

async fn another_algorithm_counts_when_it_is_announced(subject: &Subject) {
    let bytes = sample(100_000, 8);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    for (reference, at_open) in [("late", None), ("early", Some(digest))] {
        let open = Open {
            expected: at_open,
            ..open(reference)
        };
        let mut writer = subject.store.open(open).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        let commit = Commit {
            expected: Some(digest),
            ..Commit::default()
        };
        assert_eq!(writer.commit(commit).await.unwrap(), digest);
        assert_eq!(subject.read(&digest, 0, None).await.unwrap(), bytes);
        subject.store.delete(&digest).await.unwrap();
    }
}

async fn another_total_begins_anew(subject: &Subject) {
    let total = |total_bytes| Open {
        total_bytes,
        ..open("ref")
    };
    let mut writer = subject.store.open(total(100)).await.unwrap();
    writer.write(sample(60, 1)).await.unwrap();
    let begun = writer.status();
    writer.close().await.unwrap();
    let writer = subject.store.open(total(99)).await.unwrap();
    assert_eq!(writer.status().offset, 0);
    assert!(writer.status().started_at > begun.started_at);
    assert!(writer.status().started_at > SystemTime::UNIX_EPOCH);
}

async fn a_long_piece_is_written_whole(subject: &Subject) {
    let bytes = sample(9 * MIB + 3, 9);
    let digest = subject.write("ref", &bytes).await;
    assert_eq!(subject.read(&digest, 0, None).await.unwrap(), bytes);
}

async fn an_empty_ref_and_an_endless_one_are_refused(subject: &Subject) {
    for reference in [String::new(), "x".repeat(100_000)] {
        let refused = subject.store.open(open(&reference)).await;
        fails(refused, ErrorKind::InvalidArgument);
    }
    // Any other text is a ref.
    for reference in ["../../etc/passwd", "a\nb", "ü/\u{1f6a2}", " "] {
        let writer = subject.store.open(open(reference)).await.unwrap();
        writer.close().await.unwrap();
        let status = subject.store.status(reference).await.unwrap();
        assert_eq!(status.reference, reference);
    }
}
