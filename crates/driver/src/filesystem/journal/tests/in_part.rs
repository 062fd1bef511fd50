//! What is done in part, and commits beside promises.

use super::*;
use crate::Commit;
use crate::Target;

/// The second of two writes cannot be done: its directory would lie below a value.
fn writes_of_which_one_fails(first: &str) -> [Put; 2] {
    [
        Put::replace(path(first), "durable".into()),
        Put::replace(path("value/below"), "x".into()),
    ]
}

#[tokio::test]
async fn what_was_done_of_a_promise_that_failed_is_durable_by_itself() {
    let place = Place::new();
    let driver = place.open("boot");
    fs::write(place.file("value"), "x").unwrap();
    let [done, fails] = writes_of_which_one_fails("put/link");
    let failed = driver.put(&[done, fails], Durability::Durable).await;
    failed.unwrap_err();
    assert!(
        place.is_synced_by_itself("put/link"),
        "it may have replaced what was durable"
    );

    let mut ingest = driver
        .begin(&Target::Final(path("blob/data")))
        .await
        .unwrap();
    ingest.append(vec!["data".into()]).await.unwrap();
    let commit = Commit {
        then: writes_of_which_one_fails("commit/link").to_vec(),
        ..Commit::new(path("blob/data"))
    };
    ingest.commit(commit).await.unwrap_err();
    for done in ["blob/data", "commit/link"] {
        assert!(place.is_synced_by_itself(done), "{done}");
    }
}

#[tokio::test]
async fn what_was_done_of_a_promise_and_cannot_be_synced_stays_promised() {
    let place = Place::new();
    let driver = place.open("first boot");
    fs::write(place.file("value"), "x").unwrap();
    put(&driver, "before", "begins the segment").await;
    let writes = writes_of_which_one_fails("a");
    place.faults.fail_data_after(1, Errno::IO);
    driver.put(&writes, Durability::Durable).await.unwrap_err();
    put(&driver, "after", "takes notes along").await;
    drop(driver);
    fs::write(place.file("a"), "").unwrap();
    fs::remove_file(place.file("value")).unwrap();
    let driver = place.open("second boot");
    assert_eq!(get(&driver, "a").await.unwrap(), "durable");
}

#[tokio::test]
async fn a_large_value_that_was_written_before_a_promise_and_committed_after_it_stays() {
    let place = Place::new();
    let driver = place.open("first boot");
    let clock = Runtime::new(1).clock;
    let staged = Target::Staged(path("upload/data"));
    let mut ingest = driver.begin(&staged).await.unwrap();
    let large = vec![b'x'; 200 * 1024];
    ingest.append(vec![large.into()]).await.unwrap();
    let appended = fs::metadata(place.file("upload/data")).unwrap();
    let appended = appended.modified().unwrap();
    until("the clock's tick has passed", || {
        clock.now() > appended + Duration::from_millis(30)
    })
    .await;
    put(&driver, "value", "small").await;
    let commit = Commit {
        condition: Condition::Replace,
        ..Commit::new(path("value"))
    };
    ingest.commit(commit).await.unwrap();
    drop((driver, ingest));
    let driver = place.open("second boot");
    let found = driver.stat(&path("value")).await.unwrap();
    assert_eq!(found.size_bytes, 200 * 1024);
}
