//! The commit: verified, moved, linked, cleaned up; in this order.

use wharfinger_driver::{Commit, Condition, Durability, ErrorKind as DriverErrorKind, Ingest, Put};
use wharfinger_oci::{Algorithm, Digest, Hasher};

use crate::blobs::Soundness;
use crate::error::{Error, ErrorKind, Result};
use crate::layout;

use super::IngestContext;
use super::pipeline::Core;
use super::progress::{Progress, read_back, remove};
use super::writer::IngestWriter;

/// What the sender says of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The digest.
    pub digest: Digest,
    /// The length, if it was told.
    pub size_bytes: Option<u64>,
}

/// What was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The digest that was asked for.
    pub digest: Digest,
    /// The length.
    pub size_bytes: u64,
}

/// Twice somebody may get in between looking and moving; after that something else is wrong.
const ATTEMPTS: usize = 3;

impl IngestWriter {
    /// Verifies what has arrived, moves it to its place, links it, and removes the ingest. When
    /// this returns, all of it is durable.
    ///
    /// It may be repeated: whatever step an earlier attempt has come to, another one ends the same.
    ///
    /// # Errors
    /// `DigestMismatch` and `SizeMismatch` leave a staged ingest where it stands, and nothing of a
    /// direct one. When the storage fails, what this writer added is given back.
    ///
    /// # Cancellation
    /// Dropping the future may leave any prefix of the steps done, and then it can be repeated.
    pub async fn commit(self, expected: Expected) -> Result<Committed> {
        let Self {
            context,
            links,
            pipeline,
            mut progress,
            ..
        } = self;
        let mut core = pipeline.drain().await;
        let size_bytes = core.offset();
        if let Some(error) = core.failed.take() {
            progress
                .go_back(&context, *core, error.kind() == DriverErrorKind::Unsynced)
                .await?;
            return Err(Error::storage(&progress.subject, error));
        }
        if let Err(refused) = progress.check(&mut core, &expected).await {
            if matches!(
                refused.kind(),
                ErrorKind::DigestMismatch { .. } | ErrorKind::SizeMismatch { .. }
            ) {
                progress.refuse(&context, &mut core).await?;
            }
            return Err(refused);
        }
        let link = links.link(&expected.digest);
        let placed = match &mut core.ingest {
            Some(ingest) => place(&context, &mut **ingest, &expected.digest, vec![link]).await,
            // The bytes were moved by an attempt that was cut short.
            None => link_moved(&context, &expected.digest, &[link]).await,
        };
        if let Err(error) = placed {
            // What cannot be given back now is cut off when the upload is opened again.
            if let Err(error) = progress.go_back(&context, *core, error.is_unsynced()).await {
                tracing::warn!(upload = %progress.subject, %error, "could not give back the bytes of a failed commit");
            }
            return Err(error);
        }
        progress.clean_up(&context).await;
        Ok(Committed {
            digest: expected.digest,
            size_bytes,
        })
    }
}

impl Progress {
    /// Compares what has arrived with what was announced.
    async fn check(&mut self, core: &mut Core, expected: &Expected) -> Result<()> {
        let actual_bytes = core.offset();
        if let Some(expected_bytes) = expected.size_bytes
            && expected_bytes != actual_bytes
        {
            return Err(Error::new(
                ErrorKind::SizeMismatch {
                    expected_bytes,
                    actual_bytes,
                },
                &self.subject,
            ));
        }
        let algorithm = expected.digest.algorithm();
        let mut computed = core.hasher.finish();
        if (core.hasher.algorithm() != algorithm && !self.rehashed) || !core.is_hashed() {
            computed = self.rehash(core, algorithm).await?;
        } else if computed != expected.digest && self.loaded && !self.rehashed {
            // A state that was loaded may be wrong; the bytes are asked once, and never again.
            tracing::info!(upload = %self.subject, "hashing the whole upload, since its saved state does not lead to the digest");
            computed = self.rehash(core, algorithm).await?;
        }
        if computed == expected.digest {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::DigestMismatch {
                expected: expected.digest,
                computed,
            },
            &self.subject,
        ))
    }

    /// Reads all bytes back, or those that are missing in the hasher, and hashes them.
    async fn rehash(&mut self, core: &mut Core, algorithm: Algorithm) -> Result<Digest> {
        let partial = core.hasher.algorithm() == algorithm && !core.is_hashed();
        let hasher = if partial {
            core.hasher.clone()
        } else {
            Hasher::new(algorithm)
        };
        let Some(ingest) = &mut core.ingest else {
            // The bytes are in their place, and only what is known of them counts.
            return Ok(core.hasher.finish());
        };
        let from_start = hasher.bytes_hashed() == 0;
        let hashed = read_back(&mut **ingest, hasher).await;
        core.hasher = hashed.map_err(|error| Error::storage(&self.subject, error))?;
        self.rehashed |= from_start;
        Ok(core.hasher.finish())
    }

    /// Keeps a staged ingest whose bytes were refused, and removes a direct one.
    async fn refuse(&self, context: &IngestContext, core: &mut Core) -> Result<()> {
        if self.paths.is_some() {
            self.keep(context, core).await?;
        } else if let Some(ingest) = &mut core.ingest {
            ingest
                .abort()
                .await
                .map_err(|error| Error::storage(&self.subject, error))?;
        }
        Ok(())
    }

    /// Removes what is left of a committed ingest. What cannot be removed is left to purging: the
    /// commit stands.
    async fn clean_up(&self, context: &IngestContext) {
        let Some(paths) = &self.paths else { return };
        if let Err(error) = remove(context, paths).await {
            tracing::warn!(upload = %self.subject, %error, "could not clean up after a commit");
        }
    }
}

/// Moves the bytes of `ingest` to where `digest` lies, unless they are there already, and writes `then`.
async fn place(
    context: &IngestContext,
    ingest: &mut dyn Ingest,
    digest: &Digest,
    then: Vec<Put>,
) -> Result<()> {
    let destination = layout::blob_data(digest);
    let storage = |error| Error::storage(format!("blob {digest}"), error);
    for attempt in 1.. {
        let condition = match context.blobs.examine(digest).await? {
            Soundness::Absent => Condition::IfAbsent,
            Soundness::Damaged => Condition::Replace,
            Soundness::Sound => {
                link_settled(context, digest, &then).await?;
                // The bytes are there twice now; these are not needed.
                if let Err(error) = ingest.abort().await {
                    tracing::debug!(%digest, %error, "could not remove bytes that were there already");
                }
                return Ok(());
            }
        };
        let commit = Commit {
            destination: destination.clone(),
            condition,
            verified: true,
            then: then.clone(),
        };
        match ingest.commit(commit).await {
            Err(error)
                if error.kind() == DriverErrorKind::AlreadyExists
                    && *error.path() == destination
                    && attempt < ATTEMPTS => {}
            other => return other.map_err(storage),
        }
    }
    unreachable!("the last attempt returns")
}

/// Links bytes that an earlier attempt has moved; whether they are there is looked at again.
async fn link_moved(context: &IngestContext, digest: &Digest, then: &[Put]) -> Result<()> {
    match context.blobs.examine(digest).await? {
        Soundness::Sound => link_settled(context, digest, then).await,
        // Whoever has moved them has not committed this digest, or they have gone again.
        Soundness::Absent | Soundness::Damaged => Err(Error::new(
            ErrorKind::UploadUnknown,
            format!("upload of blob {digest}"),
        )),
    }
}

/// Writes links to bytes that somebody else has put in their place, once these are durable.
async fn link_settled(context: &IngestContext, digest: &Digest, then: &[Put]) -> Result<()> {
    let storage = |error| Error::storage(format!("blob {digest}"), error);
    context
        .driver
        .settle(&layout::blob_data(digest))
        .await
        .map_err(storage)?;
    context
        .driver
        .put(then, Durability::Durable)
        .await
        .map_err(storage)
}
