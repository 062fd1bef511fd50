//! The writer of the client: a stream of questions, each of which is answered before the next.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tonic::Streaming;
use wharfinger_oci::Digest;

use crate::error::{Error, ErrorKind, Result};
use crate::proto::{WriteAction, WriteContentRequest, WriteContentResponse};
use crate::store::{Commit, ContentStore as _, ContentWriter, Open, Status};
use crate::wire::{digest, signed, time, unsigned};

use super::{Remote, missing};

/// 4 MiB: what goes into one message, a quarter of what may.
const WRITTEN_AT_ONCE: usize = 4 * 1024 * 1024;

/// Writes to an ingest of another store.
#[derive(Debug)]
pub(super) struct RemoteWriter {
    remote: Remote,
    questions: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    status: Status,
    digest: Digest,
}

fn question(action: WriteAction) -> WriteContentRequest {
    WriteContentRequest {
        action: action.into(),
        ..WriteContentRequest::default()
    }
}

/// The other side has ended the stream without a word.
fn ended() -> Error {
    Error::new(ErrorKind::Aborted, "the content store has ended the write")
}

impl RemoteWriter {
    pub(super) async fn open(remote: Remote, open: Open) -> Result<Self> {
        let (questions, asked) = mpsc::channel(1);
        let first = WriteContentRequest {
            r#ref: open.reference.clone(),
            total: signed(open.total_bytes),
            expected: open
                .expected
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            ..question(WriteAction::Stat)
        };
        questions.send(first).await.map_err(|_| ended())?;
        let asked = stream::unfold(asked, |mut asked| async move {
            asked.recv().await.map(|question| (question, asked))
        });
        let request = remote.request(asked);
        let mut answers = remote.client.clone().write(request).await?.into_inner();
        let answer = answers.message().await?.ok_or_else(ended)?;
        let status = Status {
            reference: open.reference,
            offset: unsigned(answer.offset),
            total_bytes: open.total_bytes,
            started_at: time(answer.started_at),
            updated_at: time(answer.updated_at),
        };
        let digest = read_digest(&answer)?;
        Ok(Self {
            remote,
            questions,
            answers,
            status,
            digest,
        })
    }

    /// Asks, and waits for the answer.
    async fn ask(&mut self, question: WriteContentRequest) -> Result<WriteContentResponse> {
        // When nobody takes it, the answer tells why.
        self.questions.send(question).await.ok();
        self.answers.message().await?.ok_or_else(ended)
    }

    fn note(&mut self, answer: &WriteContentResponse) -> Result<()> {
        self.digest = read_digest(answer)?;
        self.status.offset = unsigned(answer.offset);
        self.status.updated_at = time(answer.updated_at);
        Ok(())
    }
}

fn read_digest(answer: &WriteContentResponse) -> Result<Digest> {
    if answer.digest.is_empty() {
        return Err(missing("digest"));
    }
    digest(&answer.digest)
}

#[async_trait]
impl ContentWriter for RemoteWriter {
    fn status(&self) -> Status {
        self.status.clone()
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let data = bytes.split_to(bytes.len().min(WRITTEN_AT_ONCE));
            let after = self.status.offset + data.len() as u64;
            let answer = self.ask(WriteContentRequest {
                offset: signed(self.status.offset),
                data,
                ..question(WriteAction::Write)
            });
            let answer = answer.await?;
            self.note(&answer)?;
            if self.status.offset != after {
                let message = format!("wrote to {}, expected {after}", self.status.offset);
                return Err(Error::new(ErrorKind::Unknown, message));
            }
        }
        Ok(())
    }

    async fn truncate(&mut self) -> Result<()> {
        let answer = self.ask(question(WriteAction::Write)).await?;
        self.note(&answer)
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<Digest> {
        let answer = self.ask(WriteContentRequest {
            offset: signed(self.status.offset),
            total: signed(commit.total_bytes),
            expected: commit
                .expected
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            labels: commit.labels,
            ..question(WriteAction::Commit)
        });
        read_digest(&answer.await?)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let Self {
            questions,
            mut answers,
            ..
        } = *self;
        drop(questions);
        // The stream ends once the other side has let go of the ref.
        while answers.message().await?.is_some() {}
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let reference = self.status.reference.clone();
        self.remote.abort(&reference).await
    }
}
