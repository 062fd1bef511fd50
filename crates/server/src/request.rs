//! What is known of a request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use uuid::{Builder, Uuid};
use wharfinger_oci::{Query, Route};
use wharfinger_runtime::Entropy;

use crate::metrics::Handler;

/// The header in which a client or a proxy names its request, and in which the answer names it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// 128: several times what proxies make.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The name of one request, in logs, events and answers.
///
/// It is the one that the client or a proxy has given, so that what the two say of it can be put
/// together, or else one that no other request has. It is short and holds nothing that would have to
/// be escaped anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes what the client calls its request, if that is a name.
    fn given(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&REQUEST_ID)?;
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b);
        let bytes = value.as_bytes();
        let is_name =
            !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(is_plain);
        is_name.then(|| Self(value.clone()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Returns the name as the value of a header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
        let mut text = Uuid::encode_buffer();
        let id = Builder::from_custom_bytes(bytes).into_uuid();
        let id = id.hyphenated().encode_lower(&mut text);
        RequestId(HeaderValue::from_str(id).expect("digits and hyphens are visible ASCII"))
    }
}

/// A request without its body.
#[derive(Debug)]
pub struct RequestInfo {
    id: RequestId,
    peer: SocketAddr,
    parts: Parts,
    query: Query,
    began: Duration,
    /// What it asked for, once that is known: a place in [`Handler::ALL`], counted from 1.
    handler: AtomicU8,
}

impl RequestInfo {
    pub(crate) fn new(ids: &RequestIds, peer: SocketAddr, parts: Parts, began: Duration) -> Self {
        Self {
            id: RequestId::given(&parts.headers).unwrap_or_else(|| ids.next()),
            peer,
            parts,
            query: Query::new(),
            began,
            handler: AtomicU8::new(0),
        }
    }

    pub(crate) fn set_query(&mut self, query: Query) {
        self.query = query;
    }

    /// Returns the request's name.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Notes what the request asks for.
    pub(crate) fn note_handler(&self, handler: Handler) {
        self.handler.store(handler as u8 + 1, Ordering::Relaxed);
    }

    /// Returns what the request asks for, if that was found out.
    pub(crate) fn handler(&self) -> Option<Handler> {
        let place = self.handler.load(Ordering::Relaxed);
        let index = usize::from(place.checked_sub(1)?);
        Handler::ALL.get(index).copied()
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

    /// Returns the version of HTTP that the client speaks.
    pub(crate) fn version(&self) -> Version {
        self.parts.version
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
        authority.or_else(|| self.text(&HOST))
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
    fn a_request_has_the_name_that_it_came_with_if_that_is_one() {
        let id = |name: &str| {
            let request = Request::builder().uri("/x").header(REQUEST_ID, name);
            info(request).id().to_string()
        };
        let longest = "a".repeat(MAX_REQUEST_ID_BYTES);
        for name in [
            "abc",
            "Root=1-67891233-abcdef",
            "a/b;".trim_end_matches(';'),
            &longest,
        ] {
            assert_eq!(id(name), name);
        }
        let longer = "a".repeat(MAX_REQUEST_ID_BYTES + 1);
        for name in ["", "a b", "a\"b", "a\tb", "{a}", &longer] {
            assert_eq!(id(name).len(), 36, "{name}");
        }
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
}
