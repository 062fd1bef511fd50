//! Manifests as they are stored and read.

use std::sync::Arc;

use wharfinger_driver::Memory;
use wharfinger_testkit::{Blob, Image, Request, eventually, media_types};

use crate::fixture::{Fixture, assert_refused, codes, target};
use crate::over_every_driver;

const LATEST: &str = "/v2/library/thing/manifests/latest";

fn pushed(fixture: &Fixture, seed: u64) -> Image {
    let image = Image::build(seed, &[2048]);
    for blob in image.blobs() {
        fixture.push("library/thing", blob);
    }
    image
}

over_every_driver! {
    fn an_image_goes_in_and_comes_out(fixture) {
        let image = pushed(fixture, 20);
        let manifest = &image.manifest;
        let digest = manifest.digest.as_str();
        let created = fixture.put_manifest(LATEST, manifest).expect(201).unwrap();
        assert_eq!(created.header("docker-content-digest"), Some(digest));
        let by_digest = format!("/v2/library/thing/manifests/{digest}");
        assert_eq!(target(&created), by_digest);
        let size = manifest.bytes.len().to_string();
        for path in [LATEST, &by_digest] {
            let whole = fixture.get(path).expect(200).unwrap();
            assert_eq!(whole.body, manifest.bytes);
            let head = fixture.head(path).expect(200).unwrap();
            for answer in [whole, head] {
                assert_eq!(answer.header("content-type"), Some(media_types::MANIFEST));
                assert_eq!(answer.header("content-length"), Some(size.as_str()));
                assert_eq!(answer.header("docker-content-digest"), Some(digest));
                assert_eq!(answer.header("etag"), Some(format!("\"{digest}\"").as_str()));
            }
            let known = Request::new("GET", path).header("If-None-Match", format!("\"{digest}\""));
            fixture.send(&known).expect(304).unwrap();
        }
    }
}

#[test]
fn missing_blobs_are_all_named() {
    let fixture = Fixture::memory();
    let image = Image::build(21, &[2048, 2048]);
    fixture.push("library/thing", &image.layers[0]);
    let refused = fixture.put_manifest(LATEST, &image.manifest);
    assert_eq!(refused.status(), 400);
    assert_eq!(
        codes(&refused),
        ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]
    );
    for missing in [&image.config, &image.layers[1]] {
        assert!(refused.text().contains(&missing.digest));
    }
    assert!(!refused.text().contains(&image.layers[0].digest));
    assert_refused(&fixture.get(LATEST), 404, "MANIFEST_UNKNOWN");
}

#[test]
fn the_bytes_decide_what_a_manifest_is() {
    let fixture = Fixture::memory();
    let image = pushed(&fixture, 22);
    let put = |content_type: Option<&str>, bytes: &[u8]| {
        let mut request = Request::new("PUT", LATEST).body(bytes);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        fixture.send(&request)
    };
    let good = &image.manifest.bytes;
    assert_refused(&put(None, good), 400, "MANIFEST_INVALID");
    assert_refused(
        &put(Some(media_types::INDEX), good),
        400,
        "MANIFEST_INVALID",
    );
    assert_refused(
        &put(Some("application/json"), good),
        400,
        "MANIFEST_INVALID",
    );
    assert_refused(
        &put(Some(media_types::MANIFEST), &good[1..]),
        400,
        "MANIFEST_INVALID",
    );
    assert_refused(
        &put(Some(media_types::MANIFEST), b""),
        400,
        "MANIFEST_INVALID",
    );
    let deep = "[".repeat(200_000);
    assert_refused(
        &put(Some(media_types::MANIFEST), deep.as_bytes()),
        400,
        "MANIFEST_INVALID",
    );
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    assert_refused(&put(Some(schema1), good), 400, "MANIFEST_INVALID");
    put(
        Some(&format!("{}; charset=utf-8", media_types::MANIFEST)),
        good,
    )
    .expect(201)
    .unwrap();
}

#[test]
fn a_manifest_under_another_digest_is_refused() {
    let fixture = Fixture::memory();
    let image = pushed(&fixture, 23);
    let other = Blob::random(24, 10).digest;
    let path = format!("/v2/library/thing/manifests/{other}");
    assert_refused(
        &fixture.put_manifest(&path, &image.manifest),
        400,
        "DIGEST_INVALID",
    );
    assert_refused(&fixture.get(&path), 404, "MANIFEST_UNKNOWN");
}

#[test]
fn what_can_be_no_reference_is_not_there() {
    let fixture = Fixture::memory();
    let image = pushed(&fixture, 27);
    let path = "/v2/library/thing/manifests/.INVALID_MANIFEST_NAME";
    assert_refused(&fixture.get(path), 404, "MANIFEST_UNKNOWN");
    assert_eq!(fixture.head(path).status(), 404);
    let put = fixture.put_manifest(path, &image.manifest);
    assert_refused(&put, 400, "TAG_INVALID");
    assert_refused(&fixture.delete(path), 400, "TAG_INVALID");
}

#[test]
fn manifests_that_are_being_pushed_share_a_memory() {
    let fixture = Fixture::with(Arc::new(Memory::new()), Vec::new(), |config| {
        config.limits.manifest_memory_bytes = 100_000;
    });
    let image = pushed(&fixture, 26);
    let mut padded = image.manifest.bytes.clone();
    padded.resize(60_000, b' ');
    let padded = Blob::new(media_types::MANIFEST, padded);
    let request = Request::new("PUT", LATEST)
        .header("Content-Type", media_types::MANIFEST)
        .header("Content-Length", "60000");
    let refused_beside_a_slow_one = || {
        let mut slow = fixture.client().connect().unwrap();
        slow.send_head(&request).unwrap();
        slow.send(&padded.bytes[..50_000]).unwrap();
        let refused = fixture.put_manifest(LATEST, &padded);
        if refused.status() != 503 {
            // It was the first, and the slow one may have been refused.
            return false;
        }
        assert_refused(&refused, 503, "UNAVAILABLE");
        assert_eq!(refused.header("retry-after"), Some("5"));
        // Others of usual size pass, and so does the slow one.
        let small = fixture.put_manifest(LATEST, &image.manifest);
        small.expect(201).unwrap();
        slow.send(&padded.bytes[50_000..]).is_ok()
            && slow.read_response(false).unwrap().status() == 201
    };
    eventually!(refused_beside_a_slow_one());
    // What they held is given back.
    let after = fixture.put_manifest(LATEST, &padded);
    after.expect(201).unwrap();
}

#[test]
fn a_manifest_has_at_most_four_mebibytes() {
    let fixture = Fixture::memory();
    let image = pushed(&fixture, 25);
    let limit = 4 * 1024 * 1024;
    let padded = |length: usize| {
        let mut bytes = image.manifest.bytes.clone();
        bytes.resize(length, b' ');
        Blob::new(media_types::MANIFEST, bytes)
    };
    fixture
        .put_manifest(LATEST, &padded(limit))
        .expect(201)
        .unwrap();
    assert_refused(
        &fixture.put_manifest(LATEST, &padded(limit + 1)),
        413,
        "MANIFEST_INVALID",
    );

    // Nor is more than that taken of a body without a length.
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PUT", LATEST)
        .header("Content-Type", media_types::MANIFEST)
        .header("Transfer-Encoding", "chunked");
    connection.send_head(&request).unwrap();
    let piece = vec![b' '; 64 * 1024];
    let mut sent = 0;
    while sent < 100 * limit && connection.send_chunk(&piece).is_ok() {
        sent += piece.len();
    }
    let answer = connection.read_response(false).unwrap();
    assert_refused(&answer, 413, "MANIFEST_INVALID");
    assert!(answer.head.closes());
    // What the kernels hold comes on top.
    assert!(sent < 5 * limit, "{sent}");
}
