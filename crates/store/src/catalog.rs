//! The list of repositories.
//!
//! A directory is a repository when it has `_manifests`. Names come component by component, so
//! that `a/b` stands before `a-b`: the order in which Distribution walks, and nodes of both kinds
//! have to cut their pages at the same place.
//!
//! All names are kept in memory as one [`Index`], which a [`Walk`] over the tree makes, in a thread
//! of its own, when a page is asked and the index is older than it may be. What this process has
//! pushed to since the walk began is kept beside it, so that its own repositories are listed at once.
//! A request waits a moment for the walk, which is enough for most trees, and then takes what is
//! there. When nothing is there it walks the tree for its own page.
//!
//! The index is saved, for the first pages after a start. A start takes it as it is, whatever its
//! age, until the first walk has ended.

mod index;
mod made;
mod state;
mod walk;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use wharfinger_driver::{Driver, DriverExt as _, Durability, ErrorKind as DriverErrorKind};
use wharfinger_oci::RepositoryName;
use wharfinger_runtime::{BlockingPool, Runtime};

use self::index::{Builder, Index, MOST_BYTES};
use self::state::State;
use self::walk::Walk;
use crate::error::Result;
use crate::layout;
use crate::names::Names;

pub(crate) use self::walk::exists;

/// 250 ms: a request waits no longer for a scan, and not at all for one that is known to take longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// A part of the names of all repositories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogPage {
    /// The names: nothing but what [`RepositoryName`] allows.
    pub names: Names,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// How a catalog behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatalogOptions {
    /// How old an index may get; with zero there is none, and the tree is walked for each page.
    pub(crate) rescan: Duration,
    /// Whether the index is saved.
    pub(crate) saves: bool,
}

/// The catalog of a storage.
pub(crate) struct Catalog {
    driver: Arc<dyn Driver>,
    runtime: Runtime,
    options: CatalogOptions,
    /// One thread: a scan looks at a million directories, and nothing else shall wait for it.
    scanner: BlockingPool,
    state: RwLock<State>,
    /// How many scans have ended.
    ended: watch::Sender<u64>,
    loaded: OnceCell<()>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    pub(crate) fn new(driver: Arc<dyn Driver>, runtime: Runtime, options: CatalogOptions) -> Self {
        Self {
            driver,
            scanner: runtime.blocking.apart(1),
            runtime,
            options,
            state: RwLock::new(State::new(options.rescan)),
            ended: watch::Sender::new(0),
            loaded: OnceCell::new(),
        }
    }

    /// Returns up to `limit` repositories after the name `after`, which need not be there any more.
    pub(crate) async fn page(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<CatalogPage> {
        if let Some(page) = self.page_of_index(after, limit).await {
            return Ok(page);
        }
        walk::page(&self.driver, after, limit).await
    }

    /// Notes that a manifest was pushed to the repository `name`. Whether it was there before does not
    /// count: then somebody else's first push to it may not be answered yet.
    pub(crate) fn pushed(&self, name: &RepositoryName) {
        if !self.options.rescan.is_zero() && !self.read().knows(name) {
            self.write().pushed(name);
        }
    }

    async fn page_of_index(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
    ) -> Option<CatalogPage> {
        if self.options.rescan.is_zero() {
            return None;
        }
        {
            let state = self.read();
            if state.is_current(self.runtime.clock.monotonic()) {
                return state.page(after, limit);
            }
        }
        self.loaded.get_or_init(|| self.load()).await;
        self.begin_scan();
        self.wait_for_scan().await;
        self.read().page(after, limit)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the saved index, if there is one.
    async fn load(self: &Arc<Self>) {
        let limit_bytes = MOST_BYTES as u64;
        let file = match self.driver.get(&layout::catalog(), limit_bytes).await {
            Ok(file) => Some(file),
            Err(error) if error.kind() == DriverErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "cannot read the saved catalog; the storage is walked anew");
                None
            }
        };
        let index = match file {
            Some(file) => self.runtime.blocking.run(|| Index::parse(file)).await,
            None => None,
        };
        let began = index.as_ref().map(Index::began);
        if self.write().take_saved(index) {
            let age = began.and_then(|began| self.runtime.clock.now().duration_since(began).ok());
            tracing::info!(
                ?age,
                "pages of the catalog come from the saved one until it is made anew"
            );
        }
        if self.options.saves {
            let (catalog, cancelled) = (Arc::clone(self), self.runtime.tasks.cancelled());
            drop(self.runtime.tasks.spawn(async move {
                cancelled.await;
                catalog.save_at_the_end().await;
            }));
        }
    }

    /// Begins a scan if one is due.
    fn begin_scan(self: &Arc<Self>) {
        if self.runtime.tasks.is_shutting_down() {
            return;
        }
        let begun = self.write().begin(self.runtime.clock.monotonic());
        let Some(scan) = begun else { return };
        let catalog = Arc::clone(self);
        drop(self.runtime.tasks.spawn(async move {
            let found = catalog.scan().await;
            let now = catalog.runtime.clock.monotonic();
            catalog.write().end(found, now);
            catalog.ended.send_replace(scan);
            catalog.save_now_and_then().await;
        }));
    }

    /// Waits until the scan that runs has ended, if it is one that ends soon.
    async fn wait_for_scan(&self) {
        let Some(running) = self.read().running(PATIENCE) else {
            return;
        };
        let waited = self.runtime.clock.monotonic().saturating_sub(running.began);
        let mut ended = self.ended.subscribe();
        tokio::select! {
            // The sender lives as long as the catalog.
            _ = ended.wait_for(|ended| *ended >= running.scan) => {}
            () = self.runtime.clock.sleep(PATIENCE.saturating_sub(waited)) => {}
        }
    }

    /// Looks through the whole tree. Returns nothing when there can be no index.
    async fn scan(self: &Arc<Self>) -> Option<Index> {
        let builder = Builder::like(self.read().index());
        let catalog = Arc::clone(self);
        let walk = async move {
            tokio::select! {
                biased;
                () = catalog.runtime.tasks.cancelled() => Ok(None),
                found = catalog.walk_all(builder) => found,
            }
        };
        match self.scanner.host_in_turn(walk).await {
            Ok(found) => found,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "cannot walk the whole storage for the catalog; its pages are slow");
                None
            }
        }
    }

    async fn walk_all(&self, mut builder: Builder) -> Result<Option<Index>> {
        let clock = &self.runtime.clock;
        let (began, started) = (clock.now(), clock.monotonic());
        let mut walk = Walk::new(&self.driver, None);
        while let Some(name) = walk.next().await? {
            // A driver that answers at once lets nobody else look.
            if self.runtime.tasks.is_shutting_down() {
                return Ok(None);
            }
            if builder.push(name.as_str()).is_err() {
                tracing::warn!(
                    most_bytes = MOST_BYTES,
                    "there are too many repositories for an index; pages of the catalog are slow"
                );
                return Ok(None);
            }
        }
        let took = clock.monotonic().saturating_sub(started);
        let index = builder.finish(began, took);
        tracing::debug!(
            bytes = index.size_bytes(),
            ?took,
            "walked the whole storage for the catalog"
        );
        Ok(Some(index))
    }

    /// Saves the index if it has changed and was not saved lately. Only a scan that has ended does this.
    async fn save_now_and_then(&self) {
        if !self.options.saves {
            return;
        }
        let index = self.write().take_unsaved(self.runtime.clock.monotonic());
        if let Some(index) = index
            && !self.save(&index).await
        {
            self.write().not_saved();
        }
    }

    /// Saves what is known when the process ends, so that the next one lists all that this one has made.
    async fn save_at_the_end(self: &Arc<Self>) {
        let catalog = Arc::clone(self);
        let index = move || catalog.read().all_unsaved();
        if let Some(index) = self.runtime.blocking.run(index).await {
            self.save(&index).await;
        }
    }

    /// Writes the file, which a power cut may take. Tells whether it was written.
    async fn save(&self, index: &Index) -> bool {
        let file = index.file().clone();
        let path = layout::catalog();
        let written = self.driver.put_one(&path, file, Durability::Scratch).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "cannot save the catalog; the next start walks the storage");
        }
        written.is_ok()
    }
}
