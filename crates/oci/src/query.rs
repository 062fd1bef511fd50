//! Query strings, parsed and printed.

use std::fmt;

use crate::text::percent_decode;

/// Most pairs of a query; a registry's own have at most a dozen.
const MAX_PAIRS: usize = 100;

/// The pairs of a query string, decoded and in order.
///
/// The form is that of HTML forms: pairs are separated by `&`, a key from its value by the first
/// `=`, and `+` stands for a space. A pair without `=` has an empty value.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::Query;
///
/// let query = Query::parse("mount=sha256%3Aab&from=priv/b")?;
/// assert_eq!(query.get("mount"), Some("sha256:ab"));
/// assert_eq!(Query::new().with("last", "a/b c").to_string(), "last=a%2Fb%20c");
/// # Ok::<(), wharfinger_oci::QueryError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Creates an empty query.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses what follows the `?` of a URL.
    ///
    /// # Errors
    ///
    /// Fails if there are more than a hundred pairs, an escape is malformed, what it stands for is
    /// not UTF-8, or there is a `;`, which some take for a separator.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(QueryError::TooMany);
            }
            if pair.contains(';') {
                return Err(QueryError::Semicolon);
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(key)?, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// Adds a pair at the end.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.pairs.push((key.into(), value.into()));
        self
    }

    /// Returns the first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key).next()
    }

    /// Returns every value of a key, in order.
    pub fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter_map(move |(found, value)| (found == key).then_some(value))
    }

    /// Returns all pairs, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Tells whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("&")?;
            }
            encode(f, key)?;
            f.write_str("=")?;
            encode(f, value)?;
        }
        Ok(())
    }
}

/// Why a text is no [`Query`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There are more pairs than any request needs.
    #[error("query has more than {MAX_PAIRS} pairs")]
    TooMany,
    /// An escape is not `%` and two hexadecimal digits.
    #[error("query has a malformed escape")]
    BadEscape,
    /// The decoded text is not UTF-8.
    #[error("query is not UTF-8")]
    NotUtf8,
    /// There is a `;` that was not escaped.
    #[error("query has a semicolon")]
    Semicolon,
}

fn decode(text: &str) -> Result<String, QueryError> {
    let bytes = percent_decode(text, true).ok_or(QueryError::BadEscape)?;
    String::from_utf8(bytes).map_err(|_| QueryError::NotUtf8)
}

/// Escapes everything but the unreserved characters of RFC 3986, section 2.3.
fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}
