//! What the store can answer instead of what was asked.

use std::fmt;

use wharfinger_driver as driver;
use wharfinger_oci::Digest;

/// The result of a store's call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such repository. Give up, or push to it.
    RepositoryUnknown,
    /// The repository has no link to the blob, or its bytes are not there. Push it.
    BlobUnknown,
    /// The repository has no such manifest. Push it.
    ManifestUnknown,
    /// The repository has no such tag. Push it.
    TagUnknown,
    /// What the manifest refers to is not in the repository. Push these first.
    ManifestBlobsUnknown(Vec<Digest>),
    /// A layer of the manifest comes from a URL that is not allowed. Give up.
    ManifestUrlRefused(String),
    /// The bytes have another digest than the one announced. Send the right bytes.
    DigestMismatch {
        /// What was announced.
        expected: Digest,
        /// What the bytes have.
        computed: Digest,
    },
    /// There are more or fewer bytes than announced. Send the right bytes.
    SizeMismatch {
        /// What was announced.
        expected_bytes: u64,
        /// What has arrived.
        actual_bytes: u64,
    },
    /// No such upload: never started, finished, cancelled or purged. Start another.
    UploadUnknown,
    /// Another request is writing to the upload. Let that one finish.
    UploadBusy,
    /// An ingest can only be truncated to nothing. Go on from `offset`, or start again.
    OffsetInvalid {
        /// Where the ingest stands.
        offset: u64,
    },
    /// The bytes at rest are not those of their digest. Push them again, which repairs them.
    Damaged,
    /// What is still needed cannot be told for certain, so nothing was deleted. Mend what was named.
    Unsure,
    /// The store cannot do this. Give up.
    Unsupported,
    /// The storage is full. Retry when space was given back.
    Full,
    /// The storage does not answer as it should. Retry later.
    Unavailable,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepositoryUnknown => f.write_str("repository unknown"),
            Self::BlobUnknown => f.write_str("blob unknown"),
            Self::ManifestUnknown => f.write_str("manifest unknown"),
            Self::TagUnknown => f.write_str("tag unknown"),
            Self::ManifestBlobsUnknown(missing) => {
                write!(
                    f,
                    "the manifest refers to {} missing pieces of content",
                    missing.len()
                )
            }
            Self::ManifestUrlRefused(url) => {
                write!(
                    f,
                    "a layer of the manifest has a URL that is not allowed: {url:?}"
                )
            }
            Self::DigestMismatch { expected, computed } => {
                write!(f, "expected digest {expected}, computed {computed}")
            }
            Self::SizeMismatch {
                expected_bytes,
                actual_bytes,
            } => {
                write!(f, "expected {expected_bytes} bytes, have {actual_bytes}")
            }
            Self::UploadUnknown => f.write_str("upload unknown"),
            Self::UploadBusy => f.write_str("upload in use by another writer"),
            Self::OffsetInvalid { offset } => write!(f, "the upload stands at offset {offset}"),
            Self::Damaged => f.write_str("the bytes at rest are damaged"),
            Self::Unsure => f.write_str("it is not certain what is needed, so nothing was deleted"),
            Self::Unsupported => f.write_str("not supported"),
            Self::Full => f.write_str("storage full"),
            Self::Unavailable => f.write_str("storage unavailable"),
        }
    }
}

/// A failed call: what the caller can do, about what, and the cause.
#[derive(Debug)]
pub struct Error(Box<Failure>);

#[derive(Debug)]
struct Failure {
    kind: ErrorKind,
    subject: String,
    source: Option<driver::Error>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.subject, self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, subject: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            kind,
            subject: subject.into(),
            source: None,
        }))
    }

    /// Makes an error of a failed driver call that was about `subject`.
    pub(crate) fn storage(subject: impl Into<String>, source: driver::Error) -> Self {
        let kind = kind_of(&source);
        Self(Box::new(Failure {
            kind,
            subject: subject.into(),
            source: Some(source),
        }))
    }

    /// Makes an error of a failed driver call whose cause is told again later.
    pub(crate) fn told(subject: impl Into<String>, source: &driver::Error) -> Self {
        Self::new(kind_of(source), subject)
    }

    /// Whether what was written last may be lost, although it can still be read.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.0
            .source
            .as_ref()
            .is_some_and(|source| source.kind() == driver::ErrorKind::Unsynced)
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }
}

fn kind_of(source: &driver::Error) -> ErrorKind {
    match source.kind() {
        driver::ErrorKind::Full => ErrorKind::Full,
        driver::ErrorKind::Busy => ErrorKind::UploadBusy,
        driver::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Unavailable,
    }
}

/// Turns a driver's `NotFound` into the kind that it means for the caller.
pub(crate) fn or_unknown<T>(
    result: driver::Result<T>,
    kind: ErrorKind,
    subject: impl FnOnce() -> String,
) -> Result<T> {
    result.map_err(|error| {
        if error.kind() == driver::ErrorKind::NotFound {
            Error::new(kind, subject())
        } else {
            Error::storage(subject(), error)
        }
    })
}
