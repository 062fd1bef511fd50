//! Uploads: how blobs come in.
//!
//! ```text
//! POST ?digest-algorithm=    202  a session; PATCH and PUT follow
//! POST ?digest=             201  the whole blob in one request
//! POST ?mount=&from=        201  nothing to send, or 202 as without
//! PATCH ?_state=            202  further bytes
//! PUT ?_state=&digest=      201  the last bytes, and the end
//! GET                       204  how far it has come
//! DELETE ?_state=           204  thrown away
//! ```
//!
//! The answers of a session carry its state in a token (see `upload_token`), which the client gives
//! back with the next request.

mod finish;
mod receive;
mod session;
mod start;
mod write;

pub(crate) use self::finish::finish;
pub(crate) use self::session::{cancel, status};
pub(crate) use self::start::start;
pub(crate) use self::write::write;

use http::StatusCode;
use http::header::LOCATION;
use jiff::Timestamp;
use tracing::Span;
use tracing::field::Empty;
use wharfinger_oci::{Algorithm, Digest, Query, RepositoryName, Route, UploadId, code};
use wharfinger_store::{self as store, IngestWriter, Purpose};

use crate::app::Call;
use crate::error::Failure;
use crate::response::{Reply, Response};
use crate::upload_token::UploadState;

/// The key of the token in a query.
const STATE: &str = "_state";

/// The key of the algorithm that the digest will be of. Until the first bytes have come, and with
/// them a hasher, it stands in the location: the token has only what Distribution knows.
const ALGORITHM: &str = "digest-algorithm";

/// The span of an upload: every line about it says which one it is, and once that is known under
/// which digest it shall be found.
fn span_of(name: &RepositoryName, id: Option<&UploadId>) -> Span {
    let id = id.map(tracing::field::display);
    tracing::error_span!("upload", repository = %name, upload = id, digest = Empty)
}

/// Notes the digest in the span.
fn note_digest(digest: &Digest) {
    Span::current().record("digest", tracing::field::display(digest));
}

/// Answers with the state of a session.
fn session_reply(
    call: &Call,
    status: StatusCode,
    (name, id): (&RepositoryName, &UploadId),
    offset: u64,
    started_at: Timestamp,
    announced: Option<Algorithm>,
) -> Reply {
    let token = call
        .app
        .tokens
        .sign(&UploadState::new(name, id, offset, started_at));
    let route = Route::Upload {
        name: name.clone(),
        id: id.clone(),
    };
    let mut query = Query::new().with(STATE, token);
    if let Some(algorithm) = announced.filter(|_| offset == 0) {
        query = query.with(ALGORITHM, algorithm.as_str());
    }
    let location = call.location(&route, Some(query));
    Reply::new(status)
        .header(LOCATION, location)
        .upload(id, offset)
}

/// Reads the state that the client gives back; it must be one of this session.
fn given_state(call: &Call, name: &RepositoryName, id: &UploadId) -> Result<UploadState, Failure> {
    let Some(token) = call.request.query().get(STATE) else {
        return Err(Failure::because(
            &code::BLOB_UPLOAD_INVALID,
            "the upload state is missing",
        ));
    };
    let state = call.app.tokens.verify(token)?;
    if state.is_of(name, id) {
        Ok(state)
    } else {
        Err(Failure::because(
            &code::BLOB_UPLOAD_INVALID,
            "the state is of another upload",
        ))
    }
}

/// Opens an upload to go on with.
async fn opened(
    call: &Call,
    name: &RepositoryName,
    id: &UploadId,
    purpose: Purpose,
) -> store::Result<IngestWriter> {
    let (uploads, id) = (call.repository(name).uploads(), id.clone());
    let work = async move { uploads.open(&id, purpose).await };
    call.hosted(work).await
}

/// Reads the digest that a blob shall have.
fn given_digest(call: &Call) -> Result<Digest, Failure> {
    match call.request.query().get("digest") {
        Some(digest) => Ok(digest.parse()?),
        None => Err(Failure::because(
            &code::DIGEST_INVALID,
            "the digest is missing",
        )),
    }
}

/// Reads of which algorithm the digest will be, if the client says so.
fn announced_algorithm(call: &Call) -> Result<Option<Algorithm>, Failure> {
    let algorithm = call.request.query().get(ALGORITHM);
    let algorithm = algorithm.filter(|algorithm| !algorithm.is_empty());
    Ok(algorithm.map(str::parse).transpose()?)
}

/// Answers that a blob is there.
fn created(call: &Call, name: &RepositoryName, digest: &Digest) -> Response {
    let route = Route::Blob {
        name: name.clone(),
        digest: *digest,
    };
    let location = call.location(&route, None);
    Reply::new(StatusCode::CREATED)
        .header(LOCATION, location)
        .digest(digest)
        .done()
}

/// The time that a token carries.
fn timestamp(time: std::time::SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
