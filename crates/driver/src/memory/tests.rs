use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use wharfinger_runtime::ManualClock;

use super::*;
use crate::{Checkpoint, Commit, DriverExt as _};

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

/// Parts of ten bytes.
fn parts_of_ten() -> Memory {
    Memory::with_options(MemoryOptions {
        s3_like: true,
        part_bytes: 10,
    })
}

async fn begin(driver: &Memory) -> Box<dyn Ingest> {
    driver
        .begin(&Target::Staged(path("up/data")))
        .await
        .unwrap()
}

#[tokio::test]
async fn versions_differ_while_the_clock_stands_still_or_goes_back() {
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1000)));
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let driver = Memory::with_clock(MemoryOptions::default(), time);
    let mut last = UNIX_EPOCH;
    for round in 0..4 {
        if round == 2 {
            clock.set_back(Duration::from_secs(500));
        }
        driver
            .put_one(&path("a"), "same".into(), Durability::Scratch)
            .await
            .unwrap();
        let modified = driver.stat(&path("a")).await.unwrap().modified;
        assert!(modified > last);
        last = modified;
    }
}

#[tokio::test]
async fn a_checkpoint_covers_whole_parts_and_a_close_the_tail_too() {
    let driver = parts_of_ten();
    let mut ingest = begin(&driver).await;
    ingest
        .append(vec!["0123456789".into(), "0123456789".into(), "abc".into()])
        .await
        .unwrap();
    assert_eq!(ingest.offset(), 23);
    assert_eq!(ingest.checkpoint().await.unwrap().offset, 20);
    let closed = ingest.close().await.unwrap();
    assert_eq!(closed.offset, 23);

    // A checkpoint before the next part is as good as the state that it was resumed with.
    let resume = Resume {
        at: Some(23),
        state: closed.state.clone(),
    };
    let mut ingest = driver.resume(&path("up/data"), resume).await.unwrap();
    ingest.append(vec!["def".into()]).await.unwrap();
    assert_eq!(ingest.checkpoint().await.unwrap(), closed);
    ingest.append(vec!["ghij".into()]).await.unwrap();
    assert_eq!(ingest.checkpoint().await.unwrap().offset, 30);
}

#[tokio::test]
async fn a_state_is_good_until_the_next_close() {
    let driver = parts_of_ten();
    let mut ingest = begin(&driver).await;
    ingest.append(vec!["0123456789abc".into()]).await.unwrap();
    let first = ingest.close().await.unwrap();
    let resume = |state: &Option<Bytes>| Resume {
        at: None,
        state: state.clone(),
    };
    let mut ingest = driver
        .resume(&path("up/data"), resume(&first.state))
        .await
        .unwrap();
    // The tail is in a part now, and the process dies.
    ingest.append(vec!["0123456789".into()]).await.unwrap();
    drop(ingest);
    let mut ingest = driver
        .resume(&path("up/data"), resume(&first.state))
        .await
        .unwrap();
    assert_eq!(ingest.offset(), 13);
    let back = ingest.read_back(ReadRange::WHOLE).await.unwrap();
    let bytes: Vec<Bytes> = back.bytes.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"0123456789abc");
    let second = ingest.close().await.unwrap();
    drop(ingest);
    let stale = driver.resume(&path("up/data"), resume(&first.state)).await;
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(
        driver
            .resume(&path("up/data"), resume(&second.state))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_state_of_another_upload_or_of_no_meaning_is_refused() {
    let driver = parts_of_ten();
    let mut ingest = begin(&driver).await;
    let before = ingest.checkpoint().await.unwrap();
    ingest.rewind(&Checkpoint::START).await.unwrap();
    ingest.append(vec!["bytes".into()]).await.unwrap();
    ingest.close().await.unwrap();
    let with = |state: Option<Bytes>| driver.resume_state(state);
    assert_eq!(with(before.state).await, ErrorKind::NotFound);
    for text in [
        "",
        "1",
        "2 1 0:0 ",
        "1 x 0:0 ",
        "1 1 0:0 5,",
        "1 1 0 ",
        "1 1 9:9 ",
        "1 2 0:0  ",
    ] {
        let kind = with(Some(text.into())).await;
        assert!(
            matches!(kind, ErrorKind::Invalid | ErrorKind::NotFound),
            "{text:?}"
        );
    }
    assert_eq!(with(None).await, ErrorKind::Invalid);
}

impl Memory {
    async fn resume_state(&self, state: Option<Bytes>) -> ErrorKind {
        let result = self
            .resume(&path("up/data"), Resume { at: None, state })
            .await;
        result.unwrap_err().kind()
    }
}

#[tokio::test]
async fn a_handle_whose_ingest_was_deleted_is_broken_by_the_next_append() {
    for driver in [Memory::new(), parts_of_ten()] {
        let mut ingest = begin(&driver).await;
        ingest.append(vec!["bytes".into()]).await.unwrap();
        driver
            .delete(&path("up"), Durability::Scratch)
            .await
            .unwrap();
        let mut successor = begin(&driver).await;
        let failed = ingest.append(vec!["0123456789".into()]).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::NotFound);
        assert_eq!(ingest.offset(), 5);
        let broken = ingest.append(vec!["more".into()]).await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Broken);
        drop(ingest);
        // Nothing of it gets into its successor, nor lets anybody else open that.
        let busy = driver
            .begin(&Target::Staged(path("up/data")))
            .await
            .unwrap_err();
        assert_eq!(busy.kind(), ErrorKind::Busy);
        successor.append(vec!["own".into()]).await.unwrap();
        successor.commit(Commit::new(path("kept"))).await.unwrap();
        assert_eq!(driver.get_small(&path("kept")).await.unwrap(), "own");
    }
}

#[tokio::test]
async fn a_name_that_is_a_value_and_a_prefix_is_listed_once() {
    let driver = Memory::new();
    for at in ["x/a", "x/a/1", "x/a-b", "x/b"] {
        driver
            .put_one(&path(at), "bytes".into(), Durability::Scratch)
            .await
            .unwrap();
    }
    let names: Vec<String> = driver
        .list_all(&path("x"))
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["a", "a-b", "b"]);
}
