//! Blobs that are linked from another repository.

use std::sync::Arc;

use wharfinger_auth::{Access, Denial, Gate, Policy, Principal, Verb};
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
            format!("mount={}", none.digest),
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

over_every_driver! {
    fn without_a_source_the_registry_finds_one_that_still_has_the_blob(fixture) {
        let blob = Blob::random(10, 3000);
        let post = |repository: &str| {
            let path = format!("/v2/{repository}/blobs/uploads/?mount={}", blob.digest);
            fixture.send(&Request::new("POST", path))
        };
        assert_eq!(post("to/a").status(), 202, "nobody has it");
        fixture.push("first", &blob);
        let created = post("to/a").expect(201).unwrap();
        assert_eq!(created.header("docker-content-digest"), Some(blob.digest.as_str()));
        assert_eq!(target(&created), format!("/v2/to/a/blobs/{}", blob.digest));
        fixture.events.take();
        assert_eq!(post("to/b").status(), 201);
        let told = ["POST mount blob from first of 3000 in to/b"];
        assert_eq!(fixture.events.take(), told);

        // Bytes that lie there without a link are nobody's.
        for repository in ["first", "to/a", "to/b"] {
            let path = format!("/v2/{repository}/blobs/{}", blob.digest);
            fixture.delete(&path).expect(202).unwrap();
        }
        assert_eq!(post("to/c").status(), 202);
        let path = format!("/v2/to/c/blobs/{}", blob.digest);
        assert_eq!(fixture.head(&path).status(), 404);
        // And whoever brings them again is a source, although they are there.
        fixture.push("second", &blob);
        fixture.events.take();
        assert_eq!(post("to/c").status(), 201);
        let told = ["POST mount blob from second of 3000 in to/c"];
        assert_eq!(fixture.events.take(), told);
    }

    fn whoever_mounts_may_be_mounted_from(fixture) {
        let blob = Blob::random(11, 300);
        fixture.push("first", &blob);
        let mount = |repository: &str, from: &str| {
            let digest = &blob.digest;
            let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}{from}");
            fixture.send(&Request::new("POST", path)).status()
        };
        assert_eq!(mount("second", "&from=first"), 201);
        let path = format!("/v2/first/blobs/{}", blob.digest);
        fixture.delete(&path).expect(202).unwrap();
        assert_eq!(mount("third", ""), 201);
        let gone = format!("/v2/third/blobs/{}", blob.digest);
        assert_eq!(fixture.get(&gone).expect(200).unwrap().body, blob.bytes);
    }
}

/// Lets nobody pull from `secret`.
#[derive(Debug)]
struct ButSecret;

impl Policy for ButSecret {
    fn decide(&self, _: &Principal, accesses: &[Access]) -> Result<(), Denial> {
        let is_pull = |access: &Access| {
            matches!(access, Access::Repository { name, verb: Verb::Pull }
                if name.as_str() == "secret")
        };
        let is_push = |access: &Access| {
            matches!(access, Access::Repository { name, verb: Verb::Push }
                if name.as_str() == "secret")
        };
        // Whoever pushes there may pull, so that there is something to be kept from others.
        if accesses.iter().any(is_pull) && !accesses.iter().any(is_push) {
            return Err(Denial::Forbidden);
        }
        Ok(())
    }
}

#[test]
fn a_source_from_which_the_client_may_not_pull_is_none() {
    let fixture = Fixture::with_gate(Gate::new(Arc::new(ButSecret)));
    let blob = Blob::random(12, 300);
    let absent = Blob::random(13, 300);
    fixture.push("secret", &blob);
    let mount = |digest: &str| {
        let path = format!("/v2/mine/blobs/uploads/?mount={digest}");
        fixture.send(&Request::new("POST", path)).status()
    };
    assert_eq!(mount(&blob.digest), 202, "as if it were nowhere");
    assert_eq!(mount(&absent.digest), 202);
    fixture.push("open", &blob);
    assert_eq!(mount(&blob.digest), 201, "another one has it, too");
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
