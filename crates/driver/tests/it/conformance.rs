//! The suite over every driver and every wrapper of this crate.

use std::path::Path;
use std::sync::Arc;

use wharfinger_driver::conformance::Subject;
use wharfinger_driver::{
    Driver, DriverMetrics, DriverPath, FaultPlan, Faulty, Filesystem, FilesystemOptions, Memory,
    Observed, driver_conformance,
};
use wharfinger_runtime::{Runtime, SystemClock};

fn memory(driver: Memory) -> Subject {
    Subject::new(driver.clone()).with_again(move || Arc::new(driver.clone()))
}

fn filesystem() -> Subject {
    on_filesystem(None)
}

/// As a store opens it: small writes share their syncs by way of a journal.
fn journalled() -> Subject {
    on_filesystem(Some("of our own/journal".parse().unwrap()))
}

fn on_filesystem(journal: Option<DriverPath>) -> Subject {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = FilesystemOptions::new(scratch.path());
    options.journal = journal;
    let open = move || Filesystem::open(options.clone(), Runtime::new(4)).unwrap();
    Subject::new(open())
        .with_again(move || Arc::new(open()))
        .keeping(scratch)
}

fn observed(inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
    let metrics = Arc::new(DriverMetrics::new());
    Arc::new(Observed::new(inner, metrics, Arc::new(SystemClock::new())))
}

fn faultless(inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
    Arc::new(Faulty::new(inner, FaultPlan::new()))
}

driver_conformance!(memory_plain, memory(Memory::new()));
driver_conformance!(memory_s3_like, memory(Memory::s3_like()));
driver_conformance!(filesystem_plain, filesystem());
driver_conformance!(filesystem_journalled, journalled());
driver_conformance!(
    observed_memory_plain,
    memory(Memory::new()).wrapped(observed)
);
driver_conformance!(
    observed_memory_s3_like,
    memory(Memory::s3_like()).wrapped(observed)
);
driver_conformance!(observed_filesystem, filesystem().wrapped(observed));
driver_conformance!(
    faulty_memory_plain,
    memory(Memory::new()).wrapped(faultless)
);
driver_conformance!(
    faulty_memory_s3_like,
    memory(Memory::s3_like()).wrapped(faultless)
);
driver_conformance!(faulty_filesystem, filesystem().wrapped(faultless));

#[test]
fn no_clause_is_forgotten() {
    // Tests run in the folder of their package, wherever it was when they were compiled.
    let sources = Path::new("src");
    let list = std::fs::read_to_string(sources.join("conformance.rs")).unwrap();
    let mut clauses = 0;
    for entry in std::fs::read_dir(sources.join("conformance")).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines() {
            let Some(rest) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            let name = rest.split('(').next().unwrap();
            assert!(
                list.lines().any(|line| line.trim() == name),
                "{name} is in the macro"
            );
            clauses += 1;
        }
    }
    assert!(clauses > 60);
}
