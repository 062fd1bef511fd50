//! What is done in part, or cannot be undone.

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
