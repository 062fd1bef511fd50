//! Push: blobs in one piece, and from another repository.

use wharfinger_testkit::{Blob, Request, sha256};

use super::{Subject, assert_error, location, path_of, sha512_of};

#[test]
fn a_session_begins_with_202_and_a_location_that_holds_a_uuid() {
    let mut subject = Subject::new("push/session");
    let location = subject.start();
    let id = path_of(&location).rsplit('/').next().unwrap();
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert_ne!(path_of(&subject.start()), path_of(&location));
}

#[test]
fn post_and_put_end_in_201_and_a_blob_that_can_be_pulled() {
    let mut subject = Subject::new("push/post-put");
    let blob = Blob::random(10, 100_000);
    let start = subject.start();
    let put = Request::new("PUT", format!("{start}&digest={}", blob.digest))
        .header("Content-Type", "application/octet-stream")
        .body(&*blob.bytes);
    let created = subject.send(&put).expect(201).unwrap();
    assert_eq!(created.header("docker-content-digest"), Some(&*blob.digest));
    let got = subject.send(&Request::new("GET", location(&created)));
    assert_eq!(got.expect(200).unwrap().body, blob.bytes);
}

#[test]
fn one_post_ends_in_201_and_a_blob_that_can_be_pulled() {
    let mut subject = Subject::new("push/post");
    let blob = Blob::random(11, 100_000);
    let target = subject.target(&format!("blobs/uploads/?digest={}", blob.digest));
    let created = subject.send(&Request::new("POST", target).body(&*blob.bytes));
    let at = location(&created.expect(201).unwrap());
    assert_eq!(
        subject
            .send(&Request::new("GET", at))
            .expect(200)
            .unwrap()
            .body,
        blob.bytes
    );
}

#[test]
fn bytes_of_another_digest_are_400() {
    let mut subject = Subject::new("push/wrong");
    for digest in [sha256(b"other"), sha512_of(b"other")] {
        let target = subject.target(&format!("blobs/uploads/?digest={digest}"));
        let post = subject.send(&Request::new("POST", target).body("these"));
        assert_error(&post, 400, "DIGEST_INVALID");
        let put = format!("{}&digest={digest}", subject.start());
        let put = subject.send(&Request::new("PUT", put).body("these"));
        assert_error(&put, 400, "DIGEST_INVALID");
        assert_eq!(subject.get(&format!("blobs/{digest}")).status(), 404);
    }
}

#[test]
fn a_digest_that_is_malformed_or_of_an_unsupported_algorithm_is_400() {
    let mut subject = Subject::new("push/digests");
    for digest in [
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "tarsum.v1+sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "",
    ] {
        let target = subject.target(&format!("blobs/uploads/?digest={digest}"));
        assert_error(
            &subject.send(&Request::new("POST", target).body("x")),
            400,
            "DIGEST_INVALID",
        );
        let put = format!("{}&digest={digest}", subject.start());
        assert_error(
            &subject.send(&Request::new("PUT", put).body("x")),
            400,
            "DIGEST_INVALID",
        );
    }
    let without = Request::new("PUT", subject.start()).body("x");
    assert_error(&subject.send(&without), 400, "DIGEST_INVALID");
}

#[test]
fn a_body_of_another_length_than_announced_leaves_no_blob() {
    let mut subject = Subject::new("push/short");
    let blob = Blob::random(12, 1000);
    let target = subject.target(&format!("blobs/uploads/?digest={}", blob.digest));
    let short = Request::new("POST", target).header("Content-Length", "1000");
    let mut connection = subject.client.connect().unwrap();
    connection.send_head(&short).unwrap();
    connection.send(&blob.bytes[..999]).unwrap();
    connection.cut();
    assert_eq!(subject.get(&format!("blobs/{}", blob.digest)).status(), 404);
}

#[test]
fn an_empty_blob_is_a_blob() {
    let mut subject = Subject::new("push/empty");
    let digest = sha256(b"");
    let put = format!("{}&digest={digest}", subject.start());
    subject.send(&Request::new("PUT", put)).expect(201).unwrap();
    let got = subject.get(&format!("blobs/{digest}")).expect(200).unwrap();
    assert_eq!(
        (got.body.len(), got.header("content-length")),
        (0, Some("0"))
    );
}

#[test]
fn a_blob_of_another_repository_is_mounted_with_201() {
    let blob = Blob::random(13, 1000);
    let mut source = Subject::new("push/source");
    source.push_blob(&blob);
    let mut subject = Subject::new("push/mounted");
    let mounted = subject.ask(
        "POST",
        &format!("blobs/uploads/?mount={}&from=push/source", blob.digest),
    );
    let at = location(&mounted.expect(201).unwrap());
    assert_eq!(at, subject.target(&format!("blobs/{}", blob.digest)));
    assert_eq!(
        subject
            .send(&Request::new("GET", at))
            .expect(200)
            .unwrap()
            .body,
        blob.bytes
    );
}

#[test]
fn a_mount_without_a_source_finds_one() {
    let blob = Blob::random(14, 1000);
    let mut source = Subject::new("push/somewhere");
    source.push_blob(&blob);
    let mut subject = Subject::new("push/anywhere");
    let mounted = subject.ask("POST", &format!("blobs/uploads/?mount={}", blob.digest));
    mounted.expect(201).unwrap();
    assert_eq!(
        subject
            .get(&format!("blobs/{}", blob.digest))
            .expect(200)
            .unwrap()
            .body,
        blob.bytes
    );
}

#[test]
fn what_cannot_be_mounted_becomes_an_upload() {
    let mut subject = Subject::new("push/unmounted");
    let blob = Blob::random(15, 1000);
    for from in ["&from=push/nowhere", "&from=push/unmounted", ""] {
        let below = format!("blobs/uploads/?mount={}{from}", blob.digest);
        let at = location(&subject.ask("POST", &below).expect(202).unwrap());
        let put = Request::new("PUT", format!("{at}&digest={}", blob.digest));
        if from.is_empty() {
            subject.send(&put.body(&*blob.bytes)).expect(201).unwrap();
        }
    }
}
