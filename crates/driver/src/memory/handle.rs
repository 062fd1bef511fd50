//! What the two kinds of ingest have in common: the lock, the target and the state of the handle.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Commit, DriverPath, ErrorKind, Result, Target};

use super::error;
use super::storage::Storage;

/// The handle on one ingest.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) storage: Arc<Storage>,
    /// Where it is staged, or where it will lie.
    pub(super) path: DriverPath,
    pub(super) id: u64,
    staged: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Broken,
    /// Closed or aborted.
    Ended,
    /// What it held is in its place.
    Committed,
}

impl Handle {
    pub(super) fn begin(storage: Arc<Storage>, target: &Target) -> Result<Self> {
        let (path, staged) = match target {
            Target::Staged(path) => (path, true),
            Target::Final(path) => (path, false),
        };
        let id = storage.begin(staged.then_some(path))?;
        Ok(Self {
            storage,
            path: path.clone(),
            id,
            staged,
            state: State::Open,
        })
    }

    pub(super) fn reopen(storage: Arc<Storage>, path: &DriverPath) -> Result<Self> {
        let id = storage.reopen(path)?;
        Ok(Self {
            storage,
            path: path.clone(),
            id,
            staged: true,
            state: State::Open,
        })
    }

    /// Fails unless the handle takes everything.
    pub(super) fn check_open(&self) -> Result<()> {
        match self.state {
            State::Open => Ok(()),
            State::Broken => Err(error(ErrorKind::Broken, &self.path)),
            State::Ended | State::Committed => Err(error(ErrorKind::Invalid, &self.path)),
        }
    }

    /// Fails unless what the handle was opened on may still be there.
    pub(super) fn check_there(&self) -> Result<()> {
        match self.state {
            State::Open | State::Broken => Ok(()),
            State::Ended => Err(error(ErrorKind::Broken, &self.path)),
            State::Committed => Err(error(ErrorKind::NotFound, &self.path)),
        }
    }

    /// Fails unless the handle takes everything and what it holds can be read back.
    pub(super) fn check_readable(&self) -> Result<()> {
        self.check_open()?;
        if self.staged {
            Ok(())
        } else {
            Err(error(ErrorKind::Unsupported, &self.path))
        }
    }

    /// Marks the handle broken if `result` is an error.
    pub(super) fn broken_by<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.state = State::Broken;
        }
        result
    }

    /// Makes the handle whole by a successful `result`, and breaks it by an error.
    pub(super) fn mended_by<T>(&mut self, result: Result<T>) -> Result<T> {
        self.state = if result.is_ok() {
            State::Open
        } else {
            State::Broken
        };
        result
    }

    /// Commits what is held and `last`.
    pub(super) fn commit(
        &mut self,
        last: Option<Bytes>,
        smallest_part: usize,
        commit: &Commit,
    ) -> Result<()> {
        self.check_open()?;
        if !self.staged && commit.destination != self.path {
            return self.broken_by(Err(error(ErrorKind::Invalid, &commit.destination)));
        }
        match self
            .storage
            .publish(self.id, &self.path, last, smallest_part, commit)
        {
            Ok(followed) => {
                self.state = State::Committed;
                followed
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
            Err(error) => self.broken_by(Err(error)),
        }
    }

    /// Fails unless the handle can be closed.
    pub(super) fn check_closable(&self) -> Result<()> {
        match self.state {
            State::Open | State::Broken => Ok(()),
            State::Ended | State::Committed => Err(error(ErrorKind::Invalid, &self.path)),
        }
    }

    /// Tells whether an earlier call failed.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Ends work with the handle and leaves what is staged.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
        self.let_go();
    }

    /// Ends work with the handle and removes what it held.
    pub(super) fn abort(&mut self) -> Result<()> {
        self.check_closable()?;
        self.state = State::Ended;
        self.storage.remove(self.id);
        Ok(())
    }

    fn let_go(&self) {
        if self.staged {
            self.storage.release(self.id);
        } else {
            self.storage.remove(self.id);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // An ended handle has let go already, and another may have the ingest open since.
        if matches!(self.state, State::Open | State::Broken) {
            self.let_go();
        }
    }
}
