//! Tenants of the content service: claims and ingests.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use wharfinger_oci::{Algorithm, Digest};
use wharfinger_store::{Claim, ErrorKind, Expected, Labels, Store, Tenant};

use crate::subject::{Subject, push, repository, sample, sha256};

const MIB: usize = 1024 * 1024;

fn tenant(store: &Store) -> Tenant {
    store.tenant(&"node-1".parse().unwrap())
}

fn expect(bytes: &[u8]) -> Expected {
    Expected {
        digest: sha256(bytes),
        size_bytes: Some(bytes.len() as u64),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

async fn write(tenant: &Tenant, reference: &str, bytes: &Bytes) -> Claim {
    let (mut writer, _) = tenant.open_ingest(reference, 0).await.unwrap();
    writer.write_through(bytes.clone()).await.unwrap();
    tenant
        .commit_ingest(
            writer,
            expect(bytes),
            labels(&[("key", "value"), ("no", "")]),
        )
        .await
        .unwrap()
}

async fn read(tenant: &Tenant, digest: &Digest) -> wharfinger_store::Result<Vec<u8>> {
    let read = tenant.read(digest, 0, None).await?;
    let pieces: Vec<Bytes> = read.bytes.try_collect().await?;
    Ok(pieces.concat())
}

fn is<T: std::fmt::Debug>(result: wharfinger_store::Result<T>, kind: &ErrorKind) -> bool {
    result.unwrap_err().kind() == kind
}

#[tokio::test]
async fn a_claim_outlives_its_process_with_its_times_and_labels() {
    for subject in Subject::all() {
        let bytes = sample(MIB + 1, 1);
        let claim = write(&tenant(&subject.store), "a/1/layer", &bytes).await;
        assert_eq!(
            claim.labels,
            labels(&[("key", "value")]),
            "{}",
            subject.name
        );
        let again = tenant(&subject.again());
        assert_eq!(again.claim(&claim.digest).await.unwrap(), claim);
        assert_eq!(read(&again, &claim.digest).await.unwrap(), bytes);
        assert_eq!(again.list_ingests().await.unwrap(), []);
        let relabelled = again
            .relabel(&claim.digest, |labels| {
                labels.insert("other".into(), "1".into());
                Ok::<_, wharfinger_store::Error>(())
            })
            .await
            .unwrap();
        assert_eq!(relabelled.created_at, claim.created_at);
        assert!(relabelled.updated_at >= claim.updated_at);
        let found = tenant(&subject.again()).claim(&claim.digest).await.unwrap();
        assert_eq!(found, relabelled);
    }
}

#[tokio::test]
async fn tenants_and_namespaces_share_bytes_and_see_only_their_own_claims() {
    for subject in Subject::all() {
        let bytes = sample(1000, 1);
        let one = tenant(&subject.store);
        let others = [
            subject.store.tenant(&"node-2".parse().unwrap()),
            one.namespace(&"k8s.io".parse().unwrap()),
        ];
        let digest = write(&one, "ref", &bytes).await.digest;
        for other in &others {
            assert!(is(other.claim(&digest).await, &ErrorKind::BlobUnknown));
            assert!(is(
                other.read(&digest, 0, None).await,
                &ErrorKind::BlobUnknown
            ));
            assert!(is(other.unclaim(&digest).await, &ErrorKind::BlobUnknown));
            assert_eq!(other.claims(None, 10).await.unwrap().claims, []);
            other.adopt(&digest).await.unwrap();
            assert_eq!(read(other, &digest).await.unwrap(), bytes);
        }
        one.unclaim(&digest).await.unwrap();
        assert!(is(one.claim(&digest).await, &ErrorKind::BlobUnknown));
        for other in &others {
            assert_eq!(other.claim(&digest).await.unwrap().digest, digest);
        }
        let missing = sha256(b"nowhere");
        assert!(is(one.adopt(&missing).await, &ErrorKind::BlobUnknown));
    }
}

#[tokio::test]
async fn what_a_repository_has_can_be_claimed_and_is_never_taken_from_it() {
    for subject in Subject::all() {
        let bytes = sample(5000, 3);
        let digest = push(&subject.repository(), 1, &bytes).await;
        let tenant = tenant(&subject.store);
        assert_eq!(tenant.adopt(&digest).await.unwrap().size_bytes, 5000);
        tenant.unclaim(&digest).await.unwrap();
        let there = repository(&subject.store).stat_blob(&digest).await;
        assert_eq!(there.unwrap().size_bytes, 5000, "{}", subject.name);
    }
}

#[tokio::test]
async fn claims_come_in_pages_that_join() {
    for subject in Subject::all() {
        let tenant = tenant(&subject.store);
        let mut wanted = Vec::new();
        for number in 0..7 {
            let reference = format!("ref-{number}");
            wanted.push(write(&tenant, &reference, &sample(10, number)).await.digest);
        }
        wanted.sort();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = tenant.claims(after.as_ref(), 3).await.unwrap();
            found.extend(page.claims.iter().map(|claim| claim.digest));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, wanted, "{}", subject.name);
    }
}

#[tokio::test]
async fn bytes_that_a_foreign_collector_took_are_put_back() {
    let subject = Subject::filesystem();
    let bytes = sample(300_000, 4);
    let digest = write(&tenant(&subject.store), "ref", &bytes).await.digest;
    let hex = digest.hex();
    let blob = subject.path(&format!("blobs/sha256/{}/{hex}", &hex[..2]));
    std::fs::remove_dir_all(&blob).unwrap();
    let again = tenant(&subject.again());
    assert_eq!(again.claim(&digest).await.unwrap().size_bytes, 300_000);
    assert_eq!(read(&again, &digest).await.unwrap(), bytes);
    // Also the other way: a claim that has lost its name with the power gets it back.
    let held = subject.path(&format!(
        "_wharfinger/tenants/node-1/claims/sha256/{hex}/data"
    ));
    std::fs::remove_file(&held).unwrap();
    assert_eq!(again.mend().await.unwrap(), 1);
    assert_eq!(std::fs::read(&held).unwrap(), bytes);
    // Without either the claim is to nothing.
    std::fs::remove_file(&held).unwrap();
    std::fs::remove_dir_all(&blob).unwrap();
    assert!(is(again.claim(&digest).await, &ErrorKind::BlobUnknown));
    assert_eq!(again.claims(None, 10).await.unwrap().claims, []);
}

#[tokio::test]
async fn an_ingest_goes_on_at_its_end_with_its_times_and_total() {
    for subject in Subject::all() {
        let bytes = sample(6 * MIB, 5);
        let first = tenant(&subject.store);
        let (mut writer, mut ingest) = first.open_ingest("a/1/ü", 6 << 20).await.unwrap();
        assert_eq!((ingest.offset, ingest.total_bytes), (0, 6 << 20));
        let digest = writer.write_through(bytes.slice(..5 * MIB)).await.unwrap();
        assert_eq!(digest, sha256(&bytes[..5 * MIB]));
        ingest.updated_at = subject.runtime.clock.now();
        ingest.offset = writer.close().await.unwrap();
        first.save_ingest(&ingest).await.unwrap();

        let again = tenant(&subject.again());
        assert_eq!(
            again.ingest("a/1/ü").await.unwrap(),
            ingest,
            "{}",
            subject.name
        );
        assert_eq!(again.list_ingests().await.unwrap(), [ingest.clone()]);
        let (mut writer, found) = again.open_ingest("a/1/ü", 0).await.unwrap();
        assert_eq!(found, ingest);
        assert_eq!(writer.write_through(Bytes::new()).await.unwrap(), digest);
        writer.write_through(bytes.slice(5 * MIB..)).await.unwrap();
        let labels = Labels::new();
        let claim = again.commit_ingest(writer, expect(&bytes), labels).await;
        assert_eq!(read(&again, &claim.unwrap().digest).await.unwrap(), bytes);
        assert!(is(again.ingest("a/1/ü").await, &ErrorKind::UploadUnknown));
    }
}

#[tokio::test]
async fn an_ingest_of_a_killed_process_goes_on_at_its_last_checkpoint() {
    let subject = Subject::filesystem();
    let bytes = sample(20 * MIB, 6);
    let (mut writer, _) = tenant(&subject.store).open_ingest("ref", 0).await.unwrap();
    for piece in bytes.chunks(MIB) {
        let piece = Bytes::copy_from_slice(piece);
        writer.write_through(piece).await.unwrap();
    }
    // The checkpoint is saved in the background; a process that is killed meanwhile has none.
    let marker = std::path::Path::new("_wharfinger/tenants/node-1/ingests");
    let ingests = subject.path(marker.to_str().unwrap());
    let directory = std::fs::read_dir(ingests).unwrap().next().unwrap().unwrap();
    while !directory.path().join("wharfinger").exists() {
        tokio::task::yield_now().await;
    }
    drop(writer);
    let again = tenant(&subject.again());
    let status = again.ingest("ref").await.unwrap();
    assert_eq!(status.offset, 16 << 20);
    let (mut writer, ingest) = again.open_ingest("ref", 0).await.unwrap();
    assert_eq!(ingest.offset, 16 << 20);
    let digest = writer.write_through(bytes.slice(16 * MIB..)).await.unwrap();
    assert_eq!(digest, sha256(&bytes));
}

#[tokio::test]
async fn another_total_begins_an_ingest_anew() {
    for subject in Subject::all() {
        let tenant = tenant(&subject.store);
        let (mut writer, _) = tenant.open_ingest("ref", 100).await.unwrap();
        writer.write_through(sample(50, 1)).await.unwrap();
        writer.close().await.unwrap();
        let (writer, ingest) = tenant.open_ingest("ref", 60).await.unwrap();
        assert_eq!((ingest.offset, ingest.total_bytes), (0, 60));
        assert_eq!(writer.offset(), 0);
        writer.close().await.unwrap();
        let status = tenant.ingest("ref").await.unwrap();
        assert_eq!(
            (status.offset, status.total_bytes),
            (0, 60),
            "{}",
            subject.name
        );
    }
}

#[tokio::test]
async fn truncating_forgets_bytes_and_digest_and_aborting_all_of_it() {
    for subject in Subject::all() {
        let tenant = tenant(&subject.store);
        let (mut writer, _) = tenant.open_ingest("ref", 0).await.unwrap();
        writer.write_through(sample(50, 1)).await.unwrap();
        writer.truncate(0).await.unwrap();
        assert_eq!(
            writer.write_through(Bytes::new()).await.unwrap(),
            Digest::empty(Algorithm::Sha256)
        );
        let digest = writer.write_through(sample(10, 2)).await.unwrap();
        assert_eq!(digest, sha256(&sample(10, 2)), "{}", subject.name);
        writer.abort().await.unwrap();
        assert!(is(tenant.ingest("ref").await, &ErrorKind::UploadUnknown));
        assert!(is(
            tenant.abort_ingest("ref").await,
            &ErrorKind::UploadUnknown
        ));
        let (writer, ingest) = tenant.open_ingest("ref", 0).await.unwrap();
        assert_eq!((writer.offset(), ingest.offset), (0, 0));
    }
}

#[tokio::test]
async fn an_ingest_has_one_writer() {
    for subject in Subject::all() {
        let tenant = tenant(&subject.store);
        let (writer, _) = tenant.open_ingest("ref", 0).await.unwrap();
        let second = tenant.open_ingest("ref", 0).await;
        assert!(is(second, &ErrorKind::UploadBusy), "{}", subject.name);
        drop(writer);
        tenant.open_ingest("ref", 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_write_takes_back_nothing_that_was_answered() {
    use std::sync::Arc;
    use wharfinger_driver::{Driver, ErrorKind as DriverErrorKind, FaultPlan, Faulty, Method};
    let subject = Subject::filesystem();
    let plan = FaultPlan::new().fail(Method::Append, 2, DriverErrorKind::Full);
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.driver), plan));
    let store = crate::subject::store_over(faulty as Arc<dyn Driver>, &subject.runtime);
    let tenant = tenant(&store);
    let bytes = sample(3000, 7);
    let (mut writer, _) = tenant.open_ingest("ref", 0).await.unwrap();
    writer.write_through(bytes.slice(..1000)).await.unwrap();
    writer.write_through(bytes.slice(1000..2000)).await.unwrap();
    assert!(is(
        writer.write_through(bytes.slice(2000..)).await,
        &ErrorKind::Full
    ));
    writer.give_back().await.unwrap();
    let (mut writer, ingest) = tenant.open_ingest("ref", 0).await.unwrap();
    assert_eq!(ingest.offset, 2000);
    let digest = writer.write_through(bytes.slice(2000..)).await.unwrap();
    assert_eq!(digest, sha256(&bytes));
}

#[tokio::test]
async fn a_collector_leaves_what_a_tenant_claims() {
    use wharfinger_store::{GarbageOptions, collect_garbage};
    for subject in Subject::all() {
        let one = tenant(&subject.store);
        let inner = one.namespace(&"k8s.io".parse().unwrap());
        let claimed = write(&one, "ref", &sample(1000, 1)).await.digest;
        let nested = write(&inner, "ref", &sample(1000, 2)).await.digest;
        let dropped = write(&one, "ref", &sample(1000, 3)).await.digest;
        one.unclaim(&dropped).await.unwrap();
        // A collector wants to see a repository, or it may be at the wrong place.
        let manifest = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let manifest =
            wharfinger_oci::Manifest::parse_stored(Bytes::from_static(manifest)).unwrap();
        let tag = wharfinger_oci::Reference::Tag("v1".parse().unwrap());
        let pushed = subject.repository().put_manifest(&tag, &manifest).await;
        pushed.unwrap();
        let mut events = |_: wharfinger_store::GarbageEvent<'_>| {};
        let clock = &*subject.runtime.clock;
        let options = GarbageOptions::default();
        let report = collect_garbage(&*subject.driver, clock, options, &mut events);
        assert_eq!(report.await.unwrap().blobs, 1, "{}", subject.name);
        assert_eq!(read(&one, &claimed).await.unwrap(), sample(1000, 1));
        assert_eq!(read(&inner, &nested).await.unwrap(), sample(1000, 2));
        assert!(is(one.adopt(&dropped).await, &ErrorKind::BlobUnknown));
    }
}
