//! The ingests of a [`super::Faulty`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::{
    Checkpoint, Commit, DriverPath, Error, ErrorKind, Ingest, Method, ReadRange, ReadStream, Result,
};

use super::plan::{Script, Verdict};
use super::{cut_chunks, read_under};

/// An ingest whose calls may be made to fail.
#[derive(Debug)]
pub(super) struct FaultyIngest {
    inner: Box<dyn Ingest>,
    script: Arc<Script>,
    path: DriverPath,
    /// Whether the driver can resume anywhere, and so can go back behind a part of an append.
    anywhere: bool,
    /// The offset before a call that was made to fail; from then on the handle is broken.
    broken_at: Option<u64>,
}

impl FaultyIngest {
    pub(super) fn new(
        inner: Box<dyn Ingest>,
        script: Arc<Script>,
        path: &DriverPath,
        anywhere: bool,
    ) -> Self {
        Self {
            inner,
            script,
            path: path.clone(),
            anywhere,
            broken_at: None,
        }
    }

    fn check_whole(&self) -> Result<()> {
        match self.broken_at {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Broken, "faulty", &self.path)),
        }
    }

    /// Makes the handle broken; it stays so until it is rewound or resumed anew.
    fn fail(&mut self, kind: ErrorKind, offset: u64) -> Error {
        self.broken_at = Some(offset);
        self.script.injected(kind, &self.path)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ingest for FaultyIngest {
    fn offset(&self) -> u64 {
        self.broken_at.unwrap_or_else(|| self.inner.offset())
    }

    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        let before = self.offset();
        let verdict = self.script.begin(Method::Append, &self.path).await;
        self.check_whole()?;
        let (chunks, kind) = match verdict {
            Verdict::Pass => return self.inner.append(chunks).await,
            Verdict::Cut(limit, kind) if self.anywhere => (cut_chunks(chunks, limit), kind),
            Verdict::After(kind) if self.anywhere => (chunks, kind),
            Verdict::Before(kind) | Verdict::After(kind) | Verdict::Cut(_, kind) => {
                return Err(self.fail(kind, before));
            }
        };
        self.inner.append(chunks).await?;
        Err(self.fail(kind, before))
    }

    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>> {
        let begun = self.script.begin_now(Method::Checkpoint, &self.path);
        if let Err(error) = self.check_whole() {
            return std::future::ready(Err(error)).boxed();
        }
        let script = Arc::clone(&self.script);
        let path = self.path.clone();
        let call = self.inner.checkpoint();
        async move {
            let verdict = begun.await;
            script.run(verdict, &path, call).await
        }
        .boxed()
    }

    async fn rewind(&mut self, point: &Checkpoint) -> Result<()> {
        let before = self.offset();
        match self.script.begin(Method::Rewind, &self.path).await {
            Verdict::Pass => {
                self.inner.rewind(point).await?;
                self.broken_at = None;
                Ok(())
            }
            Verdict::Before(kind) | Verdict::Cut(_, kind) => Err(self.fail(kind, before)),
            Verdict::After(kind) => {
                self.inner.rewind(point).await?;
                Err(self.fail(kind, point.offset))
            }
        }
    }

    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream> {
        let verdict = self.script.begin(Method::ReadBack, &self.path).await;
        self.check_whole()?;
        read_under(
            &self.script,
            verdict,
            &self.path,
            self.inner.read_back(range),
        )
        .await
    }

    async fn commit(&mut self, mut commit: Commit) -> Result<()> {
        let before = self.offset();
        let verdict = self.script.begin(Method::Commit, &commit.destination).await;
        self.check_whole()?;
        let kind = match verdict {
            Verdict::Pass => return self.inner.commit(commit).await,
            Verdict::Before(ErrorKind::AlreadyExists) => {
                let kind = ErrorKind::AlreadyExists;
                return Err(self.script.injected(kind, &commit.destination));
            }
            Verdict::Before(kind) => return Err(self.fail(kind, before)),
            Verdict::After(kind) => kind,
            Verdict::Cut(count, kind) => {
                commit
                    .then
                    .truncate(usize::try_from(count).unwrap_or(usize::MAX));
                kind
            }
        };
        self.inner.commit(commit).await?;
        Err(self.fail(kind, before))
    }

    async fn close(&mut self) -> Result<Checkpoint> {
        let verdict = self.script.begin(Method::Close, &self.path).await;
        let mut checkpoint = self
            .script
            .run(verdict, &self.path, self.inner.close())
            .await?;
        if let Some(offset) = self.broken_at {
            // What a failed append has left is not acknowledged.
            checkpoint.offset = checkpoint.offset.min(offset);
        }
        Ok(checkpoint)
    }

    async fn abort(&mut self) -> Result<()> {
        self.script
            .around(Method::Abort, &self.path, self.inner.abort())
            .await
    }
}
