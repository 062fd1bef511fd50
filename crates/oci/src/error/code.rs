//! The standard codes, each with the status that its answer has.
//!
//! The statuses and identifiers are those that Distribution answers with, which clients rely on.

use http::StatusCode;

use super::Code;

/// Every standard code, in the order of this file.
pub(super) static STANDARD: [&Code; 20] = [
    &UNKNOWN,
    &UNSUPPORTED,
    &UNAUTHORIZED,
    &DENIED,
    &UNAVAILABLE,
    &TOOMANYREQUESTS,
    &DIGEST_INVALID,
    &SIZE_INVALID,
    &RANGE_INVALID,
    &NAME_INVALID,
    &TAG_INVALID,
    &NAME_UNKNOWN,
    &MANIFEST_UNKNOWN,
    &MANIFEST_INVALID,
    &MANIFEST_UNVERIFIED,
    &MANIFEST_BLOB_UNKNOWN,
    &BLOB_UNKNOWN,
    &BLOB_UPLOAD_UNKNOWN,
    &BLOB_UPLOAD_INVALID,
    &PAGINATION_NUMBER_INVALID,
];

/// Something went wrong inside the registry; the log says what.
pub static UNKNOWN: Code = Code {
    id: "UNKNOWN",
    message: "unknown error",
    description: "Something went wrong inside the registry; the log says what.",
    status: StatusCode::INTERNAL_SERVER_ERROR,
};

/// The operation is not implemented, or is switched off by the configuration.
pub static UNSUPPORTED: Code = Code {
    id: "UNSUPPORTED",
    message: "the operation is unsupported",
    description: "The operation is not implemented, or is switched off by the configuration.",
    status: StatusCode::METHOD_NOT_ALLOWED,
};

/// The path means nothing here. Not in the table of standard codes: the identifier is that of
/// [`UNSUPPORTED`], since clients that try out what a registry has take `NAME_UNKNOWN` for the answer
/// that it has no such repository.
pub static NO_ROUTE: Code = Code {
    id: "UNSUPPORTED",
    message: "there is nothing at this path",
    description: "The path means nothing here.",
    status: StatusCode::NOT_FOUND,
};

/// The request has no credentials, or they were not accepted.
pub static UNAUTHORIZED: Code = Code {
    id: "UNAUTHORIZED",
    message: "authentication required",
    description: "The request has no credentials, or they were not accepted.",
    status: StatusCode::UNAUTHORIZED,
};

/// The credentials are good, but do not allow the operation.
pub static DENIED: Code = Code {
    id: "DENIED",
    message: "requested access to the resource is denied",
    description: "The credentials are good, but do not allow the operation.",
    status: StatusCode::FORBIDDEN,
};

/// The registry cannot serve the request now, and may later.
pub static UNAVAILABLE: Code = Code {
    id: "UNAVAILABLE",
    message: "service unavailable",
    description: "The registry cannot serve the request now, and may later.",
    status: StatusCode::SERVICE_UNAVAILABLE,
};

/// The client has used up what it may ask for in a time.
pub static TOOMANYREQUESTS: Code = Code {
    id: "TOOMANYREQUESTS",
    message: "too many requests",
    description: "The client has used up what it may ask for in a time.",
    status: StatusCode::TOO_MANY_REQUESTS,
};

/// A digest is malformed, of an algorithm that is not accepted, or not that of the content.
pub static DIGEST_INVALID: Code = Code {
    id: "DIGEST_INVALID",
    message: "provided digest did not match uploaded content",
    description: "A digest is malformed, of an algorithm that is not accepted, or not that of the content.",
    status: StatusCode::BAD_REQUEST,
};

/// The length that was announced is not that of the content.
pub static SIZE_INVALID: Code = Code {
    id: "SIZE_INVALID",
    message: "provided length did not match content length",
    description: "The length that was announced is not that of the content.",
    status: StatusCode::BAD_REQUEST,
};

/// A chunk does not follow the bytes that were received, or a range lies outside of the content.
pub static RANGE_INVALID: Code = Code {
    id: "RANGE_INVALID",
    message: "invalid content range",
    description: "A chunk does not follow the bytes that were received, or a range lies outside of the content.",
    status: StatusCode::RANGE_NOT_SATISFIABLE,
};

/// The repository name does not follow the grammar.
pub static NAME_INVALID: Code = Code {
    id: "NAME_INVALID",
    message: "invalid repository name",
    description: "The repository name does not follow the grammar.",
    status: StatusCode::BAD_REQUEST,
};

/// The tag does not follow the grammar, or is not the one the manifest names.
pub static TAG_INVALID: Code = Code {
    id: "TAG_INVALID",
    message: "invalid tag",
    description: "The tag does not follow the grammar, or is not the one the manifest names.",
    status: StatusCode::BAD_REQUEST,
};

/// There is no such repository, or none that the client may see.
pub static NAME_UNKNOWN: Code = Code {
    id: "NAME_UNKNOWN",
    message: "repository name not known to registry",
    description: "There is no such repository, or none that the client may see.",
    status: StatusCode::NOT_FOUND,
};

/// The repository has no manifest with this tag or digest.
pub static MANIFEST_UNKNOWN: Code = Code {
    id: "MANIFEST_UNKNOWN",
    message: "manifest unknown",
    description: "The repository has no manifest with this tag or digest.",
    status: StatusCode::NOT_FOUND,
};

/// The manifest is malformed or breaks a rule of its media type.
pub static MANIFEST_INVALID: Code = Code {
    id: "MANIFEST_INVALID",
    message: "manifest invalid",
    description: "The manifest is malformed or breaks a rule of its media type.",
    status: StatusCode::BAD_REQUEST,
};

/// The manifest's signature does not fit its content.
pub static MANIFEST_UNVERIFIED: Code = Code {
    id: "MANIFEST_UNVERIFIED",
    message: "manifest failed signature verification",
    description: "The manifest's signature does not fit its content.",
    status: StatusCode::BAD_REQUEST,
};

/// The manifest refers to a blob or manifest that the repository does not have.
pub static MANIFEST_BLOB_UNKNOWN: Code = Code {
    id: "MANIFEST_BLOB_UNKNOWN",
    message: "blob unknown to registry",
    description: "The manifest refers to a blob or manifest that the repository does not have.",
    status: StatusCode::BAD_REQUEST,
};

/// The repository has no blob with this digest.
pub static BLOB_UNKNOWN: Code = Code {
    id: "BLOB_UNKNOWN",
    message: "blob unknown to registry",
    description: "The repository has no blob with this digest.",
    status: StatusCode::NOT_FOUND,
};

/// There is no such upload, or it was finished, cancelled or purged.
pub static BLOB_UPLOAD_UNKNOWN: Code = Code {
    id: "BLOB_UPLOAD_UNKNOWN",
    message: "blob upload unknown to registry",
    description: "There is no such upload, or it was finished, cancelled or purged.",
    status: StatusCode::NOT_FOUND,
};

/// The upload's state token is missing, forged, or of another upload.
pub static BLOB_UPLOAD_INVALID: Code = Code {
    id: "BLOB_UPLOAD_INVALID",
    message: "blob upload invalid",
    description: "The upload's state token is missing, forged, or of another upload.",
    status: StatusCode::NOT_FOUND,
};

/// The number of results for a page is no number, or beyond what is allowed.
pub static PAGINATION_NUMBER_INVALID: Code = Code {
    id: "PAGINATION_NUMBER_INVALID",
    message: "invalid number of results requested",
    description: "The number of results for a page is no number, or beyond what is allowed.",
    status: StatusCode::BAD_REQUEST,
};
