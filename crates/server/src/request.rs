//! What is known of a request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Version};
use uuid::{Builder, Uuid};
use wharfinger_oci::Query;
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

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// A process on this machine, over a Unix socket.
    Unix,
}

impl Peer {
    /// Returns the address, which a Unix socket does not have.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What the requests of a connection have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Via {
    /// The other end.
    pub(crate) peer: Peer,
    /// Nobody between can read or change anything.
    pub(crate) secure: bool,
}

/// A request without its body.
#[derive(Debug)]
pub struct RequestInfo {
    id: RequestId,
    via: Via,
    parts: Parts,
    query: Query,
    began: Duration,
}

impl RequestInfo {
    pub(crate) fn new(ids: &RequestIds, via: Via, parts: Parts, began: Duration) -> Self {
        Self {
            id: ids.next(),
            via,
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
    pub fn peer(&self) -> Peer {
        self.via.peer
    }

    /// Tells whether the connection is over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.via.secure
    }

    /// Returns the version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.version
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
}

#[cfg(test)]
mod tests {
    use wharfinger_runtime::SeededEntropy;

    use super::*;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids = RequestIds::new(&SeededEntropy::new(1));
        let (a, b) = (ids.next().to_string(), ids.next().to_string());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
    }
}
