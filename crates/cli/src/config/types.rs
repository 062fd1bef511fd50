//! What the program is built from: plain values, valid by construction.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use wharfinger_runtime::Secret;
use wharfinger_server::{Pages, Tls, Urls};
use wharfinger_store::ManifestRules;

use super::address::ListenAddress;
use super::content::ContentConfig;
use super::health::{DebugConfig, HealthConfig};

/// Everything that `serve` needs to know.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    /// `log`.
    pub(crate) log: LogConfig,
    /// `storage`.
    pub(crate) storage: StorageConfig,
    /// `auth`.
    pub(crate) auth: AuthConfig,
    /// `http`.
    pub(crate) http: HttpConfig,
    /// `wharfinger.durability`.
    pub(crate) durability: Durability,
    /// `wharfinger.verify`.
    pub(crate) verify: Verify,
    /// `health`.
    pub(crate) health: HealthConfig,
    /// `wharfinger.content`.
    pub(crate) content: Vec<ContentConfig>,
    /// `wharfinger.limits`.
    pub(crate) limits: LimitsConfig,
    /// `validation`, and `wharfinger.manifests`.
    pub(crate) manifest_rules: ManifestRules,
    /// `catalog` and `tags`.
    pub(crate) pages: Pages,
    /// `wharfinger.catalog.rescan`.
    pub(crate) catalog_rescan: Duration,
}

/// What is written to the log, and how.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    /// The least serious line.
    pub(crate) level: LogLevel,
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// What is added to each line.
    pub(crate) fields: serde_json::Map<String, serde_json::Value>,
    /// Whether each line tells where in the source it was written.
    pub(crate) report_caller: bool,
    /// The line that each request gets.
    pub(crate) access_log: AccessLog,
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
    Logstash,
}

/// The line that each request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// None.
    Off,
    /// The Combined Log Format, on standard output.
    Combined,
    /// As other lines.
    Structured,
}

/// What clients may use at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitsConfig {
    pub(crate) connections: usize,
    pub(crate) address_connections: usize,
    pub(crate) requests: usize,
    pub(crate) uploads: usize,
    pub(crate) manifest_memory_bytes: usize,
}

/// Where content lies.
#[derive(Debug)]
pub(crate) struct StorageConfig {
    /// The driver and what it needs.
    pub(crate) driver: DriverConfig,
    /// Whether DELETE is allowed.
    pub(crate) delete_enabled: bool,
    /// How many tags are looked at at once when a manifest is deleted; 0 leaves it to the cores.
    pub(crate) tag_lookups: usize,
    /// The cache of descriptors, if there is one.
    pub(crate) cache: Option<CacheConfig>,
    /// Whether nothing may be changed.
    pub(crate) read_only: bool,
    /// What becomes of uploads that nobody goes on with.
    pub(crate) purging: PurgeConfig,
}

/// How uploads that nobody goes on with are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PurgeConfig {
    /// Whether it is done in the background.
    pub(crate) enabled: bool,
    /// How long ago one must have been written to last.
    pub(crate) age: Duration,
    /// How long after one round the next one begins; at least a minute.
    pub(crate) interval: Duration,
    /// Whether it is only said what would be done.
    pub(crate) dry_run: bool,
}

/// A storage driver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DriverConfig {
    /// A directory.
    Filesystem {
        /// The top of Distribution's tree; need not exist.
        root: PathBuf,
        /// How many calls run at once; at least 25.
        max_threads: usize,
    },
    /// Nothing that lasts.
    Memory,
}

/// The cache of descriptors, in memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CacheConfig {
    /// How many descriptors it holds; at least one.
    pub(crate) entries: usize,
}

/// Who may use the registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AuthConfig {
    /// Everybody.
    Open {
        /// The configuration says so, in place of saying nothing.
        meant: bool,
    },
    /// Whoever sends any credentials.
    Silly {
        /// Where clients are told to get a token.
        realm: String,
        /// What for.
        service: String,
    },
    /// The users of a file.
    Htpasswd {
        /// What clients are told that the password is for.
        realm: String,
        /// The file.
        path: PathBuf,
    },
}

/// How clients reach the registry.
#[derive(Debug)]
pub(crate) struct HttpConfig {
    /// Where to listen.
    pub(crate) listen: Listen,
    /// What TLS needs, if it is wanted.
    pub(crate) tls: Option<Tls>,
    /// Whether HTTP/2 is offered over TLS.
    pub(crate) http2: bool,
    /// Whether HTTP/2 is spoken without TLS.
    pub(crate) h2c: bool,
    /// How URLs are made.
    pub(crate) urls: Urls,
    /// What every answer has besides its own headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the secret comes from; `SecretSource::obtain` gets it.
    pub(crate) secret: SecretSource,
    /// How long requests may go on after SIGTERM; zero ends them at once.
    pub(crate) drain_timeout: Duration,
    /// The listener for operators.
    pub(crate) debug: Option<DebugConfig>,
}

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Tcp(ListenAddress),
    /// The path of a socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether no other machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_local(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Where the key that signs upload state comes from.
#[derive(Debug)]
pub(crate) enum SecretSource {
    /// It is in the configuration; never empty.
    Given(Secret<String>),
    /// It lies in this file, which is made if it is not there.
    KeptIn(PathBuf),
    /// It is made anew at each start.
    PerProcess,
}

/// What an answer promises about durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Full,
    Group,
    None,
}

/// When bytes are held against their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    Changed,
    Always,
    Never,
}
