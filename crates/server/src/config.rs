//! How the server behaves.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use wharfinger_runtime::Secret;

use crate::tls::Tls;
use crate::urls::Urls;

/// 60 s: as long as a node is usually given to end; requests that take longer can be resumed.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// 10 s: a head is one packet; who takes longer holds a connection for nothing, and so does who
/// connects and asks for nothing.
pub const DEFAULT_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// 10 s: a handshake is a few packets.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// 120 s: a client that extracts one layer asks for the next over the connection that it has.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// 120 s: longer than a client waits for its own disk, shorter than forever.
pub const DEFAULT_BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// 30 s: so long a body may come as slowly as it likes; short ones never meet the rate.
pub const DEFAULT_BODY_GRACE: Duration = Duration::from_secs(30);

/// 1 KiB/s: less than any line in use, and more than one that is only meant to hold a connection.
pub const DEFAULT_MIN_BODY_RATE: u64 = 1024;

/// 5 s: what is left of a refused body is read only to keep the connection, which is not worth more.
pub const DEFAULT_REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// 64 MiB: sixteen of the largest manifests at once, or thousands of usual ones.
pub const DEFAULT_MANIFEST_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// 120 s, as for bodies: a client that takes nothing of its answer for so long is not there.
pub const DEFAULT_WRITE_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// 32 KiB: a thousand open uploads then take some 100 MiB in all, with 64 KiB they take 140, and a
/// push costs a few percent more CPU than with those.
pub const DEFAULT_BUFFER_BYTES: usize = 32 * 1024;

/// 10,000: more than a node serves at once, fewer than would use up its memory.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// 5,000: half of all, so that one address cannot keep everybody else out, and a proxy is not bounded by it.
pub const DEFAULT_MAX_ADDRESS_CONNECTIONS: usize = 5_000;

/// 10,000: one for each connection. HTTP/1 never reaches it.
pub const DEFAULT_MAX_REQUESTS: usize = 10_000;

/// 9,000: nine tenths, so that content can be pulled however many push.
pub const DEFAULT_MAX_UPLOADS: usize = 9_000;

/// 60 s: a body that is held in memory as a whole is 4 MiB at most, which comes in time at 70 KiB/s. At
/// the rate for any body it could hold its memory for an hour.
pub const DEFAULT_WHOLE_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// 1 KiB/s, as for bodies.
pub const DEFAULT_MIN_ANSWER_RATE: u64 = 1024;

/// 1,000 repositories, as in Distribution.
pub const DEFAULT_MOST_REPOSITORIES: usize = 1000;

/// 1,000 tags, as in Distribution.
pub const DEFAULT_MOST_TAGS: usize = 1000;

/// Everything that the server needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub endpoints: Vec<Endpoint>,
    /// What TLS needs; `None` is HTTP in the clear.
    pub tls: Option<Tls>,
    /// Whether clients are offered HTTP/2 over TLS.
    pub http2: bool,
    /// Whether HTTP/2 is spoken without TLS to those who begin with it.
    pub h2c: bool,
    /// How URLs are made.
    pub urls: Urls,
    /// What every answer has besides its own headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Signs the state of uploads; nodes that share storage share it.
    pub secret: Secret<Vec<u8>>,
    /// Whether anything may be deleted.
    pub delete_enabled: bool,
    /// Whether nothing may be changed at all.
    pub read_only: bool,
    /// How long requests may go on after the end was asked for; zero cuts them at once.
    pub drain_timeout: Duration,
    /// How long pages of lists may be.
    pub pages: Pages,
    /// What bounds clients.
    pub limits: Limits,
}

impl Config {
    /// Listens on one address, and otherwise behaves as by default: nothing can be deleted.
    #[must_use]
    pub fn new(address: SocketAddr, secret: Secret<Vec<u8>>) -> Self {
        Self {
            endpoints: vec![address.into()],
            tls: None,
            http2: true,
            h2c: false,
            urls: Urls::default(),
            headers: Vec::new(),
            secret,
            delete_enabled: false,
            read_only: false,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            pages: Pages::default(),
            limits: Limits::default(),
        }
    }
}

/// How long pages of lists may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// Most repositories of a page of the catalog; a request for more is refused.
    pub most_repositories: usize,
    /// Most tags of a page; a request for more gets as many.
    pub most_tags: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            most_repositories: DEFAULT_MOST_REPOSITORIES,
            most_tags: DEFAULT_MOST_TAGS,
        }
    }
}

/// Where one listener listens.
#[derive(Debug)]
pub enum Endpoint {
    /// On the first of its addresses that can be had.
    Tcp {
        /// The addresses, in the order to try.
        candidates: Vec<SocketAddr>,
    },
    /// At a path, which is made and removed again. A socket there that nobody listens on is replaced.
    Unix {
        /// The path.
        path: PathBuf,
    },
    /// On a socket that somebody else has made.
    Inherited(Inherited),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { candidates } => {
                let names: Vec<_> = candidates.iter().map(SocketAddr::to_string).collect();
                f.write_str(&names.join(" or "))
            }
            Self::Unix { path } => path.display().fmt(f),
            Self::Inherited(_) => f.write_str("a socket that was handed down"),
        }
    }
}

/// A socket that listens already.
#[derive(Debug)]
pub enum Inherited {
    /// On an address.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            candidates: vec![address],
        }
    }
}

/// What bounds clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// How many of them one address may have; requests on further ones are refused.
    pub max_address_connections: usize,
    /// How many requests are under way at once; further ones are refused.
    pub max_requests: usize,
    /// How many of them may bring content.
    pub max_uploads: usize,
    /// How long the handshake of TLS may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, and a new connection may be without one.
    pub header_timeout: Duration,
    /// How long a connection is kept after its last answer.
    pub idle_timeout: Duration,
    /// How long a body may stand still.
    pub body_idle_timeout: Duration,
    /// How long a body may be waited for in all before [`Self::min_body_rate`] counts.
    pub body_grace: Duration,
    /// How many bytes of a body have to come in a second of waiting, on average; 0 is no limit.
    pub min_body_rate: u64,
    /// How long a body that is held in memory as a whole may be waited for.
    pub whole_body_timeout: Duration,
    /// How long the rest of a refused body is read, so that the connection can be kept.
    pub refused_body_timeout: Duration,
    /// How many bytes of manifests that are being pushed are held in memory, over all requests.
    pub manifest_memory_bytes: usize,
    /// How long a client may take nothing of its answer.
    pub write_idle_timeout: Duration,
    /// How many bytes of an answer have to be taken in a second of waiting, on average over
    /// [`Self::write_idle_timeout`]; 0 is no limit.
    pub min_answer_rate: u64,
    /// How many bytes of a connection are buffered in each direction; at least 8 KiB.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_address_connections: DEFAULT_MAX_ADDRESS_CONNECTIONS,
            max_requests: DEFAULT_MAX_REQUESTS,
            max_uploads: DEFAULT_MAX_UPLOADS,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            header_timeout: DEFAULT_HEADER_TIMEOUT,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            body_idle_timeout: DEFAULT_BODY_IDLE_TIMEOUT,
            body_grace: DEFAULT_BODY_GRACE,
            min_body_rate: DEFAULT_MIN_BODY_RATE,
            whole_body_timeout: DEFAULT_WHOLE_BODY_TIMEOUT,
            refused_body_timeout: DEFAULT_REFUSED_BODY_TIMEOUT,
            manifest_memory_bytes: DEFAULT_MANIFEST_MEMORY_BYTES,
            write_idle_timeout: DEFAULT_WRITE_IDLE_TIMEOUT,
            min_answer_rate: DEFAULT_MIN_ANSWER_RATE,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}
