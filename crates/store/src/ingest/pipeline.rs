//! Hashing and writing, while the caller reads the next bytes.
//!
//! What arrives is gathered into batches. One batch is under way at a time, in a task that hashes
//! and writes it at once; the next one grows meanwhile. So the caller, the hasher and the disk
//! work side by side, with at most two batches in memory. Batches are large as long as the store's
//! budget for them lasts and the sender does not pause.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use wharfinger_driver as driver;
use wharfinger_oci::Hasher;
use wharfinger_runtime::Runtime;

use super::marker::SavePoint;

/// 16 MiB lie between two checkpoints: what has to be read back after a crash at most.
pub(super) const CHECKPOINT_BYTES: u64 = 16 * 1024 * 1024;
/// 1 MiB: a batch large enough that handing it over costs nothing beside hashing it.
const LARGE_BATCH_BYTES: usize = 1024 * 1024;
/// 512 KiB: a batch is begun with so much at least. Two threads are woken for each and have to tell when
/// they are done; with whatever has come by then, a push takes a tenth more time.
const BEGIN_BYTES: usize = 512 * 1024;
/// 16 KiB: what an upload may gather without asking for a share of the budget.
const SMALL_BATCH_BYTES: usize = 16 * 1024;
/// 256 pieces: a sender of single bytes must not make us keep a thousand times as much.
const MOST_PIECES: usize = 256;
/// 64 KiB are hashed faster than another thread can be woken for it.
const INLINE_HASH_BYTES: usize = 64 * 1024;
/// 16 batches may be large at a time, over all ingests.
pub(super) const LARGE_BATCHES: usize = 16;

/// The work on the bytes of one ingest.
#[derive(Debug)]
pub(super) struct Pipeline {
    runtime: Runtime,
    budget: Arc<Semaphore>,
    stage: Option<Stage>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    /// The right to gather a large batch.
    share: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Stage {
    Idle(Box<Core>),
    Running(JoinHandle<Box<Core>>),
}

/// What a batch works on.
#[derive(Debug)]
pub(super) struct Core {
    /// Where the bytes go; `None` when they lie in their place already and are only hashed.
    pub(super) ingest: Option<Box<dyn driver::Ingest>>,
    /// Covers all bytes, or fewer when some have yet to be read back.
    pub(super) hasher: Hasher,
    /// The first failure; after it nothing more is taken.
    pub(super) failed: Option<driver::Error>,
    /// Saves a point once what it covers is durable.
    pub(super) saver: Option<Arc<dyn SavesPoints>>,
    checkpoint: Option<JoinHandle<driver::Result<Option<SavePoint>>>>,
    /// The last point that was saved.
    pub(super) synced: Option<SavePoint>,
    /// Where the last checkpoint was asked for.
    checkpointed: u64,
}

/// Saves what is known of an ingest up to a point that has become durable.
#[async_trait::async_trait]
pub(super) trait SavesPoints: std::fmt::Debug + Send + Sync {
    /// Saves `point`. Failing costs a longer way back after a crash, no more.
    async fn save(&self, point: &SavePoint);
}

impl Core {
    pub(super) fn new(
        ingest: Option<Box<dyn driver::Ingest>>,
        hasher: Hasher,
        synced: Option<SavePoint>,
    ) -> Self {
        let checkpointed = ingest.as_ref().map_or(0, |ingest| ingest.offset());
        Self {
            ingest,
            hasher,
            failed: None,
            saver: None,
            checkpoint: None,
            synced,
            checkpointed,
        }
    }

    /// How many bytes there are.
    pub(super) fn offset(&self) -> u64 {
        self.ingest
            .as_ref()
            .map_or(self.hasher.bytes_hashed(), |ingest| ingest.offset())
    }

    /// Whether the hasher covers all of them.
    pub(super) fn is_hashed(&self) -> bool {
        self.hasher.bytes_hashed() == self.offset()
    }

    /// Goes back to nothing.
    pub(super) async fn reset(&mut self) -> driver::Result<()> {
        if let Some(ingest) = &mut self.ingest {
            ingest.rewind(&driver::Checkpoint::START).await?;
        }
        self.hasher = Hasher::new(self.hasher.algorithm());
        (self.synced, self.checkpointed) = (None, 0);
        Ok(())
    }

    async fn process(&mut self, batch: Vec<Bytes>, bytes: usize, runtime: &Runtime) {
        if self.failed.is_some() {
            return;
        }
        let hashing = self.is_hashed().then(|| {
            let (mut hasher, batch, pool) =
                (self.hasher.clone(), batch.clone(), runtime.blocking.clone());
            async move {
                let hash = move || {
                    batch.iter().for_each(|piece| hasher.update(piece));
                    hasher
                };
                if bytes <= INLINE_HASH_BYTES {
                    hash()
                } else {
                    pool.run(hash).await
                }
            }
        });
        let hashed = async {
            match hashing {
                Some(hashing) => Some(hashing.await),
                None => None,
            }
        };
        let written = async {
            match &mut self.ingest {
                Some(ingest) => ingest.append(batch).await,
                None => Ok(()),
            }
        };
        let (hashed, written) = futures_util::future::join(hashed, written).await;
        match written {
            // What was hashed counts only when it was written.
            Ok(()) => self.hasher = hashed.unwrap_or_else(|| self.hasher.clone()),
            Err(error) => self.failed = Some(error),
        }
        self.checkpoint_if_due(runtime).await;
    }

    async fn checkpoint_if_due(&mut self, runtime: &Runtime) {
        if self.failed.is_some()
            || !self.is_hashed()
            || self.offset() / CHECKPOINT_BYTES == self.checkpointed / CHECKPOINT_BYTES
        {
            return;
        }
        // One at a time: a disk that cannot keep up slows the sender down here, not at the end.
        self.finish_checkpoint().await;
        let (Some(saver), Some(ingest)) = (&self.saver, &mut self.ingest) else {
            return;
        };
        self.checkpointed = ingest.offset();
        let (saver, durable, hasher) =
            (Arc::clone(saver), ingest.checkpoint(), self.hasher.clone());
        self.checkpoint = Some(runtime.tasks.spawn(async move {
            let durable = durable.await?;
            if durable.offset != hasher.bytes_hashed() {
                return Ok(None);
            }
            let point = SavePoint {
                hasher,
                driver: durable.state,
            };
            saver.save(&point).await;
            Ok(Some(point))
        }));
    }

    /// Waits for the checkpoint that is under way.
    pub(super) async fn finish_checkpoint(&mut self) {
        let Some(checkpoint) = self.checkpoint.take() else {
            return;
        };
        match joined(checkpoint.await) {
            Ok(Some(point)) => self.synced = Some(point),
            Ok(None) => {}
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
    }
}

impl Pipeline {
    pub(super) fn new(runtime: Runtime, budget: Arc<Semaphore>, core: Core) -> Self {
        Self {
            runtime,
            budget,
            stage: Some(Stage::Idle(Box::new(core))),
            gathered: Vec::new(),
            gathered_bytes: 0,
            share: None,
        }
    }

    /// Takes `bytes` in. Waits only when two batches are full; without a share of the budget, until
    /// they are written. A failure may show at a later call.
    ///
    /// # Cancellation
    /// When dropped, what was taken may be lost: the pipeline must not be used further.
    pub(super) async fn push(&mut self, bytes: Bytes) {
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes < SMALL_BATCH_BYTES && self.gathered.len() < MOST_PIECES {
            return;
        }
        if self.share.is_none() {
            self.share = Arc::clone(&self.budget).try_acquire_owned().ok();
        }
        let enough = if self.is_busy() {
            LARGE_BATCH_BYTES
        } else {
            BEGIN_BYTES
        };
        if self.share.is_some() && self.gathered_bytes < enough && self.gathered.len() < MOST_PIECES
        {
            return;
        }
        self.begin().await;
    }

    /// Begins with what was gathered although more would be worth waiting for, and tells whether nothing
    /// is left to begin with: while a batch is under way, nothing is begun.
    pub(super) async fn begin_early(&mut self) -> bool {
        if self.gathered_bytes > 0 && !self.is_busy() {
            self.begin().await;
        }
        self.gathered_bytes == 0
    }

    fn is_busy(&self) -> bool {
        matches!(&self.stage, Some(Stage::Running(task)) if !task.is_finished())
    }

    async fn begin(&mut self) {
        let mut core = self.idle().await;
        let (batch, bytes, share) = self.take_batch();
        if core.failed.is_some() {
            self.stage = Some(Stage::Idle(core));
            return;
        }
        let Some(share) = share else {
            // Memory is short: this sender waits for its own bytes.
            core.process(batch, bytes, &self.runtime).await;
            self.stage = Some(Stage::Idle(core));
            return;
        };
        let runtime = self.runtime.clone();
        self.stage = Some(Stage::Running(self.runtime.tasks.spawn(async move {
            core.process(batch, bytes, &runtime).await;
            drop(share);
            core
        })));
    }

    /// Works off what was gathered, and returns what it all came to.
    pub(super) async fn drain(mut self) -> Box<Core> {
        let mut core = self.idle().await;
        let (batch, bytes, _share) = self.take_batch();
        if bytes > 0 {
            core.process(batch, bytes, &self.runtime).await;
        }
        core.finish_checkpoint().await;
        core
    }

    /// Returns the failure that is known already.
    pub(super) fn failure(&self) -> Option<&driver::Error> {
        match &self.stage {
            Some(Stage::Idle(core)) => core.failed.as_ref(),
            Some(Stage::Running(_)) | None => None,
        }
    }

    /// Takes `bytes` in and works everything off, and returns what it has come to.
    ///
    /// # Cancellation
    /// When dropped, the pipeline must not be used further.
    pub(super) async fn work_off(&mut self, bytes: Bytes) -> &mut Core {
        if !bytes.is_empty() {
            self.gathered_bytes += bytes.len();
            self.gathered.push(bytes);
        }
        let mut core = self.idle().await;
        let (batch, bytes, _share) = self.take_batch();
        if bytes > 0 {
            core.process(batch, bytes, &self.runtime).await;
        }
        let Stage::Idle(core) = self.stage.insert(Stage::Idle(core)) else {
            unreachable!("it was inserted in this line")
        };
        core
    }

    /// Forgets what was gathered, and returns what it works on once nothing is under way.
    pub(super) async fn interrupt(&mut self) -> &mut Core {
        let mut core = self.idle().await;
        core.finish_checkpoint().await;
        drop(self.take_batch());
        let Stage::Idle(core) = self.stage.insert(Stage::Idle(core)) else {
            unreachable!("it was inserted in this line")
        };
        core
    }

    /// Waits for the batch under way, and takes the core.
    async fn idle(&mut self) -> Box<Core> {
        match self.stage.take() {
            Some(Stage::Idle(core)) => core,
            Some(Stage::Running(task)) => joined(task.await),
            None => unreachable!("a pipeline whose call was dropped is not used further"),
        }
    }

    fn take_batch(&mut self) -> (Vec<Bytes>, usize, Option<OwnedSemaphorePermit>) {
        let bytes = std::mem::take(&mut self.gathered_bytes);
        (std::mem::take(&mut self.gathered), bytes, self.share.take())
    }
}

/// The outcome of a task that nobody aborts.
fn joined<T>(outcome: Result<T, tokio::task::JoinError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
