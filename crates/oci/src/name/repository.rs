//! Repository names.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::excerpt;

/// The name of a repository, such as `library/alpine`.
///
/// The grammar is that of the distribution specification (*Pulling manifests*), with at most
/// [`MAX_LENGTH`](Self::MAX_LENGTH) characters in all:
///
/// ```text
/// name       component ("/" component)*
/// component  alphanumeric (separator alphanumeric)*
/// alphanumeric  [a-z0-9]+
/// separator  "." | "_" | "__" | "-"+
/// ```
///
/// No component can start with `_` or `.`: what a registry keeps beside the repositories in the
/// same directories is never mistaken for one.
///
/// Names order component by component, so that `a/b` stands before `a-b` although `-` is the
/// smaller byte. The catalog is listed in this order.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::RepositoryName;
///
/// let name: RepositoryName = "library/alpine".parse()?;
/// assert_eq!(name.components().collect::<Vec<_>>(), ["library", "alpine"]);
/// # Ok::<(), wharfinger_oci::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// Longest name, the limit that Distribution sets for all components and slashes together.
    pub const MAX_LENGTH: usize = 255;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parts between the slashes; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Compares two texts as names compare, whether or not they are valid names.
    ///
    /// A client may ask for the catalog after any text, which need not be a name itself.
    pub fn compare(a: &str, b: &str) -> Ordering {
        // The end of a component sorts before every character that can go on with it.
        fn keys(name: &str) -> impl Iterator<Item = u8> {
            name.bytes().map(|b| if b == b'/' { 0 } else { b })
        }
        keys(a).cmp(keys(b))
    }
}

impl Ord for RepositoryName {
    fn cmp(&self, other: &Self) -> Ordering {
        Self::compare(&self.0, &other.0)
    }
}

impl PartialOrd for RepositoryName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(NameError::TooLong);
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.into()))
    }
}

impl Serialize for RepositoryName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

/// Why a text is no [`RepositoryName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing.
    #[error("repository name is empty")]
    Empty,
    /// It has more than [`RepositoryName::MAX_LENGTH`] characters.
    #[error(
        "repository name is longer than {} characters",
        RepositoryName::MAX_LENGTH
    )]
    TooLong,
    /// It starts or ends with a slash, or two slashes follow each other.
    #[error("repository name has an empty component")]
    EmptyComponent,
    /// It has a character that no name may have; upper-case letters are among these.
    #[error("repository name has the character `{}`", .0.escape_debug())]
    BadCharacter(char),
    /// A component starts or ends with a separator, or has a run of them that is none.
    #[error("repository name component `{}` has a misplaced separator", excerpt(.0))]
    BadSeparator(String),
}

fn check_component(component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::EmptyComponent);
    }
    if let Some(bad) = component
        .chars()
        .find(|c| !is_alphanumeric(*c) && !is_separator(*c))
    {
        return Err(NameError::BadCharacter(bad));
    }
    let starts_and_ends_well =
        component.starts_with(is_alphanumeric) && component.ends_with(is_alphanumeric);
    let separators_are_known = component
        .split(is_alphanumeric)
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'));
    if starts_and_ends_well && separators_are_known {
        Ok(())
    } else {
        Err(NameError::BadSeparator(component.to_owned()))
    }
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}
