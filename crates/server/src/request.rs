//! What is known of a request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::{Builder, Uuid};
use wharfinger_auth::Credentials;
use wharfinger_oci::{Query, Route};
use wharfinger_runtime::Entropy;

/// The name of one request, in logs and events; no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes request ids: randomness that was drawn once, and a count. Drawing for each request would
/// cost a system call each.
#[derive(Debug)]
pub(crate) struct RequestIds {
    start: [u8; 8],
    count: AtomicU64,
}

impl RequestIds {
    /// Draws the common part.
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut start = [0; 8];
        entropy.fill(&mut start);
        Self {
            start,
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.start);
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        RequestId(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

/// What nobody but access control may see, and a registry has no use for.
const SECRETS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// A request without its body. Its credentials are not among its headers.
#[derive(Debug)]
pub struct RequestInfo {
    id: RequestId,
    peer: SocketAddr,
    parts: Parts,
    credentials: Credentials,
    query: Query,
    began: Duration,
}

impl RequestInfo {
    pub(crate) fn new(
        ids: &RequestIds,
        peer: SocketAddr,
        mut parts: Parts,
        began: Duration,
    ) -> Self {
        let values = parts.headers.get_all(AUTHORIZATION).into_iter();
        let credentials = Credentials::parse(values.map(HeaderValue::as_bytes));
        for name in SECRETS {
            parts.headers.remove(name);
        }
        Self {
            id: ids.next(),
            peer,
            parts,
            credentials,
            query: Query::new(),
            began,
        }
    }

    pub(crate) fn set_query(&mut self, query: Query) {
        self.query = query;
    }

    /// Returns the request's name.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Returns the other end of the connection.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Returns the path as it was sent, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Returns the name by which the client called this registry.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let authority = self.parts.uri.authority().map(Authority::as_str);
        // Whoever puts a password before the host does not mean it for logs and events.
        let host = authority.map(|text| text.rsplit_once('@').map_or(text, |(_, host)| host));
        host.or_else(|| self.text(&HOST))
    }

    /// Returns what the client sent to prove who it is.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns what the client says it is.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.text(&USER_AGENT)
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the pairs of the query.
    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    /// Returns the query as it was sent.
    pub(crate) fn raw_query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// Returns the length of the target as it was sent.
    pub(crate) fn target_length(&self) -> usize {
        self.path().len() + self.raw_query().len()
    }

    /// Returns a header whose value is visible ASCII.
    pub(crate) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns the length of the body, if it was announced.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.text(&CONTENT_LENGTH)?.parse().ok()
    }

    /// Returns when the request began, on the monotonic clock.
    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    /// Returns the URL of a route as the client sees it: absolute, unless the client did not say
    /// how it calls us. What a proxy in front tells of the client's own request counts, as in
    /// Distribution.
    pub(crate) fn location(&self, route: &Route, query: Option<Query>) -> HeaderValue {
        let host = self.forwarded(&FORWARDED_HOST).or_else(|| self.host());
        let scheme = match self.forwarded(&FORWARDED_PROTO) {
            Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let base = host
            .filter(|host| is_host(host))
            .map(|host| format!("{scheme}://{host}"))
            .unwrap_or_default();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(format!("{base}{route}{query}"))
            .expect("hosts, routes and queries are printed in visible ASCII")
    }

    /// Returns the first of the values that proxies have put in a row, which is the client's.
    fn forwarded(&self, name: &HeaderName) -> Option<&str> {
        let first = self.text(name)?.split(',').next()?.trim();
        (!first.is_empty()).then_some(first)
    }
}

/// How the client has called the first proxy.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// `http` or `https`: what the client speaks with the first proxy.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Tells whether a text is a host with or without a port, and nothing that a URL would read in
/// another way, such as the name of a user.
fn is_host(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    text.bytes().all(is_plain) && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use wharfinger_runtime::SeededEntropy;

    use super::*;

    fn info(request: http::request::Builder) -> RequestInfo {
        let ids = RequestIds::new(&SeededEntropy::new(1));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        RequestInfo::new(&ids, ([127, 0, 0, 1], 1).into(), parts, Duration::ZERO)
    }

    fn location(request: http::request::Builder) -> String {
        info(request)
            .location(&Route::Base, None)
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids = RequestIds::new(&SeededEntropy::new(1));
        let (a, b) = (ids.next().to_string(), ids.next().to_string());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
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
    fn nothing_of_what_proves_who_a_client_is_can_be_seen() {
        let request = Request::builder().uri("http://alice:c4nary@reg:1/x");
        let request = SECRETS.iter().fold(request, |request, name| {
            request.header(name, "Basic c4nary")
        });
        let info = info(request);
        assert_eq!(info.host(), Some("reg:1"));
        assert!(info.headers().is_empty());
        assert!(matches!(info.credentials(), Credentials::Other));
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
}
