//! Values that arrive piece by piece.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{Condition, DriverPath, Put, ReadRange, ReadStream, Result};

/// Where an ingest keeps what arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At a path of its own, from which another process can resume it.
    Staged(DriverPath),
    /// On its way to this path, which the commit has to name. Nothing is left when it is dropped,
    /// and it cannot be resumed. Saves the move where moving costs.
    Final(DriverPath),
}

/// How to open an ingest again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    /// The offset to go on from; what lies beyond is dropped. `None` goes on from the end.
    pub at: Option<u64>,
    /// The driver's state that came with that offset, from [`Checkpoint::state`]. A driver that
    /// gives none needs none.
    pub state: Option<Bytes>,
}

/// A point that an ingest can be resumed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many bytes it covers: at most those appended when it was asked for.
    pub offset: u64,
    /// What the driver needs to find them again; opaque to everyone else.
    pub state: Option<Bytes>,
}

impl Checkpoint {
    /// The point at which nothing was appended yet.
    pub const START: Self = Self {
        offset: 0,
        state: None,
    };
}

/// How an ingest becomes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Where the value will lie.
    pub destination: DriverPath,
    /// What to do when something is there.
    pub condition: Condition,
    /// Whether the caller has hashed the bytes, see [`crate::Driver::mark_verified`].
    pub verified: bool,
    /// Further writes, each as in [`crate::Driver::put`]; none is seen or durable before the value
    /// itself is. One call, so that a driver can share what durability costs.
    pub then: Vec<Put>,
}

impl Commit {
    /// A commit to where nothing is.
    #[must_use]
    pub fn new(destination: DriverPath) -> Self {
        Self {
            destination,
            condition: Condition::IfAbsent,
            verified: false,
            then: Vec::new(),
        }
    }
}

/// One value on its way in.
///
/// # Contract
/// - Nothing is visible at the destination before [`Ingest::commit`], and then all of it.
/// - At most one handle is open on a staged ingest, in this process, and where the driver can
///   tell, anywhere.
/// - After a failed [`Ingest::append`], [`Ingest::rewind`] or [`Ingest::commit`] that does not say
///   otherwise, the handle is broken: it takes only `rewind`, `close` and `abort`.
/// - After a call that was dropped before it returned, it takes only `close` and `abort`; the
///   lock is given up when what was under way has ended.
/// - Dropping the handle gives up the lock and leaves what the last checkpoint or close covered;
///   more may be there.
#[async_trait]
pub trait Ingest: Debug + Send + Sync {
    /// Returns how many bytes were appended.
    fn offset(&self) -> u64;

    /// Appends `chunks` in order. On failure the offset stays, and the handle is broken.
    /// Dropping the future breaks it too.
    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()>;

    /// Makes what was appended so far durable, in the background: the future is independent of
    /// the handle and may be driven while more is appended. It may cover less than was asked for.
    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>>;

    /// Goes back to `point`: to [`Checkpoint::START`], to one that an earlier checkpoint or close
    /// gave, or, with [`crate::Capabilities::resume_anywhere`], to any offset that was reached. What
    /// came later is dropped, and a broken handle is whole again.
    ///
    /// Fails with `NotFound`, and changes nothing, when the bytes are no longer where they were
    /// staged, since a commit has moved or somebody has deleted them; with `Invalid` when `point`
    /// is not such a point, and with `Broken` when the handle was closed or aborted.
    async fn rewind(&mut self, point: &Checkpoint) -> Result<()>;

    /// Reads back what was appended. Only a staged ingest can.
    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream>;

    /// Makes what was appended durable, moves it to its destination, and writes what follows, in
    /// this order. `AlreadyExists` leaves the handle whole: the caller may look at what is there
    /// and commit again with [`Condition::Replace`]. After success the handle takes nothing more.
    ///
    /// Dropping the future may leave any prefix of the steps done.
    async fn commit(&mut self, commit: Commit) -> Result<()>;

    /// Ends work with the handle and leaves the ingest as it is, to be resumed at its offset by
    /// any process. Survives the process, not a power cut.
    async fn close(&mut self) -> Result<Checkpoint>;

    /// Removes the ingest with all its bytes. The directory that it was in stays.
    async fn abort(&mut self) -> Result<()>;
}
