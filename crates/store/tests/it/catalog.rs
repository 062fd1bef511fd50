//! The list of repositories: order, pages, completeness, and how old it may be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use wharfinger_driver::{
    Driver, DriverExt as _, DriverPath, Durability, Fault, FaultPlan, Faulty, Memory, Method,
};
use wharfinger_oci::{Manifest, RepositoryName};
use wharfinger_runtime::{Clock, ManualClock, Runtime, Secret};
use wharfinger_store::{Store, StoreOptions};

use crate::subject::{Subject, name, parsed, runtime};

fn make(subject: &Subject, names: &BTreeSet<RepositoryName>) {
    for name in names {
        std::fs::create_dir_all(subject.path(&format!("repositories/{name}/_manifests"))).unwrap();
    }
}

async fn pages(subject: &Subject, limit: usize) -> Vec<RepositoryName> {
    let mut all: Vec<RepositoryName> = Vec::new();
    loop {
        let after = all.last().map(|name| name.as_str().to_owned());
        let page = subject
            .store
            .catalog(after.as_deref(), limit)
            .await
            .unwrap();
        let names: Vec<RepositoryName> = parsed(&page.names);
        assert!(names.len() <= limit);
        all.extend(names);
        if !page.more {
            return all;
        }
    }
}

#[tokio::test]
async fn names_come_component_by_component() {
    let subject = Subject::filesystem();
    let names: BTreeSet<_> = ["a-b", "a/b", "a", "a/b/c", "a.b", "a0", "b"]
        .map(name)
        .into();
    make(&subject, &names);
    // Without a manifest it is no repository.
    std::fs::create_dir_all(subject.path("repositories/c/_layers")).unwrap();
    std::fs::create_dir_all(subject.path("repositories/d/_uploads/x")).unwrap();
    let expected = ["a", "a/b", "a/b/c", "a-b", "a.b", "a0", "b"].map(name);
    for limit in 1..=8 {
        assert_eq!(pages(&subject, limit).await, expected, "pages of {limit}");
    }
    let after = async |after, limit| {
        let page = subject.store.catalog(Some(after), limit).await.unwrap();
        parsed::<RepositoryName>(&page.names)
    };
    assert_eq!(after("a/b/b", 1).await, [name("a/b/c")]);
    // A name that no repository can have cuts where it would stand.
    assert_eq!(after("../..", 10).await, expected);
    assert_eq!(after("zzz", 10).await, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_pages_together_are_everything_in_order(
        names in prop::collection::btree_set("(a|b|ab)([-.0/_]?(a|b0|z)){0,3}", 0..30),
        limit in 1_usize..7,
    ) {
        let names: BTreeSet<RepositoryName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listed = runtime.block_on(async {
            let subject = Subject::filesystem();
            make(&subject, &names);
            pages(&subject, limit).await
        });
        prop_assert_eq!(listed, names.into_iter().collect::<Vec<_>>());
    }
}

const SAVED: &str = "docker/registry/v2/_wharfinger/catalog";
const SECOND: Duration = Duration::from_secs(1);

/// A process over a driver, with a clock that a test moves.
struct Process {
    driver: Arc<dyn Driver>,
    clock: Arc<ManualClock>,
    runtime: Runtime,
    store: Store,
}

impl Process {
    fn over(driver: Arc<dyn Driver>, clock: &Arc<ManualClock>) -> Self {
        Self::with(driver, clock, |_| {})
    }

    fn with(
        driver: Arc<dyn Driver>,
        clock: &Arc<ManualClock>,
        change: impl FnOnce(&mut StoreOptions),
    ) -> Self {
        let mut runtime = runtime();
        runtime.clock = Arc::clone(clock) as Arc<dyn Clock>;
        let mut options = StoreOptions::new(Secret::new(b"secret".to_vec()));
        change(&mut options);
        Self {
            store: Store::new(Arc::clone(&driver), None, runtime.clone(), options),
            driver,
            clock: Arc::clone(clock),
            runtime,
        }
    }

    async fn names(&self) -> Vec<String> {
        let page = self.store.catalog(None, 100).await.unwrap();
        page.names.iter().map(str::to_owned).collect()
    }

    /// Waits until no scan runs any more, and what it found is saved.
    async fn settle(&self) {
        // One task waits for the end of the process.
        while self.runtime.tasks.running() > 1 {
            tokio::task::yield_now().await;
        }
    }

    async fn push(&self, repository: &str) {
        push(&self.store, repository).await;
    }

    /// Ends it as a signal does.
    async fn end(self) {
        self.runtime.tasks.shut_down();
        self.runtime.tasks.ended().await;
    }

    async fn saved(&self) -> Option<Vec<u8>> {
        let saved: DriverPath = SAVED.parse().unwrap();
        let file = self.driver.find_small(&saved).await.unwrap();
        file.map(|file| file.to_vec())
    }
}

async fn push(store: &Store, repository: &str) {
    let index = "application/vnd.oci.image.index.v1+json";
    let json = format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[]}}"#);
    let manifest = Manifest::parse(json, Some(index)).unwrap();
    let repository = store.repository(&name(repository));
    let tag = "v1".parse().unwrap();
    repository.put_manifest(&tag, &manifest).await.unwrap();
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH + 1000 * SECOND))
}

fn drivers() -> [Arc<dyn Driver>; 2] {
    [Arc::new(Memory::new()), Arc::new(Memory::s3_like())]
}

#[tokio::test]
async fn what_others_make_is_listed_after_a_second_and_what_we_make_at_once() {
    for driver in drivers() {
        let clock = clock();
        let ours = Process::over(Arc::clone(&driver), &clock);
        let theirs = Process::over(driver, &clock);
        theirs.push("a").await;
        assert_eq!(ours.names().await, ["a"]);
        ours.settle().await;
        theirs.push("b").await;
        assert_eq!(ours.names().await, ["a"]);
        ours.push("a/b").await;
        assert_eq!(ours.names().await, ["a", "a/b"]);
        clock.advance(SECOND);
        assert_eq!(ours.names().await, ["a", "a/b", "b"]);
        ours.settle().await;
        theirs.push("c").await;
        assert_eq!(ours.names().await, ["a", "a/b", "b"]);
        clock.advance(SECOND);
        assert_eq!(ours.names().await, ["a", "a/b", "b", "c"]);
    }
}

#[tokio::test]
async fn with_no_time_at_all_each_page_is_walked_and_nothing_saved() {
    let clock = clock();
    let driver: Arc<dyn Driver> = Arc::new(Memory::new());
    let ours = Process::with(Arc::clone(&driver), &clock, |options| {
        options.catalog_rescan = Duration::ZERO;
    });
    let theirs = Process::over(driver, &clock);
    for made in ["a", "b"] {
        theirs.push(made).await;
        assert_eq!(ours.names().await.last().unwrap(), made);
    }
    assert_eq!(ours.saved().await, None);
}

#[tokio::test]
async fn a_start_lists_what_was_saved_until_the_storage_was_walked() {
    for driver in drivers() {
        let clock = clock();
        let first = Process::over(Arc::clone(&driver), &clock);
        first.push("a").await;
        first.names().await;
        first.settle().await;
        first.push("b").await;
        first.end().await;

        // The disk is slow from now on, and somebody else has made a repository.
        let theirs = Process::over(Arc::clone(&driver), &clock);
        theirs.push("c").await;
        let plan = FaultPlan::new().at(Method::List, 0, Fault::Delay(3600 * SECOND));
        let waits = Arc::clone(&clock) as Arc<dyn Clock>;
        let slow: Arc<dyn Driver> = Arc::new(Faulty::with_clock(driver, plan, waits));
        let second = Process::over(slow, &clock);
        second.push("a/b").await;
        let time = async {
            // The request has to have begun to wait.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            second.clock.advance(Duration::from_millis(250));
        };
        let (names, ()) = futures_util::join!(second.names(), time);
        assert_eq!(names, ["a", "a/b", "b"]);
        assert_eq!(
            second.names().await,
            ["a", "a/b", "b"],
            "nobody waits twice"
        );
        second.clock.advance(3600 * SECOND);
        second.settle().await;
        assert_eq!(second.names().await, ["a", "a/b", "b", "c"]);
    }
}

#[tokio::test]
async fn a_saved_list_that_is_damaged_does_not_count() {
    let (clock, [driver, _]) = (clock(), drivers());
    let first = Process::over(Arc::clone(&driver), &clock);
    first.push("a").await;
    first.names().await;
    first.settle().await;
    let mut file = first.saved().await.unwrap();
    *file.last_mut().unwrap() ^= 1;
    first.end().await;
    let saved: DriverPath = SAVED.parse().unwrap();
    let damaged = file.clone();
    let put = driver.put_one(&saved, damaged.into(), Durability::Scratch);
    put.await.unwrap();
    let second = Process::over(driver, &clock);
    assert_eq!(second.names().await, ["a"]);
    second.settle().await;
    assert_ne!(second.saved().await.unwrap(), file, "it is written anew");
}

#[tokio::test]
async fn who_must_not_write_saves_nothing() {
    let (clock, [driver, _]) = (clock(), drivers());
    Process::over(Arc::clone(&driver), &clock).push("a").await;
    let reader = Process::with(Arc::clone(&driver), &clock, |options| {
        options.read_only = true;
    });
    reader.names().await;
    // It has no task that waits for the end.
    while reader.runtime.tasks.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(reader.names().await, ["a"]);
    assert_eq!(reader.saved().await, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_index_has_the_pages_of_the_tree(
        found in prop::collection::btree_set("(a|b|ab)([-.0/_]?(a|b0|z)){0,3}", 0..20),
        made in prop::collection::btree_set("(a|b)([-/](a|z)){0,2}", 0..5),
        strangers in prop::collection::vec("(a|b|ab)/(_x|Z|a--|[.]q|a/_y/b)", 0..4),
        asked in prop::collection::vec(
            (prop::option::of("(a|b|ab|_|Z|[.][.])?([-./_]{1,2}(a|b0|z|_x)?){0,3}"), 0_usize..9),
            1..20,
        ),
    ) {
        let found: BTreeSet<_> = found.iter().filter_map(|name| name.parse().ok()).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let subject = Subject::filesystem();
            make(&subject, &found);
            for stranger in &strangers {
                let path = subject.path(&format!("repositories/{stranger}/_manifests"));
                std::fs::create_dir_all(path).unwrap();
            }
            let clock = clock();
            let index = Process::over(Arc::clone(&subject.driver), &clock);
            let tree = Process::with(Arc::clone(&subject.driver), &clock, |options| {
                options.catalog_rescan = Duration::ZERO;
            });
            index.names().await;
            index.settle().await;
            for name in &made {
                index.push(name).await;
            }
            for (after, limit) in &asked {
                let page = index.store.catalog(after.as_deref(), *limit).await.unwrap();
                let walked = tree.store.catalog(after.as_deref(), *limit).await.unwrap();
                prop_assert_eq!(page, walked, "{} after {:?}", limit, after);
            }
            Ok(())
        })?;
    }
}
