//! The error envelope of the distribution specification (*Error codes*).
//!
//! ```json
//! {"errors":[{"code":"NAME_UNKNOWN","message":"…","detail":…}]}
//! ```
//!
//! A [`Code`] is a constant somewhere in the program: the standard ones are in [`code`], and other
//! crates add their own to a [`CodeTable`], which decides the status of an answer.

pub mod code;
mod envelope;
mod table;

use std::fmt;

use http::StatusCode;

pub use self::envelope::{ApiError, Errors};
pub use self::table::{CodeTable, DuplicateCode};

/// One kind of error that an answer can name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Code {
    /// What clients read, in upper case: `BLOB_UNKNOWN`.
    pub id: &'static str,
    /// The message of an error that has none of its own.
    pub message: &'static str,
    /// When it is used, for the documentation.
    pub description: &'static str,
    /// The status of an answer whose first error it is.
    pub status: StatusCode,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}
