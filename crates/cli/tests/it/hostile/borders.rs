//! Requests that two readers of one connection could find other borders in.

use std::time::Duration;

use wharfinger_testkit::Connection;

use crate::spec::Subject;

/// What a careless reader finds behind or within the first request.
const HIDDEN: &str = "GET /v2/hidden/tags/list HTTP/1.1\r\nHost: x\r\n\r\n";

/// An answer comes at once or not at all: the server is on the same machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends bytes, and returns the statuses of all answers that come before the connection is closed, or
/// nothing comes any more.
fn answers(subject: &Subject, bytes: &str) -> Vec<u16> {
    let mut connection = Connection::open(subject.client.address(), PATIENCE).unwrap();
    connection.send(bytes.as_bytes()).unwrap();
    let mut answers = Vec::new();
    while let Ok(answer) = connection.read_response(false) {
        answers.push(answer.status());
    }
    answers
}

/// One reading of a head, and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The head is refused, and nothing behind it is read.
    Refused,
    /// The body comes in chunks, and nothing behind it is read.
    Last,
    /// The body ends where its only length says. The rest is the next request, for every reader.
    Followed,
}

#[test]
fn no_second_request_is_found_in_the_first() {
    use Reading::{Followed, Last, Refused};
    let subject = Subject::new("hostile/smuggling");
    for (headers, reading) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Last),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Last),
        ("Content-Length: 0\r\nContent-Length: 5", Refused),
        ("Content-Length: 5\r\nContent-Length: 5", Followed),
        ("Content-Length: 5, 5", Refused),
        ("Content-Length: +5", Refused),
        ("Content-Length: 0x5", Refused),
        ("Content-Length: ", Refused),
        ("Content-Length : 5", Refused),
        ("Transfer-Encoding: chunked", Followed),
        ("Transfer-Encoding: cHUNKED", Followed),
        ("Transfer-Encoding:\tchunked", Followed),
        ("Transfer-Encoding: \u{b}chunked", Refused),
        ("Transfer-Encoding: xchunked", Refused),
        ("Transfer-Encoding: chunked, gzip", Refused),
        ("Transfer-Encoding: chunked, chunked", Refused),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            Refused,
        ),
        ("X: a\r\n b\r\nTransfer-Encoding:\r\n chunked", Refused),
        ("X: a\rTransfer-Encoding: chunked", Refused),
        // A line may end so (RFC 9112, section 2.2).
        ("X: a\nTransfer-Encoding: chunked", Followed),
    ] {
        let head = format!("POST /v2/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
        let answers = answers(&subject, &format!("{head}0\r\n\r\n{HIDDEN}"));
        match reading {
            Refused => assert_eq!(answers, [400], "{headers:?}"),
            Last => assert_eq!(answers.len(), 1, "{headers:?}: {answers:?}"),
            Followed => assert_eq!(answers, [405, 404], "{headers:?}"),
        }
    }
    // What is below the chunks would be taken for content.
    let coded = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked";
    let told = answers(&subject, &format!("{coded}\r\n\r\n0\r\n\r\n{HIDDEN}"));
    assert_eq!(told, [501, 404]);
    let old =
        "POST /v2/ HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked";
    let told = answers(&subject, &format!("{old}\r\n\r\n0\r\n\r\n{HIDDEN}"));
    assert_eq!(told, [400]);
}

#[test]
fn chunks_that_could_be_read_in_two_ways_end_the_connection() {
    let mut subject = Subject::new("hostile/chunks");
    for (chunks, is_plain) in [
        ("5\r\nhello\r\n0\r\n\r\n", true),
        ("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", true),
        ("0;a\nb\r\n\r\n", false),
        ("+5\r\nhello\r\n0\r\n\r\n", false),
        ("0x5\r\nhello\r\n0\r\n\r\n", false),
        ("fffffffffffffffff\r\nhello\r\n0\r\n\r\n", false),
        ("3\r\nhello\r\n0\r\n\r\n", false),
        ("5\nhello\n0\n\n", false),
        ("5\r\nhello0\r\n\r\n", false),
    ] {
        let start = subject.start();
        let headers = "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let patch = format!("PATCH {start} HTTP/1.1\r\n{headers}");
        let answers = answers(&subject, &format!("{patch}{chunks}{HIDDEN}"));
        if is_plain {
            assert_eq!(answers, [202, 404], "{chunks:?}");
        } else {
            // A body that breaks off has no answer; whatever comes, what follows is not believed.
            assert!(
                answers.len() <= 1 && !answers.contains(&202),
                "{chunks:?}: {answers:?}"
            );
        }
    }
}
