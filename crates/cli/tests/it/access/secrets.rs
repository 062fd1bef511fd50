//! No password, and nothing that one could be made from, in any log.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_testkit::{Blob, Request, eventually};

use super::{CHEAP, Guarded, signed};

/// Stands for every secret; nothing else has it.
const CANARY: &str = "c4nary";

#[test]
fn no_log_shows_what_a_client_sends_to_prove_who_it_is() {
    let mut guarded = Guarded::start(&[("alice", CANARY)], CHEAP);
    let blob = Blob::random(1, 1000);
    let push = format!("/v2/a/blobs/uploads/?digest={}", blob.digest);
    let requests = [
        signed(Request::new("POST", push.as_str()), "alice", CANARY).body(blob.bytes.clone()),
        signed(
            Request::new("GET", "/v2/"),
            "alice",
            &format!("wrong {CANARY}"),
        ),
        // Some type it into the wrong field.
        signed(Request::new("GET", "/v2/a/tags/list"), CANARY, ""),
        Request::new("GET", "/v2/").header("Authorization", format!("Bearer {CANARY}")),
        Request::new("GET", "/v2/").header("Authorization", CANARY),
        Request::new("GET", "/v2/").header("Cookie", format!("session={CANARY}")),
        Request::new("GET", "/v2/").header("Proxy-Authorization", format!("Basic {CANARY}")),
        Request::new("GET", format!("http://alice:{CANARY}@127.0.0.1/v2/")),
        signed(
            Request::new("POST", "/v2/a/blobs/uploads/"),
            "alice",
            CANARY,
        ),
        signed(Request::new("PUT", "/v2/a/manifests/x"), "alice", CANARY).body("no manifest"),
    ];
    for request in &requests {
        let response = guarded.server.client().send(request).unwrap();
        let headers = format!("{:?}", response.head.headers);
        assert!(
            !headers.contains(CANARY) && !response.text().contains(CANARY),
            "{headers}"
        );
    }
    eventually!(guarded.log().matches("answered").count() > requests.len());
    guarded
        .server
        .terminate(std::time::Duration::from_secs(20))
        .unwrap();
    let log = guarded.log();
    let hash = fs::read_to_string(&guarded.users).unwrap();
    let hash = hash.trim().rsplit_once('$').unwrap().1;
    let encoded = STANDARD.encode(format!("alice:{CANARY}"));
    for secret in [CANARY, hash, &encoded, &STANDARD.encode(CANARY)] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    // Whoever has proved a name is named.
    assert!(
        log.lines()
            .any(|line| line.contains("answered") && line.contains("user=alice"))
    );
}
