//! The end: SIGTERM under load, again and again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wharfinger_testkit::{
    Blob, Client, Random, RegistryConfig, Request, Scratch, Signal, Stopwatch, eventually,
    free_port,
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

/// Starts a PATCH of a megabyte and sends the half of it.
fn begin_patch(
    server: &wharfinger_testkit::Server,
    blob: &Blob,
) -> (wharfinger_testkit::Connection, String) {
    let location = server.registry().start_upload("a/b").unwrap();
    let mut connection = server.client().connect().unwrap();
    let length = blob.bytes.len().to_string();
    let patch = Request::new("PATCH", location.as_str()).header("Content-Length", length);
    connection.send_head(&patch).unwrap();
    connection
        .send(&blob.bytes[..blob.bytes.len() / 2])
        .unwrap();
    (connection, location)
}

#[test]
fn a_request_that_is_under_way_ends_and_nobody_else_is_let_in() {
    let scratch = Scratch::new("drains").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let operators = format!("127.0.0.1:{}", free_port());
    let debug = [("HTTP_DEBUG_ADDR", operators.clone())];
    let mut server = wharfinger_with(&config, &scratch, &debug).unwrap();
    let blob = Blob::random(3, 1 << 20);
    let (mut connection, _) = begin_patch(&server, &blob);
    server.process().unwrap().signal(Signal::TERM).unwrap();
    // Whoever asks whether to send requests here is told no, and who still lives is told yes.
    let mut asked = Client::new(operators.parse().unwrap());
    let mut status = |target| asked.send(&Request::new("GET", target)).unwrap().status();
    eventually!(status("/readyz") == 503);
    assert_eq!(status("/livez"), 200);
    eventually!(server.client().connect().is_err());
    connection
        .send(&blob.bytes[blob.bytes.len() / 2..])
        .unwrap();
    let answer = connection
        .read_response(false)
        .unwrap()
        .expect(202)
        .unwrap();
    assert!(answer.head.closes());
    let status = server.process().unwrap().wait(LONGEST_END).unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_had_come_of_a_cut_patch_can_be_gone_on_from() {
    let scratch = Scratch::new("drains").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let drain = [("HTTP_DRAINTIMEOUT", "200ms".to_owned())];
    let mut server = wharfinger_with(&config, &scratch, &drain).unwrap();
    let blob = Blob::random(4, 1 << 20);
    let half = blob.bytes.len() / 2;
    let (_connection, location) = begin_patch(&server, &blob);
    let path = location.split('?').next().unwrap().to_owned();
    let status = server.terminate(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(0));
    server.restart().unwrap();
    let told = server.client().send(&Request::new("GET", path)).unwrap();
    let told = told.expect(204).unwrap();
    assert_eq!(
        told.header("range"),
        Some(format!("0-{}", half - 1).as_str())
    );
    let next = told.header("location").unwrap();
    let next = &next[next.find("/v2/").unwrap()..];
    let mut registry = server.registry();
    registry
        .finish_upload(next, &blob.digest, &blob.bytes[half..])
        .unwrap();
    assert_eq!(registry.blob("a/b", &blob.digest).unwrap(), blob.bytes);
}

#[test]
fn a_second_signal_ends_at_once() {
    let scratch = Scratch::new("drains").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let mut server = wharfinger(&config, &scratch).unwrap();
    let blob = Blob::random(5, 1 << 20);
    let (_connection, _) = begin_patch(&server, &blob);
    let process = server.process().unwrap();
    process.signal(Signal::TERM).unwrap();
    let log = scratch.join(format!("wharfinger-{}.log", config.port));
    eventually!(
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("letting requests end")
    );
    process.signal(Signal::TERM).unwrap();
    let status = process.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(status.code(), Some(0));
}
