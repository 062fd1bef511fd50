//! What the log holds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharfinger_testkit::{Blob, RegistryConfig, Request, Scratch, Server, run, wait_until};

use crate::spec::Subject;

const PATIENCE: Duration = Duration::from_secs(20);

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
    assert!(wait_until(PATIENCE, || subject.log().contains("/%1b%5b")));
    for line in subject.log().lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(parsed.is_object(), "{line}");
        assert!(line.len() < 8192, "{} bytes", line.len());
        assert!(!line.contains(['\u{1b}', '\u{85}', '\u{2028}']));
    }
}

/// Twelve requests that would like to write lines of their own: into the user agent, the path, the
/// repository, the tag, the name of a user and of the request.
fn forge(subject: &mut Subject) {
    let target = subject.target("manifests/x%0d%0aERROR%20forged");
    let login = STANDARD.encode("mallory\r\nERROR forged\u{1b}[2J:x");
    for path in [
        target.as_str(),
        "/v2/a%0d%0aERROR%20forged/tags/list",
        "/v2/%1b%5b2J/tags/list",
        "/v2/a/tags/list?last=%0d%0aERROR%20forged",
    ] {
        for (name, value) in [
            ("User-Agent", "x\u{85}ERROR forged\u{2028}"),
            ("X-Request-Id", "ERROR\u{85}forged"),
            ("Authorization", &format!("Basic {login}")),
        ] {
            let request = Request::new("GET", path).header(name, value);
            assert!(subject.send(&request).status() >= 400);
        }
    }
}

#[test]
fn as_many_lines_as_requests_are_in_the_access_log_and_none_is_forged() {
    for more in [
        &[][..],
        &[("REGISTRY_WHARFINGER_ACCESSLOG", "structured")],
        &[
            ("REGISTRY_WHARFINGER_ACCESSLOG", "structured"),
            ("REGISTRY_LOG_FORMATTER", "json"),
        ],
    ] {
        let mut subject = Subject::alone("hostile/forged", more);
        forge(&mut subject);
        // The last one, and all before it have their lines.
        subject.send(&Request::new("GET", "/v2/last/tags/list"));
        assert!(wait_until(PATIENCE, || subject.log().contains("/v2/last/")));
        let log = subject.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("\"GET ") || line.contains("answered"));
        let asked = lines.filter(|line| !line.contains("/v2/ ") && !line.contains("\"/v2/\""));
        assert_eq!(asked.count(), 12 + 1, "{log}");
        assert!(!log.lines().any(|line| line.starts_with("ERROR")), "{log}");
        assert!(
            !log.contains(['\u{1b}', '\u{85}', '\u{2028}', '\r']),
            "{log}"
        );
    }
}

#[test]
fn no_secret_of_the_configuration_is_in_the_log_or_in_what_check_prints() {
    let scratch = Scratch::new("config").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let users = scratch.join("htpasswd");
    let hash = bcrypt::hash("canary", 4).unwrap();
    std::fs::write(&users, format!("alice:{hash}\n")).unwrap();
    let text = config
        .text()
        .replace("a secret that both registries know", "canary-secret");
    let text = text.replace("level: info", "level: debug");
    let file = scratch.join("config.yml");
    let more = format!(
        "auth: {{htpasswd: {{realm: x, path: {}}}}}\n\
         health:\n  http: [{{uri: 'http://127.0.0.1:1/', interval: 3s, threshold: 0, \
         headers: {{Authorization: [canary-header]}}}}]\n",
        users.display()
    );
    std::fs::write(&file, text + &more).unwrap();
    let binary = env!("CARGO_BIN_EXE_wharfinger");
    let mut check = std::process::Command::new(binary);
    let told = run(check.arg("check").arg(&file), PATIENCE).unwrap();
    assert!(told.contains("is valid") && told.contains("***"), "{told}");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let arguments = vec!["serve".into(), file.into()];
    let log = scratch.join("log");
    let mut server = Server::start(binary, arguments, Vec::new(), address, &log).unwrap();
    let login = STANDARD.encode("alice:canary");
    let blob = Blob::random(1, 100);
    let push = format!("/v2/a/blobs/uploads/?digest={}", blob.digest);
    let push = Request::new("POST", push).header("Authorization", format!("Basic {login}"));
    let pushed = server.client().send(&push.body(&*blob.bytes)).unwrap();
    pushed.expect(201).unwrap();
    // The check fails then, and is told.
    let told_of = |what: &str| std::fs::read_to_string(&log).unwrap().contains(what);
    assert!(wait_until(PATIENCE, || told_of("127.0.0.1:1/")));
    server.terminate(PATIENCE).unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    let tail = hash.rsplit_once('$').unwrap().1;
    for secret in ["canary", tail, login.as_str()] {
        assert!(!told.contains(secret), "{told}");
        assert!(!log.contains(secret), "{log}");
    }
}
