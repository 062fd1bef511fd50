//! The contract of a driver.

use std::fmt;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{DriverPath, Ingest, Result, Resume, Target};

/// A place that keeps bytes under paths.
///
/// # Contract
/// - A value is seen whole or not at all: a reader of a path that is being written sees the old
///   bytes or the new, never a mixture, and nothing of an ingest before its commit.
/// - A driver may be shared by processes; what one call has written, every later call sees.
/// - What was answered with [`Durability::Durable`] or [`Durability::Apart`], and every commit,
///   outlives a power cut, as far as the driver is configured to promise it.
/// - Every call may be dropped at any `await`. Work that was under way then ends or is undone by
///   itself; each method says what may remain.
/// - Paths are taken as they are; a driver never follows one out of its root.
#[async_trait]
pub trait Driver: Debug + Send + Sync + 'static {
    /// Returns the driver's name, for errors, logs and metrics.
    fn name(&self) -> &'static str;

    /// Returns which of the optional powers the driver has.
    fn capabilities(&self) -> Capabilities;

    /// Returns what lies at `path`. Fails with `NotFound`.
    async fn stat(&self, path: &DriverPath) -> Result<Metadata>;

    /// Returns the whole value at `path`, for small values such as links. Fails with `NotFound`,
    /// and with `TooLarge` when the value is longer than `limit_bytes`.
    async fn get(&self, path: &DriverPath, limit_bytes: u64) -> Result<Bytes>;

    /// Opens the value at `path` for streaming. What was opened is read to its end even when the
    /// path is replaced or deleted meanwhile. Fails with `NotFound`; a range that begins beyond
    /// the end fails with `Invalid`, and one that ends there is cut.
    async fn read(&self, path: &DriverPath, range: ReadRange) -> Result<ReadStream>;

    /// Writes each value atomically, in the order given.
    ///
    /// After a crash, or an error, a prefix of `writes` is there. With [`Durability::Durable`] or
    /// [`Durability::Apart`] all of them are durable when the call returns, and none is durable
    /// before those ahead of it.
    /// Parents are made as needed. An `IfAbsent` write that finds something fails with
    /// `AlreadyExists`, and nothing after it is written. Dropping the future may leave any prefix.
    async fn put(&self, writes: &[Put], durability: Durability) -> Result<()>;

    /// Returns up to `limit` names directly below `directory`, in byte order, after the name
    /// `after`. A directory that does not exist fails with `NotFound` on a driver that has
    /// directories, and is empty elsewhere. How much a page costs may grow with the directory.
    async fn list(&self, directory: &DriverPath, after: Option<&str>, limit: usize)
    -> Result<Page>;

    /// Deletes what lies at `path`, a value or everything below it. Fails with `NotFound` when
    /// there is nothing. After an error, or when dropped, part of it may be gone.
    async fn delete(&self, path: &DriverPath, durability: Durability) -> Result<()>;

    /// Begins an ingest. A staged one can be resumed by its path. It fails with `Busy` while
    /// another handle is open on an ingest at that path. One that was left there is replaced,
    /// unless others can see its bytes ([`Capabilities::staged_is_visible`]): then somebody may
    /// have been promised them, and it is `Busy`, too; resume it at offset 0 to begin it again.
    async fn begin(&self, target: &Target) -> Result<Box<dyn Ingest>>;

    /// Opens a staged ingest that was begun before, here or by another process. Fails with
    /// `NotFound`, with `Busy` while another handle has it open, and with `Invalid` when it does
    /// not reach to the wanted offset.
    async fn resume(&self, path: &DriverPath, resume: Resume) -> Result<Box<dyn Ingest>>;

    /// Notes that the caller has hashed the bytes at `path` as they stand in `metadata` and found
    /// them right. The note stops counting when size or modification time differ. Best effort:
    /// losing it costs the caller one more hash.
    async fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()>;

    /// Makes the value at `path` durable that someone else has written, when this process cannot
    /// know that it is. Fails with `NotFound`.
    async fn settle(&self, path: &DriverPath) -> Result<()>;

    /// Gives the value at `from` the second name `to`: it lies there whole, and stays when the first
    /// name is deleted or given to another value. Fails with `NotFound`, and with `Unsupported` where
    /// values have one name only, in general or between these two places.
    ///
    /// The name itself may be lost with the power. Dropping the future may leave it made.
    async fn link(&self, from: &DriverPath, to: &DriverPath, condition: Condition) -> Result<()>;

    /// Returns a URL at which a client may do `method` on `path` by itself for `expiry`. Fails with
    /// `Unsupported` unless [`Capabilities::redirect`].
    async fn redirect(
        &self,
        path: &DriverPath,
        method: RedirectMethod,
        expiry: Duration,
    ) -> Result<String>;
}

/// The optional powers of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// URLs can be signed, see [`Driver::redirect`].
    pub redirect: bool,
    /// Directories exist by themselves: an empty one can be listed, and listing a missing one fails.
    /// The time of one changes with each name that is added or removed.
    pub directories: bool,
    /// An ingest can be resumed at every offset. Otherwise only at one that
    /// [`Ingest::checkpoint`] or [`Ingest::close`] gave.
    pub resume_anywhere: bool,
    /// What an ingest holds is a value at its path already before the commit, so others can read it there.
    pub staged_is_visible: bool,
    /// Values can have several names, see [`Driver::link`].
    pub links: bool,
    /// Asking costs a round trip, so that it pays to remember what was told.
    pub remote: bool,
}

/// What kind of thing lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A value.
    File,
    /// A directory, or a prefix that others lie below.
    Directory,
}

/// What is known of a path without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// A value or a directory.
    pub kind: EntryKind,
    /// The value's length; 0 for a directory.
    pub size_bytes: u64,
    /// When it was last changed, as finely as the driver knows.
    pub modified: SystemTime,
    /// Whether [`Driver::mark_verified`], or a write that said so, vouched for exactly this version.
    pub verified: bool,
}

/// Which bytes to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadRange {
    /// The first byte.
    pub start: u64,
    /// How many bytes at most; `None` reads to the end.
    pub length: Option<u64>,
}

impl ReadRange {
    /// The whole value.
    pub const WHOLE: Self = Self {
        start: 0,
        length: None,
    };

    /// Everything from `start` on.
    #[must_use]
    pub fn from(start: u64) -> Self {
        Self {
            start,
            length: None,
        }
    }
}

/// An open value: what it is, and its bytes.
pub struct ReadStream {
    /// What the value was when it was opened.
    pub metadata: Metadata,
    /// How many bytes the stream gives in all.
    pub length: u64,
    /// The bytes, in pieces of the driver's choice. A value that turns out shorter than it was
    /// when it was opened ends with an error, never early without one.
    pub bytes: BoxStream<'static, Result<Bytes>>,
}

impl Debug for ReadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStream")
            .field("metadata", &self.metadata)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// What to do when something lies at the path of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Write only where nothing is; otherwise fail with `AlreadyExists`.
    IfAbsent,
    /// Replace what is there.
    Replace,
}

/// What a write has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The process, not a power cut. For what can be done again.
    Scratch,
    /// A power cut, from the moment of the answer.
    Durable,
    /// A power cut, by its own sync and never through a journal: for what goes with a directory
    /// that is deleted soon, so that no replay brings it back.
    Apart,
}

/// One atomic write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where to.
    pub path: DriverPath,
    /// The whole value.
    pub bytes: Bytes,
    /// What to do when something is there.
    pub condition: Condition,
    /// Whether the caller has hashed the bytes, see [`Driver::mark_verified`].
    pub verified: bool,
}

impl Put {
    /// A write that replaces what is there.
    #[must_use]
    pub fn replace(path: DriverPath, bytes: Bytes) -> Self {
        Self {
            path,
            bytes,
            condition: Condition::Replace,
            verified: false,
        }
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, one component.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// A part of a listing, in byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The names.
    pub entries: Vec<Entry>,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// What a client may do at a URL from [`Driver::redirect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectMethod {
    /// Read the value.
    Get,
    /// Ask what it is.
    Head,
}
