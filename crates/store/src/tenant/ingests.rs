//! What a tenant is writing: ingests under refs, which are any text.
//!
//! The directory of an ingest is named by the sha256 digest of its ref; the file `ref` in it says
//! what its name does not:
//!
//! ```text
//! JSON: {"ref": REF, "total": BYTES, "started_at": TIME, "updated_at": TIME}
//! TIME  RFC 3339 with nanoseconds
//! ```
//!
//! It is written before the start of the ingest and once more when its writer ends. If that ends with
//! its process, the time of the last write is that of the data.

use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_driver::{DriverExt as _, Durability, Put};
use wharfinger_oci::{Algorithm, Digest, UploadId};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Expected, IngestSet, IngestWriter, Purpose, Sharing};
use crate::layout;

use super::Tenant;
use super::claim::{Claim, Labels, timestamp};

/// 8 KiB: containerd's are a name and a digest, some hundred bytes.
pub const MAX_REFERENCE_BYTES: usize = 8 * 1024;

/// What is known of one ingest of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantIngest {
    /// Its name.
    pub reference: String,
    /// How many bytes have arrived.
    pub offset: u64,
    /// How many there will be, as whoever began it said; 0 when they did not know.
    pub total_bytes: u64,
    /// When it was begun.
    pub started_at: SystemTime,
    /// When something was last written to it.
    pub updated_at: SystemTime,
}

#[derive(Serialize, Deserialize)]
struct RecordJson {
    #[serde(rename = "ref")]
    reference: String,
    total: u64,
    started_at: Timestamp,
    updated_at: Timestamp,
}

impl TenantIngest {
    fn print(&self) -> Bytes {
        let json = RecordJson {
            reference: self.reference.clone(),
            total: self.total_bytes,
            started_at: timestamp(self.started_at),
            updated_at: timestamp(self.updated_at),
        };
        let text = serde_json::to_vec(&json).expect("times, numbers and texts are always JSON");
        text.into()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let json: RecordJson = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            reference: json.reference,
            offset: 0,
            total_bytes: json.total,
            started_at: json.started_at.into(),
            updated_at: json.updated_at.into(),
        })
    }
}

/// The name of the directory of the ingest `reference`.
fn id_of(reference: &str) -> UploadId {
    let digest = Digest::of(Algorithm::Sha256, reference.as_bytes());
    digest
        .hex()
        .parse()
        .expect("hexadecimal digits are an upload id")
}

impl Tenant {
    fn ingests(&self) -> IngestSet {
        IngestSet::new(
            std::sync::Arc::clone(&self.shared.ingests),
            layout::tenant_ingests(&self.directory),
            self.links(),
            Sharing::WithNobody,
        )
    }

    fn no_ingest(reference: &str) -> Error {
        Error::new(ErrorKind::UploadUnknown, format!("ingest {reference:?}"))
    }

    /// Returns where an ingest stands that nobody has open. Of one that is open this is what was last
    /// saved.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none.
    pub async fn ingest(&self, reference: &str) -> Result<TenantIngest> {
        self.look_at(&id_of(reference), || Self::no_ingest(reference))
            .await
    }

    async fn look_at(&self, id: &UploadId, unknown: impl Fn() -> Error) -> Result<TenantIngest> {
        let (status, written) = match self.ingests().look(id).await {
            Err(error) if *error.kind() == ErrorKind::UploadUnknown => return Err(unknown()),
            looked => looked?,
        };
        let path = self.ingests().paths(id).reference();
        let record = self.shared.driver.find_small(&path).await;
        let record = record.map_err(|error| Error::storage(path.to_string(), error))?;
        let record = record.and_then(|bytes| TenantIngest::parse(&bytes));
        // One that was cut short while it was begun or removed is none.
        let mut ingest = record.ok_or_else(unknown)?;
        ingest.offset = status.offset;
        if let Some(written) = written.filter(|_| status.offset > 0) {
            ingest.updated_at = ingest.updated_at.max(written);
        }
        Ok(ingest)
    }

    /// Returns what the tenant is writing, as far as it was saved. One that cannot be made out is left
    /// out.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn list_ingests(&self) -> Result<Vec<TenantIngest>> {
        let mut found = Vec::new();
        for id in self.ingests().ids().await? {
            match self.look_at(&id, || Self::no_ingest(id.as_str())).await {
                Ok(ingest) => found.push(ingest),
                Err(error) if *error.kind() == ErrorKind::UploadUnknown => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Opens an ingest, and begins it when it is not there. One that was begun for another total is
    /// begun anew.
    ///
    /// # Errors
    /// Fails with `UploadBusy` at once when somebody else has it open.
    pub async fn open_ingest(
        &self,
        reference: &str,
        total_bytes: u64,
    ) -> Result<(IngestWriter, TenantIngest)> {
        let (ingests, id) = (self.ingests(), id_of(reference));
        let found = match self.ingest(reference).await {
            Ok(found) => Some(found),
            Err(error) if *error.kind() == ErrorKind::UploadUnknown => None,
            Err(error) => return Err(error),
        };
        if let Some(mut ingest) = found {
            match ingests.open(&id, Purpose::Append).await {
                Ok(mut writer) => {
                    if total_bytes > 0
                        && ingest.total_bytes > 0
                        && total_bytes != ingest.total_bytes
                    {
                        writer.truncate(0).await?;
                        ingest = self.begin_ingest(reference, total_bytes).await?;
                    }
                    ingest.offset = writer.offset();
                    return Ok((writer, ingest));
                }
                // A commit has moved its bytes and was cut short before it removed the rest.
                Err(error) if *error.kind() == ErrorKind::UploadUnknown => {
                    self.abort_ingest(reference).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let ingest = self.begin_ingest(reference, total_bytes).await?;
        let mut writer = ingests.open(&id, Purpose::Append).await?;
        if writer.offset() > 0 {
            // Left by one that was cut short while it was removed.
            writer.truncate(0).await?;
        }
        Ok((writer, ingest))
    }

    async fn begin_ingest(&self, reference: &str, total_bytes: u64) -> Result<TenantIngest> {
        let now = self.shared.ingests.runtime.clock.now();
        let ingest = TenantIngest {
            reference: reference.to_owned(),
            offset: 0,
            total_bytes,
            started_at: now,
            updated_at: now,
        };
        let (ingests, id) = (self.ingests(), id_of(reference));
        let record = Put::replace(ingests.paths(&id).reference(), ingest.print());
        ingests.create_after(&id, vec![record]).await?;
        Ok(ingest)
    }

    /// Saves what its writer knows of an ingest beside the bytes.
    ///
    /// # Errors
    /// Fails when the storage does.
    pub async fn save_ingest(&self, ingest: &TenantIngest) -> Result<()> {
        let path = self.ingests().paths(&id_of(&ingest.reference)).reference();
        let saved = self
            .shared
            .driver
            .put_one(&path, ingest.print(), Durability::Scratch);
        saved
            .await
            .map_err(|error| Error::storage(path.to_string(), error))
    }

    /// Removes an ingest that nobody has open, with all its bytes.
    ///
    /// # Errors
    /// Fails with `UploadUnknown` when there is none, and with `UploadBusy` when somebody has it open.
    pub async fn abort_ingest(&self, reference: &str) -> Result<()> {
        match self.ingests().abort(&id_of(reference)).await {
            Err(error) if *error.kind() == ErrorKind::UploadUnknown => {
                Err(Self::no_ingest(reference))
            }
            aborted => aborted,
        }
    }

    /// Commits an ingest: the bytes become a blob, and the tenant has a claim to it with `labels`.
    ///
    /// # Errors
    /// Those of [`IngestWriter::commit`].
    pub async fn commit_ingest(
        &self,
        writer: IngestWriter,
        expected: Expected,
        labels: Labels,
    ) -> Result<Claim> {
        let _turn = self.turn(&expected.digest).await;
        let (note, record) = self.new_claim(&expected.digest, labels);
        let committed = writer.commit_with(expected, vec![note]).await?;
        self.hold_committed(&committed.digest).await;
        Ok(record.claim(&committed.digest, committed.size_bytes))
    }
}
