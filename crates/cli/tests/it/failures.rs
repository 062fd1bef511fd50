//! How a push can fail, on the running binary: what is answered, what is kept, what is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod full;

use std::time::Duration;

use wharfinger_testkit::{
    Blob, Connection, Registry, RegistryConfig, Request, Response, Scratch, Server, sha256,
    wait_until,
};

use crate::setup::wharfinger;
use crate::tree::Tree;

const REPOSITORY: &str = "team/app";
const TIMEOUT: Duration = Duration::from_secs(20);

/// A server on an empty directory, and how it looks to a client.
struct Subject {
    server: Server,
    registry: Registry,
    root: std::path::PathBuf,
    _scratch: Scratch,
}

impl Subject {
    fn start() -> Self {
        let scratch = Scratch::new("failures").unwrap();
        let root = scratch.make("data").unwrap();
        Self::start_in(scratch, &root)
    }

    fn start_in(scratch: Scratch, root: &std::path::Path) -> Self {
        let server = wharfinger(&RegistryConfig::new(root), &scratch).unwrap();
        let registry = server.registry();
        Self {
            server,
            registry,
            root: root.to_owned(),
            _scratch: scratch,
        }
    }

    fn send(&mut self, request: &Request) -> Response {
        self.registry.send(request).unwrap()
    }

    fn connect(&self) -> Connection {
        Connection::open(self.server.address(), TIMEOUT).unwrap()
    }

    /// Where the upload stands, and where it goes on.
    fn status(&mut self, location: &str) -> (u64, String) {
        let response = self
            .send(&Request::new("GET", path_of(location)))
            .expect(204)
            .unwrap();
        let range = response.header("range").unwrap().to_owned();
        let last: u64 = range.strip_prefix("0-").unwrap().parse().unwrap();
        let location = response.header("location").unwrap();
        (
            if last == 0 { 0 } else { last + 1 },
            path_and_query(location),
        )
    }

    fn assert_gone(&mut self, location: &str) {
        assert_eq!(
            self.send(&Request::new("GET", path_of(location))).status(),
            404
        );
    }

    fn assert_blob_unknown(&mut self, digest: &str) {
        for method in ["GET", "HEAD"] {
            let target = format!("/v2/{REPOSITORY}/blobs/{digest}");
            assert_eq!(
                self.registry.status(method, &target).unwrap(),
                404,
                "{method} {digest}"
            );
        }
    }

    fn tree(&self) -> Tree {
        let tree = Tree::scan(&self.root).unwrap();
        assert_eq!(
            (tree.faults.len(), tree.temporary),
            (0, 0),
            "{:?}",
            tree.faults
        );
        tree
    }
}

fn path_of(location: &str) -> String {
    location.split('?').next().unwrap().to_owned()
}

fn path_and_query(location: &str) -> String {
    let (_, rest) = location.split_once("://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

fn finish(location: &str, digest: &str) -> Request {
    Request::new("PUT", format!("{location}&digest={digest}"))
}

fn patch(location: &str, bytes: &[u8]) -> Request {
    Request::new("PATCH", location).body(bytes)
}

/// The answer is an OCI error with this status and code.
fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status(), status, "{}", response.text());
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body["errors"][0]["code"], code, "{body}");
}

#[test]
fn a_finish_with_a_wrong_digest_or_size_keeps_the_upload() {
    let mut subject = Subject::start();
    let (blob, other) = (Blob::random(1, 300_000), Blob::random(2, 10));
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let location = subject
        .registry
        .append(&location, &blob.bytes[..200_000])
        .unwrap();
    let wrong_size =
        patch(&location, &blob.bytes[200_000..]).header("Content-Range", "200000-299998");
    assert_error(&subject.send(&wrong_size), 400, "SIZE_INVALID");
    let location = subject
        .registry
        .append(&location, &blob.bytes[200_000..])
        .unwrap();
    for _ in 0..2 {
        assert_error(
            &subject.send(&finish(&location, &other.digest)),
            400,
            "DIGEST_INVALID",
        );
        assert_eq!(subject.status(&location).0, 300_000);
    }
    subject.assert_blob_unknown(&blob.digest);
    subject.assert_blob_unknown(&other.digest);
    subject
        .registry
        .finish_upload(&location, &blob.digest, b"")
        .unwrap();
    assert_eq!(
        subject.registry.blob(REPOSITORY, &blob.digest).unwrap(),
        blob.bytes
    );
    subject.assert_gone(&location);
    assert_eq!(subject.tree().uploads, 0);
}

#[test]
fn a_single_post_that_is_wrong_or_short_leaves_nothing() {
    let mut subject = Subject::start();
    let blob = Blob::random(3, 300_000);
    let target = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={}", blob.digest);
    let wrong = Request::new("POST", &target).body(&blob.bytes[..299_999]);
    assert_error(&subject.send(&wrong), 400, "DIGEST_INVALID");
    let empty = Request::new("POST", &target);
    assert_error(&subject.send(&empty), 400, "DIGEST_INVALID");
    let mut connection = subject.connect();
    connection
        .send_head(&Request::new("POST", &target).header("Content-Length", "300000"))
        .unwrap();
    connection.send(&blob.bytes[..200_000]).unwrap();
    connection.cut();
    subject.assert_blob_unknown(&blob.digest);
    assert!(wait_until(TIMEOUT, || {
        let tree = Tree::scan(&subject.root).unwrap();
        (tree.uploads, tree.blobs, tree.temporary) == (0, 0, 0)
    }));
    let right = Request::new("POST", &target).body(&*blob.bytes);
    let answer = subject.send(&right).expect(201).unwrap();
    assert_eq!(answer.header("docker-content-digest"), Some(&*blob.digest));
    assert_eq!(
        subject.registry.blob(REPOSITORY, &blob.digest).unwrap(),
        blob.bytes
    );
    assert_eq!(subject.tree().uploads, 0);
}

#[test]
fn what_arrived_before_a_body_was_cut_is_kept() {
    let mut subject = Subject::start();
    let blob = Blob::random(4, 3_000_000);
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let kept = |subject: &Subject| {
        let log = std::fs::read_to_string(subject.server.log()).unwrap();
        log.matches("kept what has arrived").count()
    };
    for (turn, (method, query)) in (1..).zip([
        ("PATCH", String::new()),
        ("PUT", format!("&digest={}", blob.digest)),
    ]) {
        let (before, current) = subject.status(&location);
        let from = usize::try_from(before).unwrap();
        let rest = blob.bytes.len() - from;
        let mut connection = subject.connect();
        let request = Request::new(method, format!("{current}{query}"))
            .header("Content-Length", rest.to_string());
        connection.send_head(&request).unwrap();
        connection
            .send(&blob.bytes[from..from + 1_000_000])
            .unwrap();
        // What lies in the connection arrives in order with its end.
        connection.finish_sending().unwrap();
        let wanted = before + 1_000_000;
        assert!(
            wait_until(TIMEOUT, || subject.status(&location).0 == wanted),
            "{method}: {}",
            subject.status(&location).0
        );
        // The bytes are seen a moment before the upload is free for the next writer.
        assert!(wait_until(TIMEOUT, || kept(&subject) == turn), "{method}");
        drop(connection);
    }
    subject.assert_blob_unknown(&blob.digest);
    let (offset, current) = subject.status(&location);
    assert_eq!(offset, 2_000_000);
    subject
        .registry
        .finish_upload(&current, &blob.digest, &blob.bytes[2_000_000..])
        .unwrap();
    assert_eq!(
        subject.registry.blob(REPOSITORY, &blob.digest).unwrap(),
        blob.bytes
    );
    assert_eq!(subject.tree().uploads, 0);
}

#[test]
fn the_second_of_two_writers_is_refused_and_the_first_goes_on() {
    let mut subject = Subject::start();
    let blob = Blob::random(5, 2_000_000);
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let mut first = subject.connect();
    let request = Request::new("PATCH", &location).header("Content-Length", "2000000");
    first.send_head(&request).unwrap();
    first.send(&blob.bytes[..1_000_000]).unwrap();
    assert!(
        wait_until(TIMEOUT, || subject.status(&location).0 > 0),
        "the first one has begun"
    );
    assert_error(
        &subject.send(&patch(&location, b"in between")),
        416,
        "RANGE_INVALID",
    );
    assert_error(
        &subject.send(&finish(&location, &blob.digest)),
        416,
        "RANGE_INVALID",
    );
    first.send(&blob.bytes[1_000_000..]).unwrap();
    let answer = first.read_response(false).unwrap().expect(202).unwrap();
    let location = path_and_query(answer.header("location").unwrap());
    subject
        .registry
        .finish_upload(&location, &blob.digest, b"")
        .unwrap();
    assert_eq!(
        subject.registry.blob(REPOSITORY, &blob.digest).unwrap(),
        blob.bytes
    );
}

#[test]
fn a_finish_is_repeated_with_the_same_answer_as_long_as_the_blob_is_linked() {
    let mut subject = Subject::start();
    let blob = Blob::random(6, 100_000);
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let location = subject.registry.append(&location, &blob.bytes).unwrap();
    for _ in 0..3 {
        let answer = subject
            .registry
            .finish_upload(&location, &blob.digest, b"")
            .unwrap();
        assert_eq!(answer.header("docker-content-digest"), Some(&*blob.digest));
    }
    let other = sha256(b"other");
    assert_error(
        &subject.send(&finish(&location, &other)),
        404,
        "BLOB_UPLOAD_UNKNOWN",
    );
    let delete = Request::new("DELETE", format!("/v2/{REPOSITORY}/blobs/{}", blob.digest));
    subject.send(&delete).expect(202).unwrap();
    assert_error(
        &subject.send(&finish(&location, &blob.digest)),
        404,
        "BLOB_UPLOAD_UNKNOWN",
    );
}

#[test]
fn without_a_byte_only_the_digest_of_nothing_is_committed() {
    let mut subject = Subject::start();
    let nothing = sha256(b"");
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let something = sha256(b"something");
    assert_error(
        &subject.send(&finish(&location, &something)),
        400,
        "DIGEST_INVALID",
    );
    subject
        .registry
        .finish_upload(&location, &nothing, b"")
        .unwrap();
    assert_eq!(subject.registry.blob(REPOSITORY, &nothing).unwrap(), b"");
    let single = format!("/v2/other/blobs/uploads/?digest={nothing}");
    subject
        .send(&Request::new("POST", single))
        .expect(201)
        .unwrap();
    assert_eq!(subject.registry.blob("other", &nothing).unwrap(), b"");
}

#[test]
fn a_cancelled_upload_is_gone_with_its_bytes() {
    let mut subject = Subject::start();
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let location = subject
        .registry
        .append(&location, &Blob::random(7, 100_000).bytes)
        .unwrap();
    assert_error(
        &subject.send(&Request::new("DELETE", path_of(&location))),
        404,
        "BLOB_UPLOAD_INVALID",
    );
    subject
        .send(&Request::new("DELETE", &location))
        .expect(204)
        .unwrap();
    subject.assert_gone(&location);
    assert_error(
        &subject.send(&patch(&location, b"more")),
        404,
        "BLOB_UPLOAD_UNKNOWN",
    );
    assert_eq!(subject.tree().uploads, 0);
}

#[test]
fn a_drain_keeps_what_an_upload_has_sent() {
    let mut subject = Subject::start();
    let blob = Blob::random(8, 2_000_000);
    let location = subject.registry.start_upload(REPOSITORY).unwrap();
    let mut cut = subject.connect();
    cut.send_head(&Request::new("PATCH", &location).header("Content-Length", "2000000"))
        .unwrap();
    cut.send(&blob.bytes[..1_500_000]).unwrap();
    assert!(wait_until(TIMEOUT, || subject.status(&location).0 > 0));
    subject
        .server
        .process()
        .unwrap()
        .signal(wharfinger_testkit::Signal::TERM)
        .unwrap();
    // It waits for the request, which now comes to its end.
    std::thread::sleep(Duration::from_millis(200));
    cut.send(&blob.bytes[1_500_000..]).unwrap();
    cut.read_response(false).unwrap().expect(202).unwrap();
    let status = subject.server.process().unwrap().wait(TIMEOUT).unwrap();
    assert!(status.success(), "{status}");
    subject.server.restart().unwrap();
    subject.registry = subject.server.registry();
    let (offset, location) = subject.status(&location);
    assert_eq!(offset, 2_000_000);
    subject
        .registry
        .finish_upload(&location, &blob.digest, b"")
        .unwrap();
}
