//! Between our types and those of the wire.

use std::time::SystemTime;

use prost_types::Timestamp;
use tonic::{Code, Status as GrpcStatus};
use wharfinger_oci::Digest;

use crate::error::{Error, ErrorKind, Result};
use crate::proto;
use crate::store::{Info, Status};

/// 1 KiB of words: they travel in a header, and those that come from a caller may be long.
const MOST_MESSAGE_BYTES: usize = 1024;

/// Prints a time for people.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    Timestamp::from(time).to_string()
}

/// A time from the wire; one that is missing or that no clock has is 1970.
pub(crate) fn time(time: Option<Timestamp>) -> SystemTime {
    time.and_then(|time| time.try_into().ok())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Reads a digest; anything that is none is an invalid argument.
pub(crate) fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(200).collect();
        let message = format!("{shown:?} is not a digest: invalid checksum digest format");
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// A length as the wire has it.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A length or offset from the wire; what is negative counts as nothing.
pub(crate) fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

impl From<Info> for proto::Info {
    fn from(info: Info) -> Self {
        Self {
            digest: info.digest.to_string(),
            size: signed(info.size_bytes),
            created_at: Some(info.created_at.into()),
            updated_at: Some(info.updated_at.into()),
            labels: info.labels,
        }
    }
}

impl From<Status> for proto::Status {
    fn from(status: Status) -> Self {
        Self {
            started_at: Some(status.started_at.into()),
            updated_at: Some(status.updated_at.into()),
            r#ref: status.reference,
            offset: signed(status.offset),
            total: signed(status.total_bytes),
            // No store has ever told.
            expected: String::new(),
        }
    }
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Aborted => Code::Aborted,
        ErrorKind::DataLoss => Code::DataLoss,
        ErrorKind::Full => Code::ResourceExhausted,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::SourceFailed | ErrorKind::Unknown => Code::Unknown,
    }
}

impl From<Error> for GrpcStatus {
    fn from(error: Error) -> Self {
        if matches!(error.kind(), ErrorKind::Unknown | ErrorKind::DataLoss) {
            let cause = std::error::Error::source(&error).map(tracing::field::display);
            tracing::error!(%error, cause, "a call failed");
        }
        let mut message = error.message().to_owned();
        if message.len() > MOST_MESSAGE_BYTES {
            let cut = (0..=MOST_MESSAGE_BYTES).rev();
            let cut = cut.into_iter().find(|at| message.is_char_boundary(*at));
            message.truncate(cut.unwrap_or(0));
        }
        Self::new(code(error.kind()), message)
    }
}
