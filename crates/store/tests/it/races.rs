//! What has to hold when two requests meet, or a node of another kind comes in between.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use wharfinger_driver::{
    Driver, ErrorKind as DriverErrorKind, Fault, FaultPlan, Faulty, Memory, Method,
};
use wharfinger_oci::{Algorithm, Digest, Hasher, Manifest, Reference};
use wharfinger_runtime::{Clock, ManualClock};
use wharfinger_store::Repository;

use crate::subject::{
    Subject, expect, finish, id, name, patch, read, repository, runtime, sample, sha256, store_over,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn index(note: &str) -> Manifest {
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"note":"{note}"}}}}"#
    );
    Manifest::parse(json, Some(INDEX)).unwrap()
}

async fn put(repository: &Repository, reference: &str, manifest: &Manifest) -> Digest {
    let reference = reference.parse().unwrap();
    repository.put_manifest(&reference, manifest).await.unwrap()
}

async fn target(repository: &Repository, tag: &str) -> Option<Digest> {
    let reference: Reference = tag.parse().unwrap();
    let found = repository.get_manifest(&reference).await;
    found.ok().map(|found| found.digest)
}

/// Deletes the manifest `digest`, and has `meanwhile` pushed as `v2` while it is about to make its call
/// number `call` to delete something.
async fn delete_and_push(
    driver: Arc<dyn Driver>,
    digest: Digest,
    meanwhile: Manifest,
    call: usize,
) -> Repository {
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
    let second = Duration::from_secs(1);
    let plan = FaultPlan::new().at(Method::Delete, call, Fault::Delay(second));
    let waits = Arc::clone(&clock) as Arc<dyn Clock>;
    let faulty = Faulty::with_clock(driver, plan, waits);
    let store = store_over(Arc::new(faulty.clone()), &runtime());
    let (deletes, pushes) = (repository(&store), repository(&store));
    let delete = async { deletes.delete_manifest(&digest).await.outcome };
    let push = async {
        let is_deleting = || {
            let calls = faulty.calls();
            calls
                .iter()
                .filter(|found| found.method == Method::Delete)
                .count()
                > call
        };
        while !is_deleting() {
            tokio::task::yield_now().await;
        }
        let reference = "v2".parse().unwrap();
        pushes.put_manifest(&reference, &meanwhile).await.unwrap();
    };
    let time = async {
        // Long enough for the push to be through, if nothing holds it.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        clock.advance(second);
    };
    let (deleted, (), ()) = futures_util::join!(delete, push, time);
    deleted.unwrap();
    repository(&store)
}

#[tokio::test]
async fn a_tag_never_points_at_a_manifest_that_a_delete_has_taken() {
    let driver: Arc<dyn Driver> = Arc::new(Memory::new());
    let store = store_over(Arc::clone(&driver), &runtime());
    let manifest = index("one");
    let digest = put(
        &repository(&store),
        &manifest.digest(Algorithm::Sha256).to_string(),
        &manifest,
    )
    .await;
    // It has no tag, so that the first delete is that of the manifest itself.
    let after = delete_and_push(driver, digest, manifest, 0).await;
    assert_eq!(target(&after, "v2").await, Some(digest));
}

#[tokio::test]
async fn a_delete_does_not_take_a_tag_that_was_moved_meanwhile() {
    let driver: Arc<dyn Driver> = Arc::new(Memory::new());
    let store = store_over(Arc::clone(&driver), &runtime());
    let digest = put(&repository(&store), "v2", &index("one")).await;
    // The first delete is that of the tag, which was just compared.
    let after = delete_and_push(driver, digest, index("two"), 0).await;
    let other = index("two").digest(Algorithm::Sha256);
    assert_eq!(target(&after, "v2").await, Some(other));
}

#[tokio::test]
async fn a_page_after_a_name_that_nobody_can_have_costs_no_more_than_any() {
    let subject = Subject::filesystem();
    for repository in ["a", "a/b", "b"] {
        let path = subject.path(&format!("repositories/{repository}/_manifests"));
        fs::create_dir_all(path).unwrap();
    }
    for after in [
        "a/".repeat(2000),
        "a/b/".repeat(2000),
        "x".repeat(4000),
        "a".to_owned() + &"/".repeat(4000),
    ] {
        let faulty = Faulty::new(Arc::clone(&subject.driver), FaultPlan::new());
        let store = store_over(Arc::new(faulty.clone()), &runtime());
        let page = store.catalog(Some(&after), 10).await.unwrap();
        let found: Vec<_> = page.names.iter().collect();
        let expected: &[&str] = match after.as_str() {
            after if after.starts_with('x') => &[],
            after if after.starts_with("a/b") => &["b"],
            after if after.starts_with("a/a") => &["a/b", "b"],
            _ => &["a/b", "b"],
        };
        assert_eq!(found, expected, "{}…", &after[..10]);
        assert!(faulty.calls().len() < 300, "{} calls", faulty.calls().len());
    }
    assert!(
        subject
            .store
            .repository(&name("a"))
            .tags(None, 1)
            .await
            .is_ok()
    );
}

const UPLOAD: &str = "repositories/library/test/_uploads/00000000-0000-4000-8000-000000000001";

#[tokio::test]
async fn a_finish_that_was_cut_after_a_foreign_patch_can_be_repeated() {
    let bytes = sample(90_000, 1);
    for step in 0.. {
        let subject = Subject::filesystem();
        let uploads = subject.repository().uploads();
        uploads.create(&id(1)).await.unwrap();
        patch(&uploads, &id(1), &bytes.slice(..40_000))
            .await
            .unwrap();
        // A node of Distribution appends, and saves its state; our marker tells of less than there is.
        fs::write(subject.path(UPLOAD).join("data"), &bytes).unwrap();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&bytes);
        let state = subject.path(UPLOAD).join("hashstates/sha256/90000");
        fs::write(state, hasher.state().as_bytes()).unwrap();
        let dying = Faulty::new(
            Arc::clone(&subject.driver),
            FaultPlan::new().crash_from(step),
        );
        let store = store_over(Arc::new(dying.clone()), &subject.runtime);
        let cut = repository(&store).uploads();
        let nothing = Bytes::new();
        let outcome = finish(&cut, &id(1), 90_000, &nothing, expect(&bytes)).await;
        if dying.calls().len() <= step {
            outcome.unwrap();
            assert!(
                step > 5,
                "a finish of {step} calls is not looked at closely"
            );
            break;
        }
        let context = format!("died at {:?}", dying.calls()[step]);
        let again = subject.again();
        let repeated = repository(&again).uploads();
        let repeated = finish(&repeated, &id(1), 90_000, &nothing, expect(&bytes)).await;
        let linked = read(&repository(&again), &sha256(&bytes)).await;
        assert!(
            repeated.is_ok() || linked.is_ok(),
            "{context}: {repeated:?}"
        );
        assert_eq!(linked.unwrap(), bytes, "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_goes_back_to_the_last_point_that_is_durable() {
    const MIB: usize = 1024 * 1024;
    let subject = Subject::filesystem();
    let bytes = sample(36 * MIB, 1);
    let uploads = subject.repository().uploads();
    uploads.create(&id(1)).await.unwrap();
    // A checkpoint at 16 MiB is durable; what follows is not.
    let at = patch(&uploads, &id(1), &bytes.slice(..18 * MIB))
        .await
        .unwrap();
    assert_eq!(at, 18 * MIB as u64);
    let plan = FaultPlan::new().at(
        Method::Checkpoint,
        0,
        Fault::Before(DriverErrorKind::Unsynced),
    );
    let faulty = Faulty::new(Arc::clone(&subject.driver), plan);
    let store = store_over(Arc::new(faulty), &subject.runtime);
    let failing = repository(&store).uploads();
    patch(&failing, &id(1), &bytes.slice(18 * MIB..))
        .await
        .unwrap_err();
    let offset = uploads.status(&id(1)).await.unwrap().offset;
    assert!(
        offset >= 15 * MIB as u64 && offset < 18 * MIB as u64,
        "it stands at {offset}"
    );
    let data = fs::metadata(subject.path(UPLOAD).join("data")).unwrap();
    assert_eq!(data.len(), offset);
    let rest = bytes.slice(usize::try_from(offset).unwrap()..);
    finish(&uploads, &id(1), offset, &rest, expect(&bytes))
        .await
        .unwrap();
    assert_eq!(
        read(&subject.repository(), &sha256(&bytes)).await.unwrap(),
        bytes
    );
}
