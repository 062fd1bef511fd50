use std::time::Duration;

use wharfinger_driver::FilesystemOptions;
use wharfinger_runtime::{ManualClock, Runtime};

use super::families::{ALL, Family, Kind};
use super::*;

fn sources() -> Sources {
    let runtime = Runtime::new(1);
    let directory = tempfile::tempdir().unwrap();
    let mut options = FilesystemOptions::new(directory.path());
    options.journal = Some("journal".parse().unwrap());
    let filesystem = Filesystem::open(options, runtime.clone()).unwrap();
    Sources {
        http: Arc::new(HttpMetrics::new(&crate::codes())),
        events: Arc::new(EventCounters::new()),
        storage: ("memory", Arc::new(DriverMetrics::new())),
        cache: Some(Arc::new(CacheCounters::new())),
        filesystem: Some(filesystem),
        uploads: Arc::new(UploadCensus::new()),
        clock: Arc::clone(&runtime.clock),
        disk: Some(Disk::of("/")),
        health: Arc::new(Health::new()),
        started: runtime.clock.now(),
        version: "1.2.3",
    }
}

/// The names of all families that are written.
fn written(text: &str) -> Vec<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let ending = if kind == "counter" { "_total" } else { "" };
            format!("{name}{ending}")
        })
        .collect()
}

#[test]
fn what_is_written_is_what_the_table_says() {
    let text = Metrics::new(sources()).text().unwrap();
    let table: Vec<_> = ALL.iter().map(|family| family.name).collect();
    assert_eq!(written(&text), table);
    assert!(
        text.contains("wharfinger_build_info{version=\"1.2.3\"} 1.0\n"),
        "{text}"
    );
    assert!(text.contains("wharfinger_journal_segments 0.0\n"), "{text}");
    assert!(
        !text.contains("\nwharfinger_uploads_open "),
        "nobody has looked"
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_not_in_use_is_not_shown() {
    let mut sources = sources();
    (sources.cache, sources.filesystem, sources.disk) = (None, None, None);
    let text = Metrics::new(sources).text().unwrap();
    for absent in ["cache", "journal", "disk"] {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn the_age_of_the_oldest_upload_grows_between_looks() {
    let clock = Arc::new(ManualClock::new(
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
    ));
    let mut sources = sources();
    sources.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    let oldest = SystemTime::UNIX_EPOCH + Duration::from_secs(900);
    sources.uploads.note(3, Some(oldest), clock.now());
    clock.advance(Duration::from_secs(50));
    let text = Metrics::new(sources).text().unwrap();
    assert!(text.contains("wharfinger_uploads_open 3.0\n"), "{text}");
    assert!(
        text.contains("wharfinger_uploads_oldest_age_seconds 150.0\n"),
        "{text}"
    );
    assert!(
        text.contains("wharfinger_uploads_looked_at_timestamp_seconds 1000.0\n"),
        "{text}"
    );
}

fn row(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels: Vec<_> = family
        .labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    format!(
        "| `{}` | {kind} | {} | {} |",
        family.name,
        labels.join(", "),
        family.help
    )
    .replace("|  |", "| |")
}

#[test]
fn the_documentation_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operation.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows: Vec<_> = ALL.iter().map(|family| row(family)).collect();
    let shown: Vec<_> = document
        .lines()
        .filter(|line| {
            let names = ["| `registry_", "| `wharfinger_", "| `process_"];
            names.iter().any(|name| line.starts_with(name))
        })
        .collect();
    assert!(
        shown == rows,
        "the table of metrics in docs/operation.md has to be:\n{}",
        rows.join("\n")
    );
}
