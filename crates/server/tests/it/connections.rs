//! Connections: kept, closed, bounded and drained.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use wharfinger_driver::{Driver, Fault, FaultPlan, Faulty, Memory, Method};
use wharfinger_testkit::{Blob, Client, Request, eventually};

use crate::fixture::{Fixture, UNDER_WAY, UPLOADS, assert_refused, target};

fn with(configure: impl FnOnce(&mut wharfinger_server::Config)) -> Fixture {
    Fixture::with(Arc::new(Memory::new()), Vec::new(), configure)
}

/// Tells whether the other side has closed.
fn is_closed(connection: &mut wharfinger_testkit::Connection) -> bool {
    connection.send_head(&Request::new("GET", "/v2/")).is_err()
        || connection.read_response(false).is_err_and(|error| {
            // It is not the client that gave up.
            !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        })
}

/// Waits until the other side has closed, without sending anything.
#[track_caller]
fn assert_ends(connection: &mut wharfinger_testkit::Connection) {
    let error = connection.read_head().unwrap_err();
    // It is not the client that gave up.
    let ended = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
    assert!(ended.contains(&error.kind()), "{error:?}");
}

/// Asks for something small over a connection that is kept.
fn ask(connection: &mut wharfinger_testkit::Connection) {
    connection.send_head(&Request::new("GET", "/v2/")).unwrap();
    let answer = connection.read_response(false).unwrap();
    assert!(!answer.expect(200).unwrap().head.closes());
}

#[test]
fn a_refused_short_body_does_not_cost_the_connection() {
    let fixture = Fixture::memory();
    let mut connection = fixture.client().connect().unwrap();
    for _ in 0..3 {
        let request = Request::new("PATCH", format!("{UPLOADS}none")).body(vec![1; 20_000]);
        connection.send_request(&request).unwrap();
        let answer = connection.read_response(false).unwrap();
        assert_refused(&answer, 404, "BLOB_UPLOAD_INVALID");
        assert!(!answer.head.closes());
    }
}

#[test]
fn a_refused_long_body_is_not_read_and_the_answer_arrives() {
    let fixture = Fixture::memory();
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PATCH", format!("{UPLOADS}none"));
    connection
        .send_head(&request.header("Content-Length", "10000000"))
        .unwrap();
    connection.send(&[1; 100_000]).unwrap();
    let answer = connection.read_response(false).unwrap();
    assert_refused(&answer, 404, "BLOB_UPLOAD_INVALID");
    assert!(answer.head.closes());
    assert!(is_closed(&mut connection));
    // A client that has not read the answer yet may go on for a while; were it told that nobody
    // listens, it might never read it.
    for _ in 0..800 {
        connection.send(&[1; 1000]).unwrap();
    }
}

#[test]
fn a_body_that_is_refused_is_not_asked_for() {
    let fixture = Fixture::memory();
    let mut connection = fixture.client().connect().unwrap();
    let expecting = |location: &str| {
        Request::new("PATCH", location)
            .header("Expect", "100-continue")
            .header("Content-Length", "5")
    };
    connection
        .send_head(&expecting(&format!("{UPLOADS}none")))
        .unwrap();
    assert_eq!(connection.read_head().unwrap().status, 404);
    assert!(is_closed(&mut connection));

    let mut connection = fixture.client().connect().unwrap();
    connection.send_head(&expecting(&fixture.start())).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(b"hello").unwrap();
    assert_eq!(connection.read_head().unwrap().status, 202);
}

#[test]
fn a_slow_head_is_cut() {
    let fixture = with(|config| config.limits.header_timeout = Duration::from_millis(50));
    let mut connection = fixture.client().connect().unwrap();
    connection.send(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    assert_ends(&mut connection);
    // And so is one without any request.
    let mut connection = fixture.client().connect().unwrap();
    assert_ends(&mut connection);
    // Neither drops nor an earlier request help.
    let mut connection = fixture.client().connect().unwrap();
    ask(&mut connection);
    connection.send(b"GET /v2/ HTTP/1.1\r\nX: ").unwrap();
    eventually!(connection.send(b"x").is_err());
}

#[test]
fn a_connection_is_kept_for_longer_than_a_head_may_take() {
    let fixture = with(|config| {
        config.limits.header_timeout = Duration::from_millis(100);
        config.limits.idle_timeout = Duration::from_secs(2);
    });
    let mut connection = fixture.client().connect().unwrap();
    for _ in 0..3 {
        ask(&mut connection);
        std::thread::sleep(Duration::from_millis(200));
    }
    // So it is after a body and after a refusal.
    let location = fixture.start();
    let patch = Request::new("PATCH", location.as_str()).body(vec![1; 20_000]);
    for status in [202, 416] {
        connection.send_request(&patch).unwrap();
        let answer = connection.read_response(false).unwrap();
        answer.expect(status).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    ask(&mut connection);
    assert_ends(&mut connection);
}

#[test]
fn a_connection_without_a_further_request_is_closed() {
    let fixture = with(|config| config.limits.idle_timeout = Duration::from_millis(50));
    // Less than the time for a head, whose timer must not be what closes it.
    let connect = || {
        let client = Client::new(fixture.address).with_timeout(Duration::from_secs(5));
        client.connect().unwrap()
    };
    let mut connection = connect();
    ask(&mut connection);
    assert_ends(&mut connection);
    let mut connection = connect();
    let patch = Request::new("PATCH", fixture.start()).body(vec![1; 100_000]);
    connection.send_request(&patch).unwrap();
    let answer = connection.read_response(false).unwrap();
    answer.expect(202).unwrap();
    assert_ends(&mut connection);
    // So is one whose answer was taken with hesitation.
    let blob = Blob::random(74, 32 * 1024 * 1024);
    fixture.push("library/thing", &blob);
    let path = format!("/v2/library/thing/blobs/{}", blob.digest);
    let mut connection = connect();
    connection.send_head(&Request::new("GET", path)).unwrap();
    let head = connection.read_head().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let read = connection.read_body(&head, &mut std::io::sink()).unwrap();
    assert_eq!(read, 32 * 1024 * 1024);
    assert_ends(&mut connection);
}

#[test]
fn a_request_may_take_longer_than_a_head() {
    let plan = FaultPlan::new().always(Method::Stat, Fault::Delay(Duration::from_millis(300)));
    let below = Faulty::new(Arc::new(Memory::new()), plan);
    let fixture = Fixture::with(Arc::new(below), Vec::new(), |config| {
        config.limits.header_timeout = Duration::from_millis(100);
        config.limits.idle_timeout = Duration::from_millis(100);
    });
    let path = format!("/v2/a/blobs/{}", Blob::random(73, 1).digest);
    assert_refused(&fixture.get(&path), 404, "BLOB_UNKNOWN");
}

#[test]
fn a_body_that_stands_still_is_cut_and_kept() {
    let fixture = with(|config| config.limits.body_idle_timeout = Duration::from_millis(50));
    let location = fixture.start();
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PATCH", location.as_str()).header("Content-Length", "10");
    connection.send_head(&request).unwrap();
    connection.send(b"hello").unwrap();
    let answer = connection.read_response(false).unwrap();
    assert_refused(&answer, 408, "SIZE_INVALID");
    assert!(answer.head.closes());
    assert_eq!(fixture.range_of(&location).as_deref(), Some("0-4"));
}

#[test]
fn a_body_that_comes_by_drops_is_cut_and_kept() {
    let fixture = with(|config| config.limits.body_grace = Duration::from_millis(100));
    let location = fixture.start();
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PATCH", location.as_str()).header("Content-Length", "100000");
    connection.send_head(&request).unwrap();
    eventually!({
        // It may have been cut already.
        drop(connection.send(b"x"));
        fixture
            .range_of(&location)
            .is_some_and(|range| range != "0-0")
    });
    let answer = connection.read_response(false).unwrap();
    assert_refused(&answer, 408, "SIZE_INVALID");
    assert!(answer.head.closes());
    // It may go on elsewhere.
    let status = fixture.get(location.split('?').next().unwrap());
    fixture.patch(&target(&status), b"more");
}

#[test]
fn a_refused_body_that_does_not_come_costs_the_connection() {
    let fixture = with(|config| config.limits.refused_body_timeout = Duration::from_millis(50));
    let mut connection = fixture.client().connect().unwrap();
    let request = Request::new("PATCH", format!("{UPLOADS}none"));
    connection
        .send_head(&request.header("Content-Length", "5"))
        .unwrap();
    let answer = connection.read_response(false).unwrap();
    assert_refused(&answer, 404, "BLOB_UPLOAD_INVALID");
    assert!(answer.head.closes());
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut() {
    let fixture = with(|config| {
        config.limits.write_idle_timeout = Duration::from_millis(100);
        config.limits.max_connections = 1;
    });
    // More than the buffers of both kernels take.
    let blob = Blob::random(72, 32 * 1024 * 1024);
    fixture.push("library/thing", &blob);
    let path = format!("/v2/library/thing/blobs/{}", blob.digest);
    let mut deaf = fixture.client().connect().unwrap();
    deaf.send_head(&Request::new("GET", path.as_str())).unwrap();
    // Its place is needed: nobody else is served until it is gone.
    fixture.get("/v2/").expect(200).unwrap();
    let head = deaf.read_head().unwrap();
    assert!(deaf.read_body(&head, &mut std::io::sink()).is_err());
}

#[test]
fn further_connections_wait() {
    let fixture = with(|config| config.limits.max_connections = 2);
    let mut open: Vec<_> = (0..2)
        .map(|_| fixture.client().connect().unwrap())
        .collect();
    for connection in &mut open {
        connection.send_head(&Request::new("GET", "/v2/")).unwrap();
        connection
            .read_response(false)
            .unwrap()
            .expect(200)
            .unwrap();
    }
    let mut third = Client::new(fixture.address).with_timeout(Duration::from_millis(100));
    third.send(&Request::new("GET", "/v2/")).unwrap_err();
    open.pop().unwrap().cut();
    eventually!(third.send(&Request::new("GET", "/v2/")).is_ok());
}

#[test]
fn smuggled_requests_are_not_read() {
    let fixture = Fixture::memory();
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 3\r\nContent-Length: 5",
        "Content-Length: +5",
    ] {
        let mut connection = fixture.client().connect().unwrap();
        let smuggled = "GET /v2/_catalog HTTP/1.1\r\nHost: x\r\n\r\n";
        let text = format!(
            "POST {UPLOADS} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}{smuggled}"
        );
        connection.send(text.as_bytes()).unwrap();
        // One answer at most, and then the end.
        let first = connection.read_response(false);
        if let Ok(answer) = &first
            && answer.status() < 400
        {
            assert!(is_closed(&mut connection), "{head}");
        }
    }
}

#[test]
fn the_end_waits_for_requests_and_takes_no_new_ones() {
    let mut fixture = Fixture::memory();
    let blob = Blob::random(70, UNDER_WAY + 1000);
    let location = fixture.start();
    let mut idle = fixture.client().connect().unwrap();
    let request = Request::new("PUT", format!("{location}&digest={}", blob.digest))
        .header("Content-Length", blob.bytes.len().to_string());
    let mut busy = fixture.begin(&request, &blob.bytes);
    fixture.stop();
    eventually!(fixture.client().connect().is_err());
    assert!(is_closed(&mut idle));
    busy.send(&blob.bytes[UNDER_WAY..]).unwrap();
    let answer = busy.read_response(false).unwrap().expect(201).unwrap();
    assert!(answer.head.closes());
    fixture.ended();
}

#[test]
fn requests_that_go_on_for_too_long_are_cut_and_kept() {
    let below: Arc<dyn Driver> = Arc::new(Memory::new());
    let short = |config: &mut wharfinger_server::Config| {
        config.drain_timeout = Duration::from_millis(50);
    };
    let mut fixture = Fixture::with(Arc::clone(&below), Vec::new(), short);
    let blob = Blob::random(71, UNDER_WAY + 1000);
    let location = fixture.start();
    let request = Request::new("PATCH", location.as_str())
        .header("Content-Length", blob.bytes.len().to_string());
    let mut busy = fixture.begin(&request, &blob.bytes);
    fixture.stop();
    fixture.ended();
    assert!(busy.read_response(false).is_err());
    // Another process goes on where this one ended; what the connection still held is lost.
    let next = Fixture::over(below);
    let status = next
        .get(location.split('?').next().unwrap())
        .expect(204)
        .unwrap();
    let (_, last) = status.header("range").unwrap().split_once('-').unwrap();
    let kept = last.parse::<usize>().unwrap() + 1;
    assert!((UNDER_WAY / 2..=UNDER_WAY).contains(&kept), "{kept}");
    next.put(&target(&status), &blob.digest, &blob.bytes[kept..])
        .expect(201)
        .unwrap();
}

#[test]
fn an_address_that_is_taken_is_said_so() {
    let fixture = Fixture::memory();
    let error = fixture.block_on(async {
        let runtime = wharfinger_runtime::Runtime::new(1);
        let secret = wharfinger_runtime::Secret::new(Vec::new());
        let options = wharfinger_store::StoreOptions::new(secret.clone());
        let store =
            wharfinger_store::Store::new(Arc::new(Memory::new()), None, runtime.clone(), options);
        let gate = wharfinger_auth::Gate::new(Arc::new(wharfinger_auth::Open));
        let parts = wharfinger_server::Parts {
            store,
            gate,
            runtime,
            metrics: Arc::new(wharfinger_server::HttpMetrics::new(
                &wharfinger_server::codes(),
            )),
            health: Arc::default(),
            codes: wharfinger_server::codes(),
            events: Vec::new(),
        };
        let config = wharfinger_server::Config::new(fixture.address, secret);
        wharfinger_server::Server::bind(config, parts)
            .await
            .unwrap_err()
    });
    assert_eq!(error.kind(), wharfinger_server::ErrorKind::AddressInUse);
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", fixture.address)
    );
}
