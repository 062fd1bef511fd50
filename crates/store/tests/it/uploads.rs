//! Looking at all uploads, and removing those that nobody goes on with.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use wharfinger_driver::{
    Driver, DriverExt as _, Durability, ErrorKind as DriverErrorKind, Fault, FaultPlan, Faulty,
    Memory, MemoryOptions, Method,
};
use wharfinger_oci::RepositoryName;
use wharfinger_runtime::{Clock, ManualClock, Runtime};
use wharfinger_store::{
    ErrorKind, PurgeOptions, PurgeReport, Purpose, Store, UploadState, UploadSurvey,
};

use crate::subject::{expect, finish, id, name, patch, runtime, sample, sha256, store_over};

const HOUR: Duration = Duration::from_secs(3600);

/// A store in memory whose time stands still until it is moved.
struct Aging {
    driver: Arc<dyn Driver>,
    clock: Arc<ManualClock>,
    runtime: Runtime,
    store: Store,
}

impl Aging {
    fn new(s3_like: bool) -> Self {
        let clock = Arc::new(ManualClock::new(
            SystemTime::UNIX_EPOCH + HOUR * 24 * 365 * 50,
        ));
        let options = MemoryOptions {
            s3_like,
            ..MemoryOptions::default()
        };
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        let driver: Arc<dyn Driver> = Arc::new(Memory::with_clock(options, Arc::clone(&time)));
        let runtime = Runtime {
            clock: time,
            ..runtime()
        };
        let store = store_over(Arc::clone(&driver), &runtime);
        Self {
            driver,
            clock,
            runtime,
            store,
        }
    }

    fn both() -> [Self; 2] {
        [Self::new(false), Self::new(true)]
    }

    fn uploads(&self, repository: &RepositoryName) -> wharfinger_store::IngestSet {
        self.store.repository(repository).uploads()
    }

    async fn survey(&self) -> Vec<UploadSurvey> {
        let mut found = Vec::new();
        let mut add = |upload| found.push(upload);
        self.store.survey_uploads(&mut add).await.unwrap();
        found
    }

    async fn purge(&self, age: Duration) -> PurgeReport {
        let options = PurgeOptions {
            age,
            dry_run: false,
        };
        let store = store_over(Arc::clone(&self.driver), &self.runtime);
        store.purge_uploads(options, &mut |_| {}).await.unwrap()
    }
}

#[tokio::test]
async fn uploads_of_all_repositories_tell_how_far_they_have_come() {
    for aging in Aging::both() {
        let bytes = sample(5000, 1);
        for (number, repository) in [(1, "a"), (2, "a/b"), (3, "b")] {
            let uploads = aging.uploads(&name(repository));
            uploads.create(&id(number)).await.unwrap();
            if number > 1 {
                patch(&uploads, &id(number), &bytes).await.unwrap();
            }
            if number > 2 {
                let wrong = expect(b"something else");
                let refused = finish(&uploads, &id(number), 5000, &Bytes::new(), wrong).await;
                let kind = refused.unwrap_err().kind().clone();
                assert!(matches!(kind, ErrorKind::DigestMismatch { .. }));
            }
        }
        let found = aging.survey().await;
        let told: Vec<_> = found
            .iter()
            .map(|upload| (upload.repository.as_str(), upload.size_bytes, upload.state))
            .collect();
        let expected = sha256(b"something else");
        assert_eq!(
            told,
            [
                ("a", 0, UploadState::Empty),
                ("a/b", 5000, UploadState::Unfinished),
                ("b", 5000, UploadState::Refused { expected }),
            ]
        );
        // More bytes make it another one, which nobody has refused.
        let uploads = aging.uploads(&name("b"));
        patch(&uploads, &id(3), &bytes).await.unwrap();
        let found = aging.survey().await;
        assert_eq!(found[2].state, UploadState::Unfinished);
    }
}

#[tokio::test]
async fn only_what_nobody_has_written_to_for_so_long_is_purged() {
    for aging in Aging::both() {
        let uploads = aging.uploads(&name("a"));
        let bytes = sample(5000, 1);
        for number in 1..=3 {
            uploads.create(&id(number)).await.unwrap();
            patch(&uploads, &id(number), &bytes).await.unwrap();
        }
        aging.clock.advance(HOUR * 167);
        assert_eq!(aging.purge(HOUR * 168).await.purged, 0);
        // It was started long ago, and is written to.
        patch(&uploads, &id(2), &bytes).await.unwrap();
        aging.clock.advance(HOUR * 2);
        // This one is being written to, and nothing has arrived for long.
        let writer = uploads.open(&id(3), Purpose::Append).await.unwrap();
        let report = aging.purge(HOUR * 168).await;
        assert_eq!((report.uploads, report.purged, report.busy), (3, 1, 1));
        assert_eq!(report.bytes, 5000);
        writer.close().await.unwrap();
        let left = uploads.list().await.unwrap();
        let left: Vec<_> = left.iter().map(|upload| upload.id.clone()).collect();
        assert_eq!(left, [id(2), id(3)]);
        let whole = [&bytes[..], &bytes[..]].concat();
        finish(&uploads, &id(2), 10_000, &Bytes::new(), expect(&whole))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_purges_nothing() {
    for aging in Aging::both() {
        aging.uploads(&name("a")).create(&id(1)).await.unwrap();
        aging.clock.set_back(HOUR * 24 * 365);
        assert_eq!(aging.purge(HOUR).await.purged, 0);
        assert_eq!(aging.purge(HOUR * 24 * 365 * 100).await.purged, 0);
    }
}

#[tokio::test]
async fn what_finished_uploads_have_left_goes_when_it_is_old() {
    for aging in Aging::both() {
        let root = "docker/registry/v2/repositories/a/_uploads";
        for file in [
            "8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b0/hashstates/sha256/0",
            "8bd3fe29-7ad4-4b34-a15d-26b5e6a7f1b1/data",
            "not an upload/data",
        ] {
            let path = format!("{root}/{file}").parse().unwrap();
            let bytes = Bytes::from_static(b"left");
            aging
                .driver
                .put_one(&path, bytes, Durability::Durable)
                .await
                .unwrap();
        }
        aging.clock.advance(HOUR * 167);
        assert_eq!(aging.purge(HOUR * 168).await.purged, 0);
        let left = [UploadState::Left; 2];
        assert_eq!(
            aging
                .survey()
                .await
                .iter()
                .map(|upload| upload.state)
                .collect::<Vec<_>>(),
            left
        );
        aging.clock.advance(HOUR * 2);
        assert_eq!(aging.purge(HOUR * 168).await.purged, 2);
        let entries = aging.driver.list_all(&root.parse().unwrap()).await.unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].name, "not an upload");
    }
}

#[tokio::test]
async fn one_upload_that_cannot_be_removed_does_not_keep_the_others() {
    for aging in Aging::both() {
        let uploads = aging.uploads(&name("a"));
        for number in 1..=3 {
            uploads.create(&id(number)).await.unwrap();
        }
        aging.clock.advance(HOUR * 2);
        // The first delete of the second upload, after two of the first.
        let plan = FaultPlan::new().at(
            Method::Delete,
            2,
            Fault::Before(DriverErrorKind::Unavailable),
        );
        let faulty = Faulty::new(Arc::clone(&aging.driver), plan);
        let store = store_over(Arc::new(faulty), &aging.runtime);
        let options = PurgeOptions {
            age: HOUR,
            dry_run: false,
        };
        let report = store.purge_uploads(options, &mut |_| {}).await.unwrap();
        assert_eq!((report.purged, report.failed), (2, 1));
        assert_eq!(aging.purge(HOUR).await.purged, 1);
        assert_eq!(aging.survey().await, []);
    }
}

#[tokio::test]
async fn a_purge_that_dies_at_any_call_leaves_no_upload_that_seems_whole() {
    for s3_like in [false, true] {
        for number in 0.. {
            let aging = Aging::new(s3_like);
            let uploads = aging.uploads(&name("a"));
            let bytes = sample(5000, 1);
            uploads.create(&id(1)).await.unwrap();
            patch(&uploads, &id(1), &bytes).await.unwrap();
            aging.clock.advance(HOUR * 2);
            let faulty = Faulty::new(
                Arc::clone(&aging.driver),
                FaultPlan::new().crash_from(number),
            );
            let store = store_over(Arc::new(faulty.clone()), &aging.runtime);
            let options = PurgeOptions {
                age: HOUR,
                dry_run: false,
            };
            let outcome = store.purge_uploads(options, &mut |_| {}).await;
            if faulty.calls().len() <= number {
                assert_eq!(outcome.unwrap().purged, 1);
                assert!(number > 8, "{number} calls are not looked at closely");
                break;
            }
            let again = store_over(Arc::clone(&aging.driver), &aging.runtime);
            let uploads = again.repository(&name("a")).uploads();
            match uploads.status(&id(1)).await {
                Ok(status) => {
                    assert_eq!(status.offset, 5000);
                    finish(&uploads, &id(1), 5000, &Bytes::new(), expect(&bytes))
                        .await
                        .unwrap();
                }
                Err(error) => {
                    assert_eq!(*error.kind(), ErrorKind::UploadUnknown);
                    aging.clock.advance(HOUR * 2);
                    aging.purge(HOUR).await;
                }
            }
            assert_eq!(aging.survey().await, []);
        }
    }
}
