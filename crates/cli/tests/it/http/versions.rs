//! Versions of HTTP.

use wharfinger_testkit::{Authority, Scratch, Signal, eventually};

use super::{Curl, REQUEST, Wharf, text};

fn secured(more: &str) -> (Wharf, std::path::PathBuf) {
    let scratch = Scratch::new("http2").unwrap();
    let authority = Authority::new("harbour").unwrap();
    let trusted = authority.write(scratch.path()).unwrap();
    let server = authority.server().unwrap();
    let (certificate, key) = server.write(scratch.path(), "server").unwrap();
    let (certificate, key) = (text(&certificate), text(&key));
    let lines = format!("tls: {{certificate: {certificate}, key: {key}}}\n  {more}");
    (Wharf::start(scratch, &lines), trusted)
}

#[test]
fn http2_is_offered_over_tls_unless_it_is_disabled() {
    let Some(curl) = Curl::find() else { return };
    for (more, expected) in [("", "2"), ("http2: {disabled: true}", "1.1")] {
        let (wharf, trusted) = secured(more);
        let answer = curl.ask(&["--cacert", text(&trusted), &wharf.https("/v2/")]);
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.version.as_str()), (200, expected));
        assert_eq!(answer.body, "{}");
    }
}

#[test]
fn http2_in_the_clear_has_to_be_asked_for_and_known() {
    let Some(curl) = Curl::find() else { return };
    let known = "--http2-prior-knowledge";
    let wharf = Wharf::start(Scratch::new("h2c").unwrap(), "h2c: {enabled: true}");
    let answer = curl.ask(&[known, &wharf.http("/v2/")]).unwrap();
    assert_eq!((answer.status, answer.version.as_str()), (200, "2"));
    // Both are spoken, and an upgrade is not.
    for version in ["--http1.1", "--http2"] {
        let answer = curl.ask(&[version, &wharf.http("/v2/")]).unwrap();
        assert_eq!((answer.status, answer.version.as_str()), (200, "1.1"));
    }
    curl.round_trip(&wharf.http(""), &[known]);
    let wharf = Wharf::start(Scratch::new("h2c").unwrap(), "");
    curl.ask(&[known, &wharf.http("/v2/")]).unwrap_err();
}

#[test]
fn a_request_on_http2_has_its_line_in_the_access_log() {
    let Some(curl) = Curl::find() else { return };
    let wharf = Wharf::start(Scratch::new("h2c").unwrap(), "h2c: {enabled: true}");
    let path = "/v2/a/b/manifests/none";
    let answer = curl.ask(&["--http2-prior-knowledge", &wharf.http(path)]);
    assert_eq!(answer.unwrap().status, 404);
    eventually!(
        wharf
            .log()
            .lines()
            .any(|line| line.contains(path) && line.contains("HTTP/2.0\" 404"))
    );
}

#[test]
fn the_end_is_told_to_connections_that_are_kept() {
    let Some(curl) = Curl::find() else { return };
    let mut wharf = Wharf::start(Scratch::new("h2c").unwrap(), "h2c: {enabled: true}");
    curl.round_trip(&wharf.http(""), &["--http2-prior-knowledge"]);
    wharf.signal(Signal::TERM);
    assert!(wharf.process.wait(REQUEST).unwrap().success());
}
