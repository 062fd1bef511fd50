//! Limits: what happens to those who ask for more than there is, and to everybody else meanwhile.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wharfinger_driver::{Fault, FaultPlan, Faulty, LoggedCall, Memory, Method};
use wharfinger_server::Config;
use wharfinger_testkit::{Blob, Client, Connection, Image, Request, Response, eventually};

use crate::fixture::{Fixture, UNDER_WAY, UPLOADS, assert_refused};

fn with(configure: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::with(Arc::new(Memory::new()), Vec::new(), configure)
}

/// Asserts that somebody was turned away and told when to come again.
#[track_caller]
fn assert_shed(answer: &Response, status: u16, code: &str) {
    assert_refused(answer, status, code);
    let seconds = answer.header("retry-after").unwrap();
    assert!(seconds.parse::<u32>().is_ok(), "{seconds}");
}

/// Begins to push content that does not come to its end.
fn begin(fixture: &Fixture, method: &str, target: &str, sent: &[u8]) -> Connection {
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new(method, target)
        .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        .header("Content-Length", "4000000");
    connection.send_head(&request).unwrap();
    connection.send(sent).unwrap();
    connection
}

/// Begins to write an upload; returns once the server is about it.
fn write(fixture: &Fixture, location: &str) -> Connection {
    let patch = Request::new("PATCH", location).header("Content-Length", "4000000");
    fixture.begin(&patch, &vec![1; UNDER_WAY])
}

#[test]
fn one_address_that_has_too_many_connections_is_told_so() {
    let fixture = with(|config| config.limits.max_address_connections = 2);
    let mut kept: Vec<_> = (0..2).map(|_| fixture.client()).collect();
    for client in &mut kept {
        client
            .send(&Request::new("GET", "/v2/"))
            .unwrap()
            .expect(200)
            .unwrap();
    }
    let answer = fixture.get("/v2/");
    assert_shed(&answer, 429, "TOOMANYREQUESTS");
    assert!(answer.head.closes());
    // Those that it has go on.
    kept[0]
        .send(&Request::new("GET", "/v2/"))
        .unwrap()
        .expect(200)
        .unwrap();
    kept.pop();
    eventually!(fixture.get("/v2/").status() == 200);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let fixture = Fixture::memory();
    let with_header = |bytes: usize| {
        let mut client = fixture.client();
        let request = Request::new("GET", "/v2/").header("X-Long", "x".repeat(bytes));
        client.send(&request).unwrap()
    };
    assert_eq!(with_header(30 * 1024).status(), 200);
    for bytes in [100 * 1024, 1024 * 1024] {
        let answer = with_header(bytes);
        assert_eq!(answer.status(), 431, "{bytes}");
        assert!(answer.head.closes());
    }
}

#[test]
fn further_requests_are_turned_away() {
    let fixture = with(|config| config.limits.max_requests = 1);
    let location = fixture.start();
    let writing = write(&fixture, &location);
    eventually!(fixture.get("/v2/").status() == 503);
    assert_shed(&fixture.get("/v2/"), 503, "UNAVAILABLE");
    writing.cut();
    eventually!(fixture.get("/v2/").status() == 200);
}

#[test]
fn pushes_give_way_before_pulls() {
    let fixture = with(|config| config.limits.max_uploads = 1);
    let image = Image::build(5, &[2048]);
    for blob in image.blobs() {
        fixture.push("library/thing", blob);
    }
    let location = fixture.start();
    let writing = write(&fixture, &location);
    let post = Request::new("POST", UPLOADS);
    eventually!(fixture.send(&post).status() == 503);
    assert_shed(&fixture.send(&post), 503, "UNAVAILABLE");
    let manifest = "/v2/library/thing/manifests/v1";
    assert_shed(
        &fixture.put_manifest(manifest, &image.manifest),
        503,
        "UNAVAILABLE",
    );
    for blob in image.blobs() {
        let path = format!("/v2/library/thing/blobs/{}", blob.digest);
        fixture.get(&path).expect(200).unwrap();
    }
    writing.cut();
    eventually!(fixture.put_manifest(manifest, &image.manifest).status() == 201);
}

#[test]
fn the_place_of_a_push_is_taken_until_it_has_ended_also_without_its_client() {
    let plan = FaultPlan::new().always(Method::Commit, Fault::Hang);
    let driver = Faulty::new(Arc::new(Memory::new()), plan);
    let fixture = Fixture::with(Arc::new(driver.clone()), Vec::new(), |config| {
        config.limits.max_uploads = 1
    });
    let blob = Blob::random(76, 1000);
    let push = Request::new("POST", format!("{UPLOADS}?digest={}", blob.digest));
    let mut connection = fixture.client().connect().unwrap();
    connection
        .send_request(&push.body(blob.bytes.clone()))
        .unwrap();
    let is_commit = |call: &LoggedCall| call.method == Method::Commit;
    eventually!(driver.calls().iter().any(is_commit));
    let other = Request::new("POST", UPLOADS);
    assert_eq!(fixture.send(&other).status(), 503);
    connection.cut();
    // Long enough for the server to see that the client has left.
    for _ in 0..50 {
        assert_eq!(fixture.send(&other).status(), 503);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn manifests_that_drip_do_not_keep_their_memory() {
    let fixture = with(|config| {
        config.limits.manifest_memory_bytes = 4 << 20;
        config.limits.whole_body_timeout = Duration::from_secs(5);
    });
    let image = Image::build(6, &[2048]);
    for blob in image.blobs() {
        fixture.push("library/thing", blob);
    }
    // What came of each is held, and that is all there is.
    let target = "/v2/library/thing/manifests/drip";
    let drip = || begin(&fixture, "PUT", target, &vec![b' '; 2 << 20]);
    let mut dripping = vec![drip(), drip()];
    let manifest = "/v2/library/thing/manifests/v1";
    let answer = |fixture: &Fixture| fixture.put_manifest(manifest, &image.manifest);
    // Where one of them wanted the last of the memory while the manifest had it, another takes its place.
    eventually!({
        let full = answer(&fixture).status() != 201;
        if !full {
            dripping.push(drip());
        }
        full
    });
    // By the rate for any body they would have half an hour.
    eventually!(answer(&fixture).status() == 201);
    let mut waited_for = 0;
    for connection in &mut dripping {
        let answer = connection.read_response(false).unwrap();
        if answer.status() == 408 {
            assert_refused(&answer, 408, "SIZE_INVALID");
            waited_for += 1;
        }
    }
    assert!(waited_for >= 2, "{waited_for} of {}", dripping.len());
}

#[test]
fn one_address_cannot_hold_all_memory_for_manifests() {
    let fixture = with(|config| config.limits.manifest_memory_bytes = 32 << 20);
    let target = "/v2/library/thing/manifests/v1";
    let hold = || begin(&fixture, "PUT", target, &vec![b' '; 3_900_000]);
    let mut held = vec![hold(), hold()];
    let third = vec![b' '; 4_000_000];
    let put = || {
        let request = Request::new("PUT", target)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json");
        fixture.send(&request.body(third.clone()))
    };
    // Where one of them came too late for its share, and was refused, another takes its place.
    eventually!({
        held.push(hold());
        let answer = put();
        let refused = answer.status() == 429;
        if refused {
            assert_shed(&answer, 429, "TOOMANYREQUESTS");
        }
        refused
    });
    drop(held);
}

#[test]
fn a_client_that_takes_its_answer_by_drops_is_cut() {
    let fixture = with(|config| {
        config.limits.write_idle_timeout = Duration::from_secs(1);
        // More than it takes, and less than anybody who reads.
        config.limits.min_answer_rate = 8 << 20;
    });
    let blob = Blob::random(75, 64 << 20);
    fixture.push("library/thing", &blob);
    let path = format!("/v2/library/thing/blobs/{}", blob.digest);
    let mut slow = TcpStream::connect(fixture.address).unwrap();
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    std::io::Write::write_all(&mut slow, get.as_bytes()).unwrap();
    let mut taken = 0;
    let mut drop_of_it = vec![0; 64 * 1024];
    let cut = eventually_cut(|| {
        thread::sleep(Duration::from_millis(50));
        let read = slow.read(&mut drop_of_it);
        taken += read.as_ref().map_or(0, |count| *count);
        matches!(read, Ok(0) | Err(_))
    });
    assert!(cut && taken < blob.bytes.len(), "{taken} bytes were taken");
    // Whoever reads is not.
    let mut client = Client::new(fixture.address);
    let answer = client.send(&Request::new("GET", path)).unwrap();
    assert_eq!(answer.expect(200).unwrap().body.len(), blob.bytes.len());
}

/// Reads on until the connection is cut, or enough was tried: at this pace all of it would take a minute.
fn eventually_cut(mut read: impl FnMut() -> bool) -> bool {
    (0..1000).any(|_| read())
}

#[test]
fn a_url_that_is_too_long_is_refused() {
    let fixture = Fixture::memory();
    let path = format!("/v2/{}/tags/list", "a".repeat(9000));
    assert_eq!(fixture.get(&path).status(), 414);
}
