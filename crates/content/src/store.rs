//! The content store as a trait: what the local engine and the client of a remote one have in common.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use wharfinger_oci::Digest;

use crate::error::Result;
use crate::filter::{Fields, Filters};

/// Labels by their keys. A label without a value is none.
pub type Labels = BTreeMap<String, String>;

/// A store of blobs and of ingests, the writes in progress that become blobs.
///
/// # Contract
/// - A blob is there as a whole or not at all, and its bytes are those of its digest.
/// - An ingest has a *ref*, any text that is not empty, and at most one writer at a time. A second one
///   is refused at once with `Unavailable`; nothing waits inside the store.
/// - What an ingest holds outlives its writer: whoever opens the ref next goes on where it stood.
/// - Each call may be dropped at any `await`; what it was to change is then changed or not.
#[async_trait]
pub trait ContentStore: Debug + Send + Sync + 'static {
    /// Returns what is known of a blob. Fails with `NotFound`.
    async fn info(&self, digest: &Digest) -> Result<Info>;

    /// Changes the labels of a blob, and returns all that is known of it then. Fails with `NotFound`.
    async fn update(&self, digest: &Digest, update: LabelUpdate) -> Result<Info>;

    /// Returns the blobs that pass, in any order. One that comes or goes meanwhile may be missing.
    fn list(&self, filters: Filters) -> BoxStream<'static, Result<Info>>;

    /// Removes a blob. Fails with `NotFound`.
    async fn delete(&self, digest: &Digest) -> Result<()>;

    /// Opens a blob at `offset`, for at most `length` bytes. When these turn out not to be those of
    /// the digest, the stream ends in an error before its last piece.
    ///
    /// Fails with `NotFound`, and with
    /// `OutOfRange` beyond its end; at its end there are no bytes.
    async fn read(&self, digest: &Digest, offset: u64, length: Option<u64>) -> Result<Pieces>;

    /// Returns where an ingest stands. Fails with `NotFound`.
    async fn status(&self, reference: &str) -> Result<Status>;

    /// Returns where those ingests stand that pass. One that cannot be made out is left out.
    async fn statuses(&self, filters: &Filters) -> Result<Vec<Status>>;

    /// Removes an ingest with all its bytes. Fails with `NotFound`. If somebody is writing to it,
    /// their next call fails with `Aborted`, and the ref is free at once.
    async fn abort(&self, reference: &str) -> Result<()>;

    /// Opens an ingest, and begins it when there is none.
    ///
    /// Fails with `Unavailable` while somebody else has it open, and with `AlreadyExists` when the
    /// expected blob is there. An ingest that was begun for another total is begun anew.
    async fn open(&self, open: Open) -> Result<Box<dyn ContentWriter>>;
}

/// The only writer of an ingest.
///
/// Dropping it gives up the ref; what it had written may be lost unless [`ContentWriter::close`] was
/// called.
#[async_trait]
pub trait ContentWriter: Debug + Send + Sync {
    /// Returns where the ingest stands. Asks nobody.
    fn status(&self) -> Status;

    /// Returns the digest of all bytes so far.
    fn digest(&self) -> Digest;

    /// Appends `bytes`. When it returns, they outlive this writer.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Goes back to nothing.
    async fn truncate(&mut self) -> Result<()>;

    /// Makes a blob of the ingest, durably, and ends.
    ///
    /// Fails with `FailedPrecondition` when the bytes are not those that were announced, and keeps
    /// them; with `AlreadyExists` when the blob is there, and removes the ingest.
    async fn commit(self: Box<Self>, commit: Commit) -> Result<Digest>;

    /// Ends, and keeps what was written.
    async fn close(self: Box<Self>) -> Result<()>;

    /// Ends, and removes the ingest.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// Gives the store that a request is about.
pub trait ContentStores: Debug + Send + Sync + 'static {
    /// Returns the store of a namespace, or the one that has none.
    fn of(&self, namespace: Option<&Namespace>) -> std::sync::Arc<dyn ContentStore>;
}

/// The name of a namespace.
pub type Namespace = wharfinger_store::TenantName;

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// When it was committed.
    pub created_at: SystemTime,
    /// When it was committed or its labels were changed.
    pub updated_at: SystemTime,
    /// What was noted about it.
    pub labels: Labels,
}

impl Fields for Info {
    fn field(&self, path: &[String]) -> Option<String> {
        match path.split_first()? {
            (first, []) if first == "digest" => Some(self.digest.to_string()),
            (first, key) if first == "labels" => self.labels.get(&key.join(".")).cloned(),
            _ => None,
        }
    }
}

/// Where an ingest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
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

impl Fields for Status {
    fn field(&self, path: &[String]) -> Option<String> {
        matches!(path, [only] if only == "ref").then(|| self.reference.clone())
    }
}

/// How labels change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelUpdate {
    /// To these, and no others.
    Replace(Labels),
    /// These keys get these values; without a value, or with an empty one, they go.
    Set(BTreeMap<String, Option<String>>),
}

impl LabelUpdate {
    /// Makes the change.
    pub fn apply(self, labels: &mut Labels) {
        match self {
            Self::Replace(all) => *labels = all,
            Self::Set(some) => {
                for (key, value) in some {
                    match value.filter(|value| !value.is_empty()) {
                        Some(value) => drop(labels.insert(key, value)),
                        None => drop(labels.remove(&key)),
                    }
                }
            }
        }
        labels.retain(|_, value| !value.is_empty());
    }

    /// Returns the labels that it sets.
    pub fn labels(&self) -> impl Iterator<Item = (&String, &String)> {
        let (all, some) = match self {
            Self::Replace(all) => (Some(all.iter()), None),
            Self::Set(some) => (None, Some(some)),
        };
        let some = some.into_iter().flatten();
        let some = some.filter_map(|(key, value)| Some((key, value.as_ref()?)));
        all.into_iter().flatten().chain(some)
    }
}

/// The bytes of a blob, in pieces.
pub type Pieces = BoxStream<'static, Result<Bytes>>;

/// How to open an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its name.
    pub reference: String,
    /// How many bytes there will be; 0 when nobody knows.
    pub total_bytes: u64,
    /// What they will be. Without it the digest so far is a sha256 digest.
    pub expected: Option<Digest>,
}

/// What is said of an ingest when it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// How many bytes there are; 0 when nobody says.
    pub total_bytes: u64,
    /// What they are. Without it, what they turn out to be.
    pub expected: Option<Digest>,
    /// What to note about the blob.
    pub labels: Labels,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn labels_are_replaced_or_set_and_never_empty() {
        let mut all = labels(&[("a", "1"), ("b", "2")]);
        LabelUpdate::Replace(labels(&[("c", "3"), ("d", "")])).apply(&mut all);
        assert_eq!(all, labels(&[("c", "3")]));
        let set = [("c", None), ("e", Some("5")), ("f", Some(""))];
        let set = set.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        LabelUpdate::Set(set.into()).apply(&mut all);
        assert_eq!(all, labels(&[("e", "5")]));
    }
}
