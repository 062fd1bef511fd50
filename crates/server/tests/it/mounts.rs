//! Blobs that are linked from another repository.

use wharfinger_testkit::{Blob, Request};

use crate::fixture::{Fixture, UPLOADS, assert_refused, target};
use crate::over_every_driver;

over_every_driver! {
    fn a_blob_of_another_repository_is_linked(fixture) {
        let blob = Blob::random(6, 3000);
        fixture.push("source/of/it", &blob);
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        assert_refused(&fixture.head(&path).with_errors(fixture, &path), 404, "BLOB_UNKNOWN");
        let mount = format!("{UPLOADS}?mount={}&from=source/of/it", blob.digest);
        let created = fixture.send(&Request::new("POST", mount)).expect(201).unwrap();
        assert_eq!(created.header("docker-content-digest"), Some(blob.digest.as_str()));
        assert_eq!(target(&created), path);
        assert_eq!(fixture.get(&path).expect(200).unwrap().body, blob.bytes);
    }

    fn what_cannot_be_mounted_becomes_an_upload(fixture) {
        let blob = Blob::random(7, 3000);
        fixture.push("source", &blob);
        let none = Blob::random(8, 10);
        for query in [
            format!("mount={}&from=source", none.digest),
            format!("mount={}&from=nowhere", blob.digest),
            format!("mount={}", blob.digest),
            format!("from={}", "source"),
        ] {
            let answer = fixture.send(&Request::new("POST", format!("{UPLOADS}?{query}")));
            let location = target(&answer.expect(202).unwrap());
            assert!(location.contains("_state="), "{query}: {location}");
        }
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        assert_eq!(fixture.head(&path).status(), 404);
    }
}

/// An answer to HEAD has no body to look into; GET gives the same with one.
trait WithErrors {
    fn with_errors(self, fixture: &Fixture, path: &str) -> Self;
}

impl WithErrors for wharfinger_testkit::Response {
    fn with_errors(self, fixture: &Fixture, path: &str) -> Self {
        let whole = fixture.get(path);
        assert_eq!(self.status(), whole.status());
        whole
    }
}

#[test]
fn malformed_mounts_are_refused() {
    let fixture = Fixture::memory();
    let good = Blob::random(9, 10).digest;
    for (query, code) in [
        (
            "mount=sha256:..%2F..%2Fx&from=a".to_owned(),
            "DIGEST_INVALID",
        ),
        (
            format!("mount={}&from=a", good.to_uppercase()),
            "DIGEST_INVALID",
        ),
        (format!("mount={good}&from=../a"), "NAME_INVALID"),
    ] {
        let answer = fixture.send(&Request::new("POST", format!("{UPLOADS}?{query}")));
        assert_refused(&answer, 400, code);
    }
}
