//! Blobs as they are read.

use wharfinger_testkit::{Blob, Request, Response};

use crate::fixture::{Fixture, assert_refused};
use crate::over_every_driver;

fn path_of(blob: &Blob) -> String {
    format!("/v2/library/thing/blobs/{}", blob.digest)
}

fn range(fixture: &Fixture, blob: &Blob, range: &str) -> Response {
    fixture.send(&Request::new("GET", path_of(blob)).header("Range", range))
}

over_every_driver! {
    fn blobs_come_out_as_they_went_in(fixture) {
        for length in [1, 65_536, 65_537, 1_000_000] {
            let blob = Blob::random(10, length);
            fixture.push("library/thing", &blob);
            let whole = fixture.get(&path_of(&blob)).expect(200).unwrap();
            assert_eq!(whole.body, blob.bytes);
            let head = fixture.head(&path_of(&blob)).expect(200).unwrap();
            let (digest, size) = (blob.digest.as_str(), length.to_string());
            for answer in [whole, head] {
                assert_eq!(answer.header("content-length"), Some(size.as_str()));
                assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
                assert_eq!(answer.header("docker-content-digest"), Some(digest));
                assert_eq!(answer.header("etag"), Some(format!("\"{digest}\"").as_str()));
                assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            }
        }
    }

    fn ranges_are_parts(fixture) {
        let blob = Blob::random(11, 200_000);
        fixture.push("library/thing", &blob);
        for (header, start, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-99999", 0, 100_000),
            ("bytes=100-", 100, 200_000),
            ("bytes=-5", 199_995, 200_000),
            ("bytes=-999999", 0, 200_000),
            ("bytes=199999-300000", 199_999, 200_000),
            ("bytes=199999-18446744073709551616", 199_999, 200_000),
        ] {
            let part = range(fixture, &blob, header).expect(206).unwrap();
            assert_eq!(part.body, &blob.bytes[start..end], "{header}");
            let expected = format!("bytes {start}-{}/200000", end - 1);
            assert_eq!(part.header("content-range"), Some(expected.as_str()));
        }
    }
}

#[test]
fn ranges_outside_are_refused_and_strange_ones_passed_over() {
    let fixture = Fixture::memory();
    let blob = Blob::random(12, 1000);
    fixture.push("library/thing", &blob);
    for header in [
        "bytes=1000-",
        "bytes=1000-2000",
        "bytes=-0",
        "bytes=18446744073709551616-",
    ] {
        let refused = range(&fixture, &blob, header);
        assert_refused(&refused, 416, "RANGE_INVALID");
        assert_eq!(
            refused.header("content-range"),
            Some("bytes */1000"),
            "{header}"
        );
    }
    let many = format!("bytes={}", vec!["0-"; 1000].join(","));
    for header in [
        "bytes=5-2",
        "bytes=x-y",
        "lines=1-2",
        "bytes=0-1,3-4",
        &many,
        "0-5",
    ] {
        let whole = range(&fixture, &blob, header).expect(200).unwrap();
        assert_eq!(whole.body, blob.bytes, "{header}");
    }
    // Ranges are for GET alone.
    let head = Request::new("HEAD", path_of(&blob)).header("Range", "bytes=0-1");
    let head = fixture.send(&head).expect(200).unwrap();
    assert_eq!(head.header("content-length"), Some("1000"));
}

#[test]
fn a_range_of_other_content_gets_the_whole() {
    let fixture = Fixture::memory();
    let blob = Blob::random(13, 1000);
    fixture.push("library/thing", &blob);
    let ask = |tag: &str| {
        let request = Request::new("GET", path_of(&blob)).header("Range", "bytes=0-1");
        fixture
            .send(&request.header("If-Range", format!("\"{tag}\"")))
            .status()
    };
    assert_eq!(ask(&blob.digest), 206);
    assert_eq!(ask("other"), 200);
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let fixture = Fixture::memory();
    let blob = Blob::random(14, 1000);
    fixture.push("library/thing", &blob);
    let ask = |path: &str, tag: &str| {
        let request = Request::new("GET", path).header("If-None-Match", format!("\"{tag}\""));
        fixture.send(&request)
    };
    let known = ask(&path_of(&blob), &blob.digest).expect(304).unwrap();
    assert_eq!(
        known.header("docker-content-digest"),
        Some(blob.digest.as_str())
    );
    assert!(known.body.is_empty());
    ask(&path_of(&blob), "other").expect(200).unwrap();
    // Only what is there can be known.
    let none = Blob::random(15, 10);
    assert_refused(&ask(&path_of(&none), &none.digest), 404, "BLOB_UNKNOWN");
}

#[test]
fn a_blob_is_there_only_where_it_is_linked() {
    let fixture = Fixture::memory();
    let blob = Blob::random(16, 1000);
    fixture.push("elsewhere", &blob);
    assert_refused(&fixture.get(&path_of(&blob)), 404, "BLOB_UNKNOWN");
    assert_eq!(fixture.head(&path_of(&blob)).status(), 404);
}
