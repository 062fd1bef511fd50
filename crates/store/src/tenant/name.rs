//! Names of tenants and of namespaces.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a tenant, or of a namespace as containerd has them.
///
/// ```text
/// name  word (("." | "_" | "-") word)*
/// word  [A-Za-z0-9]+
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantName(Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantNameError {
    /// It is longer than 76 characters.
    #[error("name of {0} characters is longer than {max}", max = TenantName::MAX_LENGTH)]
    TooLong(usize),
    /// It is not made of words and single separators.
    #[error(
        "name {0:?} is not made of letters and digits with single `.`, `_` or `-` between them"
    )]
    Malformed(String),
}

impl TenantName {
    /// 76 characters: as many as containerd takes.
    pub const MAX_LENGTH: usize = 76;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantName {
    type Err = TenantNameError;

    fn from_str(text: &str) -> Result<Self, TenantNameError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(TenantNameError::TooLong(text.chars().count()));
        }
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
        if text.split(['.', '_', '-']).all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(TenantNameError::Malformed(text.to_owned()))
        }
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_containerd() {
        for good in ["default", "k8s.io", "a-b_c.D9", "0"] {
            assert_eq!(good.parse::<TenantName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(77);
        for bad in ["", ".", "..", "a..b", "-a", "a-", "a/b", "a b", "ä", &long] {
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?}");
        }
    }
}
