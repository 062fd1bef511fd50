//! Collecting garbage: what stays, what goes, and that nothing goes when that is not certain.

mod failures;
mod old;
mod tagged;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use wharfinger_driver::{DriverExt as _, DriverPath};
use wharfinger_oci::{Digest, Manifest, Reference};
use wharfinger_store::{
    ErrorKind, GarbageEvent, GarbageOptions, GarbageReport, Repository, Result, Store,
    collect_garbage,
};

use crate::subject::{Subject, name, push, read, sample, sha256};

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image that was pushed, by its parts.
#[derive(Debug, Clone)]
struct Pushed {
    manifest: Digest,
    config: Digest,
    layer: Digest,
    size: usize,
}

impl Pushed {
    fn digests(&self) -> [Digest; 3] {
        [self.manifest, self.config, self.layer]
    }

    fn descriptor(&self) -> String {
        let Self { manifest, size, .. } = self;
        format!(r#"{{"mediaType":"{TYPE}","digest":"{manifest}","size":{size}}}"#)
    }
}

/// Pushes an image of its own bytes under `reference`, or its digest, with a subject if there is one.
async fn push_image(
    repository: &Repository,
    seed: u32,
    reference: Option<&str>,
    subject: Option<&str>,
) -> Pushed {
    let config = push(repository, 2 * seed, &sample(100, u64::from(2 * seed))).await;
    let layer = push(
        repository,
        2 * seed + 1,
        &sample(200, u64::from(2 * seed + 1)),
    )
    .await;
    let subject = subject.map_or(String::new(), |subject| format!(r#","subject":{subject}"#));
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{TYPE}",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":100}},
        "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":200}}]{subject}}}"#
    );
    let size = json.len();
    let manifest = put(repository, json, TYPE, reference).await;
    Pushed {
        manifest,
        config,
        layer,
        size,
    }
}

/// Pushes an index of `children`.
async fn push_index(
    repository: &Repository,
    children: &[&Pushed],
    reference: Option<&str>,
) -> Digest {
    let children: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        children.join(",")
    );
    put(repository, json, INDEX, reference).await
}

async fn put(repository: &Repository, json: String, kind: &str, reference: Option<&str>) -> Digest {
    let manifest = Manifest::parse(json, Some(kind)).unwrap();
    let reference = match reference {
        Some(text) => text.parse().unwrap(),
        None => Reference::Digest(sha256(manifest.bytes())),
    };
    repository
        .put_manifest(&reference, &manifest)
        .await
        .unwrap()
}

const ALL: GarbageOptions = GarbageOptions {
    dry_run: false,
    delete_untagged: false,
    keep_younger: Duration::ZERO,
};
const UNTAGGED: GarbageOptions = GarbageOptions {
    delete_untagged: true,
    ..ALL
};

async fn collect(subject: &Subject, options: GarbageOptions) -> Result<GarbageReport> {
    let clock = &*subject.runtime.clock;
    collect_garbage(&*subject.driver, clock, options, &mut |_| {}).await
}

/// Every blob whose bytes are there.
async fn blobs(subject: &Subject) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    let mut left: Vec<DriverPath> = vec!["docker/registry/v2/blobs".parse().unwrap()];
    while let Some(path) = left.pop() {
        for entry in subject.driver.list_all(&path).await.unwrap() {
            if entry.name == "data" {
                let components: Vec<_> = path.components().collect();
                let [.., algorithm, _, hex] = components[..] else {
                    panic!("{path}")
                };
                found.insert(format!("{algorithm}:{hex}").parse().unwrap());
            } else {
                left.push(path.join(&entry.name).unwrap());
            }
        }
    }
    found
}

async fn is_whole(store: &Store, repository: &str, image: &Pushed) -> bool {
    let repository = store.repository(&name(repository));
    let reference = Reference::Digest(image.manifest);
    repository.get_manifest(&reference).await.is_ok()
        && read(&repository, &image.config).await.is_ok()
        && read(&repository, &image.layer).await.is_ok()
}

fn set<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> BTreeSet<Digest> {
    digests.into_iter().copied().collect()
}

#[tokio::test]
async fn what_a_manifest_names_stays_and_the_rest_goes() {
    for subject in Subject::all() {
        let here = subject.repository();
        let other = subject.store.repository(&name("other"));
        let kept = push_image(&here, 1, Some("v1"), None).await;
        let shared = push_image(&here, 2, Some("v2"), None).await;
        push_image(&other, 2, Some("v1"), None).await;
        let gone = push_image(&here, 3, Some("v3"), None).await;
        let untagged = push_image(&here, 4, None, None).await;
        let blob_alone = push(&here, 90, &sample(50, 90)).await;
        here.delete_manifest(&gone.manifest).await.outcome.unwrap();
        here.delete_manifest(&shared.manifest)
            .await
            .outcome
            .unwrap();
        let before = blobs(&subject).await;

        let dry = GarbageOptions {
            dry_run: true,
            ..ALL
        };
        let planned = collect(&subject, dry).await.unwrap();
        assert_eq!(blobs(&subject).await, before, "{}", subject.name);
        let report = collect(&subject, ALL).await.unwrap();
        assert_eq!(report, planned, "{}", subject.name);
        assert_eq!((report.repositories, report.manifests), (2, 3));
        assert_eq!((report.blobs, report.links, report.marked), (4, 3, 9));
        assert_eq!(report.bytes, 300 + 50 + gone.size as u64);

        let kept_blobs = [&kept, &shared, &untagged].map(Pushed::digests);
        assert_eq!(
            blobs(&subject).await,
            set(kept_blobs.as_flattened()),
            "{}",
            subject.name
        );
        let again = subject.again();
        assert!(is_whole(&again, "library/test", &kept).await);
        assert!(is_whole(&again, "library/test", &untagged).await);
        assert!(is_whole(&again, "other", &shared).await);
        // The right to a blob that another repository needs has not ended.
        assert!(here.stat_blob(&shared.layer).await.is_ok());
        for digest in [blob_alone, gone.layer, gone.config] {
            assert_eq!(
                *here.stat_blob(&digest).await.unwrap_err().kind(),
                ErrorKind::BlobUnknown
            );
        }
        let nothing = collect(&subject, ALL).await.unwrap();
        assert_eq!((nothing.blobs, nothing.links, nothing.bytes), (0, 0, 0));
    }
}

#[tokio::test]
async fn the_directories_that_were_left_empty_go() {
    let subject = Subject::filesystem();
    let here = subject.repository();
    push_image(&here, 1, Some("v1"), None).await;
    let gone = push_image(&here, 2, Some("v2"), None).await;
    here.delete_manifest(&gone.manifest).await.outcome.unwrap();
    let blob = gone.layer.hex();
    let pair = subject.path(&format!("blobs/sha256/{}", &blob[..2]));
    let revision = format!(
        "repositories/library/test/_manifests/revisions/sha256/{}",
        gone.manifest.hex()
    );
    let layer = format!("repositories/library/test/_layers/sha256/{blob}");
    assert!(pair.exists() && subject.path(&revision).exists());
    std::fs::create_dir_all(subject.path("blobs/sha256/zz")).unwrap();
    std::fs::write(subject.path("blobs/sha256/stray"), "x").unwrap();
    collect(&subject, ALL).await.unwrap();
    assert!(!subject.path(&revision).exists() && !subject.path(&layer).exists());
    assert!(!pair.exists() && !subject.path("blobs/sha256/zz").exists());
    assert!(subject.path("blobs/sha256/stray").exists());
    // The repository itself stays.
    assert!(here.tags(None, 10).await.is_ok());
}

#[tokio::test]
async fn what_is_young_can_be_kept() {
    for subject in Subject::all() {
        let here = subject.repository();
        push_image(&here, 1, Some("v1"), None).await;
        let alone = push(&here, 90, &sample(50, 90)).await;
        let untagged = push_image(&here, 2, None, None).await;
        let hour = Duration::from_secs(3600);
        let young = GarbageOptions {
            keep_younger: hour,
            ..UNTAGGED
        };
        let report = collect(&subject, young).await.unwrap();
        assert_eq!((report.blobs, report.untagged, report.links), (0, 0, 0));
        assert!(here.stat_blob(&alone).await.is_ok());
        assert!(is_whole(&subject.store, "library/test", &untagged).await);
    }
}

#[tokio::test]
async fn an_old_blob_with_a_young_link_is_young() {
    let subject = Subject::filesystem();
    let here = subject.repository();
    push_image(&here, 1, Some("v1"), None).await;
    let alone = push(&here, 90, &sample(50, 90)).await;
    let hex = alone.hex();
    let data = subject.path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    let old = std::time::SystemTime::UNIX_EPOCH;
    let age = |path: &std::path::Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(old).unwrap();
    };
    age(&data);
    let hour = Duration::from_secs(3600);
    let young = GarbageOptions {
        keep_younger: hour,
        ..ALL
    };
    assert_eq!(collect(&subject, young).await.unwrap().blobs, 0);
    age(&subject.path(&format!(
        "repositories/library/test/_layers/sha256/{hex}/link"
    )));
    assert_eq!(collect(&subject, young).await.unwrap().blobs, 1);
    assert!(!data.exists());
}

#[tokio::test]
async fn a_push_that_was_interrupted_says_what_is_missing() {
    for subject in Subject::all() {
        let here = subject.repository();
        let other = subject.store.repository(&name("other"));
        push_image(&here, 1, Some("v1"), None).await;
        // The blobs have come, and then the garbage was collected before the manifest came.
        let blob = push(&other, 90, &sample(100, 90)).await;
        collect(&subject, ALL).await.unwrap();
        let json = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a","digest":"{blob}","size":100}},"layers":[]}}"#
        );
        let manifest = Manifest::parse(json, Some(TYPE)).unwrap();
        let error = other
            .put_manifest(&"v1".parse().unwrap(), &manifest)
            .await
            .unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::ManifestBlobsUnknown(vec![blob]));
        push(&other, 91, &sample(100, 90)).await;
        other
            .put_manifest(&"v1".parse().unwrap(), &manifest)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn everything_that_happens_is_told() {
    let subject = Subject::filesystem();
    let here = subject.repository();
    let kept = push_image(&here, 1, Some("v1"), None).await;
    let gone = push_image(&here, 2, None, None).await;
    let mut told = Vec::new();
    let mut events = |event: GarbageEvent<'_>| {
        told.push(match event {
            GarbageEvent::Repository { name } => format!("repository {name}"),
            GarbageEvent::ManifestMarked { digest, .. } => format!("manifest {digest}"),
            GarbageEvent::BlobMarked { digest, .. } => format!("blob {digest}"),
            GarbageEvent::Planned { .. } => "planned".to_owned(),
            GarbageEvent::Manifest { digest, .. } => format!("- manifest {digest}"),
            GarbageEvent::Link { digest, .. } => format!("- link {digest}"),
            GarbageEvent::Blob { digest, size_bytes } => format!("- blob {digest} {size_bytes}"),
            other => panic!("{other:?}"),
        });
    };
    let clock = &*subject.runtime.clock;
    collect_garbage(&*subject.driver, clock, UNTAGGED, &mut events)
        .await
        .unwrap();
    let mut links = [gone.config, gone.layer];
    let mut garbage = [
        (gone.config, 100),
        (gone.layer, 200),
        (gone.manifest, gone.size),
    ];
    links.sort();
    garbage.sort();
    let mut expected = vec![
        "repository library/test".to_owned(),
        format!("manifest {}", kept.manifest),
        format!("blob {}", kept.layer),
        format!("blob {}", kept.config),
        "planned".to_owned(),
        format!("- manifest {}", gone.manifest),
    ];
    expected.extend(links.iter().map(|digest| format!("- link {digest}")));
    expected.extend(
        garbage
            .iter()
            .map(|(digest, size)| format!("- blob {digest} {size}")),
    );
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_store_without_repositories_is_not_emptied() {
    for subject in Subject::all() {
        let error = collect(&subject, ALL).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::RepositoryUnknown);
        // Uploads and blobs alone make no repository.
        let blob = push(&subject.repository(), 1, &Bytes::from_static(b"x")).await;
        let error = collect(&subject, ALL).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::RepositoryUnknown);
        assert_eq!(blobs(&subject).await, set(&[blob]));
    }
}
