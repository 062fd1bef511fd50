//! What the clauses share.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use crate::{
    Checkpoint, Commit, Condition, Driver, DriverPath, Durability, ErrorKind, Ingest, Put,
    ReadRange, ReadStream, Result, Resume, Target,
};

/// More than any clause keeps in one value.
const NO_LIMIT: u64 = 1 << 30;

pub(super) const MIB: usize = 1024 * 1024;

pub(super) fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

/// Bytes that differ from place to place and from seed to seed.
pub(super) fn pattern(seed: u8, length: usize) -> Bytes {
    // A block of prime length, so that it falls differently into every other block; each
    // repetition ends with its number. Copying it is faster than computing every byte.
    let mut state = u64::from(seed) + 1;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(4093)
    .collect();
    let mut bytes = BytesMut::with_capacity(length + block.len() + 8);
    let mut number: u64 = 0;
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(&number.to_le_bytes());
        number += 1;
    }
    bytes.truncate(length);
    bytes.freeze()
}

/// Returns the kind of the failure that `result` has to be.
pub(super) fn kind<T: Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("the call has to fail").kind()
}

/// Compares without printing megabytes.
#[track_caller]
pub(super) fn assert_same(found: &[u8], wanted: &[u8]) {
    assert_eq!(found.len(), wanted.len(), "lengths differ");
    if found == wanted {
        return;
    }
    let differs = found.iter().zip(wanted).position(|(a, b)| a != b);
    panic!("the first byte that differs is at {differs:?}");
}

pub(super) async fn put(driver: &dyn Driver, at: &str, bytes: impl Into<Bytes>) {
    let write = Put::replace(path(at), bytes.into());
    driver.put(&[write], Durability::Durable).await.unwrap();
}

pub(super) fn put_if_absent(at: &str, bytes: impl Into<Bytes>) -> Put {
    Put {
        condition: Condition::IfAbsent,
        ..Put::replace(path(at), bytes.into())
    }
}

pub(super) async fn get(driver: &dyn Driver, at: &str) -> Result<Bytes> {
    driver.get(&path(at), NO_LIMIT).await
}

/// Reads a stream to its end; it has to be as long as it says.
pub(super) async fn drain(stream: ReadStream) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut pieces = stream.bytes;
    while let Some(piece) = pieces.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(
        bytes.len() as u64,
        stream.length,
        "a stream gives as much as it says"
    );
    Ok(bytes.freeze())
}

pub(super) async fn read(driver: &dyn Driver, at: &str, range: ReadRange) -> Result<Bytes> {
    drain(driver.read(&path(at), range).await?).await
}

/// The value has these bytes, however it is asked for.
pub(super) async fn assert_value(driver: &dyn Driver, at: &str, wanted: &[u8]) {
    let metadata = driver.stat(&path(at)).await.unwrap();
    assert_eq!(metadata.size_bytes, wanted.len() as u64);
    assert_same(&get(driver, at).await.unwrap(), wanted);
    assert_same(&read(driver, at, ReadRange::WHOLE).await.unwrap(), wanted);
}

pub(super) async fn assert_missing(driver: &dyn Driver, at: &str) {
    assert_eq!(kind(driver.stat(&path(at)).await), ErrorKind::NotFound);
    assert_eq!(kind(get(driver, at).await), ErrorKind::NotFound);
    assert_eq!(
        kind(read(driver, at, ReadRange::WHOLE).await),
        ErrorKind::NotFound
    );
}

/// The names below a directory, all of them; none when it is missing.
pub(super) async fn names(driver: &dyn Driver, directory: &str) -> Vec<String> {
    match driver.list(&path(directory), None, 10_000).await {
        Ok(page) => {
            assert!(!page.more);
            page.entries.into_iter().map(|entry| entry.name).collect()
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            Vec::new()
        }
    }
}

pub(super) async fn begin(driver: &dyn Driver, at: &str) -> Box<dyn Ingest> {
    driver.begin(&Target::Staged(path(at))).await.unwrap()
}

/// Begins an ingest that holds `bytes`.
pub(super) async fn begin_with(driver: &dyn Driver, at: &str, bytes: &Bytes) -> Box<dyn Ingest> {
    let mut ingest = begin(driver, at).await;
    ingest.append(vec![bytes.clone()]).await.unwrap();
    ingest
}

pub(super) async fn resume(
    driver: &dyn Driver,
    at: &str,
    checkpoint: &Checkpoint,
) -> Result<Box<dyn Ingest>> {
    let resume = Resume {
        at: Some(checkpoint.offset),
        state: checkpoint.state.clone(),
    };
    driver.resume(&path(at), resume).await
}

pub(super) fn commit(to: &str) -> Commit {
    Commit::new(path(to))
}

pub(super) fn replacing(to: &str) -> Commit {
    Commit {
        condition: Condition::Replace,
        ..commit(to)
    }
}
