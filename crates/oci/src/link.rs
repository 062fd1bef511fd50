//! The `Link` header that leads from one page of a list to the next.

use std::fmt;

/// A `Link` header (RFC 8288, in the past RFC 5988) with the relation `next`.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::NextLink;
///
/// let link = NextLink::new("/v2/_catalog?last=b&n=2")?;
/// assert_eq!(link.to_string(), r#"</v2/_catalog?last=b&n=2>; rel="next""#);
/// assert_eq!(NextLink::find(&link.to_string())?, Some(link));
/// # Ok::<(), wharfinger_oci::LinkError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextLink {
    target: String,
}

impl NextLink {
    /// Creates a link to a URL or a path.
    ///
    /// # Errors
    ///
    /// Fails if the target has a character that no URL has as it is: a control character, a space,
    /// anything beyond ASCII, or an angle bracket.
    pub fn new(target: impl Into<String>) -> Result<Self, LinkError> {
        let target = target.into();
        if target
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
        {
            Ok(Self { target })
        } else {
            Err(LinkError::Target)
        }
    }

    /// Returns the URL or path.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Finds the link with the relation `next` among all links of a header.
    ///
    /// # Errors
    ///
    /// Fails if the header is malformed before such a link is found.
    pub fn find(header: &str) -> Result<Option<Self>, LinkError> {
        let mut rest = header.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let (target, after) = rest
                .strip_prefix('<')
                .and_then(|inside| inside.split_once('>'))
                .ok_or(LinkError::Malformed)?;
            let (is_next, after) = parameters(after)?;
            if is_next {
                return Self::new(target).map(Some);
            }
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
        Ok(None)
    }
}

impl fmt::Display for NextLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>; rel=\"next\"", self.target)
    }
}

/// Why something is no [`NextLink`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The target is no URL.
    #[error("link target is not a URL")]
    Target,
    /// The header does not follow the grammar.
    #[error("malformed link header")]
    Malformed,
}

/// Reads the parameters of one link; tells whether its relation is `next`, and what follows.
fn parameters(text: &str) -> Result<(bool, &str), LinkError> {
    // Only the first `rel` counts (RFC 8288, section 3.3).
    let mut is_next = None;
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix(';') {
        let (name, after) = token(after.trim_start());
        let after = after.trim_start();
        let Some(after) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) = value(after.trim_start())?;
        if name.eq_ignore_ascii_case("rel") && is_next.is_none() {
            is_next = Some(
                value
                    .split_whitespace()
                    .any(|rel| rel.eq_ignore_ascii_case("next")),
            );
        }
        rest = after.trim_start();
    }
    if rest.is_empty() || rest.starts_with(',') {
        Ok((is_next == Some(true), rest))
    } else {
        Err(LinkError::Malformed)
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text
        .find([';', ',', '=', ' ', '\t', '"', '<', '>'])
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Reads a token or a quoted string; its quotes are taken off, and its escapes are left alone, as no
/// relation has any.
fn value(text: &str) -> Result<(&str, &str), LinkError> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Ok(token(text));
    };
    let mut escaped = false;
    for (index, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                let (value, after) = quoted.split_at(index);
                return Ok((value, after.strip_prefix('"').unwrap_or(after)));
            }
            _ => {}
        }
    }
    Err(LinkError::Malformed)
}
