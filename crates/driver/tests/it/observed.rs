//! What is told of the calls of a driver.

use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use tracing_subscriber::filter::LevelFilter;
use wharfinger_driver::{
    Checkpoint, Commit, Driver, DriverExt as _, DriverMetrics, DriverPath, Durability, ErrorKind,
    Fault, FaultPlan, Faulty, Memory, Method, Observed, Put, ReadRange, Target,
};
use wharfinger_runtime::{Clock, ManualClock};

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

struct Setting {
    clock: Arc<ManualClock>,
    metrics: Arc<DriverMetrics>,
    driver: Observed,
}

fn observed(plan: FaultPlan) -> Setting {
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH));
    let metrics = Arc::new(DriverMetrics::new());
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let faulty = Faulty::with_clock(Arc::new(Memory::new()), plan, Arc::clone(&time));
    let driver = Observed::new(Arc::new(faulty), Arc::clone(&metrics), time);
    Setting {
        clock,
        metrics,
        driver,
    }
}

#[tokio::test]
async fn calls_failures_and_bytes_are_counted_by_method() {
    let Setting {
        metrics, driver, ..
    } = observed(FaultPlan::new());
    assert!(metrics.snapshot().is_empty());
    let writes = ["a", "b"].map(|name| Put::replace(path(name), "12345".into()));
    driver.put(&writes, Durability::Durable).await.unwrap();
    driver.get(&path("a"), 100).await.unwrap();
    driver.get(&path("a"), 1).await.unwrap_err();
    driver.get(&path("no"), 1).await.unwrap_err();
    driver.get(&path("no"), 1).await.unwrap_err();

    let put = metrics.method(Method::Put);
    assert_eq!((put.calls, put.bytes_in, put.bytes_out), (1, 10, 0));
    let get = metrics.method(Method::Get);
    assert_eq!((get.calls, get.bytes_in, get.bytes_out), (4, 0, 5));
    assert_eq!(
        get.failures,
        [(ErrorKind::NotFound, 2), (ErrorKind::TooLarge, 1)]
    );
    let methods: Vec<Method> = metrics
        .snapshot()
        .iter()
        .map(|method| method.method)
        .collect();
    assert_eq!(methods, [Method::Get, Method::Put]);
}

#[tokio::test]
async fn a_stream_is_counted_as_far_as_it_was_read() {
    let cut = Fault::Cut {
        after: 3,
        kind: ErrorKind::Unavailable,
    };
    let Setting {
        metrics, driver, ..
    } = observed(FaultPlan::new().at(Method::Read, 1, cut));
    driver
        .put_one(&path("a"), "12345".into(), Durability::Durable)
        .await
        .unwrap();
    let whole = driver.read(&path("a"), ReadRange::WHOLE).await.unwrap();
    assert_eq!(metrics.method(Method::Read).bytes_out, 0);
    whole.bytes.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(metrics.method(Method::Read).bytes_out, 5);
    let cut = driver.read(&path("a"), ReadRange::WHOLE).await.unwrap();
    cut.bytes.try_collect::<Vec<_>>().await.unwrap_err();
    let read = metrics.method(Method::Read);
    assert_eq!((read.calls, read.bytes_out), (2, 8));
    assert_eq!(read.failures, [(ErrorKind::Unavailable, 1)]);
}

#[tokio::test]
async fn the_calls_of_an_ingest_are_counted() {
    let Setting {
        metrics, driver, ..
    } = observed(FaultPlan::new());
    let mut ingest = driver
        .begin(&Target::Staged(path("up/data")))
        .await
        .unwrap();
    ingest
        .append(vec!["12".into(), "345".into()])
        .await
        .unwrap();
    ingest.checkpoint().await.unwrap();
    let back = ingest.read_back(ReadRange::from(1)).await.unwrap();
    back.bytes.try_collect::<Vec<_>>().await.unwrap();
    ingest.rewind(&Checkpoint::START).await.unwrap();
    let closed = ingest.close().await.unwrap();
    assert_eq!(closed.offset, 0);
    drop(ingest);
    let mut ingest = driver
        .resume(&path("up/data"), Default::default())
        .await
        .unwrap();
    let then = vec![Put::replace(path("link"), "1234567".into())];
    ingest
        .commit(Commit {
            then,
            ..Commit::new(path("blob"))
        })
        .await
        .unwrap();
    ingest.abort().await.unwrap_err();
    for snapshot in metrics.snapshot() {
        assert_eq!(snapshot.calls, 1, "{}", snapshot.method.name());
    }
    assert_eq!(metrics.snapshot().len(), 9);
    assert_eq!(metrics.method(Method::Append).bytes_in, 5);
    assert_eq!(metrics.method(Method::ReadBack).bytes_out, 4);
    assert_eq!(metrics.method(Method::Commit).bytes_in, 7);
    assert_eq!(
        metrics.method(Method::Abort).failures,
        [(ErrorKind::Invalid, 1)]
    );
}

#[tokio::test]
async fn durations_and_dropped_calls_are_counted() {
    let plan = FaultPlan::new()
        .at(Method::Stat, 0, Fault::Delay(Duration::from_secs(3)))
        .at(Method::Stat, 1, Fault::Hang);
    let Setting {
        clock,
        metrics,
        driver,
    } = observed(plan);
    let a = path("a");
    let mut delayed = driver.stat(&a);
    assert!(futures_util::poll!(&mut delayed).is_pending());
    clock.advance(Duration::from_secs(3));
    delayed.await.unwrap_err();
    let mut hanging = driver.stat(&a);
    assert!(futures_util::poll!(&mut hanging).is_pending());
    clock.advance(Duration::from_secs(4));
    drop(hanging);
    let stat = metrics.method(Method::Stat);
    assert_eq!((stat.calls, stat.dropped), (2, 1));
    assert_eq!(stat.duration, Duration::from_secs(7));
    assert_eq!(stat.failures, [(ErrorKind::NotFound, 1)]);
}

/// Keeps what is logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs two calls, one that fails, and returns what was logged at this level.
async fn logged(level: LevelFilter) -> String {
    // Tests of other threads have no subscriber, and what they decide about a place in the code is
    // remembered for all. One that listens to everything keeps each place open.
    static EVERYTHING: Once = Once::new();
    EVERYTHING.call_once(|| {
        let sink = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(std::io::sink);
        tracing::subscriber::set_global_default(sink.finish()).unwrap();
    });
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let Setting { driver, .. } = observed(FaultPlan::new());
    driver
        .put_one(&path("some/where"), "bytes".into(), Durability::Durable)
        .await
        .unwrap();
    driver.stat(&path("no/where")).await.unwrap_err();
    drop(guard);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn each_call_has_a_span_and_one_event_at_debug_level() {
    let log = logged(LevelFilter::DEBUG).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for part in [
        "driver=\"memory\"",
        "method=\"put\"",
        "path=some/where",
        "duration_us=0",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(!lines[0].contains("error"));
    for part in [
        "method=\"stat\"",
        "path=no/where",
        "error=memory: not found: no/where",
    ] {
        assert!(lines[1].contains(part), "{part} in {}", lines[1]);
    }
}

#[tokio::test]
async fn nothing_is_told_above_debug_level() {
    assert_eq!(logged(LevelFilter::INFO).await, "");
}
