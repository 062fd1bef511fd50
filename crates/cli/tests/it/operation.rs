//! What an operator sees and can do: the listener for operators, checks, logs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use wharfinger_testkit::{
    Client, Image, RegistryConfig, Request, Response, Scratch, Server, Signal, eventually,
    free_port,
};

use crate::setup::wharfinger_with;

/// A registry with a listener for operators.
struct Operated {
    server: Server,
    operators: SocketAddr,
    scratch: Scratch,
}

impl Operated {
    fn start(variables: &[(&str, String)]) -> Self {
        Self::start_in(Scratch::new("operation").unwrap(), variables)
    }

    fn start_in(scratch: Scratch, variables: &[(&str, String)]) -> Self {
        let operators = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = RegistryConfig::new(&scratch.join("data"));
        let mut all = vec![
            ("HTTP_DEBUG_ADDR", operators.to_string()),
            ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true".to_owned()),
        ];
        all.extend_from_slice(variables);
        let server = wharfinger_with(&config, &scratch, &all).unwrap();
        Self {
            server,
            operators,
            scratch,
        }
    }

    /// Asks the listener for operators.
    fn ask(&self, target: &str) -> Response {
        let mut client = Client::new(self.operators);
        client.send(&Request::new("GET", target)).unwrap()
    }

    /// Returns the value of a metric.
    fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.ask("/metrics").expect(200).unwrap().text();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map(|value| value.trim().parse().unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.server.log()).unwrap()
    }
}

#[test]
fn requests_storage_and_process_are_shown_as_metrics() {
    let operated = Operated::start(&[]);
    let mut registry = operated.server.registry();
    let image = Image::build(1, &[2048, 20_000]);
    registry.push_image("secret/name", "v1", &image).unwrap();
    registry.check_image("secret/name", "v1", &image).unwrap();
    assert_eq!(
        registry
            .status("GET", "/v2/secret/name/manifests/none")
            .unwrap(),
        404
    );
    let of = |sample| operated.metric(sample).unwrap_or(-1.0);
    let put = r#"registry_http_requests_total{handler="manifest",method="put",code="201"}"#;
    eventually!(of(put) == 1.0);
    let unknown = r#"wharfinger_http_failures_total{handler="manifest",code="MANIFEST_UNKNOWN"}"#;
    eventually!(of(unknown) == 1.0);
    assert_eq!(
        of(r#"wharfinger_events_total{action="push",target="manifest"}"#),
        1.0
    );
    let received = of(r#"registry_http_request_size_bytes_sum{handler="blob_upload_chunk"}"#);
    assert!(received > 20_000.0, "{received}");
    let puts = r#"registry_storage_action_seconds_count{driver="filesystem",action="PutContent"}"#;
    assert!(of(puts) > 0.0);
    assert!(of("wharfinger_journal_syncs_total") > 0.0);
    assert!(of("wharfinger_disk_bytes") > 1e6);
    assert!(of("process_resident_memory_bytes") > 1e6);
    let answer = operated.ask("/metrics");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    // A filesystem asks no cache, and no name of a repository is a label.
    for absent in ["cache", "secret"] {
        assert!(!answer.text().contains(absent), "{absent}");
    }
}

#[test]
fn the_listener_for_operators_shows_nothing_else() {
    let operated = Operated::start(&[("HTTP_SECRET", "hunter2hunter2".to_owned())]);
    for target in ["/", "/debug/vars", "/debug/pprof/", "/v2/", "/debug/config"] {
        assert_eq!(operated.ask(target).status(), 404, "{target}");
    }
    let post = Request::new("POST", "/metrics").body("x");
    assert_eq!(
        Client::new(operated.operators)
            .send(&post)
            .unwrap()
            .status(),
        405
    );
    for target in ["/metrics", "/debug/health", "/livez", "/readyz"] {
        let answer = operated.ask(target).expect(200).unwrap();
        assert!(!answer.text().contains("hunter2"), "{target}");
    }
    assert!(!operated.log().contains("asks nobody"), "it is on loopback");
}

#[test]
fn a_check_that_fails_takes_the_registry_out_of_service_and_back() {
    let scratch = Scratch::new("operation").unwrap();
    let sick = scratch.join("sick");
    let check = format!("[{{file: {}, interval: 20ms}}]", sick.display());
    let operated = Operated::start_in(scratch, &[("HEALTH_FILECHECKERS", check)]);
    let mut registry = operated.server.registry();
    let mut status = |target: &str| registry.status("GET", target).unwrap();
    assert_eq!(status("/v2/"), 200);
    fs::write(&sick, "").unwrap();
    eventually!(status("/v2/") == 503);
    assert_eq!(status("/"), 503);
    let mut client = operated.server.client();
    let refused = client.send(&Request::new("GET", "/v2/")).unwrap();
    assert_eq!(
        refused.text(),
        r#"{"errors":[{"code":"UNAVAILABLE","message":"service unavailable","detail":"health check failed: please see /debug/health"}]}"#
    );
    let told: Value = serde_json::from_slice(&operated.ask("/debug/health").body).unwrap();
    assert_eq!(
        told,
        serde_json::json!({ sick.display().to_string(): "file exists" })
    );
    assert_eq!(operated.ask("/debug/health").status(), 503);
    assert_eq!(operated.ask("/readyz").status(), 503);
    assert_eq!(operated.ask("/livez").status(), 200);
    assert_eq!(operated.metric("wharfinger_healthy"), Some(0.0));
    fs::remove_file(&sick).unwrap();
    eventually!(status("/v2/") == 200);
    assert_eq!(operated.ask("/debug/health").text(), "{}");
}

#[test]
fn a_storage_that_cannot_be_written_is_not_ready() {
    let operated = Operated::start(&[]);
    let root = operated.scratch.join("data/docker/registry/v2/_wharfinger");
    operated.ask("/readyz").expect(200).unwrap();
    assert!(
        fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .all(|name| name == "journal" || name == "writers"),
        "nothing is left of the probe"
    );
    fs::remove_dir_all(&root).unwrap();
    fs::write(&root, "in the way").unwrap();
    // It remembers for some seconds what it found.
    eventually!(
        std::time::Duration::from_secs(20),
        operated.ask("/readyz").status() == 503
    );
    assert!(operated.ask("/readyz").text().contains("storage"));
    operated.ask("/livez").expect(200).unwrap();
}

#[test]
fn a_request_is_called_the_same_everywhere() {
    let operated = Operated::start(&[
        ("LOG_FORMATTER", "json".to_owned()),
        ("LOG_LEVEL", "debug".to_owned()),
        ("WHARFINGER_ACCESSLOG", "structured".to_owned()),
    ]);
    let mut client = operated.server.client();
    let request = Request::new("GET", "/v2/a/manifests/none").header("X-Request-Id", "trace-1/a");
    let answer = client.send(&request).unwrap();
    assert_eq!(answer.header("x-request-id"), Some("trace-1/a"));
    eventually!(operated.log().contains("\"msg\":\"answered\""));
    let log = operated.log();
    let named = log
        .lines()
        .filter(|line| line.contains("/v2/a/manifests/none"));
    let lines: Vec<Value> = named
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 1, "{log}");
    assert!(lines.iter().all(|line| line["id"] == "trace-1/a"), "{log}");
    // What is no name gets one.
    let request = Request::new("GET", "/v2/").header("X-Request-Id", "two words");
    let answer = client.send(&request).unwrap();
    assert_eq!(answer.header("x-request-id").unwrap().len(), 36);
}

#[test]
fn access_lines_are_those_of_distribution_on_standard_output() {
    let operated = Operated::start(&[("LOG_LEVEL", "error".to_owned())]);
    let mut client = operated.server.client();
    let agent = "me \"x";
    let request = Request::new("GET", "/v2/?n=5").header("User-Agent", agent);
    client.send(&request).unwrap().expect(200).unwrap();
    let end = r#"] "GET /v2/?n=5 HTTP/1.1" 200 2 "" "me \"x""#;
    eventually!(operated.log().lines().any(|line| line.ends_with(end)));
    let log = operated.log();
    let line = log.lines().find(|line| line.ends_with(end)).unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(
        !log.contains("answered"),
        "one line for each request: {log}"
    );
}

#[test]
fn the_level_of_the_log_is_read_again_at_a_hangup() {
    let mut operated = Operated::start(&[]);
    let file = operated.scratch.join("config.yml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("level: info", "level: debug")).unwrap();
    operated
        .server
        .process()
        .unwrap()
        .signal(Signal::HUP)
        .unwrap();
    eventually!(operated.log().contains("read again"));
    let mut registry = operated.server.registry();
    registry.status("GET", "/v2/a/manifests/none").unwrap();
    eventually!(operated.log().contains("DEBUG"));
    // A file that cannot be used changes nothing, and ends nothing.
    fs::write(&file, "version: 0.1\nnonsense: true\n").unwrap();
    operated
        .server
        .process()
        .unwrap()
        .signal(Signal::HUP)
        .unwrap();
    eventually!(operated.log().contains("nothing has changed"));
    registry.status("GET", "/v2/").unwrap();
}
