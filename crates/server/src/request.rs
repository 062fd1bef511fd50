//! What is known of a request.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use uuid::{Builder, Uuid};
use wharfinger_auth::Credentials;
use wharfinger_oci::Query;
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

impl Peer {
    /// Returns what quotas count it under. Who comes over a Unix socket is let in by the file's mode and
    /// mostly a proxy, whose clients nobody here can tell apart: it has no quota of its own.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
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
    /// The client has no more connections than it may.
    pub(crate) within_quota: bool,
}

/// What nobody but access control may see, and a registry has no use for.
const SECRETS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// A request without its body. Its credentials are not among its headers.
#[derive(Debug)]
pub struct RequestInfo {
    id: RequestId,
    via: Via,
    parts: Parts,
    credentials: Credentials,
    query: Query,
    began: Duration,
    /// What it asked for, once that is known: a place in [`Handler::ALL`], counted from 1.
    handler: AtomicU8,
}

impl RequestInfo {
    pub(crate) fn new(ids: &RequestIds, via: Via, mut parts: Parts, began: Duration) -> Self {
        let values = parts.headers.get_all(AUTHORIZATION).into_iter();
        let credentials = Credentials::parse(values.map(HeaderValue::as_bytes));
        for name in SECRETS {
            parts.headers.remove(name);
        }
        Self {
            id: RequestId::given(&parts.headers).unwrap_or_else(|| ids.next()),
            via,
            parts,
            credentials,
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

    #[test]
    fn a_request_has_the_name_that_it_came_with_if_that_is_one() {
        let id = |name: &str| {
            let request = http::Request::builder().uri("/x").header(REQUEST_ID, name);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let ids = RequestIds::new(&SeededEntropy::new(1));
            let via = Via {
                peer: Peer::Unix,
                secure: false,
                within_quota: true,
            };
            RequestInfo::new(&ids, via, parts, Duration::ZERO)
                .id()
                .to_string()
        };
        let longest = "a".repeat(MAX_REQUEST_ID_BYTES);
        for name in ["abc", "Root=1-67891233-abcdef", "a/b", &longest] {
            assert_eq!(id(name), name);
        }
        let longer = "a".repeat(MAX_REQUEST_ID_BYTES + 1);
        for name in ["", "a b", "a\"b", "a\tb", "{a}", &longer] {
            assert_eq!(id(name).len(), 36, "{name}");
        }
    }

    #[test]
    fn nothing_of_what_proves_who_a_client_is_can_be_seen() {
        let ids = RequestIds::new(&SeededEntropy::new(1));
        let request = http::Request::builder().uri("http://alice:c4nary@reg:1/x");
        let request = SECRETS.iter().fold(request, |request, name| {
            request.header(name, "Basic c4nary")
        });
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let via = Via {
            peer: Peer::Unix,
            secure: false,
            within_quota: true,
        };
        let info = RequestInfo::new(&ids, via, parts, Duration::ZERO);
        assert_eq!(info.host(), Some("reg:1"));
        assert!(info.headers().is_empty());
        assert!(matches!(info.credentials(), Credentials::Other));
    }
}
