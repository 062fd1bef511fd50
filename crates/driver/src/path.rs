//! Paths within a driver: relative, made of plain components, never a way out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A path within a driver, such as `docker/registry/v2/blobs`.
///
/// It is relative to the driver's root and has one or more components between single slashes.
/// No component is empty, `.` or `..`, and none holds a NUL or another control character; so a
/// path can always be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DriverPath(Arc<str>);

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A component is empty, `.` or `..`.
    #[error("path {0:?} has an empty or relative component")]
    Component(String),
    /// A component holds a control character or a backslash.
    #[error("path {0:?} holds a character that no path may hold")]
    Character(String),
    /// The path or one of its components is longer than file systems take.
    #[error("path of {0} bytes is too long")]
    TooLong(usize),
}

/// 4,095 bytes: the longest path that Linux takes.
const MAX_PATH_BYTES: usize = 4095;
/// 255 bytes: the longest file name that the common file systems take.
const MAX_COMPONENT_BYTES: usize = 255;

impl DriverPath {
    /// Returns the path as text, without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts slashes between `parts`, of one or more components each.
    ///
    /// # Errors
    /// Fails when the whole is no path.
    pub fn of<const N: usize>(parts: [&str; N]) -> Result<Self, PathError> {
        parts.join("/").parse()
    }

    /// Appends `relative`, one or more components.
    ///
    /// # Errors
    /// Fails when `relative` is not a path itself.
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        Self::of([self.as_str(), relative])
    }

    /// Returns the path without its last component; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.into()))
    }

    /// Returns the last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// Returns the components in order.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Tells whether the path is `ancestor` or lies below it.
    #[must_use]
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.strip(ancestor).is_some()
    }

    /// Returns what follows `ancestor`, without a leading slash: empty for the same path, `None`
    /// when the path does not lie below it.
    #[must_use]
    pub fn strip(&self, ancestor: &Self) -> Option<&str> {
        let rest = self.0.strip_prefix(&*ancestor.0)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }
}

impl FromStr for DriverPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for DriverPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str) -> Result<(), PathError> {
    if text.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong(text.len()));
    }
    // The bytes are looked at all at once, which is several times as quick as one after the other;
    // only where some are not ASCII it takes characters.
    let is_plain = |b: u8| b.is_ascii() && !b.is_ascii_control() && b != b'\\';
    let are_plain = text.bytes().fold(true, |all, b| all & is_plain(b));
    if !are_plain && text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(PathError::Character(text.to_owned()));
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'/', text.as_bytes()).chain([text.len()]) {
        let component = &text[start..end];
        if matches!(component, "" | "." | "..") {
            return Err(PathError::Component(text.to_owned()));
        }
        if component.len() > MAX_COMPONENT_BYTES {
            return Err(PathError::TooLong(component.len()));
        }
        start = end + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_out() {
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b", "a\\b", "a\nb",
        ] {
            assert!(bad.parse::<DriverPath>().is_err(), "{bad:?}");
        }
        let long = "x".repeat(256);
        assert!(long.parse::<DriverPath>().is_err());
        let path: DriverPath = "a".parse().unwrap();
        assert!(path.join("../b").is_err());
        assert_eq!(path.join("b/c").unwrap().as_str(), "a/b/c");
    }

    #[test]
    fn strip_respects_components() {
        let path: DriverPath = "a/bc/d".parse().unwrap();
        assert_eq!(path.strip(&"a/b".parse().unwrap()), None);
        assert_eq!(path.strip(&"a/bc".parse().unwrap()), Some("d"));
        assert_eq!(path.parent().unwrap().as_str(), "a/bc");
        assert_eq!(path.name(), "d");
    }
}
