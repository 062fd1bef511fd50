//! Writes that are cut anywhere: nothing of them stays but what was written.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use wharfinger_content::{Commit, ContentStore};
use wharfinger_runtime::{Entropy as _, Runtime, SeededEntropy};
use wharfinger_testkit::{setting, wait_until};

use crate::subject::{MIB, Subject, open, parse, sample};

/// How many streams are cut; `WHARFINGER_STREAMS` makes it more.
pub(crate) fn streams() -> usize {
    let wanted = setting("WHARFINGER_STREAMS").and_then(|number| number.parse().ok());
    wanted.unwrap_or(1000)
}

/// 50 at a time: enough to meet each other, few enough for anybody's limit of open files.
const AT_ONCE: usize = 50;

/// 20 refs: each is written to again and again.
const REFS: u64 = 20;

/// Returns how many files and tasks there are.
pub(crate) fn files_and_tasks(runtime: &Runtime) -> (usize, usize) {
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    (files, runtime.tasks.running())
}

/// Waits until there are no more of them than there were.
pub(crate) fn assert_back(runtime: &Runtime, before: (usize, usize)) {
    let now = || files_and_tasks(runtime);
    let is_back = || now().0 <= before.0 && now().1 <= before.1;
    let is_back = wait_until(Duration::from_secs(20), is_back);
    assert!(
        is_back,
        "files and tasks are {:?}, they were {before:?}",
        now()
    );
}

/// Writes something, for as long as it is polled.
async fn write(store: Arc<dyn ContentStore>, seed: u64) {
    let Ok(mut writer) = store.open(open(&format!("ref-{}", seed % REFS))).await else {
        return;
    };
    for piece in 0..seed % 5 {
        let length = if seed.is_multiple_of(7) { MIB } else { 1000 };
        if writer.write(sample(length, seed + piece)).await.is_err() {
            return;
        }
    }
    // What comes of it does not matter; some are committed, some kept, some thrown away.
    match seed % 4 {
        0 => drop(writer.commit(Commit::default()).await),
        1 => drop(writer.close().await),
        2 => drop(writer.abort().await),
        _ => drop(writer),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_cut_leave_no_lock_no_file_and_no_task() {
    let subject = Subject::client();
    // The connection, and what is kept open for good.
    subject.write("first", &sample(10, 1)).await;
    let before = files_and_tasks(&subject.runtime);
    let random = SeededEntropy::new(11);
    for round in 0..streams() / AT_ONCE {
        let writes = (0..AT_ONCE).map(|_| {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            let seed = u64::from_le_bytes(bytes);
            let write = write(Arc::clone(&subject.store), seed);
            let cut_after = Duration::from_micros(seed % 20_000);
            async move { tokio::time::timeout(cut_after, write).await.is_err() }
        });
        let cut = futures_util::future::join_all(writes).await;
        assert!(round > 0 || cut.iter().any(|cut| *cut), "none was cut");
    }
    // Each ref is free again in a moment.
    for number in 0..REFS {
        let reference = format!("ref-{number}");
        let writer = loop {
            match subject.store.open(open(&reference)).await {
                Ok(writer) => break writer,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        writer.abort().await.unwrap();
    }
    assert_eq!(subject.store.statuses(&parse(&[])).await.unwrap(), []);
    assert_back(&subject.runtime, before);
}
