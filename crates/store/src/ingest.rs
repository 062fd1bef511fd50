//! The one ingest engine: values that arrive piece by piece, are hashed as they arrive, survive
//! whoever takes them in, and become blobs by one commit.
//!
//! An HTTP upload is an ingest; what containerd writes will be one. [`IngestSet`] is where a
//! tenant's ingests lie together with the links that a commit makes; [`IngestWriter`] is the one
//! handle on an ingest while a request writes to it.

mod finish;
mod marker;
mod pipeline;
mod progress;
mod recovery;
mod started;
mod writer;

pub use finish::{Committed, Expected};
pub use writer::IngestWriter;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use wharfinger_driver::{
    self as driver, Driver, DriverExt as _, DriverPath, Durability, EntryKind,
    ErrorKind as DriverErrorKind, Resume, Target,
};
use wharfinger_oci::{Digest, UploadId};
use wharfinger_runtime::{Runtime, Secret};

use crate::blobs::Blobs;
use crate::error::{Error, ErrorKind, Result, or_unknown};
use crate::layout::{self, IngestPaths};
use crate::links::LinkSet;

use self::marker::Marker;
use self::recovery::{Plan, nothing};

/// What every ingest of a store shares.
#[derive(Debug)]
pub(crate) struct IngestContext {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) runtime: Runtime,
    pub(crate) blobs: Blobs,
    /// Keys the MAC of our markers.
    pub(crate) secret: Secret<Vec<u8>>,
    /// Shares in the memory for large batches.
    pub(crate) budget: Arc<Semaphore>,
}

impl IngestContext {
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        runtime: Runtime,
        blobs: Blobs,
        secret: Secret<Vec<u8>>,
    ) -> Self {
        Self {
            driver,
            runtime,
            blobs,
            secret,
            budget: Arc::new(Semaphore::new(pipeline::LARGE_BATCHES)),
        }
    }
}

/// The ingests of one tenant, such as the uploads to a repository.
#[derive(Debug, Clone)]
pub struct IngestSet {
    context: Arc<IngestContext>,
    /// Each ingest has a directory of its own in here.
    directory: DriverPath,
    /// Where a commit links what has arrived.
    links: LinkSet,
}

/// What is known of an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestStatus {
    /// Its name.
    pub id: UploadId,
    /// How many bytes have arrived, and where the next ones belong.
    pub offset: u64,
    /// When it was started, in whole seconds.
    pub started_at: SystemTime,
}

/// What an ingest is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To append to it.
    Append,
    /// To append the last bytes, if any, and commit. The caller knows it to stand at `offset`; what
    /// an earlier finish has appended there and never answered is dropped.
    Finish {
        /// Where the caller goes on.
        offset: u64,
    },
}

impl IngestSet {
    pub(crate) fn new(context: Arc<IngestContext>, directory: DriverPath, links: LinkSet) -> Self {
        Self {
            context,
            directory,
            links,
        }
    }

    fn paths(&self, id: &UploadId) -> IngestPaths {
        IngestPaths::new(&self.directory, id)
    }

    fn unknown(id: &UploadId) -> Error {
        Error::new(ErrorKind::UploadUnknown, format!("upload {id}"))
    }

    /// Starts an ingest. Nothing is written but the time; the data comes with the first bytes.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn create(&self, id: &UploadId) -> Result<IngestStatus> {
        let started_at = started::whole_seconds(self.context.runtime.clock.now());
        let path = self.paths(id).started_at();
        // Scratch: an upload that a power cut takes at its start is started again.
        let written = self
            .context
            .driver
            .put_one(&path, started::print(started_at), Durability::Scratch)
            .await;
        written.map_err(|error| Error::storage(format!("upload {id}"), error))?;
        Ok(IngestStatus {
            id: id.clone(),
            offset: 0,
            started_at,
        })
    }

    async fn started_at(&self, id: &UploadId) -> Result<SystemTime> {
        let bytes = self
            .context
            .driver
            .get_small(&self.paths(id).started_at())
            .await;
        let bytes = or_unknown(bytes, ErrorKind::UploadUnknown, || format!("upload {id}"))?;
        // A time that cannot be read was lost with the power, and so was the upload's beginning.
        started::parse(&bytes).ok_or_else(|| Self::unknown(id))
    }

    /// Returns where an ingest stands. Somebody may be writing to it meanwhile.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none.
    pub async fn status(&self, id: &UploadId) -> Result<IngestStatus> {
        let started_at = self.started_at(id).await?;
        let plan = recovery::plan(&self.context, &self.paths(id)).await?;
        Ok(IngestStatus {
            id: id.clone(),
            offset: plan.at,
            started_at,
        })
    }

    /// Opens an ingest for writing.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none, and with `UploadBusy` at once when somebody
    /// else has it open.
    pub async fn open(&self, id: &UploadId, purpose: Purpose) -> Result<IngestWriter> {
        let started_at = self.started_at(id).await?;
        let paths = self.paths(id);
        let mut plan = recovery::plan(&self.context, &paths).await?;
        if let Purpose::Finish { offset } = purpose
            && offset < plan.at
            && offset == plan.acknowledged.unwrap_or(0)
        {
            self.go_back(&mut plan, &paths, offset).await?;
        }
        if plan.cut {
            let keep = (plan.hashed.offset() == plan.at).then_some(&plan.hashed);
            progress::drop_states_beyond(&self.context, &paths, plan.at, keep).await?;
        }
        let subject = || format!("upload {id}");
        let ingest = self
            .open_data(&paths, &plan, purpose)
            .await
            .map_err(|error| match error.kind() {
                DriverErrorKind::NotFound => Self::unknown(id),
                _ => Error::storage(subject(), error),
            })?;
        IngestWriter::staged(self, id, paths, started_at, plan, ingest).await
    }

    /// Opens the data of an ingest; `None` when a finish that was cut short has moved it, and
    /// another finish may go on there.
    async fn open_data(
        &self,
        paths: &IngestPaths,
        plan: &Plan,
        purpose: Purpose,
    ) -> driver::Result<Option<Box<dyn driver::Ingest>>> {
        let driver = &self.context.driver;
        if plan.at == 0 && plan.found.is_none() {
            return driver.begin(&Target::Staged(paths.data())).await.map(Some);
        }
        let resume = Resume {
            at: Some(plan.at),
            state: plan.hashed.driver.clone(),
            found: plan.found,
        };
        match (driver.resume(&paths.data(), resume).await, purpose) {
            (Err(error), Purpose::Finish { .. }) if error.kind() == DriverErrorKind::NotFound => {
                Ok(None)
            }
            (resumed, _) => resumed.map(Some),
        }
    }

    /// Goes back to where the last answered request has ended.
    async fn go_back(&self, plan: &mut Plan, paths: &IngestPaths, offset: u64) -> Result<()> {
        let acknowledged = match self.marker(paths).await? {
            Some(Marker {
                latest: Some(latest),
                ..
            }) if latest.offset() == offset => latest,
            _ if offset == 0 => nothing(plan.hashed.hasher.algorithm()),
            _ => return Ok(()),
        };
        plan.at = offset;
        plan.synced.take_if(|synced| synced.offset() > offset);
        plan.hashed = acknowledged;
        plan.cut = true;
        Ok(())
    }

    async fn marker(&self, paths: &IngestPaths) -> Result<Option<Marker>> {
        let bytes = self.context.driver.find_small(&paths.marker()).await;
        let bytes = bytes.map_err(|error| Error::storage(paths.directory.to_string(), error))?;
        Ok(bytes.and_then(|bytes| Marker::parse(&self.context.secret, &paths.directory, &bytes)))
    }

    /// Opens an ingest that is written in one go to where its digest says. Unless it is committed,
    /// nothing of it is left.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn direct(&self, digest: &Digest) -> Result<IngestWriter> {
        let target = Target::Final(layout::blob_data(digest));
        let ingest = self.context.driver.begin(&target).await;
        let ingest = ingest.map_err(|error| Error::storage(format!("blob {digest}"), error))?;
        Ok(IngestWriter::direct(self, digest.algorithm(), ingest))
    }

    /// Removes an ingest with all its bytes.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none, and with `UploadBusy` when somebody is writing to it.
    pub async fn abort(&self, id: &UploadId) -> Result<()> {
        self.started_at(id).await?;
        let paths = self.paths(id);
        let storage = |error| Error::storage(format!("upload {id}"), error);
        // Held until all is gone, so that nobody writes meanwhile.
        let held = match self
            .context
            .driver
            .resume(&paths.data(), Resume::default())
            .await
        {
            Err(error) if error.kind() == DriverErrorKind::Busy => return Err(storage(error)),
            // Without data, or with data that cannot be opened, there is nothing to hold.
            held => held.ok(),
        };
        progress::remove(&self.context, &paths)
            .await
            .map_err(storage)?;
        drop(held);
        Ok(())
    }

    /// Returns the ingests that are in progress, in the order of their names.
    ///
    /// # Errors
    /// Fails when the storage does. What is no ingest, or has gone meanwhile, is left out.
    pub async fn list(&self) -> Result<Vec<IngestStatus>> {
        let entries = self.context.driver.list_all(&self.directory).await;
        let entries = entries.map_err(|error| Error::storage(self.directory.to_string(), error))?;
        let mut found = Vec::new();
        for entry in entries {
            let Ok(id) = entry.name.parse::<UploadId>() else {
                continue;
            };
            if entry.kind != EntryKind::Directory {
                continue;
            }
            match self.status(&id).await {
                Ok(status) => found.push(status),
                Err(error) if *error.kind() == ErrorKind::UploadUnknown => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
