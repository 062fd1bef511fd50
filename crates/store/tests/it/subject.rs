//! What the tests run over.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tempfile::TempDir;
use wharfinger_driver::{Driver, Filesystem, FilesystemOptions, Memory, ReadRange};
use wharfinger_oci::{Algorithm, Digest, RepositoryName, UploadId};
use wharfinger_runtime::{Host, Runtime, Secret};
use wharfinger_store::{
    Error, Expected, IngestSet, MemoryDescriptorCache, Names, Purpose, Repository, Result, Store,
    StoreOptions,
};

/// A store over one driver, and what keeps it alive.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) runtime: Runtime,
    pub(crate) store: Store,
    directory: Option<TempDir>,
}

impl Subject {
    fn new(name: &'static str, driver: Arc<dyn Driver>, directory: Option<TempDir>) -> Self {
        let runtime = runtime();
        let store = store_over(Arc::clone(&driver), &runtime);
        Self {
            name,
            driver,
            runtime,
            store,
            directory,
        }
    }

    pub(crate) fn filesystem() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = FilesystemOptions::new(directory.path());
        options.followed = wharfinger_store::followed();
        options.journal = Some(wharfinger_store::journal());
        let driver = Filesystem::open(options, runtime()).unwrap();
        Self::new("filesystem", Arc::new(driver), Some(directory))
    }

    /// One for every driver.
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::filesystem(),
            Self::new("memory", Arc::new(Memory::new()), None),
            Self::new("s3-like memory", Arc::new(Memory::s3_like()), None),
        ]
    }

    /// Another process over the same place, after the first one was killed.
    pub(crate) fn again(&self) -> Store {
        store_over(Arc::clone(&self.driver), &self.runtime)
    }

    /// Another process over the same place, after the machine has booted anew.
    pub(crate) fn after_power_cut(&self) -> Store {
        let mut runtime = self.runtime.clone();
        let now = runtime.clock.now();
        runtime.host = Host::fixed("machine", "another boot", now + Duration::from_secs(1));
        store_over(Arc::clone(&self.driver), &runtime)
    }

    pub(crate) fn path(&self, below: &str) -> std::path::PathBuf {
        let directory = self
            .directory
            .as_ref()
            .expect("only a filesystem has paths");
        directory.path().join("docker/registry/v2").join(below)
    }

    pub(crate) fn repository(&self) -> Repository {
        repository(&self.store)
    }
}

pub(crate) fn runtime() -> Runtime {
    let mut runtime = Runtime::new(8);
    runtime.host = Host::fixed("machine", "boot", SystemTime::UNIX_EPOCH);
    runtime
}

pub(crate) fn store_over(driver: Arc<dyn Driver>, runtime: &Runtime) -> Store {
    let cache = Arc::new(MemoryDescriptorCache::new(100));
    Store::new(
        driver,
        Some(cache),
        runtime.clone(),
        StoreOptions::new(Secret::new(b"secret".to_vec())),
    )
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// The names of a page as what they are.
pub(crate) fn parsed<T: FromStr<Err: Debug>>(names: &Names) -> Vec<T> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn repository(store: &Store) -> Repository {
    store.repository(&name("library/test"))
}

pub(crate) fn id(number: u32) -> UploadId {
    format!("00000000-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}

/// Bytes that repeat nowhere.
pub(crate) fn sample(length: usize, seed: u64) -> Bytes {
    use wharfinger_runtime::{Entropy as _, SeededEntropy};
    let mut bytes = vec![0; length];
    SeededEntropy::new(seed).fill(&mut bytes);
    bytes.into()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

pub(crate) fn expect(bytes: &[u8]) -> Expected {
    Expected {
        digest: sha256(bytes),
        size_bytes: None,
    }
}

/// One PATCH: returns where the upload stands afterwards.
pub(crate) async fn patch(uploads: &IngestSet, id: &UploadId, bytes: &Bytes) -> Result<u64> {
    let mut writer = uploads.open(id, Purpose::Append).await?;
    for piece in pieces(bytes) {
        writer.write(piece).await?;
    }
    writer.close().await
}

/// One PUT that goes on at `offset`.
pub(crate) async fn finish(
    uploads: &IngestSet,
    id: &UploadId,
    offset: u64,
    bytes: &Bytes,
    expected: Expected,
) -> Result<u64> {
    let mut writer = uploads.open(id, Purpose::Finish { offset }).await?;
    assert_eq!(writer.offset(), offset, "the upload stands elsewhere");
    for piece in pieces(bytes) {
        writer.write(piece).await?;
    }
    Ok(writer.commit(expected).await?.size_bytes)
}

fn pieces(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let pieces: Vec<Bytes> = bytes.chunks(7_777).map(Bytes::copy_from_slice).collect();
    pieces.into_iter()
}

/// POST and PUT.
pub(crate) async fn push(repository: &Repository, number: u32, bytes: &Bytes) -> Digest {
    repository.uploads().create(&id(number)).await.unwrap();
    finish(&repository.uploads(), &id(number), 0, bytes, expect(bytes))
        .await
        .unwrap();
    sha256(bytes)
}

/// Reads a blob whole.
pub(crate) async fn read(repository: &Repository, digest: &Digest) -> Result<Bytes, Error> {
    let mut read = repository.read_blob(digest, ReadRange::WHOLE).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = read.bytes.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}
