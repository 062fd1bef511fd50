//! The one ingest engine: values that arrive piece by piece, are hashed as they arrive, survive
//! whoever takes them in, and become blobs by one commit.
//!
//! An HTTP upload is an ingest, and so is what containerd writes. [`IngestSet`] is where a
//! tenant's ingests lie together with the links that a commit makes; [`IngestWriter`] is the one
//! handle on an ingest while a request writes to it.

mod finish;
mod marker;
mod pipeline;
mod progress;
mod purge;
mod recovery;
pub(crate) mod started;
mod survey;
mod through;
mod writer;

pub use finish::{Committed, Expected};
pub use purge::Purged;
pub use survey::{UploadState, UploadSurvey};
pub use writer::IngestWriter;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use wharfinger_driver::{
    self as driver, Driver, DriverExt as _, DriverPath, Durability, EntryKind,
    ErrorKind as DriverErrorKind, Metadata, Put, Resume, Target,
};
use wharfinger_oci::{Digest, UploadId};
use wharfinger_runtime::{Runtime, Secret};

use crate::blobs::Blobs;
use crate::error::{Error, ErrorKind, Result, or_unknown};
use crate::layout::{self, IngestPaths};
use crate::links::LinkSet;

use self::marker::Marker;
use self::recovery::Plan;

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

    /// Returns our marker of an ingest; what is none of ours counts as none.
    async fn read_marker(&self, paths: &IngestPaths) -> Result<Option<Marker>> {
        let path = paths.marker();
        let bytes = match self.driver.get(&path, marker::MOST_MARKER_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) => {
                return match error.kind() {
                    DriverErrorKind::NotFound | DriverErrorKind::TooLarge => Ok(None),
                    _ => Err(Error::storage(path.to_string(), error)),
                };
            }
        };
        Ok(Marker::parse(&self.secret, &paths.directory, &bytes))
    }

    /// Writes our marker of an ingest. One that tells of what outlives a power cut does so itself.
    async fn write_marker(&self, paths: &IngestPaths, marker: &Marker) -> driver::Result<()> {
        let durability = match marker.synced {
            Some(_) => Durability::Apart,
            None => Durability::Scratch,
        };
        let bytes = marker.print(&self.secret, &paths.directory);
        self.driver
            .put_one(&paths.marker(), bytes, durability)
            .await
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
    sharing: Sharing,
}

/// Who else goes on with the ingests of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Nodes of Distribution: they see the data, so all of it counts, and read and write its states.
    WithForeignNodes,
    /// Nobody but this code: an ingest goes on from what was saved, so that nothing is read back.
    WithNobody,
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
    pub(crate) fn new(
        context: Arc<IngestContext>,
        directory: DriverPath,
        links: LinkSet,
        sharing: Sharing,
    ) -> Self {
        Self {
            context,
            directory,
            links,
            sharing,
        }
    }

    pub(crate) fn paths(&self, id: &UploadId) -> IngestPaths {
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
        self.create_after(id, Vec::new()).await
    }

    /// Starts an ingest after `writes`: from its start on they are there.
    pub(crate) async fn create_after(
        &self,
        id: &UploadId,
        mut writes: Vec<Put>,
    ) -> Result<IngestStatus> {
        let started_at = started::whole_seconds(self.context.runtime.clock.now());
        let path = self.paths(id).started_at();
        writes.push(Put::replace(path, started::print(started_at)));
        // Scratch: an upload that a power cut takes at its start is started again.
        let written = self.context.driver.put(&writes, Durability::Scratch).await;
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
        Ok(self.look(id).await?.0)
    }

    /// Returns where an ingest stands, and when its data was last written if that can be seen.
    pub(crate) async fn look(&self, id: &UploadId) -> Result<(IngestStatus, Option<SystemTime>)> {
        let started_at = self.started_at(id).await?;
        let paths = self.paths(id);
        let data = self.data(&paths).await?;
        let plan = self.plan(&paths, data.as_ref()).await?;
        let status = IngestStatus {
            id: id.clone(),
            offset: plan.at,
            started_at,
        };
        Ok((status, data.map(|data| data.modified)))
    }

    /// Decides where to go on.
    async fn plan(&self, paths: &IngestPaths, data: Option<&Metadata>) -> Result<Plan> {
        let mut plan = recovery::plan(&self.context, paths, data).await?;
        if self.sharing == Sharing::WithNobody {
            plan.go_back_to_saved();
        }
        Ok(plan)
    }

    /// Returns what is seen of the data of an ingest; `None` when there is nothing to be seen.
    async fn data(&self, paths: &IngestPaths) -> Result<Option<Metadata>> {
        if !self.context.driver.capabilities().staged_is_visible {
            return Ok(None);
        }
        let data = self.context.driver.find(&paths.data()).await;
        data.map_err(|error| Error::storage(paths.directory.to_string(), error))
    }

    /// Opens an ingest for writing.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none, and with `UploadBusy` at once when somebody
    /// else has it open.
    pub async fn open(&self, id: &UploadId, purpose: Purpose) -> Result<IngestWriter> {
        let started_at = self.started_at(id).await?;
        let paths = self.paths(id);
        let (mut plan, ingest) = self.lock(&paths).await?;
        if let Purpose::Finish { offset } = purpose {
            plan.go_back_to(offset);
        }
        let storage = |error| Error::storage(format!("upload {id}"), error);
        let ingest = match (ingest, purpose) {
            (Some(mut ingest), _) => {
                if plan.cut {
                    let marker = plan.marker(&self.context.runtime.host);
                    progress::drop_states_beyond(&self.context, &paths, plan.at, &marker).await?;
                    ingest.rewind(&plan.point()).await.map_err(storage)?;
                }
                Some(ingest)
            }
            (None, _) if plan.at == 0 => Some(self.begin(id, &paths).await?),
            // A finish that was cut short has moved the data, and another finish may go on there.
            (None, Purpose::Finish { .. }) => None,
            (None, Purpose::Append) => return Err(Self::unknown(id)),
        };
        IngestWriter::staged(self, id, paths, started_at, plan, ingest).await
    }

    /// Takes the lock of an ingest, if it has any data, and decides where to go on. Whatever is
    /// looked at is looked at under the lock: ahead of it somebody else may be writing.
    async fn lock(&self, paths: &IngestPaths) -> Result<(Plan, Option<Box<dyn driver::Ingest>>)> {
        let context = &*self.context;
        let busy = || Error::new(ErrorKind::UploadBusy, paths.directory.to_string());
        if context.driver.capabilities().staged_is_visible {
            let Some(ingest) = self.resume(paths, Resume::default()).await? else {
                return Ok((self.plan(paths, None).await?, None));
            };
            let data = self.data(paths).await?;
            if data.as_ref().map(|data| data.size_bytes) != Some(ingest.offset()) {
                // A foreign node, which knows of no locks, is writing.
                return Err(busy());
            }
            let plan = self.plan(paths, data.as_ref()).await?;
            return Ok((plan, Some(ingest)));
        }
        // Only the marker tells where to go on; so it is read again under the lock.
        let plan = self.plan(paths, None).await?;
        if plan.at == 0 {
            return Ok((plan, None));
        }
        let point = plan.point();
        let resume = Resume {
            at: Some(point.offset),
            state: point.state.clone(),
        };
        let ingest = self.resume(paths, resume).await?;
        if ingest.is_some() && self.plan(paths, None).await?.point() != point {
            return Err(busy());
        }
        Ok((plan, ingest))
    }

    /// Opens the data of an ingest; `None` when there is none.
    async fn resume(
        &self,
        paths: &IngestPaths,
        resume: Resume,
    ) -> Result<Option<Box<dyn driver::Ingest>>> {
        match self.context.driver.resume(&paths.data(), resume).await {
            Ok(ingest) => Ok(Some(ingest)),
            Err(error) if error.kind() == DriverErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::storage(paths.directory.to_string(), error)),
        }
    }

    /// Begins the data of an ingest that has none yet.
    async fn begin(&self, id: &UploadId, paths: &IngestPaths) -> Result<Box<dyn driver::Ingest>> {
        let storage = |error| Error::storage(format!("upload {id}"), error);
        let target = Target::Staged(paths.data());
        let ingest = self.context.driver.begin(&target).await.map_err(storage)?;
        if let Err(error) = self.started_at(id).await {
            if *error.kind() == ErrorKind::UploadUnknown {
                // Removed since we looked: what was begun in its place must not stay.
                progress::remove(&self.context, paths)
                    .await
                    .map_err(storage)?;
            }
            return Err(error);
        }
        Ok(ingest)
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
        let mut found = Vec::new();
        for id in self.ids().await? {
            match self.status(&id).await {
                Ok(status) => found.push(status),
                Err(error) if *error.kind() == ErrorKind::UploadUnknown => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Returns what has a directory here that could be an ingest's, in the order of the names.
    pub(crate) async fn ids(&self) -> Result<Vec<UploadId>> {
        let entries = self.context.driver.list_all(&self.directory).await;
        let entries = entries.map_err(|error| Error::storage(self.directory.to_string(), error))?;
        let directories = entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::Directory);
        Ok(directories
            .filter_map(|entry| entry.name.parse().ok())
            .collect())
    }
}
