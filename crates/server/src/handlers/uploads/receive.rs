//! From the body of a request to the writer of an ingest.

use wharfinger_oci::code;
use wharfinger_store::IngestWriter;

use crate::body::RequestBody;
use crate::error::Failure;

/// What becomes of the bytes when the body is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnCut {
    /// They are kept, and can be gone on from.
    Keep,
    /// They are given back: nobody can go on.
    GiveBack,
}

/// Writes the whole body, which has `announced` bytes if that is known.
///
/// # Errors
/// A body that is cut leaves what has arrived, if wanted; a body of another length than announced,
/// or storage that fails, leaves what was there before.
pub(super) async fn receive(
    mut writer: IngestWriter,
    body: &mut RequestBody,
    announced: Option<u64>,
    on_cut: OnCut,
) -> Result<IngestWriter, Failure> {
    let begun = writer.offset();
    loop {
        let piece = match body.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(cut) => {
                keep_or_give_back(writer, on_cut).await;
                return Err(cut.into());
            }
        };
        let arrived = writer.offset() - begun + piece.len() as u64;
        if announced.is_some_and(|announced| arrived > announced) {
            return Err(wrong_length(writer).await);
        }
        if let Err(error) = writer.write(piece).await {
            give_back(writer).await;
            body.drain().await;
            return Err(error.into());
        }
    }
    if announced.is_some_and(|announced| writer.offset() - begun != announced) {
        return Err(wrong_length(writer).await);
    }
    Ok(writer)
}

async fn wrong_length(writer: IngestWriter) -> Failure {
    give_back(writer).await;
    Failure::because(
        &code::SIZE_INVALID,
        "the body has another length than its range",
    )
}

async fn keep_or_give_back(writer: IngestWriter, on_cut: OnCut) {
    let arrived = writer.offset();
    match on_cut {
        OnCut::GiveBack => give_back(writer).await,
        OnCut::Keep => match Box::pin(writer.close()).await {
            Ok(offset) => tracing::info!(offset, "kept what has arrived before the body was cut"),
            Err(error) => tracing::error!(arrived, %error, "cannot keep what has arrived"),
        },
    }
}

async fn give_back(writer: IngestWriter) {
    if let Err(error) = Box::pin(writer.give_back()).await {
        tracing::error!(%error, "cannot give back what has arrived");
    }
}
