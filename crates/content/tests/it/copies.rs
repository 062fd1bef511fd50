//! Whole blobs, written by `write_blob`.

use std::io::{self, Cursor};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use wharfinger_content::{
    BlobSource, BlobWrite, Commit, ErrorKind, Forward, ReadAt, ReadingAt, Seeking, write_blob,
};
use wharfinger_oci::Digest;

use crate::subject::{MIB, Subject, fails, open, sample, sha256};

fn subjects() -> [Subject; 3] {
    [Subject::local(), Subject::client(), Subject::chain()]
}

fn wanted(bytes: &Bytes) -> BlobWrite {
    BlobWrite {
        total_bytes: bytes.len() as u64,
        expected: Some(sha256(bytes)),
        ..BlobWrite::new("ref")
    }
}

async fn copy(
    subject: &Subject,
    write: &BlobWrite,
    source: &mut dyn BlobSource,
) -> wharfinger_content::Result<Option<Digest>> {
    write_blob(&*subject.store, write, source, &subject.runtime, None).await
}

#[derive(Debug)]
struct InMemory(Bytes);

#[async_trait]
impl ReadAt for InMemory {
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let offset = usize::try_from(offset).unwrap().min(self.0.len());
        let end = (offset + length).min(self.0.len());
        Ok(self.0.slice(offset..end))
    }
}

/// Every kind of source of `bytes`.
fn sources(bytes: &Bytes) -> Vec<Box<dyn BlobSource>> {
    vec![
        Box::new(Forward::new(Cursor::new(bytes.clone()))),
        Box::new(Seeking::new(Cursor::new(bytes.clone()))),
        Box::new(ReadingAt::new(InMemory(bytes.clone()))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_goes_on_wherever_it_was_left_from_any_source() {
    for subject in subjects() {
        let bytes = sample(3 * MIB + 17, 1);
        let digest = sha256(&bytes);
        for left_at in [0, 1, MIB, bytes.len() - 1, bytes.len()] {
            for mut source in sources(&bytes) {
                let mut writer = subject.store.open(open("ref")).await.unwrap();
                writer.write(bytes.slice(..left_at)).await.unwrap();
                writer.close().await.unwrap();
                let written = copy(&subject, &wanted(&bytes), &mut *source).await;
                let story = format!("{} {left_at} {source:?}", subject.name);
                assert_eq!(written.unwrap(), Some(digest), "{}", &story[..40]);
                assert_eq!(subject.read(&digest, 0, None).await.unwrap(), bytes);
                subject.store.delete(&digest).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_is_there_is_a_success() {
    for subject in subjects() {
        let bytes = sample(1000, 2);
        let digest = subject.write("other", &bytes).await;
        let mut source = Forward::new(io_error());
        let written = copy(&subject, &wanted(&bytes), &mut source).await;
        assert_eq!(written.unwrap(), Some(digest));
        // One whose digest nobody has announced is met at the commit.
        let unannounced = BlobWrite::new("ref");
        let mut source = Forward::new(Cursor::new(bytes));
        assert!(copy(&subject, &unannounced, &mut source).await.is_ok());
        fails(subject.store.status("ref").await, ErrorKind::NotFound);
    }
}

/// A reader that must not be read.
fn io_error() -> impl tokio::io::AsyncRead + Unpin + Send + std::fmt::Debug {
    #[derive(Debug)]
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::Error::other("broken")))
        }
    }
    Broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_or_ends_early_leaves_what_was_written() {
    for subject in subjects() {
        let bytes = sample(5000, 3);
        let mut short = Forward::new(Cursor::new(bytes.slice(..3000)));
        let cut = copy(&subject, &wanted(&bytes), &mut short).await;
        fails(cut, ErrorKind::SourceFailed);
        assert_eq!(subject.store.status("ref").await.unwrap().offset, 3000);
        let failed = copy(&subject, &wanted(&bytes), &mut Forward::new(io_error())).await;
        fails(failed, ErrorKind::SourceFailed);
        let mut whole = Forward::new(Cursor::new(bytes.clone()));
        let written = copy(&subject, &wanted(&bytes), &mut whole).await;
        assert_eq!(written.unwrap(), Some(sha256(&bytes)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_somebody_else_left_are_written_over() {
    for subject in subjects() {
        let bytes = sample(2 * MIB, 4);
        let mut writer = subject.store.open(open("ref")).await.unwrap();
        writer.write(sample(MIB, 99)).await.unwrap();
        writer.close().await.unwrap();
        // What can only go forward cannot begin again; what was told to truncate need not.
        let mut forward = Forward::new(Cursor::new(bytes.clone()));
        let wrong = copy(&subject, &wanted(&bytes), &mut forward).await;
        fails(wrong, ErrorKind::FailedPrecondition);
        let mut seeking = Seeking::new(Cursor::new(bytes.clone()));
        let written = copy(&subject, &wanted(&bytes), &mut seeking).await;
        assert_eq!(written.unwrap(), Some(sha256(&bytes)), "{}", subject.name);
        subject.store.delete(&sha256(&bytes)).await.unwrap();

        let mut writer = subject.store.open(open("ref")).await.unwrap();
        writer.write(sample(MIB, 99)).await.unwrap();
        writer.close().await.unwrap();
        let truncating = BlobWrite {
            truncate: true,
            ..wanted(&bytes)
        };
        let mut forward = Forward::new(Cursor::new(bytes.clone()));
        let written = copy(&subject, &truncating, &mut forward).await;
        assert_eq!(written.unwrap(), Some(sha256(&bytes)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_ref_is_waited_for_and_progress_can_be_followed() {
    for subject in subjects() {
        let bytes = sample(MIB, 5);
        let mut writer = subject.store.open(open("ref")).await.unwrap();
        writer.write(bytes.slice(..1000)).await.unwrap();
        let (progress, mut told) = watch::channel(None);
        let waiting = {
            let (store, runtime) = (Arc::clone(&subject.store), subject.runtime.clone());
            let (write, bytes) = (wanted(&bytes), bytes.clone());
            subject.runtime.tasks.spawn(async move {
                let mut source = Seeking::new(Cursor::new(bytes));
                write_blob(&*store, &write, &mut source, &runtime, Some(&progress)).await
            })
        };
        tokio::task::yield_now().await;
        assert!(told.borrow().is_none(), "nobody writes but the first");
        writer.close().await.unwrap();
        let status = told.wait_for(Option::is_some).await.unwrap().clone();
        assert!(status.unwrap().offset >= 1000);
        assert_eq!(waiting.await.unwrap().unwrap(), Some(sha256(&bytes)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_says_what_was_to_be_noted() {
    let subject = Subject::chain();
    let bytes = sample(10, 6);
    let write = BlobWrite {
        labels: [("key".to_owned(), "value".to_owned())].into(),
        ..wanted(&bytes)
    };
    let mut source = Forward::new(Cursor::new(bytes.clone()));
    copy(&subject, &write, &mut source).await.unwrap();
    let info = subject.store.info(&sha256(&bytes)).await.unwrap();
    assert_eq!(info.labels, write.labels);
    let mut writer = subject.store.open(open("ref")).await.unwrap();
    writer.write(bytes).await.unwrap();
    fails(
        writer.commit(Commit::default()).await,
        ErrorKind::AlreadyExists,
    );
}
