//! The errors of one answer.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Code;

/// One error of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The kind of error.
    pub code: &'static Code,
    /// What to say instead of the code's own message.
    pub message: Option<String>,
    /// More about it, in whatever form; clients may show it, but do not read it.
    pub detail: Option<Value>,
}

impl ApiError {
    /// Creates an error that says no more than its code.
    pub fn new(code: &'static Code) -> Self {
        Self {
            code,
            message: None,
            detail: None,
        }
    }

    /// Sets the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Returns the message that the answer shows.
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message)
    }
}

impl From<&'static Code> for ApiError {
    fn from(code: &'static Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.id, self.message())
    }
}

impl std::error::Error for ApiError {}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 2 + usize::from(self.detail.is_some());
        let mut object = serializer.serialize_struct("ApiError", fields)?;
        object.serialize_field("code", self.code.id)?;
        object.serialize_field("message", self.message())?;
        match &self.detail {
            Some(detail) => object.serialize_field("detail", detail)?,
            None => object.skip_field("detail")?,
        }
        object.end()
    }
}

/// The errors of one answer, at least one.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::{ApiError, Errors, code};
///
/// let errors = Errors::from(ApiError::new(&code::BLOB_UNKNOWN).with_detail("sha256:…"));
/// assert_eq!(errors.first().code.status, http::StatusCode::NOT_FOUND);
/// assert!(errors.to_json().starts_with(br#"{"errors":[{"code":"BLOB_UNKNOWN","#));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Errors(Vec<ApiError>);

impl Errors {
    /// Returns the errors, or `None` if there are none.
    pub fn from_vec(errors: Vec<ApiError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// Adds one more.
    pub fn push(&mut self, error: ApiError) {
        self.0.push(error);
    }

    /// Returns the errors in order.
    pub fn iter(&self) -> std::slice::Iter<'_, ApiError> {
        self.0.iter()
    }

    /// Returns the error that decides the status of the answer, which the
    /// [`CodeTable`](super::CodeTable) knows.
    pub fn first(&self) -> &ApiError {
        self.0
            .first()
            .expect("every constructor needs at least one error, and none is taken away")
    }

    /// Returns the body of the answer.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            errors: &'a [ApiError],
        }
        serde_json::to_vec(&Envelope { errors: &self.0 })
            .expect("strings and JSON values always serialize, and a Vec takes every write")
    }
}

impl From<ApiError> for Errors {
    fn from(error: ApiError) -> Self {
        Self(vec![error])
    }
}

impl From<&'static Code> for Errors {
    fn from(code: &'static Code) -> Self {
        Self::from(ApiError::new(code))
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ApiError;
    type IntoIter = std::slice::Iter<'a, ApiError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
