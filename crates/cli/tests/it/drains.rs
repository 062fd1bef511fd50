//! The end: SIGTERM under load, again and again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wharfinger_testkit::{
    Blob, Client, Connection, Random, RegistryConfig, Request, Response, Scratch, Server, Signal,
    Stopwatch, eventually, free_port,
};

use crate::kills::Pusher;
use crate::setup::{machine, wharfinger, wharfinger_with};

/// How often the server is asked to end.
const ENDS: usize = 20;

/// The drain time that is configured, and a second for the process itself.
const LONGEST_END: Duration = Duration::from_secs(61);

#[test]
fn no_acknowledged_image_is_lost_to_orderly_ends() {
    let _machine = machine();
    let scratch = Scratch::new("drains").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let pushers: Vec<_> = (0..4)
        .map(|number| {
            let (address, stop) = (server.address(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut pusher = Pusher::new(number, address);
                pusher.push_until(&stop);
                pusher
            })
        })
        .collect();
    let mut random = Random::new(5);
    for _ in 0..ENDS {
        thread::sleep(Duration::from_millis(random.between(50, 300)));
        let watch = Stopwatch::start();
        let status = server.terminate(LONGEST_END).unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(
            watch.elapsed() < Duration::from_secs(5),
            "{:?}",
            watch.elapsed()
        );
        server.restart().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let pushers: Vec<Pusher> = pushers.into_iter().map(|it| it.join().unwrap()).collect();
    let images: usize = pushers.iter().map(Pusher::acknowledged).sum();
    assert!(images > ENDS, "{images} images prove little");
    for pusher in &pushers {
        pusher.check().unwrap();
    }
}

/// A registry, and where it tells what it does.
struct Watched {
    server: Server,
    operators: SocketAddr,
    scratch: Scratch,
}

impl Watched {
    fn start(variables: &[(&str, String)]) -> Self {
        let scratch = Scratch::new("drains").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let operators = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut all = vec![
            ("HTTP_DEBUG_ADDR", operators.to_string()),
            ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true".to_owned()),
        ];
        all.extend_from_slice(variables);
        Self {
            server: wharfinger_with(&config, &scratch, &all).unwrap(),
            operators,
            scratch,
        }
    }

    fn ask(&self, target: &str) -> Response {
        let mut client = Client::new(self.operators);
        client.send(&Request::new("GET", target)).unwrap()
    }

    /// Sends half of a PATCH; returns once the server is about it.
    fn begin_patch(&self, blob: &Blob) -> (Connection, String) {
        let location = self.server.registry().start_upload("a/b").unwrap();
        let mut connection = self.server.client().connect().unwrap();
        let length = blob.bytes.len().to_string();
        let patch = Request::new("PATCH", location.as_str()).header("Content-Length", length);
        connection.send_head(&patch).unwrap();
        let half = blob.bytes.len() / 2;
        connection.send(&blob.bytes[..half]).unwrap();
        let under_way = r#"in_flight_requests{handler="blob_upload_chunk"} 1.0"#;
        eventually!(self.ask("/metrics").text().contains(under_way));
        (connection, location)
    }

    fn signal(&mut self) {
        self.server.process().unwrap().signal(Signal::TERM).unwrap();
    }

    fn ended(&mut self, timeout: Duration) -> Option<i32> {
        self.server.process().unwrap().wait(timeout).unwrap().code()
    }
}

#[test]
fn a_request_that_is_under_way_ends_and_nobody_else_is_let_in() {
    let mut watched = Watched::start(&[]);
    let blob = Blob::random(3, 1 << 20);
    let (mut connection, _) = watched.begin_patch(&blob);
    watched.signal();
    // Whoever asks whether to send requests here is told no, and who still lives is told yes.
    eventually!(watched.ask("/readyz").status() == 503);
    assert_eq!(watched.ask("/livez").status(), 200);
    eventually!(watched.server.client().connect().is_err());
    connection
        .send(&blob.bytes[blob.bytes.len() / 2..])
        .unwrap();
    let answer = connection.read_response(false).unwrap();
    assert!(answer.expect(202).unwrap().head.closes());
    assert_eq!(watched.ended(LONGEST_END), Some(0));
}

#[test]
fn what_had_come_of_a_cut_patch_can_be_gone_on_from() {
    let mut watched = Watched::start(&[("HTTP_DRAINTIMEOUT", "500ms".to_owned())]);
    let blob = Blob::random(4, 1 << 20);
    let (_connection, location) = watched.begin_patch(&blob);
    let path = location.split('?').next().unwrap().to_owned();
    watched.signal();
    assert_eq!(watched.ended(Duration::from_secs(30)), Some(0));
    watched.server.restart().unwrap();
    let mut client = watched.server.client();
    let told = client.send(&Request::new("GET", path)).unwrap();
    let told = told.expect(204).unwrap();
    let range = told.header("range").unwrap();
    let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
    assert!(last > 0, "nothing was kept");
    let next = told.header("location").unwrap();
    let next = &next[next.find("/v2/").unwrap()..];
    let mut registry = watched.server.registry();
    let rest = &blob.bytes[last + 1..];
    registry.finish_upload(next, &blob.digest, rest).unwrap();
    assert_eq!(registry.blob("a/b", &blob.digest).unwrap(), blob.bytes);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut watched = Watched::start(&[]);
    let blob = Blob::random(5, 1 << 20);
    let (_connection, _) = watched.begin_patch(&blob);
    watched.signal();
    let log = watched.scratch.join("log");
    eventually!(
        fs::read_to_string(&log)
            .unwrap()
            .contains("letting requests end")
    );
    watched.signal();
    assert_eq!(watched.ended(Duration::from_secs(5)), Some(0));
}
