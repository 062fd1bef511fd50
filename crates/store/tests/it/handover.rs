//! Saved states that somebody else wrote, or that lie.

use std::fs;

use bytes::Bytes;
use wharfinger_oci::{Algorithm, Hasher};
use wharfinger_store::{ErrorKind, Expected, Purpose};

use crate::subject::{Subject, expect, finish, id, patch, sample, sha256};

const UPLOAD: &str = "repositories/library/test/_uploads/00000000-0000-4000-8000-000000000001";

/// What a Distribution node leaves after a PATCH of `bytes`, with a state that covers `hashed`.
fn foreign(subject: &Subject, bytes: &[u8], hashed: &[u8], offset: usize) {
    let states = subject.path(UPLOAD).join("hashstates/sha256");
    fs::create_dir_all(&states).unwrap();
    fs::write(
        subject.path(UPLOAD).join("startedat"),
        "2026-11-22T02:59:08Z",
    )
    .unwrap();
    fs::write(subject.path(UPLOAD).join("data"), bytes).unwrap();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(hashed);
    fs::write(states.join(offset.to_string()), hasher.state().as_bytes()).unwrap();
}

#[tokio::test]
async fn a_foreign_state_of_exactly_the_size_is_taken() {
    let subject = Subject::filesystem();
    let bytes = sample(100_000, 1);
    foreign(&subject, &bytes[..70_000], &bytes[..70_000], 70_000);
    let uploads = subject.repository().uploads();
    assert_eq!(uploads.status(&id(1)).await.unwrap().offset, 70_000);
    finish(
        &uploads,
        &id(1),
        70_000,
        &bytes.slice(70_000..),
        expect(&bytes),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_bogus_state_after_a_crash_is_never_used() {
    // Distribution names the state of the last 2,000,000 bytes 2000000, with 5,000,000 in the file.
    let subject = Subject::filesystem();
    let bytes = sample(5_000_000, 2);
    foreign(&subject, &bytes, &bytes[3_000_000..], 2_000_000);
    let uploads = subject.repository().uploads();
    finish(&uploads, &id(1), 5_000_000, &Bytes::new(), expect(&bytes))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_state_that_lies_costs_one_read_and_no_more() {
    let subject = Subject::filesystem();
    let bytes = sample(100_000, 3);
    let mut lie = bytes.to_vec();
    lie[5] ^= 1;
    foreign(&subject, &bytes, &lie, 100_000);
    let uploads = subject.repository().uploads();
    // The digest of the lie is not that of the bytes: refused, though the state leads to it …
    let wrong = Expected {
        digest: sha256(b"neither"),
        size_bytes: None,
    };
    let error = finish(&uploads, &id(1), 100_000, &Bytes::new(), wrong)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::DigestMismatch { computed, .. } if *computed == sha256(&bytes))
    );
    // … and from then on the state is ours: no second read, whoever asks.
    fs::write(subject.path(UPLOAD).join("data"), &lie).unwrap();
    let error = finish(&uploads, &id(1), 100_000, &Bytes::new(), expect(&lie))
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::DigestMismatch { computed, .. } if *computed == sha256(&bytes))
    );
    fs::write(subject.path(UPLOAD).join("data"), &bytes).unwrap();
    finish(&uploads, &id(1), 100_000, &Bytes::new(), expect(&bytes))
        .await
        .unwrap();
}

#[tokio::test]
async fn truncating_leaves_no_state_behind() {
    let subject = Subject::filesystem();
    let bytes = sample(100_000, 4);
    foreign(&subject, &bytes, &bytes, 100_000);
    let uploads = subject.repository().uploads();
    let mut writer = uploads.open(&id(1), Purpose::Append).await.unwrap();
    writer.truncate(0).await.unwrap();
    assert!(
        !subject
            .path(UPLOAD)
            .join("hashstates/sha256/100000")
            .exists()
    );
    assert!(!subject.path(UPLOAD).join("wharfinger").exists());
    // The same size again with other bytes: an old state would lead to the old digest.
    let other = sample(100_000, 5);
    writer.write(other.clone()).await.unwrap();
    writer.commit(expect(&other)).await.unwrap();
}

#[tokio::test]
async fn our_state_is_what_distribution_writes() {
    let subject = Subject::filesystem();
    let bytes = sample(70_001, 6);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    patch(&uploads, &id(1), &bytes).await.unwrap();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&bytes);
    let saved = fs::read(subject.path(UPLOAD).join("hashstates/sha256/70001")).unwrap();
    assert_eq!(saved, hasher.state().as_bytes());
    assert_eq!(saved.len(), 108);
    patch(&uploads, &id(1), &bytes).await.unwrap();
    let states: Vec<_> = fs::read_dir(subject.path(UPLOAD).join("hashstates/sha256"))
        .unwrap()
        .collect();
    assert_eq!(states.len(), 1, "only the last state is of any use");
}
