//! Tags.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A tag of a repository, such as `latest`.
///
/// The grammar is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution specification, *Pulling
/// manifests*). Tags order by their bytes, as they are listed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Longest tag, as the specification has it.
    pub const MAX_LENGTH: usize = 128;

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Tag {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(TagError::TooLong);
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !is_first(*c) && !matches!(c, '.' | '-'))
        {
            return Err(TagError::BadCharacter(bad));
        }
        if !text.starts_with(is_first) {
            return Err(TagError::BadStart);
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

/// Why a text is no [`Tag`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// There is nothing.
    #[error("tag is empty")]
    Empty,
    /// It has more than [`Tag::MAX_LENGTH`] characters.
    #[error("tag is longer than {} characters", Tag::MAX_LENGTH)]
    TooLong,
    /// It has a character that no tag may have.
    #[error("tag has the character `{}`", .0.escape_debug())]
    BadCharacter(char),
    /// It starts with a dot or a dash.
    #[error("tag starts with `.` or `-`")]
    BadStart,
}

fn is_first(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
