//! PUT: the last bytes of an upload, and its end.

use wharfinger_auth::Granted;
use wharfinger_auth::action::FinishUpload;
use wharfinger_oci::{ByteRange, Digest};
use wharfinger_store::{ErrorKind, Expected, IngestWriter, Purpose};

use crate::app::Call;
use crate::body::RequestBody;
use crate::error::Failure;
use crate::event::{EventAction, Target};
use crate::response::Response;

use super::receive::{OnCut, receive};
use super::write::{at, chunk_range};
use super::{created, given_digest, given_state, note_digest, opened, span_of};

/// What a finish has to go on with.
enum Opened {
    /// The upload, and how many bytes come.
    Upload(Box<IngestWriter>, Option<ByteRange>),
    /// It was finished before, and the answer may have been lost: the blob is there.
    Finished,
}

/// Appends the body to an upload, verifies the whole, and makes it a blob.
pub(crate) async fn finish(
    call: &Call,
    granted: Granted<FinishUpload>,
    mut body: RequestBody,
) -> Result<Response, Failure> {
    let FinishUpload { name, id } = granted.action();
    let span = span_of(name, Some(id));
    let owned = call.clone();
    let work = async move {
        let name = &granted.action().name;
        let opened = Box::pin(open(&owned, granted.action())).await;
        let (digest, opened) = body.drained_if_refused(opened).await?;
        let Opened::Upload(mut writer, range) = opened else {
            body.drain().await;
            return Ok(created(&owned, name, &digest));
        };
        Box::pin(writer.announce(digest.algorithm())).await;
        let announced = range.map(ByteRange::len);
        let writer = receive(*writer, &mut body, announced, OnCut::Keep).await?;
        let expected = Expected {
            digest,
            size_bytes: None,
        };
        let committed = owned.hosted(writer.commit(expected)).await?;
        tracing::debug!(size_bytes = committed.size_bytes, "committed");
        let size_bytes = Some(committed.size_bytes);
        let target = Target::Blob {
            digest,
            size_bytes,
            from: None,
        };
        owned.emit(EventAction::Push, granted.principal(), name, target);
        Ok(created(&owned, name, &digest))
    };
    call.to_the_end_in(span, work).await
}

async fn open(call: &Call, action: &FinishUpload) -> Result<(Digest, Opened), Failure> {
    let FinishUpload { name, id } = action;
    let state = given_state(call, name, id)?;
    let digest = given_digest(call)?;
    note_digest(&digest);
    let range = chunk_range(call)?;
    let purpose = Purpose::Finish {
        offset: state.offset,
    };
    match opened(call, name, id, purpose).await {
        Ok(writer) => {
            let writer = at(writer, state.offset, range).await?;
            Ok((digest, Opened::Upload(Box::new(writer), range)))
        }
        Err(error) if *error.kind() == ErrorKind::UploadUnknown => {
            match call.repository(name).stat_blob(&digest).await {
                Ok(_) => Ok((digest, Opened::Finished)),
                Err(gone) if *gone.kind() == ErrorKind::BlobUnknown => Err(error.into()),
                Err(failed) => Err(failed.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
