//! Streams of values and of parts of them.

use bytes::BytesMut;
use futures_util::TryStreamExt as _;

use crate::{Durability, ErrorKind, ReadRange};

use super::Subject;
use super::tools::{MIB, assert_missing, assert_same, drain, kind, path, pattern, put, read};

/// Every part of a value can be read; what goes beyond the end is cut there.
pub async fn ranges_are_cut_at_the_end(subject: &Subject) {
    let driver = &*subject.driver;
    for size in [0, 1, 1000, 200_000] {
        let value = pattern(1, size);
        put(driver, "value", value.clone()).await;
        for start in [0, 1, size / 2, size.saturating_sub(1), size] {
            for length in [
                None,
                Some(0),
                Some(1),
                Some(100),
                Some(size),
                Some(usize::MAX / 4),
            ] {
                if start > size {
                    continue;
                }
                let range = ReadRange {
                    start: start as u64,
                    length: length.map(|n| n as u64),
                };
                let end = length.map_or(size, |length| size.min(start + length));
                assert_same(
                    &read(driver, "value", range).await.unwrap(),
                    &value[start..end],
                );
            }
        }
    }
    let range = ReadRange {
        start: 1,
        length: Some(u64::MAX),
    };
    assert_eq!(read(driver, "value", range).await.unwrap().len(), 199_999);
}

/// A range that begins beyond the end is invalid, also one of no bytes.
pub async fn a_range_beyond_the_end_is_invalid(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "value", pattern(1, 100)).await;
    put(driver, "empty", "").await;
    for (at, start) in [("value", 101), ("value", u64::MAX), ("empty", 1)] {
        for length in [None, Some(0), Some(1)] {
            let result = read(driver, at, ReadRange { start, length }).await;
            assert_eq!(kind(result), ErrorKind::Invalid);
        }
    }
}

/// What was opened is read to its end, whatever happens to the path.
pub async fn an_open_value_outlives_its_replacement_and_deletion(subject: &Subject) {
    let driver = &*subject.driver;
    let value = pattern(1, 3 * MIB + 17);
    put(driver, "x/value", value.clone()).await;
    let untouched = driver
        .read(&path("x/value"), ReadRange::WHOLE)
        .await
        .unwrap();
    let mut begun = driver
        .read(&path("x/value"), ReadRange::from(5))
        .await
        .unwrap();
    let mut seen = BytesMut::from(&begun.bytes.try_next().await.unwrap().unwrap()[..]);

    put(driver, "x/value", "another").await;
    driver
        .delete(&path("x"), Durability::Durable)
        .await
        .unwrap();
    assert_missing(driver, "x/value").await;

    while let Some(piece) = begun.bytes.try_next().await.unwrap() {
        seen.extend_from_slice(&piece);
    }
    assert_same(&seen, &value[5..]);
    assert_same(&drain(untouched).await.unwrap(), &value);
}

/// A stream tells of the version that it gives the bytes of.
pub async fn metadata_of_a_stream_is_that_of_the_value(subject: &Subject) {
    let driver = &*subject.driver;
    put(driver, "value", pattern(1, 100)).await;
    let metadata = driver.stat(&path("value")).await.unwrap();
    let range = ReadRange {
        start: 10,
        length: Some(20),
    };
    let stream = driver.read(&path("value"), range).await.unwrap();
    assert_eq!(stream.metadata, metadata);
    assert_eq!(stream.metadata.size_bytes, 100);
    assert_eq!(stream.length, 20);
}
