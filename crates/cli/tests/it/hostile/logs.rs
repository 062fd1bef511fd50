//! What the log holds, and who may read what is kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use wharfinger_testkit::{Blob, RegistryConfig, Request, Scratch, Server, wait_until};

use crate::spec::Subject;

const CANARY: &str = "canary-6f1d";

#[test]
fn no_secret_is_in_the_log_or_in_an_answer() {
    let level = ("REGISTRY_LOG_LEVEL", "debug");
    let secret = ("REGISTRY_HTTP_SECRET", "canary-6f1d-secret");
    let mut subject = Subject::with("hostile/secrets", &[level, secret]);
    let start = subject.start();
    for target in [
        start.as_str(),
        "/v2/",
        "/v2/hostile/secrets/blobs/sha256:x",
        "/none",
    ] {
        for method in ["GET", "PATCH", "PUT"] {
            let request = Request::new(method, target)
                .header("Authorization", format!("Basic {CANARY}"))
                .header("Cookie", CANARY)
                .header("Proxy-Authorization", CANARY)
                .body("x");
            let answer = subject.send(&request);
            assert!(!answer.text().contains(CANARY));
            assert!(
                answer
                    .head
                    .headers
                    .iter()
                    .all(|(_, value)| !value.contains(CANARY))
            );
        }
    }
    let log = subject.log();
    assert!(log.lines().count() > 10);
    assert!(!log.contains(CANARY), "{log}");
}

#[test]
fn nothing_that_a_client_sends_makes_a_line_of_the_log() {
    let json = ("REGISTRY_LOG_FORMATTER", "json");
    let structured = ("REGISTRY_WHARFINGER_ACCESSLOG", "structured");
    let mut subject = Subject::with("hostile/lines", &[json, structured]);
    let agent = format!("\u{85}\u{2028}{}", "a".repeat(10_000));
    for path in [
        "/v2/a%0d%0a{\"level\":\"x\"}/tags/list",
        "/v2/\u{1b}[2J/x",
        "/%1b%5b",
    ] {
        let request = Request::new("GET", path).header("User-Agent", agent.as_str());
        let answer = subject.send(&request);
        assert!(answer.status() >= 400);
    }
    assert!(wait_until(std::time::Duration::from_secs(20), || subject
        .log()
        .contains("/%1b%5b")));
    for line in subject.log().lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(parsed.is_object(), "{line}");
        assert!(line.len() < 8192, "{} bytes", line.len());
        assert!(!line.contains(['\u{1b}', '\u{85}', '\u{2028}']));
    }
}

fn assert_private(path: &Path) {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let mode = metadata.permissions().mode() & 0o777;
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(mode, wanted, "{}", path.display());
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            assert_private(&entry.unwrap().path());
        }
    }
}

#[test]
fn a_new_root_is_for_its_owner_alone_whatever_the_mask() {
    for mask in ["000", "077"] {
        let scratch = Scratch::new("modes").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let file = scratch.join("config.yml");
        config.write(&file).unwrap();
        let binary = env!("CARGO_BIN_EXE_wharfinger");
        let script = format!("umask {mask} && exec {binary} serve {}", file.display());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let arguments = vec!["-c".into(), script.into()];
        let log = scratch.join("log");
        let server = Server::start("sh", arguments, Vec::new(), address, &log).unwrap();
        let mut registry = server.registry();
        registry
            .push_blob("a/b", &Blob::random(1, 200_000))
            .unwrap();
        let image = wharfinger_testkit::Image::build(1, &[2048]);
        registry.push_image("a/b", "v1", &image).unwrap();
        registry.start_upload("a/b").unwrap();
        assert_private(&config.root);
    }
}
