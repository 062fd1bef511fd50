//! Tenants on one store: what each has, and what it has by its digest.

use futures_util::TryStreamExt as _;
use wharfinger_content::{Commit, ContentStore, ErrorKind, Local};
use wharfinger_runtime::Runtime;

use crate::subject::{fails, open, parse, sample, store_in};

/// Two tenants of the store in a directory.
fn tenants(scratch: &std::path::Path, share: bool) -> [Local; 2] {
    let runtime = Runtime::new(8);
    let store = store_in(scratch, &runtime);
    ["one", "two"].map(|name| {
        let tenant = store.tenant(&name.parse().unwrap());
        Local::new(tenant, runtime.clone(), share)
    })
}

async fn count(store: &Local) -> usize {
    let listed = store.list(parse(&[])).try_collect::<Vec<_>>();
    listed.await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_has_is_had_by_its_digest_alone_and_where_that_is_shared() {
    for share in [true, false] {
        let scratch = tempfile::tempdir().unwrap();
        let [one, two] = tenants(scratch.path(), share);
        let mut digests = Vec::new();
        for seed in 0..2 {
            let mut writer = one.open(open("ref")).await.unwrap();
            writer.write(sample(100, seed)).await.unwrap();
            digests.push(writer.commit(Commit::default()).await.unwrap());
        }
        assert_eq!((count(&one).await, count(&two).await), (2, 0));
        fails(two.delete(&digests[0]).await, ErrorKind::NotFound);
        let (info, read) = (two.info(&digests[0]), two.read(&digests[1], 0, None));
        if share {
            assert_eq!(info.await.unwrap().size_bytes, 100);
            assert!(info_of(&two, &digests[0]).await.labels.is_empty());
            let bytes: Vec<_> = read.await.unwrap().try_collect().await.unwrap();
            assert_eq!(bytes.concat(), sample(100, 1));
            assert_eq!(count(&two).await, 2);
            // What one gives up the other still has.
            for digest in &digests {
                one.delete(digest).await.unwrap();
            }
            assert_eq!((count(&one).await, count(&two).await), (0, 2));
            info_of(&two, &digests[1]).await;
        } else {
            fails(info.await, ErrorKind::NotFound);
            assert!(read.await.is_err());
            assert_eq!(count(&two).await, 0);
        }
    }
}

async fn info_of(store: &Local, digest: &wharfinger_oci::Digest) -> wharfinger_content::Info {
    store.info(digest).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_meets_the_ingests_of_another() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, two] = tenants(scratch.path(), true);
    let mut writer = one.open(open("ref")).await.unwrap();
    writer.write(sample(100, 1)).await.unwrap();
    fails(two.status("ref").await, ErrorKind::NotFound);
    fails(two.abort("ref").await, ErrorKind::NotFound);
    assert_eq!(two.statuses(&parse(&[])).await.unwrap(), []);
    let mut theirs = two.open(open("ref")).await.unwrap();
    assert_eq!(theirs.status().offset, 0);
    theirs.write(sample(50, 2)).await.unwrap();
    theirs.abort().await.unwrap();
    assert_eq!(one.status("ref").await.unwrap().offset, 100);
    writer.commit(Commit::default()).await.unwrap();
}
