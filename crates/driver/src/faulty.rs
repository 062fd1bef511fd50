//! A wrapper that makes chosen calls fail, for tests of what remains after a failure.

mod ingest;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wharfinger_runtime::{Clock, SystemClock};

use crate::{
    Capabilities, Condition, Driver, DriverPath, Durability, ErrorKind, Ingest, Metadata, Method,
    Page, Put, ReadRange, ReadStream, RedirectMethod, Result, Resume, Target,
};

pub use plan::{Fault, FaultPlan, LoggedCall};

use ingest::FaultyIngest;
use plan::{Script, Verdict};

/// A wrapper that makes chosen calls fail, wait or stop halfway.
///
/// All calls of the driver and of the ingests that it opened are numbered from 0 in one sequence,
/// in the order they begin, and logged. So a test runs an operation once without faults, asks
/// [`Faulty::calls`] how many steps it has, and runs it again for each of them with
/// [`FaultPlan::crash_from`] or another fault, looking at what remains through the driver below.
///
/// ```
/// use std::sync::Arc;
/// use wharfinger_driver::{Driver, DriverExt, DriverPath, Durability, FaultPlan, Faulty, Memory};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let below = Arc::new(Memory::new());
/// let faulty = Faulty::new(below.clone(), FaultPlan::new().crash_from(1));
/// let path: DriverPath = "a".parse()?;
/// faulty.put_one(&path, "kept".into(), Durability::Durable).await?;
/// assert!(faulty.put_one(&path, "lost".into(), Durability::Durable).await.is_err());
/// assert_eq!(below.get_small(&path).await?, "kept");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).map_err(|error| error.to_string())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A call that was made to fail breaks an ingest's handle as the contract says. Clones share the
/// log and the plan.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn Driver>,
    script: Arc<Script>,
}

impl Faulty {
    /// Wraps `inner` with a plan, waiting by the machine's clock where the plan says to wait.
    #[must_use]
    pub fn new(inner: Arc<dyn Driver>, plan: FaultPlan) -> Self {
        Self::with_clock(inner, plan, Arc::new(SystemClock::new()))
    }

    /// Wraps `inner` with a plan, waiting by `clock` where the plan says to wait.
    #[must_use]
    pub fn with_clock(inner: Arc<dyn Driver>, plan: FaultPlan, clock: Arc<dyn Clock>) -> Self {
        let script = Arc::new(Script::new(inner.name(), plan, clock));
        Self { inner, script }
    }

    /// Returns the calls that were begun so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<LoggedCall> {
        self.script.calls()
    }

    fn wrap(&self, path: &DriverPath, ingest: Box<dyn Ingest>) -> Box<dyn Ingest> {
        let anywhere = self.inner.capabilities().resume_anywhere;
        Box::new(FaultyIngest::new(
            ingest,
            Arc::clone(&self.script),
            path,
            anywhere,
        ))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Driver for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        self.script
            .around(Method::Stat, path, self.inner.stat(path))
            .await
    }

    async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes> {
        self.script
            .around(Method::Get, path, self.inner.get(path, limit_bytes))
            .await
    }

    async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream> {
        let verdict = self.script.begin(Method::Read, path).await;
        read_under(&self.script, verdict, path, self.inner.read(path, range)).await
    }

    async fn put(&self, writes: &[Put], durability: Durability) -> Result<()> {
        let nowhere = "(nothing)".parse().expect("a plain word is a path");
        let path = writes.first().map_or(&nowhere, |write| &write.path);
        match self.script.begin(Method::Put, path).await {
            Verdict::Cut(count, kind) => {
                let count = usize::try_from(count)
                    .unwrap_or(usize::MAX)
                    .min(writes.len());
                self.inner.put(&writes[..count], durability).await?;
                Err(self.script.injected(kind, path))
            }
            verdict => {
                self.script
                    .run(verdict, path, self.inner.put(writes, durability))
                    .await
            }
        }
    }

    async fn list(
        &self,
        directory: &DriverPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let call = self.inner.list(directory, after, limit);
        self.script.around(Method::List, directory, call).await
    }

    async fn delete(&self, path: &DriverPath, durability: Durability) -> Result<()> {
        self.script
            .around(Method::Delete, path, self.inner.delete(path, durability))
            .await
    }

    async fn begin(&self, target: &Target) -> Result<Box<dyn Ingest>> {
        let (Target::Staged(path) | Target::Final(path)) = target;
        let call = self.inner.begin(target);
        let ingest = self.script.around(Method::Begin, path, call).await?;
        Ok(self.wrap(path, ingest))
    }

    async fn resume(&self, path: &DriverPath, resume: Resume) -> Result<Box<dyn Ingest>> {
        let call = self.inner.resume(path, resume);
        let ingest = self.script.around(Method::Resume, path, call).await?;
        Ok(self.wrap(path, ingest))
    }

    async fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        let call = self.inner.mark_verified(path, metadata);
        self.script.around(Method::MarkVerified, path, call).await
    }

    async fn settle(&self, path: &DriverPath) -> Result<()> {
        self.script
            .around(Method::Settle, path, self.inner.settle(path))
            .await
    }

    async fn link(&self, from: &DriverPath, to: &DriverPath, condition: Condition) -> Result<()> {
        let call = self.inner.link(from, to, condition);
        self.script.around(Method::Link, to, call).await
    }

    async fn redirect(
        &self,
        path: &DriverPath,
        method: RedirectMethod,
        expiry: Duration,
    ) -> Result<String> {
        let call = self.inner.redirect(path, method, expiry);
        self.script.around(Method::Redirect, path, call).await
    }
}

/// Opens a stream under a verdict; a cut lets the call pass and ends its stream early.
async fn read_under(
    script: &Script,
    verdict: Verdict,
    path: &DriverPath,
    call: impl Future<Output = Result<ReadStream>> + Send,
) -> Result<ReadStream> {
    let Verdict::Cut(limit, kind) = verdict else {
        return script.run(verdict, path, call).await;
    };
    let mut stream = call.await?;
    let mut left = limit;
    let failure = script.injected(kind, path);
    let whole = stream
        .bytes
        .map(move |piece| piece.map(|bytes| cut_piece(bytes, &mut left)));
    // The empty piece that is made where the limit is reached ends what is passed on.
    let until = whole.take_while(|piece| {
        let goes_on = !matches!(piece, Ok(bytes) if bytes.is_empty());
        std::future::ready(goes_on)
    });
    stream.bytes = until
        .chain(stream::once(std::future::ready(Err(failure))))
        .boxed();
    Ok(stream)
}

fn cut_piece(mut bytes: Bytes, left: &mut u64) -> Bytes {
    let kept = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    bytes.truncate(kept);
    *left -= kept as u64;
    bytes
}

/// Returns the leading chunks that hold `limit` bytes.
fn cut_chunks(chunks: Vec<Bytes>, limit: u64) -> Vec<Bytes> {
    let mut left = limit;
    let cut = chunks.into_iter().map(|chunk| cut_piece(chunk, &mut left));
    cut.filter(|chunk| !chunk.is_empty()).collect()
}

/// The kind of the failures of a process that is dead: nobody knows what became of the call.
const DEAD: ErrorKind = ErrorKind::Unavailable;
