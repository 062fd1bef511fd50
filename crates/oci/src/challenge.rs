//! What `WWW-Authenticate` says: how to prove who one is (RFC 9110, section 11.6.1).

use std::fmt::{self, Write as _};

/// A challenge of one scheme.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::Challenge;
///
/// let challenge = Challenge::bearer("https://auth", "registry", "repository:a:pull");
/// assert_eq!(
///     challenge.to_string(),
///     r#"Bearer realm="https://auth",service="registry",scope="repository:a:pull""#
/// );
/// assert_eq!(Challenge::basic(r#"the "wharf""#).to_string(), r#"Basic realm="the \"wharf\"""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    /// Asks for a name and a password (RFC 7617).
    #[must_use]
    pub fn basic(realm: &str) -> Self {
        Self {
            scheme: "Basic",
            parameters: vec![("realm", realm.to_owned())],
        }
    }

    /// Asks for a token from `realm` that is meant for `service` and has `scope`, several of them with a
    /// space between; an empty scope is left out.
    #[must_use]
    pub fn bearer(realm: &str, service: &str, scope: &str) -> Self {
        let mut parameters = vec![("realm", realm.to_owned()), ("service", service.to_owned())];
        if !scope.is_empty() {
            parameters.push(("scope", scope.to_owned()));
        }
        Self {
            scheme: "Bearer",
            parameters,
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme)?;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ',' };
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    // No quoted string has these, and nobody reads a line on from here.
                    c if c.is_control() => f.write_char(' ')?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_the_quotes() {
        let realm = "a\"b\\c\r\nx: y\u{85}ü";
        let text = Challenge::basic(realm).to_string();
        assert_eq!(text, "Basic realm=\"a\\\"b\\\\c  x: y ü\"");
    }
}
