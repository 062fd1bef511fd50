//! POST: a session, a blob in one request, or a mount.

use http::StatusCode;
use tracing::Span;
use uuid::Builder;
use wharfinger_auth::Granted;
use wharfinger_auth::action::{Mount, PullBlob, StartUpload};
use wharfinger_oci::{Digest, RepositoryName, UploadId};
use wharfinger_store::{ErrorKind, Expected};

use crate::app::Call;
use crate::body::RequestBody;
use crate::error::Failure;
use crate::event::{EventAction, Target};
use crate::response::Response;

use super::receive::{OnCut, receive};
use super::{
    announced_algorithm, created, given_digest, note_digest, session_reply, span_of, timestamp,
};

/// Brings a blob in, or starts a session in which it will come.
pub(crate) async fn start(
    call: &Call,
    granted: Granted<StartUpload>,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let direct = call.request.query().get("digest").is_some();
    let owned = call.clone();
    let (name, mount) = (
        granted.action().name.clone(),
        granted.action().mount.clone(),
    );
    let span = span_of(&name, None);
    let work = async move {
        if let Some(mount) = &mount {
            note_digest(&mount.digest);
            if let Some(response) = Box::pin(try_mount(&owned, &granted, mount)).await? {
                body.drain().await;
                return Ok(response);
            }
        }
        if direct {
            let digest = body.drained_if_refused(given_digest(&owned)).await?;
            note_digest(&digest);
            return in_one_request(&owned, &granted, &digest, body).await;
        }
        let response = in_a_session(&owned, &granted).await;
        body.drain().await;
        response
    };
    call.to_the_end_in(span, work).await
}

/// Links a blob of another repository, if it is there: of the one that the client names, else of one
/// that it could pull the blob from.
async fn try_mount(
    call: &Call,
    granted: &Granted<StartUpload>,
    mount: &Mount,
) -> Result<Option<Response>, Failure> {
    let (name, digest) = (&granted.action().name, mount.digest);
    if let Some(from) = &mount.from {
        return try_mount_from(call, granted, &digest, from).await;
    }
    for from in call.repository(name).sources(&digest).await? {
        let pull = PullBlob {
            name: from.clone(),
            digest,
        };
        if call.app.gate.grant(granted.principal(), pull).is_err() {
            continue;
        }
        let mounted = try_mount_from(call, granted, &digest, &from).await?;
        if mounted.is_some() {
            return Ok(mounted);
        }
    }
    Ok(None)
}

async fn try_mount_from(
    call: &Call,
    granted: &Granted<StartUpload>,
    digest: &Digest,
    from: &RepositoryName,
) -> Result<Option<Response>, Failure> {
    let name = &granted.action().name;
    match call.repository(name).mount_blob(digest, from).await {
        Ok(info) => {
            let target = Target::Blob {
                digest: *digest,
                size_bytes: Some(info.size_bytes),
                from: Some(from),
            };
            call.emit(EventAction::Mount, granted.principal(), name, target);
            Ok(Some(created(call, name, digest)))
        }
        Err(error) => match error.kind() {
            // What cannot be had from there has to be sent.
            ErrorKind::BlobUnknown | ErrorKind::RepositoryUnknown | ErrorKind::Damaged => {
                tracing::debug!(%error, "cannot mount");
                Ok(None)
            }
            _ => Err(error.into()),
        },
    }
}

/// Takes the whole blob. Unless it is right, nothing of it is left.
async fn in_one_request(
    call: &Call,
    granted: &Granted<StartUpload>,
    digest: &Digest,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let name = &granted.action().name;
    let writer = call.repository(name).uploads().direct(digest).await;
    let writer = body.drained_if_refused(writer).await?;
    let writer = receive(writer, &mut body, None, OnCut::GiveBack).await?;
    let size_bytes = call.request.content_length();
    let expected = Expected {
        digest: *digest,
        size_bytes,
    };
    let committed = call.hosted(writer.commit(expected)).await?;
    tracing::debug!(size_bytes = committed.size_bytes, "committed");
    let size_bytes = Some(committed.size_bytes);
    let target = Target::Blob {
        digest: *digest,
        size_bytes,
        from: None,
    };
    call.emit(EventAction::Push, granted.principal(), name, target);
    Ok(created(call, name, digest))
}

/// Starts a session.
async fn in_a_session(call: &Call, granted: &Granted<StartUpload>) -> Result<Response, Failure> {
    let name = &granted.action().name;
    let algorithm = announced_algorithm(call)?;
    let id = new_id(call);
    Span::current().record("upload", tracing::field::display(&id));
    // To the nanosecond, as Distribution's first token has it; what is written down is shorter.
    let now = timestamp(call.app.runtime.clock.now());
    let (uploads, new) = (call.repository(name).uploads(), id.clone());
    let status = call
        .hosted(async move { uploads.create(&new).await })
        .await?;
    let session = (name, &id);
    let offset = status.offset;
    Ok(session_reply(call, StatusCode::ACCEPTED, session, offset, now, algorithm).done())
}

/// A random UUID: Distribution's purger takes nothing else for an upload.
fn new_id(call: &Call) -> UploadId {
    let mut random = [0; 16];
    call.app.runtime.entropy.fill(&mut random);
    let uuid = Builder::from_random_bytes(random).into_uuid();
    uuid.to_string().parse().expect("a UUID is an upload id")
}
