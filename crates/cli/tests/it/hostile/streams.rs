//! HTTP/2 as attackers have spoken it. Each has to end soon, cost little, and leave others alone.

use std::io::Write as _;
use std::net::TcpStream;

use wharfinger_testkit::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, head, header,
};
use wharfinger_testkit::{Request, Stopwatch};

use crate::spec::Subject;

/// Slow machines included; mostly it is a thousandth of that.
const SOON_SECS: u64 = 20;

/// GOAWAY with this reason: the other side asks for too much.
const ENHANCE_YOUR_CALM: u32 = 11;

const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// 64 MiB: what an attack may cost in memory.
const MOST_KIB: u64 = 64 << 10;

/// A registry of its own that speaks HTTP/2 in the clear, and a client that behaves.
fn with(name: &'static str) -> Subject {
    Subject::alone(name, &[("REGISTRY_HTTP_H2C_ENABLED", "true")])
}

impl Subject {
    fn is_served(&mut self) {
        // A connection that waited for long is closed.
        self.client.disconnect();
        self.send(&Request::new("GET", "/v2/")).expect(200).unwrap();
    }
}

/// Sends `attack` again and again, until it has been sent `most` times or nobody listens any more; returns the
/// connection. Another client must be served meanwhile and afterwards.
fn attack(subject: &mut Subject, most: u32, attack: impl Fn(u32) -> Vec<u8>) -> Frames {
    let watch = Stopwatch::start();
    subject.is_served();
    let before = subject.resident_kib();
    let mut frames = Frames::open(subject.client.address(), &[]);
    for number in 0..most {
        if frames.send_raw(&attack(number)).is_err() {
            break;
        }
        if number % 1000 == 0 {
            subject.is_served();
            let now = subject.resident_kib();
            assert!(now < before + MOST_KIB, "{now} KiB after {before}");
        }
    }
    subject.is_served();
    assert!(
        watch.elapsed().as_secs() < SOON_SECS,
        "{:?}",
        watch.elapsed()
    );
    frames
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &head("GET", path),
    )
}

#[test]
fn rapid_reset_ends_the_connection() {
    let mut subject = with("streams/1");
    // CVE-2023-44487. What is asked for takes a while.
    let mut frames = attack(&mut subject, 50_000, |number| {
        let stream = 2 * number + 1;
        let mut bytes = request(stream, "/v2/_catalog");
        bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        bytes
    });
    // Whether it is the library or our own count that sees it first depends on who is faster.
    frames.ended();
}

#[test]
fn requests_that_are_given_up_once_they_are_under_way_end_the_connection() {
    let mut subject = with("streams/2");
    let location = subject.start();
    let mut frames = Frames::open(subject.client.address(), &[]);
    let mut ended = false;
    for number in 0..5000 {
        let stream = 2 * number + 1;
        // Nothing comes of it until the body does.
        let patch = frame(HEADERS, END_HEADERS, stream, &head("PATCH", &location));
        // A sign of life shows that it was seen.
        let ping = frame(PING, 0, 0, &[0; 8]);
        let sent = frames.send_raw(&[patch, ping].concat());
        let seen = frames.find(|frame| frame.kind == PING);
        if sent.is_err() || seen.is_err() || frames.send(RST_STREAM, 0, stream, &CANCEL).is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended);
    subject.is_served();
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let mut subject = with("streams/3");
    // CVE-2024-27316 and its like: a head without an end.
    let mut piece = Vec::new();
    header(&mut piece, "x", &"y".repeat(100));
    let mut frames = attack(&mut subject, 100_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &head("GET", "/v2/")),
        _ => frame(CONTINUATION, 0, 1, &piece),
    });
    assert_eq!(frames.ended(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_flood_of_empty_continuations_ends_the_connection() {
    let mut subject = with("streams/4");
    let mut frames = attack(&mut subject, 100_000, |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &head("GET", "/v2/")),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
    assert_eq!(frames.ended(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn faults_that_have_us_reset_streams_end_the_connection() {
    let mut subject = with("streams/5");
    // CVE-2025-8671: a window that is opened by nothing is an error of the stream.
    let mut frames = attack(&mut subject, 50_000, |number| {
        let stream = 2 * number + 1;
        let mut bytes = request(stream, "/v2/_catalog");
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
        bytes
    });
    frames.ended();
}

#[test]
fn floods_of_what_costs_nothing_to_send_leave_others_alone() {
    let mut subject = with("streams/6");
    let location = subject.start();
    let begin = frame(HEADERS, END_HEADERS, 1, &head("PATCH", &location));
    for (name, flood) in [
        ("empty data", frame(DATA, 0, 1, &[])),
        ("signs of life", frame(PING, 0, 0, &[0; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("priorities", frame(2, 0, 1, &[0, 0, 0, 0, 1])),
        ("what nobody knows", frame(99, 0, 1, &[0; 100])),
    ] {
        let begin = begin.clone();
        let many = flood.repeat(10);
        let frames = attack(&mut subject, 5000, |number| match number {
            0 => begin.clone(),
            _ => many.clone(),
        });
        drop(frames);
        eprintln!("{name} is over");
        subject.is_served();
    }
}

#[test]
fn a_request_after_the_preface_of_a_stranger_is_not_read() {
    let subject = with("streams/7");
    // What HTTP/1 makes of it.
    let mut stream = TcpStream::connect(subject.client.address()).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nGET /v2/ HTTP/1.1\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}
