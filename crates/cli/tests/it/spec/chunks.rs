//! Push: blobs in chunks.

use wharfinger_testkit::{Blob, Request, Response};

use super::{Subject, assert_error, location, path_of, sha512_of};

fn chunk(subject: &mut Subject, at: &str, (first, bytes): (usize, &[u8])) -> Response {
    let last = (first + bytes.len()).saturating_sub(1);
    let request = Request::new("PATCH", at)
        .header("Content-Type", "application/octet-stream")
        .header("Content-Range", format!("{first}-{last}"))
        .body(bytes);
    subject.send(&request)
}

#[test]
fn chunks_are_202_with_location_and_range_and_end_with_a_put() {
    let mut subject = Subject::new("chunks/three");
    let blob = Blob::random(20, 3000);
    let mut at = subject.start();
    for first in [0, 1000, 2000] {
        let answer = chunk(&mut subject, &at, (first, &blob.bytes[first..first + 1000]));
        let answer = answer.expect(202).unwrap();
        assert_eq!(answer.header("range"), Some(&*format!("0-{}", first + 999)));
        at = location(&answer);
    }
    let put = Request::new("PUT", format!("{at}&digest={}", blob.digest));
    let created = subject.send(&put).expect(201).unwrap();
    let got = subject.send(&Request::new("GET", location(&created)));
    assert_eq!(got.expect(200).unwrap().body, blob.bytes);
}

#[test]
fn the_last_chunk_may_come_with_the_put() {
    let mut subject = Subject::new("chunks/last");
    let blob = Blob::random(21, 1500);
    let at = subject.start();
    let answer = chunk(&mut subject, &at, (0, &blob.bytes[..1000]));
    let at = location(&answer.expect(202).unwrap());
    let put = Request::new("PUT", format!("{at}&digest={}", blob.digest))
        .header("Content-Range", "1000-1499")
        .body(&blob.bytes[1000..]);
    subject.send(&put).expect(201).unwrap();
}

#[test]
fn a_chunk_out_of_order_is_416_and_the_upload_goes_on() {
    let mut subject = Subject::new("chunks/order");
    let blob = Blob::random(22, 2000);
    let at = subject.start();
    let early = chunk(&mut subject, &at, (1000, &blob.bytes[1000..]));
    assert_error(&early, 416, "RANGE_INVALID");
    let first = chunk(&mut subject, &at, (0, &blob.bytes[..1000]))
        .expect(202)
        .unwrap();
    let at = location(&first);
    // The same once more, and one beyond a gap.
    for (first, end) in [(0, 1000), (1500, 2000)] {
        let answer = chunk(&mut subject, &at, (first, &blob.bytes[first..end]));
        assert_error(&answer, 416, "RANGE_INVALID");
    }
    let put = Request::new("PUT", format!("{at}&digest={}", blob.digest))
        .header("Content-Range", "1500-1999")
        .body(&blob.bytes[1500..]);
    assert_error(&subject.send(&put), 416, "RANGE_INVALID");
    // A look tells where to go on.
    let status = subject
        .send(&Request::new("GET", path_of(&at)))
        .expect(204)
        .unwrap();
    assert_eq!(status.header("range"), Some("0-999"));
    let rest = chunk(
        &mut subject,
        &location(&status),
        (1000, &blob.bytes[1000..]),
    );
    let at = location(&rest.expect(202).unwrap());
    let put = Request::new("PUT", format!("{at}&digest={}", blob.digest));
    subject.send(&put).expect(201).unwrap();
}

#[test]
fn a_malformed_range_is_416_and_another_length_400() {
    let mut subject = Subject::new("chunks/ranges");
    let at = subject.start();
    for range in [
        "bytes=0-2",
        "0-",
        "-2",
        "2-0",
        "0-2/3",
        "a-b",
        "0-18446744073709551616",
    ] {
        let request = Request::new("PATCH", &*at)
            .header("Content-Range", range)
            .body("abc");
        assert_error(&subject.send(&request), 416, "RANGE_INVALID");
    }
    let request = Request::new("PATCH", &*at)
        .header("Content-Range", "0-5")
        .body("abc");
    assert_error(&subject.send(&request), 400, "SIZE_INVALID");
}

#[test]
fn the_status_of_an_upload_is_204_with_location_and_range() {
    let mut subject = Subject::new("chunks/status");
    let at = subject.start();
    let answer = chunk(&mut subject, &at, (0, b"12345")).expect(202).unwrap();
    for method in ["GET", "HEAD"] {
        let status = subject.send(&Request::new(method, path_of(&at)));
        let status = status.expect(204).unwrap();
        assert_eq!(status.header("range"), Some("0-4"));
        assert_eq!(path_of(&location(&status)), path_of(&location(&answer)));
    }
}

#[test]
fn a_cancelled_upload_is_204_and_then_unknown() {
    let mut subject = Subject::new("chunks/cancel");
    let at = subject.start();
    let answer = chunk(&mut subject, &at, (0, b"12345")).expect(202).unwrap();
    let at = location(&answer);
    subject
        .send(&Request::new("DELETE", &*at))
        .expect(204)
        .unwrap();
    for method in ["GET", "PATCH", "DELETE"] {
        let gone = subject.send(&Request::new(method, &*at));
        assert_error(&gone, 404, "BLOB_UPLOAD_UNKNOWN");
    }
}

#[test]
fn an_upload_that_was_never_started_is_404() {
    let mut subject = Subject::new("chunks/none");
    let none = "blobs/uploads/00000000-0000-4000-8000-000000000000";
    assert_error(&subject.get(none), 404, "BLOB_UPLOAD_UNKNOWN");
    for method in ["PATCH", "PUT", "DELETE"] {
        assert_eq!(subject.ask(method, none).status(), 404, "{method}");
    }
}

#[test]
fn chunks_without_a_range_follow_each_other() {
    let mut subject = Subject::new("chunks/stream");
    let blob = Blob::random(23, 3000);
    let mut at = subject.start();
    for piece in blob.bytes.chunks(1234) {
        let answer = subject.send(&Request::new("PATCH", &*at).body(piece));
        at = location(&answer.expect(202).unwrap());
    }
    let put = Request::new("PUT", format!("{at}&digest={}", blob.digest));
    subject.send(&put).expect(201).unwrap();
}

#[test]
fn the_algorithm_of_the_digest_may_be_announced() {
    let mut subject = Subject::new("chunks/announced");
    let blob = Blob::random(24, 3000);
    let digest = sha512_of(&blob.bytes);
    let started = subject.ask("POST", "blobs/uploads/?digest-algorithm=sha512");
    let mut at = location(&started.expect(202).unwrap());
    for piece in blob.bytes.chunks(1000) {
        let answer = subject.send(&Request::new("PATCH", &*at).body(piece));
        at = location(&answer.expect(202).unwrap());
    }
    subject
        .send(&Request::new("PUT", format!("{at}&digest={digest}")))
        .expect(201)
        .unwrap();
    let got = subject.get(&format!("blobs/{digest}")).expect(200).unwrap();
    assert_eq!(got.body, blob.bytes);
}

#[test]
fn an_algorithm_that_is_not_supported_is_400() {
    let mut subject = Subject::new("chunks/unsupported");
    for algorithm in ["md5", "sha1", "SHA256", "sha256:", "..%2Fx"] {
        let answer = subject.ask(
            "POST",
            &format!("blobs/uploads/?digest-algorithm={algorithm}"),
        );
        assert_error(&answer, 400, "DIGEST_INVALID");
    }
}

#[test]
fn chunks_of_any_length_are_taken_and_none_is_asked_for() {
    let mut subject = Subject::new("chunks/least");
    let started = subject.ask("POST", "blobs/uploads/").expect(202).unwrap();
    assert_eq!(started.header("oci-chunk-min-length"), None);
    let mut at = location(&started);
    for (first, piece) in b"abc".chunks(1).enumerate() {
        let answer = chunk(&mut subject, &at, (first, piece));
        at = location(&answer.expect(202).unwrap());
    }
}
