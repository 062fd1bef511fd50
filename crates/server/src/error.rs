//! The one table from what can go wrong to what is answered.
//!
//! | what | code | status |
//! |---|---|---|
//! | no such path | `UNSUPPORTED` | 404 |
//! | method that the path does not have, or deleting while it is off | `UNSUPPORTED` | 405 |
//! | transfer coding other than chunks | `UNSUPPORTED` | 501 |
//! | path and query too long | `NAME_INVALID` | 414 |
//! | malformed name, tag, digest, query | `…_INVALID` | 400 |
//! | reading a manifest by what is neither tag nor digest | `MANIFEST_UNKNOWN` | 404 |
//! | credentials missing or wrong | `UNAUTHORIZED` | 401, with WWW-Authenticate |
//! | right missing | `DENIED` | 403 |
//! | too many passwords wait to be checked | `TOOMANYREQUESTS` | 429, with Retry-After |
//! | repository, blob, manifest or tag not there | `NAME_`, `BLOB_`, `MANIFEST_UNKNOWN` | 404 |
//! | manifest malformed, or of another type than it is sent with | `MANIFEST_INVALID` | 400 |
//! | manifest with a layer from a URL that is not allowed | `MANIFEST_INVALID` | 400 |
//! | manifest too large | `MANIFEST_INVALID` | 413 |
//! | manifest refers to what is not there | one `MANIFEST_BLOB_UNKNOWN` each | 400 |
//! | bytes of another digest or size | `DIGEST_INVALID`, `SIZE_INVALID` | 400 |
//! | body that stands still or comes by drops | `SIZE_INVALID` | 408 |
//! | upload not there | `BLOB_UPLOAD_UNKNOWN` | 404 |
//! | upload state missing, forged or of another upload | `BLOB_UPLOAD_INVALID` | 404 |
//! | bytes that do not follow those that are there, or a second writer | `RANGE_INVALID` | 416 |
//! | number of a page malformed or too large | `PAGINATION_NUMBER_INVALID` | 400 |
//! | storage full | `STORAGE_FULL` | 507, with Retry-After |
//! | manifests that are being pushed fill the memory for them | `UNAVAILABLE` | 503, with Retry-After |
//! | too many requests or uploads are under way | `UNAVAILABLE` | 503, with Retry-After |
//! | one client has too many connections or too much in memory | `TOOMANYREQUESTS` | 429, with Retry-After |
//! | storage failed otherwise | `UNAVAILABLE` | 503, with Retry-After |
//! | content damaged, or a fault of ours | `UNKNOWN` | 500 |
//!
//! Statuses come from the table of [`codes`] alone. An identifier of the specification may stand in it
//! with several, since clients know no others.
//!
//! What the client can do something about is said in `detail`; what only the operator can, in the
//! log and nowhere else.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use wharfinger_auth::{Access, Denial, Denied, Refusal};
use wharfinger_oci::{
    ApiError, Code, CodeTable, DigestError, Errors, ManifestError, NameError, QueryError,
    RouteError, TagError, code,
};
use wharfinger_store::{self as store, ErrorKind};

use crate::body::{CollectError, Cut};
use crate::request::RequestId;
use crate::response::{Reply, Response};
use crate::upload_token::TokenError;

/// Returns the table of the standard codes and those of this crate, to which others add theirs.
///
/// # Examples
///
/// ```
/// let table = wharfinger_server::codes();
/// assert!(table.iter().any(|code| code.id == "STORAGE_FULL"));
/// ```
#[must_use]
pub fn codes() -> CodeTable {
    CodeTable::standard()
        .with(&[
            &code::NO_ROUTE,
            &STORAGE_FULL,
            &QUERY_INVALID,
            &MANIFEST_TOO_LARGE,
            &TARGET_TOO_LONG,
            &BODY_TIMEOUT,
            &CODING_UNSUPPORTED,
        ])
        .expect("a test sees that these are not in the standard table")
}

/// The storage has no room for what was sent.
pub static STORAGE_FULL: Code = Code {
    id: "STORAGE_FULL",
    message: "no space left in the registry's storage",
    description: "The storage has no room for what was sent; earlier bytes are kept.",
    status: StatusCode::INSUFFICIENT_STORAGE,
};

/// The query of the URL is malformed.
pub static QUERY_INVALID: Code = Code {
    id: "QUERY_INVALID",
    message: "malformed query",
    description: "The query of the URL is malformed.",
    status: StatusCode::BAD_REQUEST,
};

/// The manifest has more bytes than any may have.
pub static MANIFEST_TOO_LARGE: Code = Code {
    id: "MANIFEST_INVALID",
    message: "manifest too large",
    description: "The manifest has more bytes than any may have.",
    status: StatusCode::PAYLOAD_TOO_LARGE,
};

/// The path and query of the URL are longer than any that means something.
pub static TARGET_TOO_LONG: Code = Code {
    id: "NAME_INVALID",
    message: "the URL is too long",
    description: "The path and query of the URL are longer than any that means something.",
    status: StatusCode::URI_TOO_LONG,
};

/// The body is coded in a way that is not undone here.
pub static CODING_UNSUPPORTED: Code = Code {
    id: "UNSUPPORTED",
    message: "the transfer coding is unsupported",
    description: "The body is coded in a way that is not undone here; chunks alone are.",
    status: StatusCode::NOT_IMPLEMENTED,
};

/// The body stood still, or came by drops.
pub static BODY_TIMEOUT: Code = Code {
    id: "SIZE_INVALID",
    message: "the body did not come in time",
    description: "The body stood still, or came too slowly; what arrived of an upload is kept.",
    status: StatusCode::REQUEST_TIMEOUT,
};

/// After 30 s: somebody has to make room, or uploads that are given up have to be purged.
const RETRY_FULL_SECONDS: u16 = 30;

/// After 2 s: half of what waits is done by then.
const RETRY_BUSY_SECONDS: u16 = 2;

/// After 5 s: long enough for a restart, short enough for a client that waits.
const RETRY_UNAVAILABLE_SECONDS: u16 = 5;

/// The identifier of the first error, which goes with an answer to where it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureCode(pub(crate) &'static str);

/// A request that failed: the answer, and what is only for the log.
#[derive(Debug)]
pub(crate) struct Failure {
    errors: Errors,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    logged: bool,
}

impl Failure {
    /// Fails with a code and nothing more to say.
    pub(crate) fn new(code: &'static Code) -> Self {
        Self::from(ApiError::new(code))
    }

    /// Fails with a code, and says to the client why.
    pub(crate) fn because(code: &'static Code, detail: impl Into<String>) -> Self {
        Self::from(ApiError::new(code).with_detail(detail.into()))
    }

    /// Fails for a method that the path does not have; it has those in `allowed`.
    pub(crate) fn method(allowed: &'static str) -> Self {
        Self::new(&code::UNSUPPORTED).with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// Fails since all clients together ask for more than there is room for.
    pub(crate) fn busy() -> Self {
        let busy = Self::new(&code::UNAVAILABLE).retry_after(RETRY_UNAVAILABLE_SECONDS);
        // A flood of requests is no flood of lines: it is counted, and the access log has it.
        busy.logged()
    }

    /// Fails since this client asks for more than its share.
    pub(crate) fn too_many() -> Self {
        let refused = Self::new(&code::TOOMANYREQUESTS).retry_after(RETRY_UNAVAILABLE_SECONDS);
        refused.logged()
    }

    /// Fails for a fault of ours, which the log names.
    pub(crate) fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(&code::UNKNOWN).with_cause(cause)
    }

    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_cause(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    fn retry_after(self, seconds: u16) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Returns the status that the table has for the answer.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        codes().status(&self.errors).unwrap()
    }

    /// Returns the code of the first error.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static Code {
        self.errors.first().code
    }

    /// Returns a header of the answer.
    #[cfg(test)]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        value.to_str().ok()
    }

    /// Writes the log line. The current span says what it is about.
    pub(crate) fn log(&self) {
        let status = self.errors.first().code.status;
        let cause = self.cause.as_ref().map(|cause| Chain(&**cause).to_string());
        let cause = cause.as_deref().unwrap_or_default();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), errors = %self.errors, cause, "failed");
        } else {
            tracing::debug!(status = status.as_u16(), errors = %self.errors, cause, "refused");
        }
    }

    /// Notes that the log line was written.
    pub(crate) fn logged(self) -> Self {
        Self {
            logged: true,
            ..self
        }
    }

    /// Names the request to whoever has to look for it in the log: in the errors that are not the
    /// client's and have nothing else to say.
    pub(crate) fn in_request(mut self, id: &RequestId) -> Self {
        let named = self.errors.iter().cloned().map(|error| {
            if error.code.status.is_server_error() && error.detail.is_none() {
                error.with_detail(serde_json::json!({ "request_id": id.as_str() }))
            } else {
                error
            }
        });
        if let Some(errors) = Errors::from_vec(named.collect()) {
            self.errors = errors;
        }
        self
    }

    /// Makes the answer, with the status that `codes` has for it, and writes the log line unless that
    /// was done.
    pub(crate) fn into_response(self, codes: &CodeTable) -> Response {
        if !self.logged {
            self.log();
        }
        let Some(status) = codes.status(&self.errors) else {
            tracing::error!(errors = %self.errors, "a code is not in the table");
            let unknown = &code::UNKNOWN;
            return Reply::errors(&Errors::from(unknown), unknown.status).done();
        };
        let reply = Reply::errors(&self.errors, status);
        let mut response = self
            .headers
            .into_iter()
            .fold(reply, |reply, (name, value)| reply.header(name, value))
            .done();
        let id = self.errors.first().code.id;
        response.extensions_mut().insert(FailureCode(id));
        response
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self {
            errors,
            headers: Vec::new(),
            cause: None,
            logged: false,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::from(Errors::from(error))
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        of_store(error.kind()).with_cause(error)
    }
}

fn of_store(kind: &ErrorKind) -> Failure {
    match kind {
        ErrorKind::RepositoryUnknown => Failure::new(&code::NAME_UNKNOWN),
        ErrorKind::BlobUnknown => Failure::new(&code::BLOB_UNKNOWN),
        ErrorKind::ManifestUnknown | ErrorKind::TagUnknown => Failure::new(&code::MANIFEST_UNKNOWN),
        ErrorKind::ManifestBlobsUnknown(missing) => {
            let unknown = |digest| ApiError::new(&code::MANIFEST_BLOB_UNKNOWN).with_detail(digest);
            let errors = missing
                .iter()
                .map(|digest| unknown(digest.to_string()))
                .collect();
            Errors::from_vec(errors)
                .unwrap_or_else(|| Errors::from(&code::MANIFEST_BLOB_UNKNOWN))
                .into()
        }
        ErrorKind::ManifestUrlRefused(_) => {
            Failure::because(&code::MANIFEST_INVALID, kind.to_string())
        }
        ErrorKind::DigestMismatch { .. } => Failure::new(&code::DIGEST_INVALID),
        ErrorKind::SizeMismatch { .. } => Failure::new(&code::SIZE_INVALID),
        ErrorKind::UploadUnknown => Failure::new(&code::BLOB_UPLOAD_UNKNOWN),
        ErrorKind::UploadBusy | ErrorKind::OffsetInvalid { .. } => {
            Failure::new(&code::RANGE_INVALID)
        }
        ErrorKind::Unsupported => Failure::new(&code::UNSUPPORTED),
        // Asking again does not help; pushing it anew does.
        ErrorKind::Damaged => Failure::new(&code::UNKNOWN),
        ErrorKind::Full => Failure::new(&STORAGE_FULL).retry_after(RETRY_FULL_SECONDS),
        _ => Failure::new(&code::UNAVAILABLE).retry_after(RETRY_UNAVAILABLE_SECONDS),
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        Self::from(ApiError::from(error))
    }
}

impl From<DigestError> for Failure {
    fn from(error: DigestError) -> Self {
        Self::because(&code::DIGEST_INVALID, error.to_string())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::because(&code::NAME_INVALID, error.to_string())
    }
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        Self::because(&code::TAG_INVALID, error.to_string())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::because(&QUERY_INVALID, error.to_string())
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let code = match error {
            ManifestError::TooLarge { .. } => &MANIFEST_TOO_LARGE,
            _ => &code::MANIFEST_INVALID,
        };
        Self::because(code, error.to_string())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::new(&code::BLOB_UPLOAD_INVALID).with_cause(error)
    }
}

impl From<Cut> for Failure {
    fn from(cut: Cut) -> Self {
        let code = match cut {
            // Where the connection is gone nobody reads this.
            Cut::Connection(_) => &code::SIZE_INVALID,
            Cut::Idle(_) | Cut::Slow(_) | Cut::Late(_) => &BODY_TIMEOUT,
        };
        Self::new(code).with_cause(cut)
    }
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Cut(cut) => cut.into(),
            CollectError::TooLong { .. } => Self::because(&MANIFEST_TOO_LARGE, error.to_string()),
            CollectError::NoMemory => Self::busy().with_cause(error),
            CollectError::NoShare => Self::too_many().with_cause(error),
        }
    }
}

impl Failure {
    /// Fails for credentials that were not taken; `denied` is what is denied to them.
    pub(crate) fn refused(refusal: Refusal, denied: Denied) -> Self {
        match refusal {
            Refusal::Unknown => Self::from(denied).with_cause(refusal),
            Refusal::Busy => Self::new(&code::TOOMANYREQUESTS)
                .retry_after(RETRY_BUSY_SECONDS)
                .with_cause(refusal),
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let code = match denied.denial() {
            Denial::Unauthenticated => &code::UNAUTHORIZED,
            Denial::Forbidden => &code::DENIED,
        };
        let failure = Self::from(ApiError::new(code).with_detail(needed(denied.accesses())));
        let challenge = denied.challenge().map(ToString::to_string);
        match challenge.and_then(|text| HeaderValue::try_from(text.into_bytes()).ok()) {
            Some(challenge) => failure.with_header(WWW_AUTHENTICATE, challenge),
            None => failure,
        }
        .with_cause(denied)
    }
}

/// Says in Distribution's words what would have been needed; nothing where it is only to be known.
fn needed(accesses: &[Access]) -> Value {
    let record = |access: &Access| {
        let (kind, name, action) = (access.resource(), access.name(), access.action());
        json!({"Type": kind, "Class": "", "Name": name, "Action": action})
    };
    match accesses {
        [] => Value::Null,
        accesses => accesses.iter().map(record).collect(),
    }
}

/// An error with all its sources, in one line.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(source) = error.source() {
            write!(f, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
