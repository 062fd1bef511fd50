//! A tenant's claims: made, looked at, changed, dropped and mended.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use wharfinger_driver::{
    Condition, DriverExt as _, Durability, EntryKind, ErrorKind as DriverErrorKind, Put, ReadRange,
};
use wharfinger_oci::{Algorithm, Digest};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, ClaimPaths};
use crate::repository::{BlobInfo, BlobRead};

use super::Tenant;
use super::claim::{Claim, Labels, MOST_CLAIM_BYTES, Record};

/// 8 claims of a page are read at once.
const READ_AT_ONCE: usize = 8;

/// 1,000 claims are mended between two looks at whether anybody else wants the thread.
const MENDED_AT_ONCE: usize = 1000;

/// A part of a tenant's claims, in the order of their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPage {
    /// The claims whose bytes are there.
    pub claims: Vec<Claim>,
    /// Where to go on after; `None` at the end.
    pub next: Option<Digest>,
}

impl Tenant {
    fn claim_paths(&self, digest: &Digest) -> ClaimPaths {
        ClaimPaths::new(&self.directory, digest)
    }

    fn unknown(&self, digest: &Digest) -> Error {
        let subject = format!("blob {digest} of {}", self.directory);
        Error::new(ErrorKind::BlobUnknown, subject)
    }

    fn storage(&self, digest: &Digest, error: wharfinger_driver::Error) -> Error {
        Error::storage(format!("claim to {digest} of {}", self.directory), error)
    }

    /// Returns the tenant's claim to a blob.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when there is none, or the bytes are not there.
    pub async fn claim(&self, digest: &Digest) -> Result<Claim> {
        let record = self.record(digest).await?;
        let record = record.ok_or_else(|| self.unknown(digest))?;
        let size_bytes = self.size(digest).await?;
        let size_bytes = size_bytes.ok_or_else(|| self.unknown(digest))?;
        Ok(record.claim(digest, size_bytes))
    }

    /// Returns what is noted of a claim, `None` when there is no claim.
    async fn record(&self, digest: &Digest) -> Result<Option<Record>> {
        let paths = self.claim_paths(digest);
        let driver = &self.shared.driver;
        match driver.get(&paths.claim(), MOST_CLAIM_BYTES).await {
            Ok(bytes) => {
                if let Some(record) = Record::parse(&bytes) {
                    // The link is the right; the note alone is none.
                    let link = driver.find(&paths.link()).await;
                    let link = link.map_err(|error| self.storage(digest, error))?;
                    return Ok(link.map(|_| record));
                }
            }
            Err(error) if error.kind() == DriverErrorKind::NotFound => {}
            Err(error) => return Err(self.storage(digest, error)),
        }
        if self.links().resolve(digest).await? != Some(*digest) {
            return Ok(None);
        }
        let link = driver.find(&paths.link()).await;
        let link = link.map_err(|error| self.storage(digest, error))?;
        Ok(link.map(|link| Record::new(link.modified, Labels::new())))
    }

    /// Returns the length of a blob that the tenant has a claim to, `None` when it is not there. What
    /// somebody else has collected is put back.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let mut found = self.shared.blobs.stat(digest).await?;
        if found.is_none() && self.restore(digest).await? {
            found = self.shared.blobs.stat(digest).await?;
        }
        Ok(found.map(|found| found.size_bytes))
    }

    /// Gives the bytes that a claim holds their place back. Tells whether they have it now.
    async fn restore(&self, digest: &Digest) -> Result<bool> {
        let held = self.claim_paths(digest).data();
        let place = layout::blob_data(digest);
        let driver = &self.shared.driver;
        match driver.link(&held, &place, Condition::IfAbsent).await {
            Ok(()) => {
                tracing::warn!(%digest, tenant = %self.directory, "put back bytes that a claim holds and somebody has removed");
                driver
                    .settle(&place)
                    .await
                    .map_err(|error| self.storage(digest, error))?;
                Ok(true)
            }
            Err(error) => match error.kind() {
                DriverErrorKind::AlreadyExists
                | DriverErrorKind::NotFound
                | DriverErrorKind::Unsupported => Ok(false),
                _ => Err(self.storage(digest, error)),
            },
        }
    }

    /// Gives the bytes a second name with the claim, or puts them back by it. Without one, where there
    /// can be none, the claim still is one.
    async fn hold(&self, digest: &Digest) -> Result<()> {
        let held = self.claim_paths(digest).data();
        let place = layout::blob_data(digest);
        let linked = self.shared.driver.link(&place, &held, Condition::Replace);
        match linked.await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == DriverErrorKind::Unsupported => Ok(()),
            Err(error) if error.kind() == DriverErrorKind::NotFound => {
                self.restore(digest).await.map(drop)
            }
            Err(error) => Err(self.storage(digest, error)),
        }
    }

    /// The write that notes `record`.
    fn note(&self, digest: &Digest, record: &Record) -> Put {
        Put::replace(self.claim_paths(digest).claim(), record.print())
    }

    fn now(&self) -> SystemTime {
        self.shared.ingests.runtime.clock.now()
    }

    /// Claims a blob that the store has, whoever brought it.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when the store does not have it.
    pub async fn adopt(&self, digest: &Digest) -> Result<Claim> {
        let _turn = self.turn(digest).await;
        if let Some(record) = self.record(digest).await? {
            let size_bytes = self.size(digest).await?;
            let size_bytes = size_bytes.ok_or_else(|| self.unknown(digest))?;
            return Ok(record.claim(digest, size_bytes));
        }
        let found = self.shared.blobs.stat(digest).await?;
        let found = found.ok_or_else(|| self.unknown(digest))?;
        let record = Record::new(self.now(), Labels::new());
        let driver = &self.shared.driver;
        let storage = |error| self.storage(digest, error);
        driver
            .settle(&layout::blob_data(digest))
            .await
            .map_err(storage)?;
        let writes = [self.note(digest, &record), self.links().link(digest)];
        driver
            .put(&writes, Durability::Durable)
            .await
            .map_err(storage)?;
        self.hold(digest).await?;
        Ok(record.claim(digest, found.size_bytes))
    }

    /// Changes the labels of a claim.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when there is no claim, and as `change` does.
    pub async fn relabel<E: From<Error>>(
        &self,
        digest: &Digest,
        change: impl FnOnce(&mut Labels) -> Result<(), E>,
    ) -> Result<Claim, E> {
        let _turn = self.turn(digest).await;
        let mut claim = self.claim(digest).await?;
        change(&mut claim.labels)?;
        claim.labels.retain(|_, value| !value.is_empty());
        claim.updated_at = self.now();
        let record = Record {
            created_at: claim.created_at,
            updated_at: claim.updated_at,
            labels: claim.labels.clone(),
        };
        let note = [self.note(digest, &record)];
        let written = self.shared.driver.put(&note, Durability::Durable).await;
        written.map_err(|error| self.storage(digest, error))?;
        Ok(claim)
    }

    /// Drops a claim. The bytes stay as long as anybody else has a right to them.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when there is none.
    pub async fn unclaim(&self, digest: &Digest) -> Result<()> {
        let _turn = self.turn(digest).await;
        let directory = self.claim_paths(digest).directory;
        let driver = &self.shared.driver;
        let was_there = self.record(digest).await?.is_some();
        let dropped = driver
            .delete_if_there(&directory, Durability::Durable)
            .await;
        dropped.map_err(|error| self.storage(digest, error))?;
        if was_there {
            Ok(())
        } else {
            Err(self.unknown(digest))
        }
    }

    /// Waits until nobody else makes, changes or drops the claim.
    pub(super) async fn turn(&self, digest: &Digest) -> tokio::sync::MutexGuard<'_, ()> {
        let directory = self.claim_paths(digest).directory;
        self.shared.tag_locks.claim(&directory).await
    }

    /// What a commit writes with the link, and the claim that it makes.
    pub(super) fn new_claim(&self, digest: &Digest, labels: Labels) -> (Put, Record) {
        let record = Record::new(self.now(), labels);
        (self.note(digest, &record), record)
    }

    /// Holds what was just committed. The claim stands without it, so a failure is only told.
    pub(super) async fn hold_committed(&self, digest: &Digest) {
        if let Err(error) = self.hold(digest).await {
            tracing::warn!(%digest, tenant = %self.directory, %error, "a claim does not hold its bytes by a name of their own");
        }
    }

    /// Opens a blob that the tenant has a claim to. `offset` may be its end.
    ///
    /// # Errors
    /// Fails with `BlobUnknown` when there is no claim or no bytes, and with `OffsetInvalid`, which
    /// tells the length, when `offset` lies beyond the end.
    pub async fn read(
        &self,
        digest: &Digest,
        offset: u64,
        length: Option<u64>,
    ) -> Result<BlobRead> {
        if self.record(digest).await?.is_none() {
            return Err(self.unknown(digest));
        }
        let size_bytes = self.size(digest).await?;
        let size_bytes = size_bytes.ok_or_else(|| self.unknown(digest))?;
        let info = BlobInfo {
            digest: *digest,
            size_bytes,
        };
        if offset > size_bytes {
            let subject = format!("blob {digest}");
            return Err(Error::new(
                ErrorKind::OffsetInvalid { offset: size_bytes },
                subject,
            ));
        }
        if offset == size_bytes || length == Some(0) {
            return Ok(BlobRead {
                info,
                start: offset,
                length: 0,
                bytes: stream::empty::<Result<Bytes>>().boxed(),
            });
        }
        let range = ReadRange {
            start: offset,
            length,
        };
        let open = self.shared.blobs.read(digest, range, digest).await?;
        let open = open.ok_or_else(|| self.unknown(digest))?;
        Ok(BlobRead {
            info,
            start: open.start,
            length: open.length,
            bytes: open.bytes,
        })
    }

    /// Returns claims in the order of their digests, from after `after` on. A page may hold fewer
    /// than `limit`, or none, ahead of the end: claims whose bytes are gone are left out.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn claims(&self, after: Option<&Digest>, limit: usize) -> Result<ClaimPage> {
        let digests = self.claimed(after, limit).await?;
        let next = (digests.len() == limit).then(|| digests.last().copied());
        let found = stream::iter(digests).map(|digest| async move {
            match self.claim(&digest).await {
                Ok(claim) => Ok(Some(claim)),
                Err(error) if *error.kind() == ErrorKind::BlobUnknown => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found: Vec<_> = found.buffered(READ_AT_ONCE).collect().await;
        let claims = found.into_iter().filter_map(Result::transpose);
        Ok(ClaimPage {
            claims: claims.collect::<Result<_>>()?,
            next: next.flatten(),
        })
    }

    /// Returns what has a directory among the claims.
    async fn claimed(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let mut from = match after {
                Some(after) if after.algorithm() > algorithm => continue,
                Some(after) if after.algorithm() == algorithm => Some(after.hex()),
                _ => None,
            };
            let directory = layout::claims(&self.directory, algorithm);
            while digests.len() < limit {
                let wanted = limit - digests.len();
                let page = self.shared.driver.list(&directory, from.as_deref(), wanted);
                let page = match page.await {
                    Ok(page) => page,
                    Err(error) if error.kind() == DriverErrorKind::NotFound => break,
                    Err(error) => return Err(Error::storage(directory.to_string(), error)),
                };
                from = page.entries.last().map(|entry| entry.name.clone());
                let parsed = page.entries.iter().filter_map(|entry| {
                    let digest = format!("{algorithm}:{}", entry.name)
                        .parse::<Digest>()
                        .ok()?;
                    (entry.kind == EntryKind::Directory).then_some(digest)
                });
                digests.extend(parsed);
                if !page.more {
                    break;
                }
            }
        }
        Ok(digests)
    }

    /// Sees to it that every claim of the tenant and of its namespaces holds its bytes: what was lost
    /// with the power, or collected by others, is put right. Returns how many there are.
    ///
    /// # Errors
    /// Fails when the storage does; the claims seen so far are mended.
    pub async fn mend(&self) -> Result<usize> {
        let mut mended = self.mend_here().await?;
        let namespaces = layout::namespaces(&self.directory);
        let entries = self.shared.driver.list_all(&namespaces).await;
        let entries = entries.map_err(|error| Error::storage(namespaces.to_string(), error))?;
        for name in entries.iter().filter_map(|entry| entry.name.parse().ok()) {
            mended += self.namespace(&name).mend_here().await?;
        }
        Ok(mended)
    }

    async fn mend_here(&self) -> Result<usize> {
        let (mut after, mut mended) = (None, 0);
        loop {
            let digests = self.claimed(after.as_ref(), MENDED_AT_ONCE).await?;
            for digest in &digests {
                let _turn = self.turn(digest).await;
                if self.record(digest).await?.is_some() {
                    self.hold(digest).await?;
                    mended += 1;
                }
            }
            after = digests.last().copied();
            if digests.len() < MENDED_AT_ONCE {
                return Ok(mended);
            }
        }
    }
}
