//! Upload session identifiers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The identifier of an upload session, which this registry or another on the same store made.
///
/// Any `[a-zA-Z0-9-_.=]+` that Distribution takes in a URL is taken, except for `.` and `..`, which
/// a path understands in its own way.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(Arc<str>);

impl UploadId {
    /// Longest identifier; a UUID has 36 characters, and no registry is known to make longer ones
    /// than this.
    pub const MAX_LENGTH: usize = 128;

    /// Returns the identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for UploadId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
        if text.is_empty() {
            return Err(UploadIdError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(UploadIdError::TooLong);
        }
        if let Some(bad) = text.chars().find(|c| !is_known(*c)) {
            return Err(UploadIdError::BadCharacter(bad));
        }
        if matches!(text, "." | "..") {
            return Err(UploadIdError::Dots);
        }
        Ok(Self(text.into()))
    }
}

/// Why a text is no [`UploadId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadIdError {
    /// There is nothing.
    #[error("upload id is empty")]
    Empty,
    /// It has more than [`UploadId::MAX_LENGTH`] characters.
    #[error("upload id is longer than {} characters", UploadId::MAX_LENGTH)]
    TooLong,
    /// It has a character that no upload id may have.
    #[error("upload id has the character `{}`", .0.escape_debug())]
    BadCharacter(char),
    /// It is `.` or `..`.
    #[error("upload id is a relative path")]
    Dots,
}
