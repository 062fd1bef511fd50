//! What is known of a request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::{Builder, Uuid};
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

/// A request without its body.
#[derive(Debug)]
pub struct RequestInfo {
    id: RequestId,
    peer: SocketAddr,
    parts: Parts,
    query: Query,
    began: Duration,
}

impl RequestInfo {
    pub(crate) fn new(ids: &RequestIds, peer: SocketAddr, parts: Parts, began: Duration) -> Self {
        Self {
            id: ids.next(),
            peer,
            parts,
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
    /// how it calls us.
    pub(crate) fn location(&self, route: &Route, query: Option<Query>) -> HeaderValue {
        let host = self.host().filter(|host| host.parse::<Authority>().is_ok());
        let base = host
            .map(|host| format!("http://{host}"))
            .unwrap_or_default();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(format!("{base}{route}{query}"))
            .expect("hosts, routes and queries are printed in visible ASCII")
    }
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
    }
}
