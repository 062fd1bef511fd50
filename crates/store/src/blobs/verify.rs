//! Hashing bytes at rest: while they are served, or in the background.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::Semaphore;
use wharfinger_driver as driver;
use wharfinger_oci::{Algorithm, Digest, Hasher};
use wharfinger_runtime::{BlockingPool, Runtime};

use crate::error::{Error, ErrorKind, Result};

/// 64 KiB are held back until the digest is known to be right: no client takes a body for complete
/// that lacks its end.
const HELD_BACK_BYTES: usize = 64 * 1024;

/// 256 blobs may wait to be hashed; further ones are left to their next reader.
const MOST_QUEUED: usize = 256;

/// 1 MiB: a batch large enough that handing it to another thread costs nothing beside hashing it.
const BATCH_BYTES: usize = 1024 * 1024;

/// Hashes a stream to its end.
pub(super) async fn hash_of(
    algorithm: Algorithm,
    bytes: BoxStream<'static, driver::Result<Bytes>>,
    pool: &BlockingPool,
) -> driver::Result<Digest> {
    let hashed = hash_on(Hasher::new(algorithm), bytes, pool).await?;
    Ok(hashed.finish())
}

/// Goes on with `hasher` to the end of a stream, in the pool: a large file would keep everybody else
/// on this thread waiting.
pub(crate) async fn hash_on(
    mut hasher: Hasher,
    mut bytes: BoxStream<'static, driver::Result<Bytes>>,
    pool: &BlockingPool,
) -> driver::Result<Hasher> {
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    loop {
        let piece = bytes.next().await.transpose()?;
        let is_end = piece.is_none();
        if let Some(piece) = piece {
            batch_bytes += piece.len();
            batch.push(piece);
        }
        if batch_bytes >= BATCH_BYTES || (is_end && batch_bytes > 0) {
            batch_bytes = 0;
            let batch = std::mem::take(&mut batch);
            let hash = move || {
                batch.iter().for_each(|piece| hasher.update(piece));
                hasher
            };
            hasher = pool.run(hash).await;
        }
        if is_end {
            return Ok(hasher);
        }
    }
}

/// Passes a whole blob on while it is hashed, and ends in an error, short of the last bytes, when
/// they are not those of `digest`. `finished` learns the outcome, unless the reader goes away.
pub(super) fn verifying<F, Done>(
    digest: Digest,
    bytes: BoxStream<'static, driver::Result<Bytes>>,
    finished: F,
) -> BoxStream<'static, Result<Bytes>>
where
    F: FnOnce(bool) -> Done + Send + 'static,
    Done: Future<Output = ()> + Send,
{
    let reading = Reading {
        digest,
        bytes,
        hasher: Hasher::new(digest.algorithm()),
        held: VecDeque::new(),
        held_bytes: 0,
        finished: Some(finished),
    };
    stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    })
    .boxed()
}

struct Reading<F> {
    digest: Digest,
    bytes: BoxStream<'static, driver::Result<Bytes>>,
    hasher: Hasher,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    finished: Option<F>,
}

impl<F, Done> Reading<F>
where
    F: FnOnce(bool) -> Done + Send,
    Done: Future<Output = ()> + Send,
{
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.finished.is_some() {
            let Some(piece) = self.bytes.next().await else {
                self.finish().await?;
                break;
            };
            let piece =
                piece.map_err(|error| Error::storage(format!("blob {}", self.digest), error))?;
            self.hasher.update(&piece);
            self.held_bytes += piece.len();
            self.held.push_back(piece);
            let first = self.held.front().map_or(0, Bytes::len);
            if self.held_bytes - first >= HELD_BACK_BYTES {
                self.held_bytes -= first;
                return Ok(self.held.pop_front());
            }
        }
        Ok(self.held.pop_front())
    }

    async fn finish(&mut self) -> Result<()> {
        let computed = self.hasher.finish();
        let sound = computed == self.digest;
        if let Some(finished) = self.finished.take() {
            finished(sound).await;
        }
        if sound {
            return Ok(());
        }
        tracing::error!(digest = %self.digest, %computed, "a blob at rest is damaged");
        self.held.clear();
        Err(Error::new(
            ErrorKind::Damaged,
            format!("blob {}", self.digest),
        ))
    }
}

/// Blobs that wait to be hashed, one at a time, each once.
#[derive(Debug, Clone)]
pub(super) struct VerificationQueue {
    runtime: Runtime,
    waiting: Arc<Mutex<HashSet<Digest>>>,
    turn: Arc<Semaphore>,
}

impl VerificationQueue {
    pub(super) fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            waiting: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Runs `verification` when it is its turn, unless the blob waits already or too many do.
    pub(super) fn add(
        &self,
        digest: Digest,
        verification: impl Future<Output = ()> + Send + 'static,
    ) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= MOST_QUEUED || !waiting.insert(digest) {
                return;
            }
        }
        let (waiting, turn) = (Arc::clone(&self.waiting), Arc::clone(&self.turn));
        let cancelled = self.runtime.tasks.cancelled();
        let task = async move {
            let verified = async {
                let _turn = turn.acquire().await.expect("the semaphore is never closed");
                verification.await;
            };
            tokio::select! {
                () = verified => {}
                () = cancelled => {}
            }
            waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&digest);
        };
        drop(self.runtime.tasks.spawn(task));
    }
}
