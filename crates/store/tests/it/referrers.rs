//! The manifests that refer to another, whoever has pushed them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wharfinger_driver::{Driver, FaultPlan, Faulty, Method};
use wharfinger_oci::{Algorithm, Digest, Manifest, Reference};
use wharfinger_store::{ReferrerPage, ReferrerQuery, Repository};

use crate::subject::{Subject, push, repository, sha256, store_over};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn subject() -> Digest {
    sha256(b"what the others refer to, and need not be there")
}

/// An image without layers whose config is empty, so that it can be pushed with one blob.
fn image(number: usize, fields: &str) -> Manifest {
    let config = sha256(b"{}");
    let subject = subject();
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"application/x.config","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":7}},"annotations":{{"number":"{number}"}}{fields}}}"#
    );
    Manifest::parse(json, Some(IMAGE)).unwrap()
}

fn index(fields: &str) -> Manifest {
    let subject = subject();
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":7}}{fields}}}"#
    );
    Manifest::parse(json, Some(INDEX)).unwrap()
}

async fn put(repository: &Repository, manifest: &Manifest) -> Digest {
    let digest = manifest.digest(Algorithm::Sha256);
    push(repository, 1, &"{}".into()).await;
    repository
        .put_manifest(&Reference::Digest(digest), manifest)
        .await
        .unwrap()
}

async fn page(repository: &Repository, query: ReferrerQuery<'_>) -> ReferrerPage {
    repository.referrers(&subject(), query).await.unwrap()
}

const ALL: ReferrerQuery<'_> = ReferrerQuery {
    artifact_type: None,
    after: None,
    limit: 1000,
};

async fn listed(repository: &Repository) -> Vec<Digest> {
    let page = page(repository, ALL).await;
    assert_eq!(page.next, None);
    page.referrers.iter().map(|it| it.digest).collect()
}

fn sorted(mut digests: Vec<Digest>) -> Vec<Digest> {
    digests.sort_by_key(ToString::to_string);
    digests
}

#[tokio::test]
async fn each_is_shown_with_its_type_and_annotations() {
    for over in Subject::all() {
        let repository = over.repository();
        assert_eq!(listed(&repository).await, [], "{}", over.name);
        let plain = put(&repository, &image(1, "")).await;
        let typed = put(
            &repository,
            &image(2, r#","artifactType":"application/x.sbom""#),
        )
        .await;
        let untyped = put(&repository, &index("")).await;
        let typed_index = index(r#","artifactType":"application/x.sbom","annotations":{"a":"b"}"#);
        let typed_index = put(&repository, &typed_index).await;
        let page = page(&repository, ALL).await;
        let of = |digest: Digest| {
            let found = page.referrers.iter().find(|it| it.digest == digest);
            found.unwrap().clone()
        };
        assert_eq!(page.referrers.len(), 4);
        assert_eq!(
            of(plain).artifact_type.as_deref(),
            Some("application/x.config")
        );
        assert_eq!(of(plain).media_type, IMAGE);
        assert_eq!(of(plain).annotations["number"], "1");
        assert_eq!(of(plain).size, image(1, "").bytes().len() as u64);
        assert_eq!(
            of(typed).artifact_type.as_deref(),
            Some("application/x.sbom")
        );
        assert_eq!(of(untyped).artifact_type, None);
        assert_eq!(of(untyped).media_type, INDEX);
        assert_eq!(of(typed_index).annotations["a"], "b");
        let other = repository.referrers(&sha256(b"other"), ALL).await.unwrap();
        assert_eq!(other, ReferrerPage::default());
    }
}

#[tokio::test]
async fn pages_are_complete_and_a_filter_leaves_the_others_out() {
    for over in Subject::all() {
        let repository = over.repository();
        let mut all = Vec::new();
        for number in 0..7 {
            let fields = match number % 2 {
                0 => r#","artifactType":"application/x.even""#,
                _ => "",
            };
            all.push(put(&repository, &image(number, fields)).await);
        }
        let evens = sorted(all.iter().copied().step_by(2).collect());
        let all = sorted(all);
        for (artifact_type, expected) in [(None, &all), (Some("application/x.even"), &evens)] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let query = ReferrerQuery {
                    artifact_type,
                    after,
                    limit: 3,
                };
                let page = page(&repository, query).await;
                assert!(page.referrers.len() <= 3);
                found.extend(page.referrers.iter().map(|it| it.digest));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, *expected, "{}", over.name);
        }
        let none = ReferrerQuery { limit: 0, ..ALL };
        assert_eq!(page(&repository, none).await, ReferrerPage::default());
    }
}

#[tokio::test]
async fn what_is_removed_is_gone_and_comes_back_with_a_push() {
    for over in Subject::all() {
        let repository = over.repository();
        let digest = put(&repository, &image(1, "")).await;
        assert_eq!(listed(&repository).await, [digest]);
        repository.delete_manifest(&digest).await.outcome.unwrap();
        assert_eq!(listed(&repository).await, [], "{}", over.name);
        put(&repository, &image(1, "")).await;
        assert_eq!(listed(&repository).await, [digest], "{}", over.name);
    }
}

#[tokio::test]
async fn a_page_is_no_larger_than_clients_read() {
    let over = Subject::filesystem();
    let repository = over.repository();
    let long = "x".repeat(1_500_000);
    for number in 0..4 {
        let fields = format!(r#","annotations":{{"number":"{number}","long":"{long}"}}"#);
        let subject = subject();
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"subject":{{"mediaType":"{IMAGE}","digest":"{subject}","size":7}}{fields}}}"#
        );
        put(&repository, &Manifest::parse(json, Some(INDEX)).unwrap()).await;
    }
    let first = page(&repository, ALL).await;
    assert_eq!(first.referrers.len(), 2);
    let after = first.next;
    let second = page(&repository, ReferrerQuery { after, ..ALL }).await;
    assert_eq!((second.referrers.len(), second.next), (2, None));
}

/// Writes a manifest as a foreign node does: the bytes, then the link.
fn foreign(over: &Subject, manifest: &Manifest) -> Digest {
    let digest = manifest.digest(Algorithm::Sha256);
    let hex = digest.hex();
    let blob = over.path(&format!("blobs/sha256/{}/{hex}", &hex[..2]));
    fs::create_dir_all(&blob).unwrap();
    fs::write(blob.join("data"), manifest.bytes()).unwrap();
    fs::create_dir_all(link(over, &digest).parent().unwrap()).unwrap();
    fs::write(link(over, &digest), digest.to_string()).unwrap();
    digest
}

fn revisions(over: &Subject) -> std::path::PathBuf {
    over.path("repositories/library/test/_manifests/revisions/sha256")
}

fn link(over: &Subject, digest: &Digest) -> std::path::PathBuf {
    revisions(over).join(digest.hex()).join("link")
}

/// Makes a directory look as if it had been left alone for a while.
fn age(directory: &Path) {
    let directory = fs::File::open(directory).unwrap();
    let modified = directory.metadata().unwrap().modified().unwrap();
    let long_ago = modified - Duration::from_secs(60);
    directory.set_modified(long_ago).unwrap();
}

#[tokio::test]
async fn what_others_push_and_remove_is_seen_at_once() {
    let over = Subject::filesystem();
    let repository = over.repository();
    let mut all = vec![put(&repository, &image(0, "")).await];
    assert_eq!(listed(&repository).await, all);
    for number in 1..4 {
        // Also when the last look is not a moment ago.
        age(&revisions(&over));
        listed(&repository).await;
        all.push(foreign(&over, &image(number, "")));
        assert_eq!(listed(&repository).await, sorted(all.clone()));
    }
    let gone = all.remove(1);
    age(&revisions(&over));
    listed(&repository).await;
    fs::remove_file(link(&over, &gone)).unwrap();
    assert_eq!(listed(&repository).await, sorted(all.clone()));
    // The same again: nothing but the link changes.
    fs::write(link(&over, &gone), gone.to_string()).unwrap();
    all.push(gone);
    assert_eq!(listed(&repository).await, sorted(all.clone()));
    // Its collector takes the directory whole.
    fs::remove_dir_all(link(&over, &gone).parent().unwrap()).unwrap();
    all.pop();
    assert_eq!(listed(&repository).await, sorted(all.clone()));
    all.push(foreign(&over, &image(1, "")));
    assert_eq!(listed(&repository).await, sorted(all));
}

#[tokio::test]
async fn what_was_removed_before_anybody_looked_comes_back_with_its_link() {
    let over = Subject::filesystem();
    let digest = foreign(&over, &image(1, ""));
    fs::remove_file(link(&over, &digest)).unwrap();
    age(&revisions(&over));
    let repository = over.repository();
    assert_eq!(listed(&repository).await, []);
    fs::write(link(&over, &digest), digest.to_string()).unwrap();
    age(&revisions(&over));
    assert_eq!(listed(&repository).await, [digest]);
}

#[tokio::test]
async fn the_index_is_made_anew_when_any_part_of_it_is_lost_or_damaged() {
    let over = Subject::filesystem();
    let mut all = vec![put(&over.repository(), &image(0, "")).await];
    all.push(foreign(&over, &image(1, "")));
    let all = sorted(all);
    assert_eq!(listed(&over.repository()).await, all);
    let side = over.path("repositories/library/test/_wharfinger");
    let subject = subject();
    let entry = side.join(format!(
        "referrers/sha256/{}/sha256-{}",
        subject.hex(),
        all[0].hex()
    ));
    for damage in ["", "{", "{}", "\0\0\0"] {
        fs::write(&entry, damage).unwrap();
        assert_eq!(listed(&over.repository()).await, all, "{damage:?}");
    }
    assert!(fs::metadata(&entry).unwrap().len() > 100);
    fs::remove_dir_all(&side).unwrap();
    assert_eq!(listed(&repository(&over.again())).await, all);
}

#[tokio::test]
async fn a_thousand_that_were_looked_at_are_not_looked_at_again() {
    let over = Subject::filesystem();
    let all: Vec<_> = (0..1100)
        .map(|number| foreign(&over, &image(number, "")))
        .collect();
    age(&revisions(&over));
    let query = ReferrerQuery { limit: 10, ..ALL };
    let looks = |calls: &Faulty| {
        let is_look = |path: &str| path.contains("/blobs/") && path.ends_with("/data");
        let calls = calls.calls();
        calls
            .iter()
            .filter(|call| call.method == Method::Get && is_look(call.path.as_str()))
            .count()
    };
    // Whoever comes next knows of the first thousand, which were saved.
    for expected in [1100, 100] {
        let calls = Arc::new(Faulty::new(Arc::clone(&over.driver), FaultPlan::new()));
        let store = store_over(Arc::clone(&calls) as Arc<dyn Driver>, &over.runtime);
        let repository = repository(&store);
        assert_eq!(page(&repository, query).await.referrers.len(), 10);
        assert_eq!(looks(&calls), expected);
        page(&repository, query).await;
        assert_eq!(looks(&calls), expected, "nothing has changed");
    }
    let seen = over.path("repositories/library/test/_wharfinger/seen/sha256");
    let mut bytes = fs::read(&seen).unwrap();
    bytes[60] ^= 1;
    fs::write(&seen, bytes).unwrap();
    let again = repository(&over.again());
    let query = ReferrerQuery { limit: 1000, ..ALL };
    let first = page(&again, query).await;
    let after = first.next;
    let second = page(&again, ReferrerQuery { after, ..query }).await;
    assert_eq!(first.referrers.len() + second.referrers.len(), all.len());
}
