//! The commit: verified, moved, linked, cleaned up; in this order.

use wharfinger_driver::{Commit, Condition, Durability, ErrorKind as DriverErrorKind, Ingest, Put};
use wharfinger_oci::{Digest, Hasher};

use crate::blobs::Soundness;
use crate::error::{Error, ErrorKind, Result};
use crate::layout;
use crate::links::LinkSet;

use super::IngestContext;
use super::marker::Reading;
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
        self.commit_with(expected, Vec::new()).await
    }

    /// Commits, and makes `writes` together with the link.
    pub(crate) async fn commit_with(
        self,
        expected: Expected,
        writes: Vec<Put>,
    ) -> Result<Committed> {
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
        if let Err(refused) = progress.check(&context, &mut core, &expected).await {
            if matches!(
                refused.kind(),
                ErrorKind::DigestMismatch { .. } | ErrorKind::SizeMismatch { .. }
            ) {
                if matches!(refused.kind(), ErrorKind::DigestMismatch { .. }) {
                    progress.refused = Some(expected.digest);
                }
                progress.refuse(&context, &mut core).await?;
            }
            return Err(refused);
        }
        progress.mark(&context, &core).await;
        let links = links.with(writes);
        let placed = match &mut core.ingest {
            Some(ingest) => place(&context, &mut **ingest, &expected.digest, &links).await,
            // The bytes were moved by an attempt that was cut short.
            None => link_moved(&context, &expected.digest, &links).await,
        };
        if let Err(error) = placed {
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
    async fn check(
        &mut self,
        context: &IngestContext,
        core: &mut Core,
        expected: &Expected,
    ) -> Result<()> {
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
        let computed = self.computed(context, core, &expected.digest).await?;
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

    /// Returns what the bytes come to under the algorithm of `expected`.
    ///
    /// All of them are read back when the hasher runs under another algorithm, and when a state that
    /// was loaded, and may be wrong, leads elsewhere: once for each algorithm in the life of the
    /// ingest. If more bytes have followed since, the answer is the hasher's.
    async fn computed(
        &mut self,
        context: &IngestContext,
        core: &mut Core,
        expected: &Digest,
    ) -> Result<Digest> {
        let (at, algorithm) = (core.offset(), expected.algorithm());
        if core.hasher.algorithm() == algorithm {
            self.read_missing(context, core).await?;
            let computed = core.hasher.finish();
            if computed == *expected || !self.loaded {
                return Ok(computed);
            }
        }
        if let Some(reading) = self.readings.under(algorithm) {
            let is_current = reading.at == at;
            return Ok(if is_current {
                reading.digest
            } else {
                core.hasher.finish()
            });
        }
        let Some(ingest) = &mut core.ingest else {
            // The bytes are in their place, and only what is known of them counts.
            return Ok(core.hasher.finish());
        };
        tracing::info!(upload = %self.subject, %algorithm, "hashing the whole upload once more");
        let hasher = read_back(context, &mut **ingest, Hasher::new(algorithm)).await;
        let hasher = hasher.map_err(|error| Error::storage(&self.subject, error))?;
        let digest = hasher.finish();
        self.readings.add(Reading { at, digest });
        self.marked = false;
        if core.hasher.algorithm() == algorithm {
            (core.hasher, self.loaded) = (hasher, false);
        }
        Ok(digest)
    }

    /// Hashes what no saved state has covered, and what was too much to be read when it was opened.
    pub(super) async fn read_missing(
        &self,
        context: &IngestContext,
        core: &mut Core,
    ) -> Result<()> {
        if core.is_hashed() {
            return Ok(());
        }
        if let Some(ingest) = &mut core.ingest {
            let hashed = read_back(context, &mut **ingest, core.hasher.clone()).await;
            core.hasher = hashed.map_err(|error| Error::storage(&self.subject, error))?;
        }
        Ok(())
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

/// Moves the bytes of `ingest` to where `digest` lies, unless they are there already, and links them.
async fn place(
    context: &IngestContext,
    ingest: &mut dyn Ingest,
    digest: &Digest,
    links: &LinkSet,
) -> Result<()> {
    let destination = layout::blob_data(digest);
    let storage = |error| Error::storage(format!("blob {digest}"), error);
    for attempt in 1.. {
        let condition = match context.blobs.examine(digest).await? {
            Soundness::Absent => Condition::IfAbsent,
            Soundness::Damaged => Condition::Replace,
            Soundness::Sound => {
                link_settled(context, digest, links).await?;
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
            then: links.link_first(digest),
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
async fn link_moved(context: &IngestContext, digest: &Digest, links: &LinkSet) -> Result<()> {
    match context.blobs.examine(digest).await? {
        Soundness::Sound => link_settled(context, digest, links).await,
        // Whoever has moved them has not committed this digest, or they have gone again.
        Soundness::Absent | Soundness::Damaged => Err(Error::new(
            ErrorKind::UploadUnknown,
            format!("upload of blob {digest}"),
        )),
    }
}

/// Links bytes that somebody else has put in their place, once these are durable.
async fn link_settled(context: &IngestContext, digest: &Digest, links: &LinkSet) -> Result<()> {
    let storage = |error| Error::storage(format!("blob {digest}"), error);
    context
        .driver
        .settle(&layout::blob_data(digest))
        .await
        .map_err(storage)?;
    context
        .driver
        .put(&links.link_further(digest).await, Durability::Durable)
        .await
        .map_err(storage)
}
