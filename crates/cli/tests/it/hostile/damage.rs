//! Content at rest that is not what it should be.

use std::fs;
use std::path::PathBuf;

use wharfinger_testkit::{Blob, Image};

use crate::spec::{Subject, assert_error};

fn data(subject: &Subject, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    subject
        .root()
        .join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]))
}

/// What happens to bytes on a disk.
fn damages(bytes: &[u8]) -> [Vec<u8>; 3] {
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 1;
    [flipped, Vec::new(), [bytes, b"more"].concat()]
}

#[test]
fn a_damaged_blob_is_never_served_whole_and_a_push_heals_it() {
    let mut subject = Subject::new("hostile/damage");
    let blob = Blob::random(90, 300_000);
    subject.push_blob(&blob);
    let below = format!("blobs/{}", blob.digest);
    for damage in damages(&blob.bytes) {
        fs::write(data(&subject, &blob.digest), &damage).unwrap();
        let target = subject.target(&below);
        let request = wharfinger_testkit::Request::new("GET", target);
        // An answer that breaks off is an error of the client's.
        match subject.client.send(&request) {
            Ok(answer) => assert_ne!(answer.status(), 200, "{} bytes", damage.len()),
            Err(_) => subject.client.disconnect(),
        }
        // It is known now.
        assert_eq!(
            subject.ask("HEAD", &below).status(),
            404,
            "{} bytes",
            damage.len()
        );
        subject.push_blob(&blob);
        assert_eq!(subject.get(&below).expect(200).unwrap().body, blob.bytes);
    }
}

#[test]
fn a_damaged_manifest_is_not_served_and_a_push_heals_it() {
    let mut subject = Subject::new("hostile/manifest");
    let image = Image::build(91, &[2048]);
    subject.push_image("v1", &image);
    for damage in damages(&image.manifest.bytes) {
        fs::write(data(&subject, &image.manifest.digest), &damage).unwrap();
        for reference in ["v1", &image.manifest.digest] {
            let answer = subject.get(&format!("manifests/{reference}"));
            assert_error(&answer, 404, "MANIFEST_UNKNOWN");
        }
        subject
            .put_manifest("v1", &image.manifest)
            .expect(201)
            .unwrap();
        assert_eq!(subject.get("manifests/v1").body, image.manifest.bytes);
    }
}

/// What a link may hold after a disk has had its way with it.
fn torn(link: &str, other: &str) -> [Vec<u8>; 5] {
    let flipped = link.replace(&link[20..21], if &link[20..21] == "0" { "1" } else { "0" });
    [
        Vec::new(),
        link[..40].into(),
        vec![0; link.len()],
        flipped.into(),
        other.into(),
    ]
}

#[test]
fn a_damaged_link_gives_out_nothing_wrong_and_a_push_heals_it() {
    let mut subject = Subject::new("hostile/links");
    let (image, other) = (Image::build(92, &[2048]), Image::build(93, &[2048]));
    subject.push_image("v1", &image);
    subject.push_image("v2", &other);
    let repository = subject.root().join("repositories/hostile/links");
    let hex = |digest: &str| digest.strip_prefix("sha256:").unwrap().to_owned();
    let layer = format!("_layers/sha256/{}/link", hex(&image.config.digest));
    let revision = format!(
        "_manifests/revisions/sha256/{}/link",
        hex(&image.manifest.digest)
    );
    let by_digest = format!("manifests/{}", image.manifest.digest);
    for (link, below, right, wrong) in [
        (
            layer,
            format!("blobs/{}", image.config.digest),
            &image.config,
            &other.config.digest,
        ),
        (revision, by_digest, &image.manifest, &other.manifest.digest),
    ] {
        for damage in torn(&right.digest, wrong) {
            fs::write(repository.join(&link), &damage).unwrap();
            let answer = subject.get(&below);
            let shown = String::from_utf8_lossy(&damage).into_owned();
            if answer.status() == 200 {
                assert_eq!(answer.body, right.bytes, "{link}: {shown}");
            }
            subject.push_image("v1", &image);
            let healed = subject.get(&below).expect(200).unwrap();
            assert_eq!(healed.body, right.bytes, "{link}: {shown}");
        }
    }
    // A tag may point at anything, so that only what is no digest is damage.
    for damage in &torn(&image.manifest.digest, "")[..4] {
        fs::write(repository.join("_manifests/tags/v1/current/link"), damage).unwrap();
        assert_ne!(subject.get("manifests/v1").status(), 200);
        assert_eq!(subject.get("manifests/v2").status(), 200);
        subject.push_image("v1", &image);
        assert_eq!(subject.get("manifests/v1").body, image.manifest.bytes);
    }
}
