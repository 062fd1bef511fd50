//! Uploads that nobody goes on with, removed in the background while the registry serves.

use std::time::{Duration, SystemTime};

use wharfinger_runtime::{Clock, Entropy, Runtime};
use wharfinger_store::{PurgeOptions, Store, UploadEvent, UploadSurvey};

use crate::config::PurgeConfig;

/// 1 hour, in which the first round begins: nodes that are started together do not all look at the
/// same directories at once.
const FIRST_WITHIN: Duration = Duration::from_secs(60 * 60);

/// 1 hour: a clock that was set forward by more than this makes uploads look older than they are.
const MOST_JUMP: Duration = Duration::from_secs(60 * 60);

/// Removes old uploads again and again, until the process ends.
pub(crate) async fn purge_regularly(store: Store, runtime: Runtime, config: PurgeConfig) {
    let first = within(&*runtime.entropy, FIRST_WITHIN.min(config.interval));
    let mut wait = first;
    let mut watch = Watch::start(&*runtime.clock);
    loop {
        tokio::select! {
            () = runtime.tasks.cancelled() => return,
            () = runtime.clock.sleep(wait) => {}
        }
        if watch.has_jumped(&*runtime.clock) {
            tracing::warn!("the clock was set forward: uploads are purged in the next round");
        } else {
            tokio::select! {
                () = runtime.tasks.cancelled() => return,
                () = purge(&store, &config) => {}
            }
        }
        wait = config.interval;
    }
}

async fn purge(store: &Store, config: &PurgeConfig) {
    let options = PurgeOptions {
        age: config.age,
        dry_run: config.dry_run,
    };
    let mut tell = |event: UploadEvent<'_>| match event {
        UploadEvent::Purged(upload) => log_purged(upload, config.dry_run),
        UploadEvent::Failed {
            repository,
            id,
            error,
        } => {
            tracing::warn!(repository, upload = %id, %error, "could not purge an upload");
        }
        _ => {}
    };
    match store.purge_uploads(options, &mut tell).await {
        Ok(report) => tracing::info!(
            uploads = report.uploads,
            purged = report.purged,
            bytes = report.bytes,
            busy = report.busy,
            failed = report.failed,
            dry_run = config.dry_run,
            "looked for abandoned uploads"
        ),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "could not look for abandoned uploads");
        }
    }
}

fn log_purged(upload: &UploadSurvey, dry_run: bool) {
    tracing::info!(
        repository = upload.repository,
        upload = %upload.id,
        size_bytes = upload.size_bytes,
        state = ?upload.state,
        dry_run,
        "purged an abandoned upload"
    );
}

/// Returns a random time shorter than `most`.
fn within(entropy: &dyn Entropy, most: Duration) -> Duration {
    let mut random = [0; 4];
    entropy.fill(&mut random);
    most.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
}

/// Tells whether the wall clock goes with the monotonic one.
struct Watch {
    wall: SystemTime,
    monotonic: Duration,
}

impl Watch {
    fn start(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// Tells whether somebody has set the wall clock forward since it was asked last.
    fn has_jumped(&mut self, clock: &dyn Clock) -> bool {
        let before = std::mem::replace(self, Self::start(clock));
        let passed = self.monotonic.saturating_sub(before.monotonic);
        let expected = before.wall + passed;
        let ahead = self.wall.duration_since(expected);
        ahead.is_ok_and(|ahead| ahead > MOST_JUMP)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wharfinger_driver::{Driver, DriverExt as _, Memory, MemoryOptions};
    use wharfinger_runtime::{ManualClock, Secret, SeededEntropy};
    use wharfinger_store::StoreOptions;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: &str =
        "docker/registry/v2/repositories/a/_uploads/00000000-0000-4000-8000-000000000001/startedat";

    struct Subject {
        driver: Arc<dyn Driver>,
        clock: Arc<ManualClock>,
        runtime: Runtime,
        store: Store,
    }

    impl Subject {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(
                SystemTime::UNIX_EPOCH + HOUR * 24 * 365 * 60,
            ));
            let driver: Arc<dyn Driver> = Arc::new(Memory::with_clock(
                MemoryOptions::default(),
                Arc::clone(&clock) as Arc<dyn Clock>,
            ));
            let mut runtime = Runtime::new(1);
            runtime.clock = Arc::clone(&clock) as Arc<dyn Clock>;
            runtime.entropy = Arc::new(SeededEntropy::new(1));
            let options = StoreOptions::new(Secret::new(b"secret".to_vec()));
            let store = Store::new(Arc::clone(&driver), None, runtime.clone(), options);
            Self {
                driver,
                clock,
                runtime,
                store,
            }
        }

        async fn start_upload(&self) {
            let uploads = self.store.repository(&"a".parse().unwrap()).uploads();
            uploads
                .create(&"00000000-0000-4000-8000-000000000001".parse().unwrap())
                .await
                .unwrap();
        }

        async fn is_there(&self) -> bool {
            self.driver
                .find(&START.parse().unwrap())
                .await
                .unwrap()
                .is_some()
        }

        /// Lets everybody who can go on do so.
        async fn settle(&self) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn config() -> PurgeConfig {
        PurgeConfig {
            enabled: true,
            age: HOUR * 168,
            interval: HOUR * 24,
            dry_run: false,
        }
    }

    #[tokio::test]
    async fn an_upload_is_purged_once_it_is_old_and_the_task_ends_when_asked() {
        let subject = Subject::new();
        subject.start_upload().await;
        let (store, runtime) = (subject.store.clone(), subject.runtime.clone());
        let task = subject
            .runtime
            .tasks
            .spawn(purge_regularly(store, runtime, config()));
        subject.settle().await;
        for _ in 0..7 {
            subject.clock.advance(HOUR * 24 - HOUR / 10);
            subject.settle().await;
            assert!(subject.is_there().await);
        }
        subject.clock.advance(HOUR * 24);
        subject.settle().await;
        assert!(!subject.is_there().await);
        subject.runtime.tasks.shut_down();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_was_set_forward_takes_nothing_in_that_round() {
        let subject = Subject::new();
        let (store, runtime) = (subject.store.clone(), subject.runtime.clone());
        let task = subject
            .runtime
            .tasks
            .spawn(purge_regularly(store, runtime, config()));
        subject.settle().await;
        subject.start_upload().await;
        subject.clock.set_forward(HOUR * 24 * 30);
        subject.clock.advance(HOUR);
        subject.settle().await;
        assert!(subject.is_there().await);
        subject.runtime.tasks.shut_down();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_dry_run_takes_nothing() {
        let subject = Subject::new();
        subject.start_upload().await;
        subject.clock.advance(HOUR * 200);
        let dry = PurgeConfig {
            dry_run: true,
            ..config()
        };
        purge(&subject.store, &dry).await;
        assert!(subject.is_there().await);
        purge(&subject.store, &config()).await;
        assert!(!subject.is_there().await);
    }

    #[test]
    fn the_first_round_comes_within_its_time() {
        for seed in 0..100 {
            let first = within(&SeededEntropy::new(seed), FIRST_WITHIN);
            assert!(first <= FIRST_WITHIN);
        }
        let (a, b) = (SeededEntropy::new(1), SeededEntropy::new(2));
        assert_ne!(within(&a, FIRST_WITHIN), within(&b, FIRST_WITHIN));
    }
}
