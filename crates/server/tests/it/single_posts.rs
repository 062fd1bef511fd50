//! Blobs in one request: `POST ?digest=`.

use wharfinger_testkit::{Blob, Request};

use crate::fixture::{Fixture, UPLOADS, assert_refused};
use crate::over_every_driver;

over_every_driver! {
    fn a_blob_may_come_in_one_request(fixture) {
        let blob = Blob::random(3, 3000);
        let target = format!("{UPLOADS}?digest={}", blob.digest);
        let created = fixture.send(&Request::new("POST", target).body(blob.bytes.clone()));
        let created = created.expect(201).unwrap();
        assert_eq!(created.header("docker-content-digest"), Some(blob.digest.as_str()));
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        assert_eq!(fixture.get(&path).expect(200).unwrap().body, blob.bytes);
    }

    fn wrong_bytes_leave_nothing(fixture) {
        let blob = Blob::random(4, 3000);
        let target = format!("{UPLOADS}?digest={}", blob.digest);
        for wrong in [&blob.bytes[1..], &[], b"other".as_slice()] {
            let answer = fixture.send(&Request::new("POST", target.as_str()).body(wrong));
            assert_refused(&answer, 400, "DIGEST_INVALID");
        }
        assert_eq!(fixture.files(), [""; 0]);
    }

    fn a_cut_body_leaves_nothing(fixture) {
        let blob = Blob::random(5, 3000);
        let target = format!("{UPLOADS}?digest={}", blob.digest);
        let mut connection = fixture.client().connect().unwrap();
        let request = Request::new("POST", target).header("Content-Length", "3000");
        connection.send_head(&request).unwrap();
        connection.send(&blob.bytes[..2000]).unwrap();
        connection.cut();
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        wharfinger_testkit::eventually!(fixture.files().is_empty());
        assert_refused(&fixture.get(&path), 404, "BLOB_UNKNOWN");
    }
}

#[test]
fn a_malformed_digest_is_refused() {
    let fixture = Fixture::memory();
    for digest in [
        "",
        "x",
        "sha256:00",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ] {
        let request = Request::new("POST", format!("{UPLOADS}?digest={digest}")).body("x");
        assert_refused(&fixture.send(&request), 400, "DIGEST_INVALID");
    }
    assert_eq!(fixture.files(), [""; 0]);
}
