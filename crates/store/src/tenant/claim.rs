//! What a claim says, and the file `claim` that keeps it.
//!
//! ```text
//! JSON: {"created_at": TIME, "updated_at": TIME, "labels": {KEY: VALUE}}
//! TIME  RFC 3339 with nanoseconds
//! ```
//!
//! The right itself is the link beside it; without this file there are no labels, and the times are
//! those of the link.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_oci::Digest;

/// Labels by their keys.
pub type Labels = BTreeMap<String, String>;

/// 1 MiB: a thousand times what containerd writes, and small enough to be rewritten at each change.
pub const MAX_LABELS_BYTES: usize = 1024 * 1024;

/// 8 MiB: every byte of a label may be written as six.
pub(super) const MOST_CLAIM_BYTES: u64 = 8 * 1024 * 1024;

/// A tenant's right to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The blob.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// When the claim was made.
    pub created_at: SystemTime,
    /// When it was made or its labels were changed.
    pub updated_at: SystemTime,
    /// What the tenant has noted.
    pub labels: Labels,
}

/// The part of a claim that its file keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) created_at: SystemTime,
    pub(super) updated_at: SystemTime,
    pub(super) labels: Labels,
}

#[derive(Serialize, Deserialize)]
struct RecordJson {
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: Labels,
}

impl Record {
    /// One that is made at `now`. Labels without a value are none.
    pub(super) fn new(now: SystemTime, mut labels: Labels) -> Self {
        labels.retain(|_, value| !value.is_empty());
        Self {
            created_at: now,
            updated_at: now,
            labels,
        }
    }

    pub(super) fn print(&self) -> Bytes {
        let json = RecordJson {
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            labels: self.labels.clone(),
        };
        let text = serde_json::to_vec(&json).expect("times and texts are always JSON");
        text.into()
    }

    /// Reads what was printed; `None` when it is something else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let json: RecordJson = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            created_at: json.created_at.into(),
            updated_at: json.updated_at.into(),
            labels: json.labels,
        })
    }

    pub(super) fn claim(self, digest: &Digest, size_bytes: u64) -> Claim {
        Claim {
            digest: *digest,
            size_bytes,
            created_at: self.created_at,
            updated_at: self.updated_at,
            labels: self.labels,
        }
    }
}

/// A time as it is written down; one that no calendar has becomes 1970.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_comes_back_to_the_nanosecond_and_without_empty_labels() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_795_316_348, 123_456_789);
        let labels = [("a/b.c", "\"x\"\n"), ("empty", "")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let record = Record::new(now, labels.into());
        assert_eq!(record.labels.len(), 1);
        assert_eq!(Record::parse(&record.print()), Some(record));
        assert_eq!(Record::parse(b""), None);
        assert_eq!(Record::parse(b"{}"), None);
    }
}
