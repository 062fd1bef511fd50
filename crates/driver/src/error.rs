//! What a driver can answer instead of what was asked.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::DriverPath;

/// A source of an error.
type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// The result of a driver's call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing lies at the path. Give up, or make it.
    NotFound,
    /// Something lies at the path already, and the call was not to replace it. Look at what is there.
    AlreadyExists,
    /// Another handle has the ingest open. Try again once it is closed.
    Busy,
    /// The device or the quota is full. Try again when space was given back.
    Full,
    /// The value is larger than the caller's limit. Give up, or read it as a stream.
    TooLarge,
    /// An argument cannot be right: an offset beyond the end, a directory where a value is wanted. Fix the call.
    Invalid,
    /// The driver does not have this power. Look at its capabilities first.
    Unsupported,
    /// The place refuses: permissions, or a symbolic link where none is followed. Fix the place.
    Refused,
    /// An earlier call on this ingest failed, and it takes nothing but close and abort. Resume it anew.
    Broken,
    /// A sync failed: what was written since the last checkpoint may be lost although it can still
    /// be read. Write it again from there; syncing again would only seem to succeed.
    Unsynced,
    /// The place did not answer as it should. Retry later.
    Unavailable,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Busy => "in use by another writer",
            Self::Full => "no space left",
            Self::TooLarge => "too large",
            Self::Invalid => "invalid call",
            Self::Unsupported => "not supported",
            Self::Refused => "refused",
            Self::Broken => "broken by an earlier failure",
            Self::Unsynced => "could not be synced",
            Self::Unavailable => "unavailable",
        })
    }
}

/// A failed call: what the caller can do, which driver, which path, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{driver}: {kind}: {path}")]
pub struct Error {
    kind: ErrorKind,
    driver: &'static str,
    path: DriverPath,
    #[source]
    source: Option<BoxError>,
}

impl Error {
    /// Makes an error without a further cause.
    #[must_use]
    pub fn new(kind: ErrorKind, driver: &'static str, path: &DriverPath) -> Self {
        Self {
            kind,
            driver,
            path: path.clone(),
            source: None,
        }
    }

    /// Makes an error with its cause.
    #[must_use]
    pub fn with_source(
        kind: ErrorKind,
        driver: &'static str,
        path: &DriverPath,
        source: impl Into<BoxError>,
    ) -> Self {
        Self {
            kind,
            driver,
            path: path.clone(),
            source: Some(source.into()),
        }
    }

    /// Makes an error of an I/O error, with the kind that follows from it.
    #[must_use]
    pub fn from_io(driver: &'static str, path: &DriverPath, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => ErrorKind::Invalid,
            io::ErrorKind::Unsupported => ErrorKind::Unsupported,
            io::ErrorKind::PermissionDenied => ErrorKind::Refused,
            _ => ErrorKind::Unavailable,
        };
        Self::with_source(kind, driver, path, source)
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the path that the call was about.
    #[must_use]
    pub fn path(&self) -> &DriverPath {
        &self.path
    }
}
