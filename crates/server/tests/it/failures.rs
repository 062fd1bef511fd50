//! What becomes of writes that fail.

use std::sync::Arc;

use wharfinger_driver::{
    Driver, ErrorKind, Fault, FaultPlan, Faulty, Filesystem, FilesystemOptions, Memory, Method,
};
use wharfinger_runtime::Runtime;
use wharfinger_server::{Event, EventSink};
use wharfinger_testkit::{Blob, Request, Scratch, eventually};

use crate::fixture::{Fixture, UNDER_WAY, UPLOADS, assert_refused, target};
use crate::over_every_driver;

fn faulty(plan: FaultPlan) -> Fixture {
    let below: Arc<dyn Driver> = Arc::new(Memory::new());
    Fixture::over(Arc::new(Faulty::new(below, plan)))
}

over_every_driver! {
    fn a_cut_patch_keeps_what_has_arrived(fixture) {
        // More than the part of the driver that keeps whole parts only.
        let blob = Blob::random(60, 6000);
        let location = fixture.patch(&fixture.start(), &blob.bytes[..1000]);
        let mut connection = fixture.client().connect().unwrap();
        let request = Request::new("PATCH", location.as_str()).header("Content-Length", "5000");
        connection.send_head(&request).unwrap();
        connection.send(&blob.bytes[1000..4000]).unwrap();
        connection.cut();
        eventually!(fixture.range_of(&location).as_deref() == Some("0-3999"));
        let status = fixture.get(location.split('?').next().unwrap());
        let finished = fixture.put(&target(&status), &blob.digest, &blob.bytes[4000..]);
        finished.expect(201).unwrap();
    }

    fn a_second_writer_is_refused_and_the_first_goes_on(fixture) {
        let blob = Blob::random(61, UNDER_WAY + 1000);
        let location = fixture.start();
        let length = blob.bytes.len().to_string();
        let request = Request::new("PATCH", location.as_str()).header("Content-Length", length);
        let mut first = fixture.begin(&request, &blob.bytes);
        let second = fixture.send(&Request::new("PATCH", location.as_str()).body("x"));
        assert_refused(&second, 416, "RANGE_INVALID");
        assert_refused(&fixture.put(&location, &blob.digest, b"x"), 416, "RANGE_INVALID");
        assert_refused(&fixture.delete(&location), 416, "RANGE_INVALID");
        first.send(&blob.bytes[UNDER_WAY..]).unwrap();
        let answer = first.read_response(false).unwrap().expect(202).unwrap();
        fixture.put(&target(&answer), &blob.digest, b"").expect(201).unwrap();
    }
}

#[test]
fn a_full_disk_gives_back_what_was_not_acknowledged() {
    // The second request fails when part of it was written, and more is still to come.
    // On a disk such bytes stay unless somebody takes them away.
    let scratch = Scratch::new("full").unwrap();
    let options = FilesystemOptions::new(scratch.path());
    let below = Filesystem::open(options, Runtime::new(4)).unwrap();
    let plan = FaultPlan::new().fail(Method::Append, 3, ErrorKind::Full);
    let fixture = Fixture::over(Arc::new(Faulty::new(Arc::new(below), plan)));
    let blob = Blob::random(62, 4 * UNDER_WAY);
    let location = fixture.patch(&fixture.start(), &blob.bytes[..1000]);
    let patch = Request::new("PATCH", location.as_str()).body(&blob.bytes[1000..]);
    let refused = fixture.send(&patch);
    assert_refused(&refused, 507, "STORAGE_FULL");
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(fixture.range_of(&location).as_deref(), Some("0-999"));
    // The same request again, once there is room.
    let location = fixture.patch(&location, &blob.bytes[1000..]);
    fixture
        .put(&location, &blob.digest, b"")
        .expect(201)
        .unwrap();
}

#[test]
fn a_full_disk_leaves_nothing_of_a_single_post() {
    let fixture = faulty(FaultPlan::new().always(Method::Append, Fault::Before(ErrorKind::Full)));
    let blob = Blob::random(63, 1000);
    let request = Request::new("POST", format!("{UPLOADS}?digest={}", blob.digest));
    assert_refused(
        &fixture.send(&request.body(blob.bytes)),
        507,
        "STORAGE_FULL",
    );
    assert_eq!(fixture.files(), [""; 0]);
}

#[test]
fn storage_that_fails_is_unavailable_and_says_no_more() {
    let plan = FaultPlan::new().always(Method::Stat, Fault::Before(ErrorKind::Unavailable));
    let plan = plan.always(Method::Get, Fault::Before(ErrorKind::Unavailable));
    let fixture = faulty(plan);
    let blob = Blob::random(64, 10);
    for path in [
        format!("/v2/a/blobs/{}", blob.digest),
        "/v2/a/manifests/x".to_owned(),
    ] {
        let failed = fixture.get(&path);
        assert_refused(&failed, 503, "UNAVAILABLE");
        assert!(failed.header("retry-after").is_some());
        assert!(
            !failed.text().contains("docker/registry"),
            "{}",
            failed.text()
        );
        assert!(!failed.text().contains("planned"), "{}", failed.text());
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_whole_one() {
    let cut = Fault::Cut {
        after: 100_000,
        kind: ErrorKind::Unavailable,
    };
    let fixture = faulty(FaultPlan::new().always(Method::Read, cut));
    let blob = Blob::random(65, 300_000);
    fixture.push("a", &blob);
    let mut connection = fixture.client().connect().unwrap();
    let path = format!("/v2/a/blobs/{}", blob.digest);
    connection.send_head(&Request::new("GET", path)).unwrap();
    let head = connection.read_head().unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("300000"))
    );
    let mut got = Vec::new();
    connection.read_body(&head, &mut got).unwrap_err();
    assert!(blob.bytes.starts_with(&got) && got.len() < blob.bytes.len());
}

#[test]
fn a_short_answer_that_fails_still_gets_a_status() {
    let cut = Fault::Cut {
        after: 100,
        kind: ErrorKind::Unavailable,
    };
    let fixture = faulty(FaultPlan::new().always(Method::Read, cut));
    let blob = Blob::random(66, 3000);
    fixture.push("a", &blob);
    assert_refused(
        &fixture.get(&format!("/v2/a/blobs/{}", blob.digest)),
        503,
        "UNAVAILABLE",
    );
}

/// Panics at every event.
#[derive(Debug)]
struct Bomb;

impl EventSink for Bomb {
    fn accept(&self, _event: &Event<'_>) {
        panic!("as planned");
    }
}

#[test]
fn a_panic_is_an_answer_and_the_connection_lives() {
    let fixture = Fixture::with(Arc::new(Memory::new()), vec![Arc::new(Bomb)], |_| {});
    let blob = Blob::random(67, 1000);
    let mut client = fixture.client();
    let path = format!("/v2/a/blobs/uploads/?digest={}", blob.digest);
    // In a task of its own.
    let answer = client
        .send(&Request::new("POST", path).body(blob.bytes.clone()))
        .unwrap();
    assert_refused(&answer, 500, "UNKNOWN");
    assert!(!answer.text().contains("planned"));
    // In the handler itself.
    let path = format!("/v2/a/blobs/{}", blob.digest);
    let answer = client.send(&Request::new("GET", path)).unwrap();
    assert_refused(&answer, 500, "UNKNOWN");
    client
        .send(&Request::new("GET", "/v2/"))
        .unwrap()
        .expect(200)
        .unwrap();
}
