//! Uploads in a session: POST, PATCH, PUT, GET and DELETE.

use wharfinger_testkit::{Blob, Request};

use crate::fixture::{Fixture, UPLOADS, assert_refused, target};
use crate::over_every_driver;

over_every_driver! {
    fn patches_and_a_put_make_a_blob(fixture) {
        let blob = Blob::random(1, 5000);
        let mut location = fixture.start();
        for piece in blob.bytes[..4500].chunks(1500) {
            location = fixture.patch(&location, piece);
        }
        let created = fixture.put(&location, &blob.digest, &blob.bytes[4500..]).expect(201).unwrap();
        assert_eq!(created.header("docker-content-digest"), Some(blob.digest.as_str()));
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        let expected = format!("http://{}{path}", fixture.address);
        assert_eq!(created.header("location"), Some(expected.as_str()));
        assert_eq!(fixture.get(&path).expect(200).unwrap().body, blob.bytes);
        assert!(!fixture.files().iter().any(|path| path.contains("_uploads")));
    }

    fn an_upload_tells_where_it_stands(fixture) {
        let started = fixture.send(&Request::new("POST", UPLOADS)).expect(202).unwrap();
        let id = started.header("docker-upload-uuid").unwrap();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert_eq!(started.header("range"), Some("0-0"));
        assert_eq!(started.header("content-length"), Some("0"));
        let location = target(&started);
        assert!(location.starts_with(&format!("{UPLOADS}{id}?_state=")));
        let path = format!("{UPLOADS}{id}");
        let status = fixture.get(&path).expect(204).unwrap();
        assert_eq!(status.header("range"), Some("0-0"));

        let patch = Request::new("PATCH", location).body("hello");
        let patched = fixture.send(&patch).expect(202).unwrap();
        assert_eq!(patched.header("range"), Some("0-4"));
        assert_eq!(patched.header("docker-upload-uuid"), Some(id));
        let status = fixture.head(&path).expect(204).unwrap();
        assert_eq!(status.header("range"), Some("0-4"));
        assert_eq!(status.header("docker-upload-uuid"), Some(id));
        // What the status gives is good to go on with.
        let hello = Blob::new("", b"hello".to_vec());
        fixture.put(&target(&status), &hello.digest, b"").expect(201).unwrap();
        assert_refused(&fixture.get(&path), 404, "BLOB_UPLOAD_UNKNOWN");
    }

    fn a_cancelled_upload_is_gone(fixture) {
        let location = fixture.patch(&fixture.start(), b"hello");
        fixture.delete(&location).expect(204).unwrap();
        assert_eq!(fixture.range_of(&location), None);
        assert_refused(&fixture.delete(&location), 404, "BLOB_UPLOAD_UNKNOWN");
        assert_eq!(fixture.files(), [""; 0]);
    }

    fn chunks_may_say_where_they_belong(fixture) {
        let send = |location: &str, range: &str, bytes: &[u8]| {
            let request = Request::new("PATCH", location).header("Content-Range", range);
            fixture.send(&request.body(bytes))
        };
        let location = fixture.start();
        assert_refused(&send(&location, "1-5", b"hello"), 416, "RANGE_INVALID");
        let location = target(&send(&location, "0-4", b"hello").expect(202).unwrap());
        let location = target(&send(&location, "bytes 5-9/*", b"world").expect(202).unwrap());
        assert_refused(&send(&location, "5-9", b"world"), 416, "RANGE_INVALID");
        assert_refused(&send(&location, "12-16", b"again"), 416, "RANGE_INVALID");
        assert_refused(&send(&location, "nonsense", b"again"), 416, "RANGE_INVALID");
        assert_refused(&send(&location, "10-14", b"again!"), 400, "SIZE_INVALID");
        assert_eq!(fixture.range_of(&location).as_deref(), Some("0-9"));
        let whole = Blob::new("", b"helloworld".to_vec());
        fixture.put(&location, &whole.digest, b"").expect(201).unwrap();
    }

    fn an_old_state_is_out_of_range(fixture) {
        let first = fixture.start();
        let second = fixture.patch(&first, b"hello");
        let again = fixture.send(&Request::new("PATCH", first.as_str()).body("hello"));
        assert_refused(&again, 416, "RANGE_INVALID");
        let hello = Blob::new("", b"hello".to_vec());
        assert_refused(&fixture.put(&first, &hello.digest, b""), 416, "RANGE_INVALID");
        fixture.put(&second, &hello.digest, b"").expect(201).unwrap();
    }

    fn a_wrong_digest_leaves_the_upload(fixture) {
        let location = fixture.patch(&fixture.start(), b"hello");
        let other = Blob::new("", b"other".to_vec());
        let sha512 = format!("sha512:{}", "0".repeat(128));
        for wrong in [&other.digest, &sha512] {
            assert_refused(&fixture.put(&location, wrong, b""), 400, "DIGEST_INVALID");
            let path = format!("/v2/library/thing/blobs/{wrong}");
            assert_refused(&fixture.get(&path), 404, "BLOB_UNKNOWN");
        }
        assert_eq!(fixture.range_of(&location).as_deref(), Some("0-4"));
        let hello = Blob::new("", b"hello".to_vec());
        fixture.put(&location, &hello.digest, b"").expect(201).unwrap();
    }

    fn a_finish_may_be_repeated(fixture) {
        let location = fixture.patch(&fixture.start(), b"hello");
        let hello = Blob::new("", b"hello".to_vec());
        fixture.put(&location, &hello.digest, b"").expect(201).unwrap();
        let again = fixture.put(&location, &hello.digest, b"").expect(201).unwrap();
        assert_eq!(again.header("docker-content-digest"), Some(hello.digest.as_str()));
        let other = Blob::new("", b"other".to_vec());
        assert_refused(&fixture.put(&location, &other.digest, b""), 404, "BLOB_UPLOAD_UNKNOWN");
    }

    fn other_algorithms_name_the_same_bytes(fixture) {
        // Digests of `hello`, from coreutils.
        let sha384 = "sha384:59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f";
        let sha512 = "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043";
        let bodies: [(&[u8], &[u8]); 2] = [(b"", b"hello"), (b"hello", b"")];
        for digest in [sha384, sha512] {
            for (patch, put) in bodies {
                let mut location = fixture.start();
                if !patch.is_empty() {
                    location = fixture.patch(&location, patch);
                }
                let created = fixture.put(&location, digest, put).expect(201).unwrap();
                assert_eq!(created.header("docker-content-digest"), Some(digest));
                let blob = fixture.get(&format!("/v2/library/thing/blobs/{digest}"));
                assert_eq!(blob.expect(200).unwrap().body, b"hello");
            }
        }
    }

    fn no_bytes_are_the_blob_of_nothing_and_no_other(fixture) {
        let empty = Blob::new("", Vec::new());
        let hello = Blob::new("", b"hello".to_vec());
        let location = fixture.start();
        assert_refused(&fixture.put(&location, &hello.digest, b""), 400, "DIGEST_INVALID");
        fixture.put(&location, &empty.digest, b"").expect(201).unwrap();
        let path = format!("/v2/library/thing/blobs/{}", empty.digest);
        let blob = fixture.get(&path).expect(200).unwrap();
        assert_eq!((blob.header("content-length"), blob.body.len()), (Some("0"), 0));
    }

    fn a_state_is_needed_and_must_be_of_this_upload(fixture) {
        let location = fixture.patch(&fixture.start(), b"hello");
        let other = fixture.start();
        let (path, state) = location.split_once('?').unwrap();
        let (_, other_state) = other.split_once('?').unwrap();
        let elsewhere = path.replace("library", "another");
        let forged = state.replace("_state=", "_state=AAAA");
        for target in [
            path.to_owned(),
            format!("{path}?_state="),
            format!("{path}?{forged}"),
            format!("{path}?{other_state}"),
            format!("{elsewhere}?{state}"),
        ] {
            for method in ["PATCH", "PUT", "DELETE"] {
                let answer = fixture.send(&Request::new(method, target.as_str()).body("x"));
                assert_refused(&answer, 404, "BLOB_UPLOAD_INVALID");
            }
        }
        assert_eq!(fixture.range_of(&location).as_deref(), Some("0-4"));
    }
}

#[test]
fn a_finish_needs_a_digest() {
    let fixture = Fixture::memory();
    let location = fixture.patch(&fixture.start(), b"hello");
    assert_refused(
        &fixture.send(&Request::new("PUT", location.as_str())),
        400,
        "DIGEST_INVALID",
    );
    for digest in [
        "",
        "sha256:0",
        "md5:5d41402abc4b2a76b9719d911017c592",
        "sha256:../../x",
        "sha256:..%2Fx",
    ] {
        assert_refused(&fixture.put(&location, digest, b""), 400, "DIGEST_INVALID");
    }
    assert_eq!(fixture.range_of(&location).as_deref(), Some("0-4"));
}

#[test]
fn a_put_may_bring_the_whole_blob_at_once_and_streamed() {
    let fixture = Fixture::memory();
    let blob = Blob::random(2, 300_000);
    fixture
        .put(&fixture.start(), &blob.digest, &blob.bytes)
        .expect(201)
        .unwrap();

    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PATCH", fixture.start()).header("Transfer-Encoding", "chunked");
    connection.send_head(&request).unwrap();
    for piece in blob.bytes.chunks(70_000) {
        connection.send_chunk(piece).unwrap();
    }
    connection.send_chunk(b"").unwrap();
    let answer = connection
        .read_response(false)
        .unwrap()
        .expect(202)
        .unwrap();
    assert_eq!(answer.header("range"), Some("0-299999"));
    fixture
        .put(&target(&answer), &blob.digest, b"")
        .expect(201)
        .unwrap();
}

#[test]
fn a_location_is_relative_for_a_client_without_a_host() {
    let fixture = Fixture::memory();
    let mut connection = fixture.client().connect().unwrap();
    connection
        .send(format!("POST {UPLOADS} HTTP/1.0\r\n\r\n").as_bytes())
        .unwrap();
    let answer = connection
        .read_response(false)
        .unwrap()
        .expect(202)
        .unwrap();
    assert!(answer.header("location").unwrap().starts_with(UPLOADS));
}

#[test]
fn a_location_is_what_a_client_of_a_proxy_sees() {
    let fixture = Fixture::memory();
    let request = Request::new("POST", UPLOADS).header("X-Forwarded-Proto", "https");
    let answer = fixture.send(&request).expect(202).unwrap();
    let expected = format!("https://{}{UPLOADS}", fixture.address);
    assert!(answer.header("location").unwrap().starts_with(&expected));
    let answer = fixture.send(&request.header("X-Forwarded-Host", "reg.example"));
    let answer = answer.expect(202).unwrap();
    let expected = format!("https://reg.example{UPLOADS}");
    assert!(answer.header("location").unwrap().starts_with(&expected));
}
