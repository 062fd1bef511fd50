//! Manifests and tags.

use std::fs;
use std::time::Duration;

use wharfinger_oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use wharfinger_store::{ErrorKind, RemovedManifest, Repository};

use crate::subject::{self, Subject, name, parsed, push, sample, sha256};

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn image(config: &Digest, layers: &[Digest], size: u64) -> Manifest {
    let descriptor = |kind: &str, digest: &Digest| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#
        )
    };
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| descriptor("layer.v1.tar", layer))
        .collect();
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{TYPE}","config":{},"layers":[{}]}}"#,
        descriptor("config.v1+json", config),
        layers.join(",")
    );
    Manifest::parse(json, Some(TYPE)).unwrap()
}

async fn push_image(repository: &Repository, seed: u64, reference: &str) -> Digest {
    let number = u32::try_from(seed).unwrap();
    let config = push(repository, 2 * number, &sample(100, 2 * seed)).await;
    let layer = push(repository, 2 * number + 1, &sample(100, 2 * seed + 1)).await;
    repository
        .put_manifest(&reference.parse().unwrap(), &image(&config, &[layer], 100))
        .await
        .unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

async fn tags(repository: &Repository) -> Vec<Tag> {
    parsed(&repository.tags(None, 100).await.unwrap().tags)
}

#[tokio::test]
async fn a_manifest_is_found_by_tag_and_by_digest() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let digest = push_image(&repository, 1, "v1").await;
        for reference in [Reference::Tag(tag("v1")), Reference::Digest(digest)] {
            let found = repository.get_manifest(&reference).await.unwrap();
            assert_eq!((found.digest, found.manifest.media_type()), (digest, TYPE));
            assert_eq!(sha256(found.manifest.bytes()), digest);
        }
        assert_eq!(tags(&repository).await, [tag("v1")]);
        let unknown = repository
            .get_manifest(&"v2".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(*unknown.kind(), ErrorKind::TagUnknown);
        let unknown = repository
            .get_manifest(&Reference::Digest(sha256(b"x")))
            .await
            .unwrap_err();
        assert_eq!(*unknown.kind(), ErrorKind::ManifestUnknown);
        let nowhere = subject.store.repository(&name("nowhere"));
        assert_eq!(
            *nowhere.tags(None, 1).await.unwrap_err().kind(),
            ErrorKind::RepositoryUnknown
        );
        assert_eq!(
            *nowhere
                .get_manifest(&Reference::Digest(digest))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::ManifestUnknown
        );
    }
}

#[tokio::test]
async fn everything_that_is_missing_is_named() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let there = push(&repository, 1, &sample(100, 1)).await;
        let missing = [sha256(b"a"), sha256(b"b")];
        let manifest = image(&there, &[missing[0], missing[1], missing[0]], 100);
        let error = repository
            .put_manifest(&"v1".parse().unwrap(), &manifest)
            .await
            .unwrap_err();
        assert_eq!(
            *error.kind(),
            ErrorKind::ManifestBlobsUnknown(missing.to_vec())
        );
        // In another repository nothing of it is there.
        let other = subject.store.repository(&name("other"));
        let error = other
            .put_manifest(&"v1".parse().unwrap(), &image(&there, &[], 100))
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::ManifestBlobsUnknown(vec![there]));
        assert!(
            repository
                .get_manifest(&"v1".parse().unwrap())
                .await
                .is_err()
        );
        let wrong = Reference::Digest(sha256(b"other"));
        let error = repository
            .put_manifest(&wrong, &image(&there, &[], 100))
            .await
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DigestMismatch { .. }));
    }
}

/// The tags that went with a manifest.
fn removed(removed: RemovedManifest) -> Vec<Tag> {
    removed.outcome.unwrap();
    removed.tags
}

#[tokio::test]
async fn deleting_a_manifest_takes_its_tags_and_no_others() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let first = push_image(&repository, 1, "v1").await;
        push_image(&repository, 1, "stable").await;
        let second = push_image(&repository, 2, "v2").await;
        push_image(&repository, 1, "moved").await;
        push_image(&repository, 2, "moved").await;
        assert_eq!(
            removed(repository.delete_manifest(&first).await),
            [tag("stable"), tag("v1")]
        );
        assert_eq!(
            tags(&repository).await,
            [tag("moved"), tag("v2")],
            "{}",
            subject.name
        );
        assert!(
            repository
                .get_manifest(&Reference::Digest(first))
                .await
                .is_err()
        );
        assert_eq!(
            *repository
                .delete_manifest(&first)
                .await
                .outcome
                .unwrap_err()
                .kind(),
            ErrorKind::ManifestUnknown
        );
        assert_eq!(repository.delete_tag(&tag("moved")).await.unwrap(), second);
        assert_eq!(
            *repository
                .delete_tag(&tag("moved"))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::TagUnknown
        );
        repository
            .get_manifest(&Reference::Digest(second))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn tags_come_in_byte_order_in_pages() {
    for subject in Subject::all() {
        let repository = subject.repository();
        let mut expected: Vec<Tag> = ["v10", "V1", "v1", "_x", "a.b", "a-b", "a"]
            .map(tag)
            .to_vec();
        for tag in &expected {
            push_image(&repository, 1, tag.as_str()).await;
        }
        expected.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        for limit in 1..=8 {
            let mut all: Vec<Tag> = Vec::new();
            loop {
                let after = all.last().map(|tag| tag.as_str().to_owned());
                let page = repository.tags(after.as_deref(), limit).await.unwrap();
                let tags: Vec<Tag> = parsed(&page.tags);
                assert!(tags.len() <= limit);
                all.extend(tags);
                if !page.more {
                    break;
                }
            }
            assert_eq!(all, expected, "{} pages of {limit}", subject.name);
        }
        assert!(repository.tags(None, 0).await.unwrap().tags.is_empty());
    }
}

#[tokio::test]
async fn a_foreign_tag_is_seen_at_once_and_only_when_it_is_whole() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let digest = push_image(&repository, 1, "v1").await;
    let second = push_image(&repository, 2, "v2").await;
    let current = subject.path("repositories/library/test/_manifests/tags/foreign/current");
    fs::create_dir_all(&current).unwrap();
    assert_eq!(
        tags(&repository).await,
        [tag("v1"), tag("v2")],
        "a directory without a link is no tag"
    );
    for target in [digest, second, digest] {
        // In place, as Distribution 2.8 does it: the same inode, the same size.
        fs::write(current.join("link"), target.to_string()).unwrap();
        assert_eq!(
            repository
                .get_manifest(&"foreign".parse().unwrap())
                .await
                .unwrap()
                .digest,
            target
        );
    }
    fs::write(current.join("link"), format!("{second}\n")).unwrap();
    assert_eq!(
        repository
            .get_manifest(&"foreign".parse().unwrap())
            .await
            .unwrap()
            .digest,
        second
    );
    fs::remove_dir_all(current.parent().unwrap()).unwrap();
    assert!(
        repository
            .get_manifest(&"foreign".parse().unwrap())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_list_of_tags_is_exact_whoever_adds_and_removes_them() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let digest = push_image(&repository, 1, "v1").await;
    let all = subject.path("repositories/library/test/_manifests/tags");
    for round in 0..3 {
        // So that what was listed before may be kept.
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert_eq!(tags(&repository).await, [tag("v1")]);
        fs::create_dir_all(all.join("v2/current")).unwrap();
        assert_eq!(tags(&repository).await, [tag("v1")], "round {round}");
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert_eq!(tags(&repository).await, [tag("v1")], "round {round}");
        // The directory of all tags does not show this.
        fs::write(all.join("v2/current/link"), digest.to_string()).unwrap();
        assert_eq!(tags(&repository).await, [tag("v1"), tag("v2")]);
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert_eq!(tags(&repository).await, [tag("v1"), tag("v2")]);
        fs::remove_dir_all(all.join("v2")).unwrap();
        assert_eq!(tags(&repository).await, [tag("v1")], "round {round}");
    }
    push_image(&repository, 2, "v0").await;
    assert_eq!(tags(&repository).await, [tag("v0"), tag("v1")]);
    repository.delete_tag(&tag("v1")).await.unwrap();
    assert_eq!(tags(&repository).await, [tag("v0")]);
}

#[tokio::test]
async fn a_repository_is_listed_as_soon_as_it_has_a_manifest() {
    for subject in Subject::all() {
        let mut expected = Vec::new();
        for number in 0..4 {
            let listed = subject.store.catalog(None, 10).await.unwrap();
            let listed: Vec<RepositoryName> = parsed(&listed.names);
            assert_eq!(listed, expected, "{}", subject.name);
            let name: RepositoryName = format!("made/{number}").parse().unwrap();
            push_image(&subject.store.repository(&name), number, "v1").await;
            expected.push(name);
            let listed = subject.store.catalog(None, 10).await.unwrap();
            let listed: Vec<RepositoryName> = parsed(&listed.names);
            assert_eq!(listed, expected, "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn rot_that_leaves_size_and_time_alone_is_repaired_by_a_push_once_found() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let digest = push_image(&repository, 1, "v1").await;
    let by_tag: Reference = "v1".parse().unwrap();
    let good = repository.get_manifest(&by_tag).await.unwrap().manifest;
    let hex = digest.hex();
    let path = subject.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut rotten = good.bytes().to_vec();
    rotten[20] ^= 1;
    fs::write(&path, rotten).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    // This process has just read it, another one has not.
    let other = subject::repository(&subject.again());
    let error = other.get_manifest(&by_tag).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ManifestUnknown);
    other.put_manifest(&by_tag, &good).await.unwrap();
    other.get_manifest(&by_tag).await.unwrap();
}

#[tokio::test]
async fn a_link_that_names_another_digest_than_its_own_counts_as_missing() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let first = push_image(&repository, 1, "v1").await;
    let second = push_image(&repository, 2, "v2").await;
    let link = format!(
        "repositories/library/test/_manifests/revisions/sha256/{}/link",
        first.hex()
    );
    fs::write(subject.path(&link), second.to_string()).unwrap();
    let error = repository
        .get_manifest(&Reference::Digest(first))
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ManifestUnknown);
}

#[tokio::test]
async fn a_link_that_is_just_being_rewritten_is_waited_for() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let digest = push_image(&repository, 1, "v1").await;
    let link = subject.path("repositories/library/test/_manifests/tags/v1/current/link");
    fs::write(&link, "").unwrap();
    let rewrite = subject
        .runtime
        .blocking
        .run(move || fs::write(&link, digest.to_string()));
    let by_tag: Reference = "v1".parse().unwrap();
    let (found, rewritten) = tokio::join!(repository.get_manifest(&by_tag), rewrite);
    rewritten.unwrap();
    assert_eq!(found.unwrap().digest, digest);
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served_and_a_push_repairs_it() {
    let subject = Subject::filesystem();
    let repository = subject.repository();
    let digest = push_image(&repository, 1, "v1").await;
    let good = repository
        .get_manifest(&"v1".parse().unwrap())
        .await
        .unwrap()
        .manifest;
    let hex = digest.hex();
    for damage in [&b""[..], b"{}", &good.bytes()[..good.bytes().len() - 1]] {
        let path = subject.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
        fs::write(path, damage).unwrap();
        // This process has just read it, another one has not.
        let other = subject::repository(&subject.again());
        let error = other.get_manifest(&"v1".parse().unwrap()).await;
        assert_eq!(*error.unwrap_err().kind(), ErrorKind::ManifestUnknown);
        other
            .put_manifest(&"v1".parse().unwrap(), &good)
            .await
            .unwrap();
        other.get_manifest(&"v1".parse().unwrap()).await.unwrap();
    }
}
