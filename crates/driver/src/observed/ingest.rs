//! The ingests of a [`super::Observed`].

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::{Checkpoint, Commit, DriverPath, Ingest, Method, ReadRange, ReadStream, Result};

use super::{Observer, length_of};

/// An ingest whose calls are traced and counted.
#[derive(Debug)]
pub(super) struct ObservedIngest {
    inner: Box<dyn Ingest>,
    observer: Observer,
    path: DriverPath,
}

impl ObservedIngest {
    pub(super) fn new(inner: Box<dyn Ingest>, observer: Observer, path: &DriverPath) -> Self {
        Self {
            inner,
            observer,
            path: path.clone(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Ingest for ObservedIngest {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let call = self.inner.append(chunks);
        self.observer
            .watch(Method::Append, Some(&self.path), call)
            .await?;
        self.observer.metrics.took_in(Method::Append, length);
        Ok(())
    }

    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>> {
        let call = self.inner.checkpoint();
        let (observer, path) = (self.observer.clone(), self.path.clone());
        async move { observer.watch(Method::Checkpoint, Some(&path), call).await }.boxed()
    }

    async fn rewind(&mut self, point: &Checkpoint) -> Result<()> {
        self.observer
            .watch(Method::Rewind, Some(&self.path), self.inner.rewind(point))
            .await
    }

    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream> {
        let call = self.inner.read_back(range);
        let stream = self
            .observer
            .watch(Method::ReadBack, Some(&self.path), call)
            .await?;
        Ok(self.observer.count_stream(Method::ReadBack, stream))
    }

    async fn commit(&mut self, commit: Commit) -> Result<()> {
        let (destination, length) = (commit.destination.clone(), length_of(&commit.then));
        let call = self.inner.commit(commit);
        self.observer
            .watch(Method::Commit, Some(&destination), call)
            .await?;
        self.observer.metrics.took_in(Method::Commit, length);
        Ok(())
    }

    async fn close(&mut self) -> Result<Checkpoint> {
        self.observer
            .watch(Method::Close, Some(&self.path), self.inner.close())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.observer
            .watch(Method::Abort, Some(&self.path), self.inner.abort())
            .await
    }
}
