//! What the tests run over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;
use wharfinger_content::{
    Commit, ContentStore, ContentStores, Error, ErrorKind, Filters, Local, Mode, Open, Remote,
    Result, Server, Service,
};
use wharfinger_driver::{Driver, Filesystem, FilesystemOptions, Memory};
use wharfinger_oci::{Algorithm, Digest};
use wharfinger_runtime::{Runtime, Secret};
use wharfinger_store::{Store, StoreOptions};

pub(crate) const MIB: usize = 1024 * 1024;

/// A content store, and what keeps it alive.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn ContentStore>,
    pub(crate) runtime: Runtime,
    _scratch: TempDir,
}

/// The store of all blobs in a directory.
pub(crate) fn store_in(directory: &Path, runtime: &Runtime) -> Store {
    let mut options = FilesystemOptions::new(directory);
    options.journal = Some(wharfinger_store::journal());
    let driver = Filesystem::open(options, runtime.clone()).unwrap();
    store_over(Arc::new(driver), runtime)
}

fn store_over(driver: Arc<dyn Driver>, runtime: &Runtime) -> Store {
    let options = StoreOptions::new(Secret::new(b"secret".to_vec()));
    Store::new(driver, None, runtime.clone(), options)
}

/// Serves `stores` at a socket in `scratch`, for as long as the test runs.
pub(crate) fn serve(
    scratch: &Path,
    name: &str,
    stores: impl ContentStores,
    mode: Mode,
    runtime: &Runtime,
) -> PathBuf {
    let socket = scratch.join(name);
    let service = Service::new(Arc::new(stores), mode, runtime.clone());
    let server = Server::bind(&socket, service, runtime.clone()).unwrap();
    let running = server.run(Duration::ZERO, std::future::pending());
    drop(runtime.tasks.spawn(running));
    socket
}

/// The local engine over a directory, with a tenant that nobody else has.
pub(crate) fn local(scratch: &Path, runtime: &Runtime, share: bool) -> Local {
    let store = store_in(&scratch.join("data"), runtime);
    let tenant = store.tenant(&"tenant".parse().unwrap());
    Local::new(tenant, runtime.clone(), share)
}

impl Subject {
    pub(crate) fn local() -> Self {
        Self::new("local", |scratch, runtime| {
            Arc::new(local(scratch, runtime, false))
        })
    }

    pub(crate) fn memory() -> Self {
        Self::new("memory", |_, runtime| {
            let store = store_over(Arc::new(Memory::new()), runtime);
            let tenant = store.tenant(&"tenant".parse().unwrap());
            Arc::new(Local::new(tenant, runtime.clone(), false))
        })
    }

    pub(crate) fn client() -> Self {
        Self::new("client", |scratch, runtime| {
            let local = local(scratch, runtime, false);
            let socket = serve(scratch, "one", local, Mode::Direct, runtime);
            let remote = Remote::new(&socket, runtime.tasks.clone());
            Arc::new(remote.in_namespace(&"suite".parse().unwrap()))
        })
    }

    pub(crate) fn chain() -> Self {
        Self::new("chain", |scratch, runtime| {
            let local = local(scratch, runtime, false);
            let one = serve(scratch, "one", local, Mode::Direct, runtime);
            let between = Remote::new(&one, runtime.tasks.clone());
            let two = serve(scratch, "two", between, Mode::Direct, runtime);
            let remote = Remote::new(&two, runtime.tasks.clone());
            Arc::new(remote.in_namespace(&"suite".parse().unwrap()))
        })
    }

    fn new(
        name: &'static str,
        make: impl FnOnce(&Path, &Runtime) -> Arc<dyn ContentStore>,
    ) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(8);
        let store = make(scratch.path(), &runtime);
        Self {
            name,
            store,
            runtime,
            _scratch: scratch,
        }
    }

    /// Writes a blob.
    pub(crate) async fn write(&self, reference: &str, bytes: &Bytes) -> Digest {
        let mut writer = self.store.open(open(reference)).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.commit(Commit::default()).await.unwrap()
    }

    pub(crate) async fn read(
        &self,
        digest: &Digest,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Vec<u8>> {
        let pieces = self.store.read(digest, offset, length).await?;
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        Ok(pieces.concat())
    }

    /// The digests of all blobs that pass, in their order.
    pub(crate) async fn list(&self, filters: &[&str]) -> Vec<Digest> {
        let listed = self.store.list(parse(filters)).map_ok(|info| info.digest);
        let mut digests: Vec<Digest> = listed.try_collect().await.unwrap();
        digests.sort();
        digests
    }
}

pub(crate) fn parse(filters: &[&str]) -> Filters {
    Filters::parse(filters.iter().map(ToString::to_string).collect()).unwrap()
}

pub(crate) fn open(reference: &str) -> Open {
    Open {
        reference: reference.to_owned(),
        total_bytes: 0,
        expected: None,
    }
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

#[track_caller]
pub(crate) fn fails<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}
