//! PATCH: further bytes of an upload.

use http::StatusCode;
use http::header::CONTENT_RANGE;
use wharfinger_auth::Granted;
use wharfinger_auth::action::WriteUpload;
use wharfinger_oci::{Algorithm, ByteRange, ChunkRange, RepositoryName, UploadId, code};
use wharfinger_store::{IngestWriter, Purpose};

use crate::app::Call;
use crate::body::RequestBody;
use crate::error::Failure;
use crate::response::Response;

use super::receive::{OnCut, receive};
use super::{announced_algorithm, given_state, opened, session_reply, span_of, timestamp};

/// Appends the body to an upload. What has arrived before a cut is kept.
pub(crate) async fn write(
    call: &Call,
    granted: Granted<WriteUpload>,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let WriteUpload { name, id } = granted.into_action();
    let span = span_of(&name, Some(&id));
    let owned = call.clone();
    let work = async move {
        // In boxes: while the body comes, room is held for nothing else.
        let opened = Box::pin(open(&owned, &name, &id)).await;
        let (mut writer, range, algorithm) = body.drained_if_refused(opened).await?;
        if let Some(algorithm) = algorithm {
            Box::pin(writer.announce(algorithm)).await;
        }
        let started_at = writer
            .started_at()
            .map_or(jiff::Timestamp::UNIX_EPOCH, timestamp);
        let announced = range.map(ByteRange::len);
        let writer = receive(writer, &mut body, announced, OnCut::Keep).await?;
        let offset = owned.hosted(writer.close()).await?;
        Ok(session_reply(
            &owned,
            StatusCode::ACCEPTED,
            (&name, &id),
            offset,
            started_at,
            algorithm,
        )
        .done())
    };
    call.to_the_end_in(span, work).await
}

async fn open(
    call: &Call,
    name: &RepositoryName,
    id: &UploadId,
) -> Result<(IngestWriter, Option<ByteRange>, Option<Algorithm>), Failure> {
    let state = given_state(call, name, id)?;
    let range = chunk_range(call)?;
    let algorithm = announced_algorithm(call)?;
    let writer = opened(call, name, id, Purpose::Append).await?;
    Ok((at(writer, state.offset, range).await?, range, algorithm))
}

/// Reads where the body belongs, if the client says so.
pub(super) fn chunk_range(call: &Call) -> Result<Option<ByteRange>, Failure> {
    let Some(value) = call.request.headers().get(CONTENT_RANGE) else {
        return Ok(None);
    };
    let range = value.to_str().ok().and_then(|value| value.parse().ok());
    let Some(ChunkRange(range)) = range else {
        return Err(Failure::because(
            &code::RANGE_INVALID,
            "malformed content range",
        ));
    };
    match call.request.content_length() {
        Some(length) if length != range.len() => {
            let detail = "the content range has another length than the body";
            Err(Failure::because(&code::SIZE_INVALID, detail))
        }
        _ => Ok(Some(range)),
    }
}

/// Checks that the bytes follow those that are there: in the client's mind, and where it puts them.
pub(super) async fn at(
    writer: IngestWriter,
    known: u64,
    range: Option<ByteRange>,
) -> Result<IngestWriter, Failure> {
    let offset = writer.offset();
    let start = range.map_or(offset, ByteRange::start);
    if known == offset && start == offset {
        return Ok(writer);
    }
    writer.close().await?;
    let detail = format!("the upload stands at {offset}");
    Err(Failure::because(&code::RANGE_INVALID, detail))
}
