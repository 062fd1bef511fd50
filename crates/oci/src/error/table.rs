//! The table of all codes of a program.

use std::collections::BTreeMap;

use http::StatusCode;

use super::{ApiError, Code, Errors, code};

/// Every code that a program can answer with: it decides the status of an answer, and is the list
/// for the documentation.
///
/// A row is found by identifier and status. An identifier may stand in several rows, since clients
/// know only those of the specification, and the status says more: a manifest that is too large is
/// `MANIFEST_INVALID` with 413.
///
/// # Examples
///
/// ```
/// use http::StatusCode;
/// use wharfinger_oci::{Code, CodeTable, Errors};
///
/// static IMMUTABLE: Code = Code {
///     id: "TAG_IMMUTABLE",
///     message: "tag cannot be moved",
///     description: "The tag is immutable and names another manifest.",
///     status: StatusCode::CONFLICT,
/// };
///
/// let errors = Errors::from(&IMMUTABLE);
/// assert_eq!(CodeTable::standard().status(&errors), None);
/// let table = CodeTable::standard().with(&[&IMMUTABLE])?;
/// assert_eq!(table.status(&errors), Some(StatusCode::CONFLICT));
/// # Ok::<(), wharfinger_oci::DuplicateCode>(())
/// ```
#[derive(Debug, Clone)]
pub struct CodeTable {
    rows: BTreeMap<(&'static str, u16), &'static Code>,
}

impl CodeTable {
    /// Creates the table of the codes in [`code`](super::code).
    pub fn standard() -> Self {
        let rows = code::STANDARD.iter().map(|row| (key(row), *row));
        Self {
            rows: rows.collect(),
        }
    }

    /// Adds codes.
    ///
    /// # Errors
    ///
    /// Fails if an identifier is already in the table with the same status.
    pub fn with(mut self, codes: &[&'static Code]) -> Result<Self, DuplicateCode> {
        for code in codes {
            if self.rows.insert(key(code), code).is_some() {
                let (id, status) = (code.id, code.status);
                return Err(DuplicateCode { id, status });
            }
        }
        Ok(self)
    }

    /// Returns the status of an answer with these errors: that of the first one's row.
    ///
    /// There is none if one of the codes is not in the table.
    pub fn status(&self, errors: &Errors) -> Option<StatusCode> {
        let row = |error: &ApiError| self.rows.get(&key(error.code)).copied();
        errors.iter().try_for_each(|error| row(error).map(drop))?;
        row(errors.first()).map(|row| row.status)
    }

    /// Returns all rows, ordered by identifier and status.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Code> {
        self.rows.values().copied()
    }
}

fn key(code: &Code) -> (&'static str, u16) {
    (code.id, code.status.as_u16())
}

impl Default for CodeTable {
    fn default() -> Self {
        Self::standard()
    }
}

/// Two codes of a [`CodeTable`] have the same identifier and status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error code {id} with status {} is defined twice", .status.as_u16())]
pub struct DuplicateCode {
    /// The identifier.
    pub id: &'static str,
    /// The status.
    pub status: StatusCode,
}
