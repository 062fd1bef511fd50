//! What URLs begin with, and what answers have besides.

use wharfinger_testkit::Scratch;

use super::{Curl, Wharf};

fn start(lines: &str) -> Wharf {
    Wharf::start(Scratch::new("urls").unwrap(), lines)
}

/// Starts an upload below `prefix` and returns where it is.
fn location(curl: &Curl, wharf: &Wharf, prefix: &str, more: &[&str]) -> String {
    let url = wharf.http(&format!("{prefix}/v2/a/b/blobs/uploads/"));
    let mut arguments = vec!["-X", "POST", url.as_str()];
    arguments.extend(more);
    let answer = curl.ask(&arguments).unwrap();
    assert_eq!(answer.status, 202);
    let location = answer.header("location").unwrap();
    location.split("/v2/").next().unwrap().to_owned()
}

#[test]
fn the_prefix_stands_before_everything_but_the_front_page() {
    let Some(curl) = Curl::find() else { return };
    let wharf = start("prefix: /deep/down/");
    for (path, status) in [
        ("/", 200),
        ("/deep/down/", 200),
        ("/deep/down/v2/", 200),
        ("/deep/down/v2/_catalog", 200),
        ("/v2/", 404),
        ("/deep/v2/", 404),
        ("/deep/downv2/", 404),
    ] {
        let answer = curl.ask(&[&wharf.http(path)]).unwrap();
        assert_eq!(answer.status, status, "{path}");
        if path.ends_with("n/") || path == "/" {
            assert_eq!(answer.body, "");
        }
    }
    let base = wharf.http("/deep/down");
    assert!(
        curl.round_trip(&base, &[])
            .starts_with(&format!("{base}/v2/"))
    );
    // So it does before the next page of a list.
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[]}}"#);
    let header = format!("Content-Type: {kind}");
    for tag in ["one", "two"] {
        let url = wharf.http(&format!("/deep/down/v2/a/b/manifests/{tag}"));
        let put = ["-X", "PUT", "-H", &header, "--data-binary", &index, &url];
        assert_eq!(curl.ask(&put).unwrap().status, 201);
    }
    let page = wharf.http("/deep/down/v2/a/b/tags/list?n=1");
    let page = curl.ask(&[&page]).unwrap();
    let link = page.header("link").unwrap();
    assert!(link.starts_with("</deep/down/v2/a/b/tags/list?"), "{link}");
}

#[test]
fn the_host_comes_before_what_requests_say() {
    let Some(curl) = Curl::find() else { return };
    let forwarded = [
        "-H",
        "X-Forwarded-Host: other",
        "-H",
        "X-Forwarded-Proto: http",
    ];
    for more in ["", "\n  relativeurls: true", "\n  prefix: /p"] {
        let wharf = start(&format!("host: 'https://registry.example:8443/r'{more}"));
        let prefix = if more.contains("/p") { "/p" } else { "" };
        for headers in [&forwarded[..], &[]] {
            let location = location(&curl, &wharf, prefix, headers);
            assert_eq!(location, "https://registry.example:8443/r");
        }
    }
    // Without it, what a proxy says counts.
    let wharf = start("");
    assert_eq!(location(&curl, &wharf, "", &forwarded), "http://other");
}

#[test]
fn relative_urls_are_paths() {
    let Some(curl) = Curl::find() else { return };
    let wharf = start("relativeurls: true\n  prefix: /p");
    assert_eq!(location(&curl, &wharf, "/p", &[]), "/p");
    assert!(
        curl.round_trip(&wharf.http("/p"), &[])
            .starts_with("/p/v2/")
    );
}

#[test]
fn every_answer_has_the_headers_of_the_configuration() {
    let Some(curl) = Curl::find() else { return };
    let wharf =
        start("headers: {X-Content-Type-Options: [nosniff], X-Two: [a, b], Content-Type: [x/y]}");
    for path in ["/", "/v2/", "/v2/a/manifests/none", "/nowhere"] {
        let answer = curl.ask(&[&wharf.http(path)]).unwrap();
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let head = answer.head.to_lowercase();
        assert!(
            head.contains("x-two: a\r\n") && head.contains("x-two: b\r\n"),
            "{head}"
        );
        // What an answer says of itself stays.
        if path != "/" {
            let own = answer.header("content-type");
            assert_eq!(own, Some("application/json; charset=utf-8"), "{path}");
        }
    }
}
