//! From the body of a request to the writer of an ingest.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use wharfinger_oci::code;
use wharfinger_store::IngestWriter;

use crate::body::{Cut, RequestBody};
use crate::error::Failure;

/// 5 ms: a sender of 100 MB/s makes a batch in that time.
const PAUSE: Duration = Duration::from_millis(5);

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
        let piece = match next(body, &mut writer).await {
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

/// Returns the next piece. While it does not come, what has come is worked on: it takes memory of which
/// there is not enough for everybody.
async fn next(body: &mut RequestBody, writer: &mut IngestWriter) -> Result<Option<Bytes>, Cut> {
    if let Some(piece) = body.next().now_or_never() {
        return piece;
    }
    let clock = body.clock();
    let mut piece = pin!(body.next());
    loop {
        match select(piece.as_mut(), clock.sleep(PAUSE)).await {
            Either::Left((piece, _)) => return piece,
            Either::Right(_) if writer.begin_early().await => return piece.await,
            Either::Right(_) => {}
        }
    }
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
