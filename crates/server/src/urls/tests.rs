//! Locations as clients see them, and what may stand before them.

use std::time::Duration;

use http::Request;
use http::header::HOST;
use wharfinger_runtime::SeededEntropy;

use crate::request::{Peer, RequestIds, Via};

use super::forwarded::{FORWARDED_HOST, FORWARDED_PROTO};
use super::*;

fn info(request: http::request::Builder, secure: bool) -> RequestInfo {
    let ids = RequestIds::new(&SeededEntropy::new(1));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    RequestInfo::new(
        &ids,
        Via {
            peer,
            secure,
            within_quota: true,
        },
        parts,
        Duration::ZERO,
    )
}

fn located(urls: &Urls, request: &RequestInfo) -> String {
    let location = urls.location(request, &Route::Base, None);
    location.to_str().unwrap().to_owned()
}

fn location(request: http::request::Builder) -> String {
    located(&Urls::default(), &info(request, false))
}

#[test]
fn a_location_is_absolute_where_the_host_is_known() {
    let request = || Request::builder().uri("/x");
    assert_eq!(
        location(request().header(HOST, "reg:5000")),
        "http://reg:5000/v2/"
    );
    assert_eq!(location(request()), "/v2/");
    assert_eq!(location(request().header(HOST, "a/b@c d")), "/v2/");
    assert_eq!(
        location(Request::builder().uri("http://other:1/x")),
        "http://other:1/v2/"
    );
    assert_eq!(
        location(request().header(HOST, "[::1]:5000")),
        "http://[::1]:5000/v2/"
    );
}

#[test]
fn nothing_but_a_host_gets_into_a_location() {
    for host in [
        "a/b@c d",
        "user@evil",
        "a%0d%0ab",
        "a\tb",
        "a?b",
        "a#b",
        "a,b",
        "<a>",
        "[::1",
        "a:b:c",
    ] {
        let request = Request::builder().uri("/x").header(HOST, host);
        assert_eq!(location(request), "/v2/", "{host}");
        let request = Request::builder().uri("/x").header(HOST, "good");
        let request = request.header(FORWARDED_HOST, host);
        let location = location(request);
        // Of a list the first counts.
        let expected = if host == "a,b" {
            "http://a/v2/"
        } else {
            "/v2/"
        };
        assert_eq!(location, expected, "{host}");
    }
    let odd = HeaderValue::from_bytes(b"h\xc3\xa4h").unwrap();
    let request = Request::builder().uri("/x").header(HOST, odd);
    assert_eq!(location(request), "/v2/");
}

#[test]
fn a_proxy_tells_what_the_client_sees() {
    let behind = |proto: &str, host: &str| {
        let request = Request::builder().uri("/x").header(HOST, "inner:5000");
        let request = request.header(FORWARDED_PROTO, proto);
        location(request.header(FORWARDED_HOST, host))
    };
    assert_eq!(behind("https", ""), "https://inner:5000/v2/");
    assert_eq!(behind("HTTPS, http", ""), "https://inner:5000/v2/");
    assert_eq!(behind("http", ""), "http://inner:5000/v2/");
    for other in ["", "ftp", "javascript", "https://x", " "] {
        assert_eq!(behind(other, ""), "http://inner:5000/v2/", "{other}");
    }
    assert_eq!(behind("https", "outer"), "https://outer/v2/");
    assert_eq!(behind("https", "outer:1 , inner"), "https://outer:1/v2/");
}

fn ask() -> http::request::Builder {
    Request::builder().uri("/x").header(HOST, "reg:5000")
}

fn urls(base: &str, prefix: &str, relative: bool) -> Urls {
    Urls {
        base: (!base.is_empty()).then(|| base.parse().unwrap()),
        prefix: prefix.parse().unwrap(),
        relative,
    }
}

#[test]
fn tls_makes_a_location_secure_unless_a_proxy_says_otherwise() {
    let plain = Urls::default();
    assert_eq!(located(&plain, &info(ask(), true)), "https://reg:5000/v2/");
    let behind = ask().header(FORWARDED_PROTO, "http");
    assert_eq!(located(&plain, &info(behind, true)), "http://reg:5000/v2/");
    let behind = ask().header(FORWARDED_PROTO, "ftp");
    assert_eq!(located(&plain, &info(behind, true)), "https://reg:5000/v2/");
}

#[test]
fn the_base_beats_what_a_request_says_and_the_prefix() {
    let request = || {
        info(
            ask()
                .header(FORWARDED_HOST, "evil")
                .header(FORWARDED_PROTO, "http"),
            false,
        )
    };
    for relative in [false, true] {
        let given = urls("https://registry.example:8443/deep/", "/p/", relative);
        assert_eq!(
            located(&given, &request()),
            "https://registry.example:8443/deep/v2/"
        );
        assert_eq!(given.path(&Route::Base), "/deep/v2/");
    }
    let given = urls("http://registry.example", "/", false);
    assert_eq!(located(&given, &request()), "http://registry.example/v2/");
}

#[test]
fn the_prefix_stands_before_every_route() {
    for prefix in ["/p/q", "/p/q/"] {
        let given = urls("", prefix, false);
        assert_eq!(
            located(&given, &info(ask(), false)),
            "http://reg:5000/p/q/v2/"
        );
        assert_eq!(given.path(&Route::Base), "/p/q/v2/");
        let given = urls("", prefix, true);
        assert_eq!(located(&given, &info(ask(), false)), "/p/q/v2/");
        let strip = |path| given.prefix.strip(path);
        assert_eq!(strip("/p/q/v2/"), Some("/v2/"));
        assert_eq!(strip("/p/q/"), Some("/"));
        assert_eq!(strip("/p/q"), Some("/"));
        for other in ["/v2/", "/p/qv2/", "/p/", "/", ""] {
            assert_eq!(strip(other), None, "{other}");
        }
    }
    let none = urls("", "/", true);
    assert_eq!(none.prefix.strip("/v2/"), Some("/v2/"));
    assert_eq!(located(&none, &info(ask(), false)), "/v2/");
}

#[test]
fn what_stands_before_routes_is_refused_when_it_could_mean_something_else() {
    let prefix = |text: &str| text.parse::<Prefix>().unwrap_err();
    assert_eq!(prefix("foo"), UrlError::NoSlash);
    assert_eq!(prefix(""), UrlError::NoSlash);
    for path in [
        "//", "/a//b", "/a/../b", "/.", "/a b", "/a?b", "/a%2fb", "/ä",
    ] {
        assert_eq!(prefix(path), UrlError::Path, "{path}");
    }
    let base = |text: &str| text.parse::<BaseUrl>().unwrap_err();
    for text in ["h", "h:5000", "ftp://h", "/path"] {
        assert_eq!(base(text), UrlError::NoScheme, "{text}");
    }
    for text in ["http://", "http://user@h", "https://h h", ""] {
        assert_eq!(base(text), UrlError::NoUrl, "{text}");
    }
    assert_eq!(base("http://h/?a"), UrlError::Query);
    assert_eq!(base("http://h/#a"), UrlError::Query);
    assert_eq!(base("http://h/a/../b"), UrlError::Path);
}

#[test]
fn forwarded_comes_before_the_headers_of_older_proxies() {
    let request = || {
        let request = Request::builder().uri("/x").header(HOST, "inner");
        request
            .header(FORWARDED_HOST, "old")
            .header(FORWARDED_PROTO, "https")
    };
    assert_eq!(location(request()), "https://old/v2/");
    for (forwarded, expected) in [
        ("proto=https;host=\"new:8443\"", "https://new:8443/v2/"),
        ("for=10.0.0.1; host=new, host=further", "http://new/v2/"),
        ("for=10.0.0.1", "http://inner/v2/"),
        ("host=a/b", "/v2/"),
        ("not readable", "http://inner/v2/"),
    ] {
        let request = request().header(http::header::FORWARDED, forwarded);
        assert_eq!(location(request), expected, "{forwarded}");
    }
}
