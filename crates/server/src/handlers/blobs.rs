//! Blobs: read whole or in part, and unlinked.

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderValue, Method, StatusCode};
use wharfinger_auth::Granted;
use wharfinger_auth::action::{DeleteBlob, PullBlob};
use wharfinger_driver::ReadRange;
use wharfinger_oci::{ByteRange, ContentRange, RequestedRange, code, media};
use wharfinger_store::{self as store, BlobBytes, BlobInfo, BlobRead, Repository};

use crate::app::Call;
use crate::conditional::{is_known, is_range_wanted};
use crate::error::Failure;
use crate::event::{EventAction, Target};
use crate::handlers::may_delete;
use crate::response::{Body, Reply, Response};

/// A year, as in Distribution: content under a digest never changes.
const CACHE_FOREVER: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Sends a blob, a part of it, or only its headers.
pub(crate) async fn pull(call: &Call, granted: Granted<PullBlob>) -> Result<Response, Failure> {
    let PullBlob { name, digest } = granted.action();
    let repository = call.repository(name);
    let headers = call.request.headers();
    if is_known(headers, digest) {
        repository.stat_blob(digest).await?;
        let reply = Reply::new(StatusCode::NOT_MODIFIED)
            .etag(digest)
            .without_length();
        return Ok(reply.header(CACHE_CONTROL, CACHE_FOREVER).done());
    }
    let told = |info: &BlobInfo| {
        let size_bytes = Some(info.size_bytes);
        let target = Target::Blob {
            digest: *digest,
            size_bytes,
            from: None,
        };
        call.emit(EventAction::Pull, granted.principal(), name, target);
    };
    if call.request.method() == Method::HEAD {
        let info = repository.stat_blob(digest).await?;
        told(&info);
        return Ok(describe(&info, StatusCode::OK)
            .length(info.size_bytes)
            .done());
    }
    // A range that is not understood is passed over, as is one of other content.
    let range = call
        .request
        .text(&RANGE)
        .filter(|_| is_range_wanted(headers, digest));
    if let Some(range) = range.and_then(|range| RequestedRange::parse(range).ok()) {
        let info = repository.stat_blob(digest).await?;
        let range = range
            .resolve(info.size_bytes)
            .map_err(|error| unsatisfied(&info, &error))?;
        let read = part(&repository, &info, range).await?;
        told(&info);
        let size = info.size_bytes;
        let reply = describe(&info, StatusCode::PARTIAL_CONTENT)
            .text(CONTENT_RANGE, ContentRange::Part { range, size });
        return Ok(send(reply, read));
    }
    let read = repository.read_blob(digest, ReadRange::WHOLE).await?;
    told(&read.info);
    Ok(send(describe(&read.info, StatusCode::OK), read))
}

fn describe(info: &BlobInfo, status: StatusCode) -> Reply {
    Reply::new(status)
        .etag(&info.digest)
        .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        .header(CACHE_CONTROL, CACHE_FOREVER)
        .header(CONTENT_TYPE, HeaderValue::from_static(media::OCTET_STREAM))
}

fn unsatisfied(info: &BlobInfo, error: &wharfinger_oci::RangeError) -> Failure {
    let size = info.size_bytes;
    let range = ContentRange::Unsatisfied { size }.to_string();
    let range = HeaderValue::try_from(range).expect("a range is printed in visible ASCII");
    Failure::because(&code::RANGE_INVALID, error.to_string()).with_header(CONTENT_RANGE, range)
}

async fn part(
    repository: &Repository,
    info: &BlobInfo,
    range: ByteRange,
) -> store::Result<BlobRead> {
    let range = ReadRange {
        start: range.start(),
        length: Some(range.len()),
    };
    repository.read_blob(&info.digest, range).await
}

/// Sends what was opened.
fn send(reply: Reply, read: BlobRead) -> Response {
    let body = match read.bytes {
        BlobBytes::Whole(bytes) => Body::Full(bytes),
        BlobBytes::Pieces(pieces) => Body::Stream(pieces, Some(read.length)),
    };
    reply.length(read.length).body(body).done()
}

/// Takes a blob away from a repository.
pub(crate) async fn delete(call: &Call, granted: Granted<DeleteBlob>) -> Result<Response, Failure> {
    may_delete(call, "GET, HEAD")?;
    let owned = call.clone();
    call.to_the_end(async move {
        let DeleteBlob { name, digest } = granted.action();
        owned.repository(name).delete_blob(digest).await?;
        let target = Target::Blob {
            digest: *digest,
            size_bytes: None,
            from: None,
        };
        owned.emit(EventAction::Delete, granted.principal(), name, target);
        Ok(Reply::new(StatusCode::ACCEPTED).done())
    })
    .await
}
