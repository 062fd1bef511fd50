//! HTTP/2: what holds for HTTP/1 holds here too.

use std::sync::Arc;
use std::time::Duration;

use wharfinger_driver::Memory;
use wharfinger_testkit::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE,
    PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head, header,
};
use wharfinger_testkit::{Blob, eventually};

use crate::fixture::{Fixture, UPLOADS};

pub(crate) fn with(configure: impl FnOnce(&mut wharfinger_server::Config)) -> Fixture {
    Fixture::with(Arc::new(Memory::new()), Vec::new(), |config| {
        config.h2c = true;
        configure(config);
    })
}

const CANCEL: [u8; 4] = [0, 0, 0, 8];

#[test]
fn requests_are_answered_beside_each_other() {
    let fixture = with(|_| {});
    let blob = Blob::random(80, 30_000);
    fixture.push("a", &blob);
    let path = format!("/v2/a/blobs/{}", blob.digest);
    let mut frames = Frames::open(fixture.address, &[]);
    frames.ask(1, "GET", "/v2/", false);
    assert_eq!(frames.status(1), 200);
    assert_eq!(frames.body(1), b"{}");
    for stream in [3, 5] {
        frames.ask(stream, "GET", &path, false);
    }
    // One of the two is read to its end, whatever comes of the other.
    assert_eq!(frames.status(5), 200);
    assert_eq!(frames.body(5), blob.bytes);
    // The connection is kept.
    frames.ask(7, "GET", "/nowhere", false);
    assert_eq!(frames.status(7), 404);
}

#[test]
fn an_answer_to_head_has_no_body() {
    let fixture = with(|_| {});
    let mut frames = Frames::open(fixture.address, &[]);
    for (stream, path, status) in [(1, "/v2/", 200), (5, "/v2/a/manifests/none", 404)] {
        frames.ask(stream, "HEAD", path, false);
        let answer = frames.find(|frame| frame.stream == stream).unwrap();
        assert_eq!(answer.kind, HEADERS);
        assert!(answer.flags & END_STREAM != 0);
        frames.ask(stream + 2, "GET", path, false);
        assert_eq!(frames.status(stream + 2), status);
    }
}

#[test]
fn an_answer_that_is_not_taken_is_reset_and_the_others_go_on() {
    let fixture = with(|config| config.limits.write_idle_timeout = Duration::from_millis(100));
    // In several pieces: the last one is hyper's.
    let blob = Blob::random(81, 3_000_000);
    fixture.push("a", &blob);
    let path = format!("/v2/a/blobs/{}", blob.digest);
    // Nothing of it, and a part of it.
    for window in [0, 1000] {
        let mut frames = Frames::open(fixture.address, &[(INITIAL_WINDOW_SIZE, window)]);
        frames.ask(1, "GET", &path, false);
        let reset = frames.find(|frame| frame.kind == RST_STREAM).unwrap();
        assert_eq!((reset.stream, reset.payload), (1, CANCEL.to_vec()));
        frames.ask(3, "HEAD", "/v2/", false);
        assert_eq!(frames.status(3), 200);
    }
}

#[test]
fn an_answer_that_is_taken_slowly_is_not_reset() {
    let fixture = with(|config| config.limits.write_idle_timeout = Duration::from_millis(400));
    let blob = Blob::random(82, 6000);
    fixture.push("a", &blob);
    let mut frames = Frames::open(fixture.address, &[(INITIAL_WINDOW_SIZE, 0)]);
    let path = format!("/v2/a/blobs/{}", blob.digest);
    frames.ask(1, "GET", &path, false);
    let mut body = Vec::new();
    std::thread::sleep(Duration::from_millis(200));
    let window = 6000_u32.to_be_bytes();
    frames.send(WINDOW_UPDATE, 0, 1, &window).unwrap();
    body.extend(frames.body(1));
    assert_eq!(body, blob.bytes);
}

#[test]
fn a_body_that_comes_by_drops_is_cut_and_kept() {
    let fixture = with(|config| config.limits.body_grace = Duration::from_millis(100));
    let location = fixture.start();
    let mut frames = Frames::open(fixture.address, &[]);
    frames.ask(1, "PATCH", &location, true);
    frames.send(DATA, 0, 1, b"x").unwrap();
    assert_eq!(frames.status(1), 408);
    assert_eq!(fixture.range_of(&location).as_deref(), Some("0-0"));
    // The connection is not to blame.
    frames.ask(3, "GET", "/v2/", false);
    assert_eq!(frames.status(3), 200);
}

#[test]
fn a_body_that_is_given_up_is_kept() {
    let fixture = with(|_| {});
    let location = fixture.start();
    let mut frames = Frames::open(fixture.address, &[]);
    frames.ask(1, "PATCH", &location, true);
    frames.send(DATA, 0, 1, &[7; 10_000]).unwrap();
    frames.send(RST_STREAM, 0, 1, &CANCEL).unwrap();
    eventually!(fixture.range_of(&location).as_deref() == Some("0-9999"));
    frames.ask(3, "GET", "/v2/", false);
    assert_eq!(frames.status(3), 200);
}

#[test]
fn a_refused_body_does_not_cost_the_connection() {
    let fixture = with(|config| config.limits.refused_body_timeout = Duration::from_millis(50));
    let mut frames = Frames::open(fixture.address, &[]);
    frames.ask(1, "PATCH", &format!("{UPLOADS}none"), true);
    frames.send(DATA, 0, 1, &[7; 10_000]).unwrap();
    assert_eq!(frames.status(1), 404);
    let reset = frames.find(|frame| frame.kind == RST_STREAM).unwrap();
    // No error: the answer stands.
    assert_eq!((reset.stream, reset.payload), (1, vec![0; 4]));
    frames.ask(3, "GET", "/v2/", false);
    assert_eq!(frames.status(3), 200);
}

#[test]
fn a_connection_without_a_first_request_is_closed() {
    let fixture = with(|config| config.limits.header_timeout = Duration::from_millis(100));
    // The beginning, nothing more.
    let mut frames = Frames::open(fixture.address, &[]);
    frames.ended();
    // A head without an end.
    let mut frames = Frames::open(fixture.address, &[]);
    frames
        .send(HEADERS, END_STREAM, 1, &head("GET", "/v2/"))
        .unwrap();
    frames.ended();
}

#[test]
fn a_connection_without_a_further_request_is_told_and_closed() {
    let fixture = with(|config| {
        config.limits.header_timeout = Duration::from_millis(100);
        config.limits.idle_timeout = Duration::from_millis(300);
    });
    let mut frames = Frames::open(fixture.address, &[]);
    for stream in [1, 3] {
        frames.ask(stream, "GET", "/v2/", false);
        assert_eq!(frames.status(stream), 200);
        // What comes between requests is no head, and needs no request behind it.
        frames.send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).unwrap();
        std::thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(frames.ended(), Some(0));
}

#[test]
fn the_end_waits_for_requests_and_takes_no_new_ones() {
    let mut fixture = with(|_| {});
    let location = fixture.start();
    let mut idle = Frames::open(fixture.address, &[]);
    idle.ask(1, "GET", "/v2/", false);
    assert_eq!(idle.status(1), 200);
    let mut busy = Frames::open(fixture.address, &[]);
    busy.ask(1, "PATCH", &location, true);
    busy.send(DATA, 0, 1, b"hel").unwrap();
    eventually!(fixture.range_of(&location).is_some());
    fixture.stop();
    assert_eq!(idle.ended(), Some(0));
    busy.find(|frame| frame.kind == GOAWAY).unwrap();
    let ping = busy.find(|frame| frame.kind == PING).unwrap();
    busy.send(PING, ACK, 0, &ping.payload).unwrap();
    busy.send(DATA, END_STREAM, 1, b"lo").unwrap();
    assert_eq!(busy.status(1), 202);
    // The last GOAWAY may have come ahead of the answer, and was passed over then.
    let reason = busy.ended();
    assert!(matches!(reason, None | Some(0)), "{reason:?}");
    fixture.ended();
}

#[test]
fn requests_that_go_on_for_too_long_are_cut() {
    let mut fixture = with(|config| config.drain_timeout = Duration::from_millis(50));
    let location = fixture.start();
    let mut busy = Frames::open(fixture.address, &[]);
    busy.ask(1, "PATCH", &location, true);
    busy.send(DATA, 0, 1, b"hel").unwrap();
    fixture.stop();
    fixture.ended();
    busy.ended();
}

#[test]
fn heads_have_a_limit() {
    let fixture = with(|_| {});
    let mut frames = Frames::open(fixture.address, &[]);
    let mut large = head("GET", "/v2/");
    for _ in 0..10 {
        header(&mut large, "x-large", &"x".repeat(4000));
    }
    let (first, rest) = large.split_at(16_000);
    frames.send(HEADERS, END_STREAM, 1, first).unwrap();
    let (second, third) = rest.split_at(16_000);
    frames.send(CONTINUATION, 0, 1, second).unwrap();
    frames.send(CONTINUATION, END_HEADERS, 1, third).unwrap();
    assert_eq!(frames.status(1), 431);
}

#[test]
fn more_streams_than_there_may_be_are_refused() {
    let fixture = with(|_| {});
    let mut frames = Frames::open(fixture.address, &[]);
    let settings = frames.find(|frame| frame.kind == SETTINGS).unwrap();
    let streams: Vec<u8> = [0, 3, 0, 0, 0, 100].into();
    assert!(settings.payload.chunks(6).any(|setting| setting == streams));
    for number in 0..101 {
        frames.ask(2 * number + 1, "PATCH", &fixture.start(), true);
    }
    let refused = frames.find(|frame| frame.kind == RST_STREAM).unwrap();
    // REFUSED_STREAM: it may be sent again.
    assert_eq!((refused.stream, refused.payload), (201, vec![0, 0, 0, 7]));
}

#[test]
fn a_sign_of_life_is_answered() {
    let fixture = with(|_| {});
    let mut frames = Frames::open(fixture.address, &[]);
    frames.send_raw(&frame(PING, 0, 0, b"are you?")).unwrap();
    let answer = frames.find(|frame| frame.kind == PING).unwrap();
    assert_eq!(answer.payload, b"are you?");
}

#[test]
fn a_connection_too_many_is_told_so_and_closed() {
    let fixture = with(|config| config.limits.max_address_connections = 1);
    let mut first = Frames::open(fixture.address, &[]);
    first.ask(1, "GET", "/v2/", false);
    assert_eq!(first.status(1), 200);
    let mut second = Frames::open(fixture.address, &[]);
    second.ask(1, "GET", "/v2/", false);
    let (mut status, mut reason) = (None, None);
    // The end may be told before the answer comes.
    while let Ok(frame) = second.read() {
        match frame.kind {
            GOAWAY => reason = Some(frame.payload[4..8].to_vec()),
            PING if frame.flags & ACK == 0 => second.send(PING, ACK, 0, &frame.payload).unwrap(),
            _ => status = status.or(frame.status()),
        }
    }
    // No error, and no further streams.
    assert_eq!((status, reason), (Some(429), Some(vec![0; 4])));
    first.ask(3, "GET", "/v2/", false);
    assert_eq!(first.status(3), 200);
}
