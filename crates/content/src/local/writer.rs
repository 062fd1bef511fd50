//! The writer of the local engine.

use async_trait::async_trait;
use bytes::Bytes;
use wharfinger_oci::Digest;
use wharfinger_store as store;
use wharfinger_store::{Expected, IngestWriter, TenantIngest};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, ContentWriter, Labels, Status};

use super::holders::{Held, Room};
use super::{Local, check_labels};

/// Writes to one ingest of a tenant.
#[derive(Debug)]
pub(super) struct LocalWriter {
    local: Local,
    held: Held,
    ingest: TenantIngest,
    digest: Digest,
}

impl LocalWriter {
    pub(super) fn new(local: Local, held: Held, ingest: TenantIngest, digest: Digest) -> Self {
        Self {
            local,
            held,
            ingest,
            digest,
        }
    }

    fn aborted(&self) -> Error {
        let message = format!("ingest {} was aborted", self.ingest.reference);
        Error::new(ErrorKind::Aborted, message)
    }

    /// Takes the writer out of its room; whoever takes it puts it back or ends it. A call that is
    /// dropped does neither: then what the last checkpoint covered is left.
    async fn take(&self) -> Result<(Room, IngestWriter)> {
        let mut room = self.held.room().await;
        let writer = room.take().ok_or_else(|| self.aborted())?;
        Ok((room, writer))
    }

    /// Notes where the ingest stands since now.
    fn moved_to(&mut self, offset: u64) {
        self.ingest.offset = offset;
        self.ingest.updated_at = self.local.runtime.clock.now();
        self.held.tell(&self.ingest);
    }

    /// Saves what was written, and what is known of it.
    async fn keep(&self, writer: IngestWriter) -> Result<()> {
        let closed = writer.close().await;
        // Also when the last write has failed: what was answered before is kept.
        self.local.tenant.save_ingest(&self.ingest).await?;
        closed?;
        Ok(())
    }

    /// Keeps the ingest whose commit fails with `error` before anything is done.
    async fn refuse(&self, writer: IngestWriter, error: Error) -> Error {
        if let Err(error) = self.keep(writer).await {
            tracing::warn!(reference = %self.ingest.reference, %error, "could not save an ingest whose commit was refused");
        }
        error
    }

    /// Looks for what can be found wrong without reading anything back, and returns the digest that
    /// the blob will have.
    fn check(&self, commit: &Commit) -> Result<Digest> {
        check_labels(&commit.labels)?;
        let (total, offset) = (commit.total_bytes, self.ingest.offset);
        if total > 0 && total != offset {
            let reference = &self.ingest.reference;
            let message = format!("{reference:?} failed size validation: {offset} != {total}");
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        let digest = self.digest;
        let expected = commit.expected.unwrap_or(digest);
        if expected != digest && expected.algorithm() == digest.algorithm() {
            let message = format!("unexpected commit digest {digest}, expected {expected}");
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        Ok(expected)
    }

    async fn place(&self, writer: IngestWriter, digest: Digest, labels: Labels) -> Result<Digest> {
        let expected = Expected {
            digest,
            size_bytes: Some(self.ingest.offset),
        };
        let tenant = &self.local.tenant;
        match tenant.commit_ingest(writer, expected, labels).await {
            Ok(claim) => Ok(claim.digest),
            Err(error) => {
                // The engine has kept it where it stood.
                if matches!(error.kind(), store::ErrorKind::DigestMismatch { .. }) {
                    tenant.save_ingest(&self.ingest).await?;
                }
                Err(error.into())
            }
        }
    }
}

#[async_trait]
impl ContentWriter for LocalWriter {
    fn status(&self) -> Status {
        self.ingest.clone().into()
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let (mut room, mut writer) = self.take().await?;
        let written = writer.write_through(bytes).await;
        let offset = writer.offset();
        *room = Some(writer);
        self.digest = written?;
        self.moved_to(offset);
        Ok(())
    }

    async fn truncate(&mut self) -> Result<()> {
        let (mut room, mut writer) = self.take().await?;
        let truncated = match writer.truncate(0).await {
            Ok(()) => writer.write_through(Bytes::new()).await,
            Err(error) => Err(error),
        };
        *room = Some(writer);
        self.digest = truncated?;
        self.moved_to(0);
        Ok(())
    }

    async fn commit(self: Box<Self>, commit: Commit) -> Result<Digest> {
        let (_room, writer) = self.take().await?;
        let digest = match self.check(&commit) {
            Ok(digest) => digest,
            Err(error) => return Err(self.refuse(writer, error).await),
        };
        match self.local.has(&digest).await {
            Ok(false) => self.place(writer, digest, commit.labels).await,
            Ok(true) => {
                writer.abort().await?;
                let message = format!("content {digest}: already exists");
                Err(Error::new(ErrorKind::AlreadyExists, message))
            }
            Err(error) => Err(self.refuse(writer, error).await),
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let (_room, writer) = self.take().await?;
        self.keep(writer).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let (_room, writer) = self.take().await?;
        Ok(writer.abort().await?)
    }
}
