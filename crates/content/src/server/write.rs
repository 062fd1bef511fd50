//! A write: one ingest, open as long as the stream is.
//!
//! ```text
//! the first message    opens the ref; it may do anything else at once
//! each message         STAT   tells where the ingest stands
//!                      WRITE  appends; at offset 0 it begins anew
//!                      COMMIT as WRITE, and then makes a blob of it: the end
//!                      anything else is answered like STAT
//! the stream ends      what was written is kept, and the ref is free
//! ```
//!
//! Each stream has a task of its own, which goes on to the end of what it does when the client goes
//! away: nothing is left half done, and nothing unsaved.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;
use tonic::{Status as GrpcStatus, Streaming};
use wharfinger_oci::{Algorithm, Digest};
use wharfinger_runtime::{Runtime, Tasks};

use crate::error::{Error, ErrorKind, Result};
use crate::proto::{WriteAction, WriteContentRequest, WriteContentResponse};
use crate::store::{Commit, ContentStore, ContentWriter, Labels, Open, Status};
use crate::wire::{digest, signed, unsigned};

use super::{Answers, Mode, update};

/// 4 answers may wait for the client to take them; it mostly asks only once it has the last.
const MOST_ANSWERS: usize = 4;

/// Serves a stream of messages in a task of its own.
pub(super) fn start(
    store: Arc<dyn ContentStore>,
    mode: Mode,
    messages: Streaming<WriteContentRequest>,
    runtime: &Runtime,
) -> Answers<WriteContentResponse> {
    let (answers, answered) = mpsc::channel(MOST_ANSWERS);
    let session = Session {
        store,
        mode,
        writer: None,
        total: 0,
        expected: None,
    };
    let tasks = runtime.tasks.clone();
    drop(
        runtime
            .tasks
            .spawn(async move { session.run(messages, answers, tasks).await }),
    );
    let answers = stream::unfold(answered, |mut answered| async move {
        answered.recv().await.map(|answer| (answer, answered))
    });
    answers.boxed()
}

/// What the client says that the bytes will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Digest(Digest),
    /// Something that no bytes have, which a client of containerd may say until the commit.
    Nothing,
}

/// One stream.
#[derive(Debug)]
struct Session {
    store: Arc<dyn ContentStore>,
    mode: Mode,
    writer: Option<Box<dyn ContentWriter>>,
    /// How many bytes the client has said there are: the last time that it did.
    total: i64,
    expected: Option<Wanted>,
}

impl Session {
    async fn run(
        mut self,
        mut messages: Streaming<WriteContentRequest>,
        answers: mpsc::Sender<Result<WriteContentResponse, GrpcStatus>>,
        tasks: Tasks,
    ) {
        let served = self.serve(&mut messages, &answers, &tasks).await;
        // Before the client hears of the end, so that it can open the ref again at once.
        self.close().await;
        if let Err(status) = served {
            // Whoever has gone away does not want to know.
            answers.send(Err(status)).await.ok();
        }
    }

    async fn serve(
        &mut self,
        messages: &mut Streaming<WriteContentRequest>,
        answers: &mpsc::Sender<Result<WriteContentResponse, GrpcStatus>>,
        tasks: &Tasks,
    ) -> Result<(), GrpcStatus> {
        let first = next(messages, tasks).await?;
        let mut message = first.ok_or_else(|| GrpcStatus::unknown("EOF"))?;
        self.open(&message).await?;
        loop {
            let answer = self.step(message).await?;
            let was_last = self.writer.is_none();
            if answers.send(Ok(answer)).await.is_err() || was_last {
                return Ok(());
            }
            match next(messages, tasks).await? {
                Some(next) => message = next,
                None => return Ok(()),
            }
        }
    }

    /// Keeps what was written.
    async fn close(&mut self) {
        if let Some(writer) = self.writer.take() {
            let reference = writer.status().reference;
            match writer.close().await {
                Err(error) if error.kind() != ErrorKind::Aborted => {
                    tracing::warn!(%reference, %error, "could not save an ingest");
                }
                _ => {}
            }
        }
    }

    async fn open(&mut self, first: &WriteContentRequest) -> Result<()> {
        if first.r#ref.is_empty() {
            let message = "first message must have a reference";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.expected = self.wanted(&first.expected)?;
        let mut expected = None;
        if let Some(Wanted::Digest(digest)) = self.expected {
            // containerd itself names the running digest after what is announced only in its store,
            // which its clients do not reach.
            if self.mode == Mode::Plugin || digest.algorithm() == Algorithm::Sha256 {
                expected = Some(digest);
            } else {
                self.check_absent(&digest).await?;
            }
        }
        let open = Open {
            reference: first.r#ref.clone(),
            total_bytes: unsigned(first.total),
            expected,
        };
        self.writer = Some(self.store.open(open).await?);
        Ok(())
    }

    /// Reads what the bytes are to be.
    fn wanted(&self, text: &str) -> Result<Option<Wanted>> {
        if text.is_empty() {
            return Ok(None);
        }
        match (digest(text), self.mode) {
            (Ok(digest), _) => Ok(Some(Wanted::Digest(digest))),
            (Err(_), Mode::Direct) => Ok(Some(Wanted::Nothing)),
            (Err(error), Mode::Plugin) => Err(error),
        }
    }

    async fn check_absent(&self, digest: &Digest) -> Result<()> {
        match self.store.info(digest).await {
            Ok(_) => {
                let message = format!("blob with expected digest {digest} exists");
                Err(Error::new(ErrorKind::AlreadyExists, message))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn step(&mut self, message: WriteContentRequest) -> Result<WriteContentResponse> {
        let action = WriteAction::try_from(message.action).ok();
        if message.total > 0 {
            self.total = message.total;
        }
        if let Some(wanted) = self.wanted(&message.expected)? {
            let is_new = self.expected.replace(wanted) != Some(wanted);
            if let Wanted::Digest(digest) = wanted
                && is_new
                && action != Some(WriteAction::Commit)
                && let Err(error) = self.check_absent(&digest).await
            {
                if let Some(writer) = self.writer.take() {
                    writer.abort().await?;
                }
                return Err(error);
            }
        }
        if let Some(WriteAction::Write | WriteAction::Commit) = action {
            self.write(message.offset, message.data).await?;
        }
        if action == Some(WriteAction::Commit) {
            return self.commit(message.labels).await;
        }
        let writer = self.writer.as_ref().ok_or_else(ended)?;
        Ok(self.answer(message.action, &writer.status(), writer.digest()))
    }

    /// Appends, after going where the client wants to be.
    async fn write(&mut self, offset: i64, data: Bytes) -> Result<()> {
        let writer = self.writer.as_mut().ok_or_else(ended)?;
        let current = writer.status().offset;
        if offset > 0 && unsigned(offset) != current {
            let message = format!("write @{offset} must occur at current offset {current}");
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        if offset == 0 && current > 0 {
            writer.truncate().await?;
        }
        if !data.is_empty() {
            writer.write(data).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, labels: Labels) -> Result<WriteContentResponse> {
        if self.mode == Mode::Direct {
            update::check_lengths(&labels)?;
        }
        let expected = match self.expected {
            Some(Wanted::Digest(digest)) => Some(digest),
            Some(Wanted::Nothing) => {
                let message = "unexpected commit digest: what was expected is no digest";
                return Err(Error::new(ErrorKind::FailedPrecondition, message));
            }
            None => None,
        };
        let writer = self.writer.take().ok_or_else(ended)?;
        let status = writer.status();
        let commit = Commit {
            total_bytes: unsigned(self.total),
            expected,
            labels,
        };
        let digest = writer.commit(commit).await?;
        Ok(self.answer(WriteAction::Commit.into(), &status, digest))
    }

    fn answer(&self, action: i32, status: &Status, digest: Digest) -> WriteContentResponse {
        WriteContentResponse {
            action,
            started_at: Some(status.started_at.into()),
            updated_at: Some(status.updated_at.into()),
            offset: signed(status.offset),
            total: self.total,
            digest: digest.to_string(),
        }
    }
}

/// Waits for the next message, and for no more once the service ends. What is done with a message is
/// never cut short.
async fn next(
    messages: &mut Streaming<WriteContentRequest>,
    tasks: &Tasks,
) -> Result<Option<WriteContentRequest>, GrpcStatus> {
    tokio::select! {
        message = messages.message() => message,
        () = tasks.cancelled() => Err(GrpcStatus::unavailable("the service ends")),
    }
}

/// Nothing is written to an ingest that has come to its end.
fn ended() -> Error {
    Error::new(ErrorKind::Aborted, "the ingest has ended")
}
