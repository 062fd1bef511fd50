//! The table of all codes of a program.

use std::collections::BTreeMap;

use super::{Code, code};

/// Every code that a program can answer with, for look-ups and for the documentation.
///
/// # Examples
///
/// ```
/// use http::StatusCode;
/// use wharfinger_oci::{Code, CodeTable};
///
/// static IMMUTABLE: Code = Code {
///     id: "TAG_IMMUTABLE",
///     message: "tag cannot be moved",
///     description: "The tag is immutable and names another manifest.",
///     status: StatusCode::CONFLICT,
/// };
///
/// let table = CodeTable::standard().with(&[&IMMUTABLE])?;
/// assert_eq!(table.get("TAG_IMMUTABLE"), Some(&IMMUTABLE));
/// # Ok::<(), wharfinger_oci::DuplicateCode>(())
/// ```
#[derive(Debug, Clone)]
pub struct CodeTable {
    codes: BTreeMap<&'static str, &'static Code>,
}

impl CodeTable {
    /// Creates the table of the codes in [`code`](super::code).
    pub fn standard() -> Self {
        Self {
            codes: code::STANDARD.iter().map(|code| (code.id, *code)).collect(),
        }
    }

    /// Adds codes.
    ///
    /// # Errors
    ///
    /// Fails if an identifier is already in the table.
    pub fn with(mut self, codes: &[&'static Code]) -> Result<Self, DuplicateCode> {
        for code in codes {
            if self.codes.insert(code.id, code).is_some() {
                return Err(DuplicateCode { id: code.id });
            }
        }
        Ok(self)
    }

    /// Returns the code with an identifier.
    pub fn get(&self, id: &str) -> Option<&'static Code> {
        self.codes.get(id).copied()
    }

    /// Returns all codes, ordered by identifier.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Code> {
        self.codes.values().copied()
    }
}

impl Default for CodeTable {
    fn default() -> Self {
        Self::standard()
    }
}

/// Two codes of a [`CodeTable`] have the same identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error code {id} is defined twice")]
pub struct DuplicateCode {
    /// The identifier.
    pub id: &'static str,
}
