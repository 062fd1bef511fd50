//! What a content store can answer instead of what was asked.

use std::fmt;

use wharfinger_store as store;

/// The result of a content store's call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such blob or ingest. Write it.
    NotFound,
    /// The blob is there already. Be glad.
    AlreadyExists,
    /// An argument cannot be right. Fix the call.
    InvalidArgument,
    /// The bytes are not those that were announced. What was written is kept: go on, or truncate.
    FailedPrecondition,
    /// The offset is not where the ingest stands, or beyond the end of a blob. Ask where it stands.
    OutOfRange,
    /// Somebody else is writing under the ref, or the service is not there. Try again later.
    Unavailable,
    /// The ingest was aborted while it was open. Begin another.
    Aborted,
    /// The bytes at rest are damaged. Write them again.
    DataLoss,
    /// The storage is full. Try again when space was given back.
    Full,
    /// The caller has no right to this. Ask whoever runs the service.
    PermissionDenied,
    /// The service does not do this. Give up.
    Unsupported,
    /// Whoever gives the bytes has failed. Look there; what was written is kept.
    SourceFailed,
    /// Something went wrong that the caller can do nothing about.
    Unknown,
}

/// A failed call: what the caller can do, and in words what happened.
///
/// The words go over the wire. What only the operator may see is the source.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<store::Error>>,
}

impl Error {
    /// Makes an error that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what happened, as the other side is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let (kind, message) = match error.kind() {
            store::ErrorKind::BlobUnknown | store::ErrorKind::UploadUnknown => {
                (ErrorKind::NotFound, "not found".to_owned())
            }
            store::ErrorKind::UploadBusy => (
                ErrorKind::Unavailable,
                "another process is writing under this ref".to_owned(),
            ),
            store::ErrorKind::DigestMismatch { expected, computed } => (
                ErrorKind::FailedPrecondition,
                format!("the bytes have digest {computed}, expected was {expected}"),
            ),
            store::ErrorKind::SizeMismatch {
                expected_bytes,
                actual_bytes,
            } => (
                ErrorKind::FailedPrecondition,
                format!("there are {actual_bytes} bytes, expected were {expected_bytes}"),
            ),
            store::ErrorKind::OffsetInvalid { offset } => (
                ErrorKind::OutOfRange,
                format!("read past object length {offset} bytes"),
            ),
            store::ErrorKind::Damaged => (
                ErrorKind::DataLoss,
                "the bytes at rest are damaged".to_owned(),
            ),
            store::ErrorKind::Full => (ErrorKind::Full, "the storage is full".to_owned()),
            store::ErrorKind::Unsupported => (ErrorKind::Unsupported, "not supported".to_owned()),
            _ => (
                ErrorKind::Unknown,
                "the storage does not answer as it should".to_owned(),
            ),
        };
        Self {
            kind,
            message,
            source: Some(Box::new(error)),
        }
    }
}
