//! A directory of the machine as a driver.
//!
//! The way of a large durable value: a staged file is written and synced, moved into place, and
//! then the directory is synced with every ancestor that is not known to be durable. Small values
//! are promised in a [`journal`] first, so that all who wait share one sync, and need none
//! themselves. Reads that the page cache can answer never leave the caller's thread.

mod buffers;
mod commit;
mod durable;
mod hold;
mod hot;
mod ingest;
mod journal;
mod link;
mod list;
mod names;
mod read;
mod remove;
mod sync;
mod temporaries;
mod tree;
mod values;
mod verified;
mod write;

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::OFlags;
use wharfinger_runtime::Runtime;

use crate::{
    Capabilities, Condition, Driver, DriverPath, Durability, Error, ErrorKind, Ingest, Metadata,
    Page, Put, ReadRange, ReadStream, RedirectMethod, Result, Resume, Target,
};

use self::buffers::Buffers;
use self::durable::DurableDirectories;
pub use self::hold::{Held, Hold};
use self::hot::Hot;
pub use self::journal::JournalStats;

use self::journal::{Journal, Operation, Promise, Suspects};
use self::list::Listings;
use self::tree::{Tree, errno_at};
use self::verified::{Place, Version};

const NAME: &str = "filesystem";
/// 128 KiB: writing it twice costs less than the syncs that it saves.
const MOST_JOURNALLED_BYTES: u64 = 128 * 1024;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
/// A pipe or device that somebody has put there must not make us wait.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// How to open a [`Filesystem`].
#[derive(Debug, Clone)]
pub struct FilesystemOptions {
    /// The directory that holds everything.
    pub root: PathBuf,
    /// Paths below it at which a symbolic link is followed; anywhere else it is refused.
    pub followed: Vec<DriverPath>,
    /// Whether durable writes are synced. Without it they outlive the process and not a power cut.
    pub sync: bool,
    /// Where the journal lies that lets small durable writes share their syncs. Without one each
    /// of them is synced by itself.
    pub journal: Option<DriverPath>,
    /// How long a write may wait for others to share its sync in the journal. Those that wait
    /// already share it in any case.
    pub gather: Duration,
    /// How much memory small files may take that were read lately.
    pub hot_bytes: u64,
}

/// 16 MiB: the links, manifests and configurations of some thousand images.
const HOT_BYTES: u64 = 16 * 1024 * 1024;

impl FilesystemOptions {
    /// Options for `root`, synced, with no links followed.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            followed: Vec::new(),
            sync: true,
            journal: None,
            gather: Duration::ZERO,
            hot_bytes: HOT_BYTES,
        }
    }
}

/// Keeps values as files below one directory.
///
/// # Examples
/// ```
/// use wharfinger_driver::{Driver, DriverExt, DriverPath, Durability, Filesystem, FilesystemOptions};
/// use wharfinger_runtime::Runtime;
///
/// # let directory = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let driver = Filesystem::open(FilesystemOptions::new(directory.path()), Runtime::new(4))?;
/// let path: DriverPath = "a/link".parse()?;
/// driver.put_one(&path, "sha256:…".into(), Durability::Durable).await?;
/// assert_eq!(driver.get_small(&path).await?, "sha256:…");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Filesystem {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tree: Arc<Tree>,
    /// Where small durable writes are promised; without it each is synced by itself.
    journal: Option<Journal>,
    /// What the journal leaves to the next process.
    suspects: Option<Arc<Suspects>>,
    durable: DurableDirectories,
    runtime: Runtime,
    sync: bool,
    /// Tells what this process leaves unfinished from what others do: 16 hexadecimal digits.
    process: String,
    /// How many temporary names it has made.
    temporaries: AtomicU64,
    buffers: Arc<Buffers>,
    hot: Hot,
    listings: Listings,
    /// Whether `/proc` is mounted, by which a nameless file gets its name.
    #[cfg(target_os = "linux")]
    has_proc: bool,
}

impl Filesystem {
    /// Opens the directory, and makes it, private to its owner, when it is not there. What a dead
    /// process has left in the journal is settled first.
    ///
    /// # Errors
    /// Fails when the directory cannot be opened or made, or the journal not be replayed.
    pub fn open(options: FilesystemOptions, runtime: Runtime) -> io::Result<Self> {
        let tree = Tree::open(&options.root, options.followed.clone())?;
        Self::open_in(tree, options, runtime)
    }

    fn open_in(tree: Tree, options: FilesystemOptions, runtime: Runtime) -> io::Result<Self> {
        let mut inner = Inner {
            process: random_name(&runtime),
            temporaries: AtomicU64::new(0),
            buffers: Arc::default(),
            hot: Hot::new(options.hot_bytes),
            listings: Listings::default(),
            tree: Arc::new(tree),
            journal: None,
            suspects: None,
            durable: DurableDirectories::default(),
            runtime,
            sync: options.sync,
            #[cfg(target_os = "linux")]
            has_proc: Path::new("/proc/self/fd").exists(),
        };
        let journal = options.journal.clone();
        if let Some(directory) = options.journal {
            // What others have promised is kept, whatever this process promises itself.
            let suspects = Arc::new(Suspects::new(&inner, &directory));
            if options.sync {
                let journal = Journal::open(&inner, directory.clone(), options.gather, &suspects);
                inner.journal = Some(journal.map_err(io::Error::other)?);
            }
            let settled = journal::settle_the_dead(&inner, &directory, &suspects);
            settled.map_err(io::Error::other)?;
            inner.suspects = Some(suspects);
        }
        let inner = Arc::new(inner);
        if let Some(directory) = journal.filter(|_| options.sync) {
            journal::look_after_others(&inner, directory).map_err(io::Error::other)?;
        }
        Ok(Self { inner })
    }

    /// Returns what the journal has done so far, if there is one.
    #[must_use]
    pub fn journal_stats(&self) -> Option<JournalStats> {
        self.inner.journal.as_ref().map(Journal::stats)
    }

    /// Makes everything durable that was answered, and leaves no journal behind. Call it when
    /// nothing is written any more; what is written afterwards begins another one.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        let close = move || {
            if let Some(journal) = &inner.journal {
                journal.close();
            }
        };
        self.inner.runtime.blocking.run(close).await;
    }

    async fn blocking<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.runtime.blocking.run(move || call(&inner)).await
    }
}

/// Makes a name that nobody else has: 16 hexadecimal digits.
fn random_name(runtime: &Runtime) -> String {
    let mut random = [0; 8];
    runtime.entropy.fill(&mut random);
    format!("{:016x}", u64::from_le_bytes(random))
}

/// A write that goes through the journal, or by itself.
#[must_use = "a promise that is dropped is taken back"]
struct Promised<'a> {
    promise: Option<Promise<'a>>,
    /// How each step is done: what was promised needs no sync of its own.
    durability: Durability,
}

impl Promised<'_> {
    /// Says that it was done.
    fn keep(self) {
        if let Some(promise) = self.promise {
            promise.keep();
        }
    }
}

impl Inner {
    fn syncs(&self, durability: Durability) -> bool {
        self.sync && durability != Durability::Scratch
    }

    /// The journal, if a write of this durability and length goes through it.
    fn journal_for(&self, durability: Durability, bytes: u64) -> Option<&Journal> {
        let promised = durability == Durability::Durable && bytes <= MOST_JOURNALLED_BYTES;
        self.journal.as_ref().filter(|_| promised)
    }

    /// Promises what a write of this durability is going to do, if it goes through the journal.
    fn promise<'a>(
        &self,
        path: &DriverPath,
        durability: Durability,
        bytes: u64,
        operations: impl FnOnce() -> Vec<Operation<'a>>,
    ) -> Result<Promised<'_>> {
        let promise = match self.journal_for(durability, bytes) {
            Some(journal) => journal.promise(path, operations())?,
            None => None,
        };
        Ok(Promised {
            durability: if promise.is_some() {
                Durability::Scratch
            } else {
                durability
            },
            promise,
        })
    }

    fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        // Where the note lies in a file of its own, this one does not show that it was made.
        self.hot.forget(path);
        let file = self.tree.open_at(path, READ)?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| errno_at(path, errno))?;
        let version = Version::of(&stat);
        if version.modified() != metadata.modified
            || self.metadata(&file, path)?.size_bytes != metadata.size_bytes
        {
            // It has changed since it was hashed: what the caller knows is of no use any more.
            return Ok(());
        }
        let place = Place {
            directory: &|| self.tree.parent_of(path).ok(),
            name: path.name(),
        };
        verified::mark(file.as_fd(), place, version).map_err(|errno| errno_at(path, errno))
    }

    /// See [`crate::Driver::settle`].
    fn settle(&self, path: &DriverPath) -> Result<()> {
        let file = self.tree.open_at(path, READ)?;
        if !self.sync {
            return Ok(());
        }
        self.sync_file(&file.into(), path)?;
        self.durable.sync_way_to(&self.tree, path)
    }
}

#[async_trait]
impl Driver for Filesystem {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            redirect: false,
            directories: true,
            resume_anywhere: true,
            staged_is_visible: true,
            links: true,
            remote: false,
        }
    }

    async fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        self.inner.stat(path)
    }

    async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes> {
        self.inner.get(path, limit_bytes).await
    }

    async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream> {
        self.inner.read(path, range).await
    }

    async fn put(&self, writes: &[Put], durability: Durability) -> Result<()> {
        let writes = writes.to_vec();
        self.blocking(move |inner| inner.put_all(&writes, durability))
            .await
    }

    async fn list(
        &self,
        directory: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let listings = &self.inner.listings;
        if let Some(page) = listings.page(&self.inner.tree, directory, after, limit) {
            return Ok(page);
        }
        let (directory, after) = (directory.clone(), after.map(str::to_owned));
        self.blocking(move |inner| inner.list_page(&directory, after.as_deref(), limit))
            .await
    }

    async fn delete(&self, path: &DriverPath, durability: Durability) -> Result<()> {
        let path = path.clone();
        self.blocking(move |inner| inner.remove(&path, durability))
            .await
    }

    async fn begin(&self, target: &Target) -> Result<Box<dyn Ingest>> {
        let target = target.clone();
        let ingest = self.blocking(move |inner| inner.begin(&target)).await?;
        Ok(Box::new(ingest))
    }

    async fn resume(&self, path: &DriverPath, resume: Resume) -> Result<Box<dyn Ingest>> {
        let path = path.clone();
        let ingest = self
            .blocking(move |inner| inner.resume(&path, &resume))
            .await?;
        Ok(Box::new(ingest))
    }

    async fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        let (path, metadata) = (path.clone(), metadata.clone());
        self.blocking(move |inner| inner.mark_verified(&path, &metadata))
            .await
    }

    async fn settle(&self, path: &DriverPath) -> Result<()> {
        let path = path.clone();
        self.blocking(move |inner| inner.settle(&path)).await
    }

    async fn link(&self, from: &DriverPath, to: &DriverPath, condition: Condition) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |inner| inner.link(&from, &to, condition))
            .await
    }

    async fn redirect(&self, path: &DriverPath, _: RedirectMethod, _: Duration) -> Result<String> {
        Err(Error::new(ErrorKind::Unsupported, NAME, path))
    }
}
