//! Pull: manifests, blobs, and whether they are there.

use wharfinger_testkit::{Blob, Image, Request, sha256};

use super::{Subject, assert_error, sha512_of};

#[test]
fn a_manifest_comes_byte_for_byte_with_its_type_and_digest() {
    let mut subject = Subject::new("pull/manifest");
    let image = Image::build(1, &[2048]);
    subject.push_image("v1", &image);
    for reference in ["v1", &image.manifest.digest] {
        let got = subject
            .get(&format!("manifests/{reference}"))
            .expect(200)
            .unwrap();
        assert_eq!(got.body, image.manifest.bytes);
        // No parameters: the type is what was pushed.
        assert_eq!(
            got.header("content-type"),
            Some(&*image.manifest.media_type)
        );
        assert_eq!(
            got.header("docker-content-digest"),
            Some(&*image.manifest.digest)
        );
    }
}

#[test]
fn the_type_of_a_manifest_does_not_depend_on_accept() {
    let mut subject = Subject::new("pull/accept");
    let image = Image::build(2, &[]);
    subject.push_image("v1", &image);
    for accept in [
        "application/vnd.oci.image.index.v1+json",
        "text/html",
        "*/*",
        "",
    ] {
        let request = Request::new("GET", subject.target("manifests/v1")).header("Accept", accept);
        let got = subject.send(&request).expect(200).unwrap();
        assert_eq!(
            got.header("content-type"),
            Some(&*image.manifest.media_type)
        );
        assert_eq!(got.body, image.manifest.bytes);
    }
}

#[test]
fn a_manifest_that_is_not_there_is_404() {
    let mut subject = Subject::new("pull/no-manifest");
    subject.push_image("v1", &Image::build(3, &[]));
    for reference in ["v2", &sha256(b"none")] {
        let answer = subject.get(&format!("manifests/{reference}"));
        assert_error(&answer, 404, "MANIFEST_UNKNOWN");
    }
}

#[test]
fn a_repository_that_is_not_there_is_404() {
    let mut subject = Subject::new("pull/nowhere");
    assert_error(&subject.get("manifests/latest"), 404, "MANIFEST_UNKNOWN");
    assert_error(&subject.get("tags/list"), 404, "NAME_UNKNOWN");
}

#[test]
fn a_reference_is_a_tag_of_at_most_128_characters_or_a_digest() {
    let mut subject = Subject::new("pull/reference");
    let (longest, longer) = ("a".repeat(128), "a".repeat(129));
    subject.push_index(&longest, serde_json::json!({}));
    assert_eq!(subject.get(&format!("manifests/{longest}")).status(), 200);
    for reference in [&*longer, ".v1", "-v1", "v%201", "sha256:abc"] {
        assert_eq!(subject.get(&format!("manifests/{reference}")).status(), 404);
        let put = super::index(serde_json::json!({}));
        assert_eq!(
            subject.put_manifest(reference, &put).status(),
            400,
            "{reference}"
        );
    }
}

#[test]
fn a_blob_comes_byte_for_byte_with_its_digest() {
    let mut subject = Subject::new("pull/blob");
    let blob = Blob::random(4, 300_000);
    subject.push_blob(&blob);
    let got = subject
        .get(&format!("blobs/{}", blob.digest))
        .expect(200)
        .unwrap();
    assert_eq!(got.body, blob.bytes);
    assert_eq!(got.header("docker-content-digest"), Some(&*blob.digest));
}

#[test]
fn a_blob_of_another_algorithm_is_named_by_the_digest_that_was_asked_for() {
    let mut subject = Subject::new("pull/sha512");
    let bytes = b"named by sha512".to_vec();
    let digest = sha512_of(&bytes);
    let target = subject.target(&format!("blobs/uploads/?digest={digest}"));
    subject
        .send(&Request::new("POST", target).body(bytes.clone()))
        .expect(201)
        .unwrap();
    let got = subject.get(&format!("blobs/{digest}")).expect(200).unwrap();
    assert_eq!(
        (got.body.as_slice(), got.header("docker-content-digest")),
        (&*bytes, Some(&*digest))
    );
}

#[test]
fn a_blob_that_is_not_there_is_404() {
    let mut subject = Subject::new("pull/no-blob");
    let answer = subject.get(&format!("blobs/{}", sha256(b"none")));
    assert_error(&answer, 404, "BLOB_UNKNOWN");
}

#[test]
fn head_tells_digest_and_length_of_what_is_there() {
    let mut subject = Subject::new("pull/head");
    let image = Image::build(5, &[2048]);
    subject.push_image("v1", &image);
    let blob = &image.layers[0];
    for (below, content) in [
        ("manifests/v1".to_owned(), &image.manifest),
        (
            format!("manifests/{}", image.manifest.digest),
            &image.manifest,
        ),
        (format!("blobs/{}", blob.digest), blob),
    ] {
        let head = subject.ask("HEAD", &below).expect(200).unwrap();
        assert_eq!(
            head.header("docker-content-digest"),
            Some(&*content.digest),
            "{below}"
        );
        let length = content.bytes.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length), "{below}");
        assert!(head.body.is_empty());
    }
    for below in [
        "manifests/v2".to_owned(),
        format!("blobs/{}", sha256(b"none")),
    ] {
        assert_eq!(subject.ask("HEAD", &below).status(), 404);
    }
}

#[test]
fn a_part_of_a_blob_is_206_and_what_lies_outside_416() {
    let mut subject = Subject::new("pull/range");
    let blob = Blob::random(6, 200_000);
    subject.push_blob(&blob);
    let target = subject.target(&format!("blobs/{}", blob.digest));
    for (range, expected) in [
        ("bytes=0-99", &blob.bytes[..100]),
        ("bytes=100-", &blob.bytes[100..]),
        ("bytes=-100", &blob.bytes[199_900..]),
        ("bytes=100-999999999", &blob.bytes[100..]),
    ] {
        let request = Request::new("GET", &*target).header("Range", range);
        let part = subject.send(&request).expect(206).unwrap();
        assert_eq!(part.body, expected, "{range}");
        let told = part.header("content-range").unwrap();
        assert!(told.ends_with("/200000"), "{told}");
    }
    let request = Request::new("GET", &*target).header("Range", "bytes=200000-");
    let outside = subject.send(&request);
    assert_error(&outside, 416, "RANGE_INVALID");
    assert_eq!(outside.header("content-range"), Some("bytes */200000"));
}

#[test]
fn what_the_client_has_already_is_304() {
    let mut subject = Subject::new("pull/known");
    let image = Image::build(7, &[2048]);
    subject.push_image("v1", &image);
    for (below, digest) in [
        ("manifests/v1".to_owned(), &image.manifest.digest),
        (
            format!("blobs/{}", image.config.digest),
            &image.config.digest,
        ),
    ] {
        let etag = format!("\"{digest}\"");
        let got = subject.get(&below).expect(200).unwrap();
        assert_eq!(got.header("etag"), Some(&*etag));
        let known = Request::new("GET", subject.target(&below)).header("If-None-Match", &*etag);
        let answer = subject.send(&known).expect(304).unwrap();
        assert_eq!(
            (answer.body.len(), answer.header("etag")),
            (0, Some(&*etag))
        );
        // Distribution takes it without quotes, too.
        let plain = Request::new("GET", subject.target(&below)).header("If-None-Match", &**digest);
        subject.send(&plain).expect(304).unwrap();
        let other = Request::new("GET", subject.target(&below)).header("If-None-Match", "\"x\"");
        subject.send(&other).expect(200).unwrap();
    }
}
