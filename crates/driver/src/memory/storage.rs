//! What all handles of a [`super::Memory`] share: values by path, and ingests on their way.
//!
//! ```text
//! values     path -> content, modification time, whether it was verified
//! ingests    id -> parts, tail, whether a handle has it open
//! staged_at  path -> id of the ingest that can be resumed there
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use wharfinger_runtime::Clock;

use crate::{
    Commit, Condition, DriverPath, Entry, EntryKind, ErrorKind, Metadata, Page, Put, Result,
};

use super::content::Content;
use super::error;
use super::keys::{below, beyond, key, keys_within};

/// What all handles share.
pub(super) struct Storage {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    values: BTreeMap<String, Value>,
    ingests: HashMap<u64, Held>,
    staged_at: BTreeMap<String, u64>,
    last_id: u64,
    last_modified: Option<SystemTime>,
}

struct Value {
    content: Content,
    modified: SystemTime,
    /// Belongs to this version alone: a rewrite is another `Value`.
    verified: bool,
}

/// What is kept of an ingest outside its handle.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What was written, in order.
    pub(super) parts: Vec<Bytes>,
    /// What a multipart ingest kept at its last close because it was too short for a part.
    pub(super) tail: Option<Tail>,
    open: bool,
}

/// A tail that was too short to be a part.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    /// Tells tails of the same length apart.
    pub(super) id: u64,
    /// How many parts lie before it.
    pub(super) after: usize,
    /// The bytes.
    pub(super) bytes: Bytes,
}

impl Storage {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what lies at `path`: a value, or a prefix of others, as new as the newest of them.
    pub(super) fn stat(&self, path: &DriverPath) -> Result<Metadata> {
        let state = self.lock();
        if let Some(value) = state.values.get(&key(path)) {
            return Ok(value.metadata());
        }
        let below = state
            .values
            .range(below(path))
            .map(|(_, value)| value.modified);
        let modified = below
            .max()
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        Ok(Metadata {
            kind: EntryKind::Directory,
            size_bytes: 0,
            modified,
            verified: false,
        })
    }

    /// Returns the value at `path`.
    pub(super) fn open(&self, path: &DriverPath) -> Result<(Metadata, Content)> {
        let state = self.lock();
        let value = state
            .values
            .get(&key(path))
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        Ok((value.metadata(), value.content.clone()))
    }

    /// Writes each value in order, up to the first that may not be written.
    pub(super) fn put(&self, writes: &[Put]) -> Result<()> {
        self.lock().put(writes, &*self.clock)
    }

    /// Returns a page of the names below `directory`.
    pub(super) fn list(&self, directory: &DriverPath, after: Option<&str>, limit: usize) -> Page {
        let state = self.lock();
        let prefix = format!("{}\0", key(directory));
        let (_, end) = below(directory);
        let mut start = Bound::Included(match after {
            Some(name) => beyond(&prefix, name),
            None => prefix.clone(),
        });
        let mut entries = Vec::new();
        while let Some((found, _)) = state.values.range((start, end.clone())).next() {
            if entries.len() == limit {
                return Page {
                    entries,
                    more: true,
                };
            }
            let rest = &found[prefix.len()..];
            let (name, kind) = match rest.split_once('\0') {
                Some((name, _)) => (name, EntryKind::Directory),
                None => (rest, EntryKind::File),
            };
            start = Bound::Included(beyond(&prefix, name));
            entries.push(Entry {
                name: name.to_owned(),
                kind,
            });
        }
        Page {
            entries,
            more: false,
        }
    }

    /// Deletes the value at `path`, everything below it, and the ingests staged there.
    pub(super) fn delete(&self, path: &DriverPath) -> Result<()> {
        let mut state = self.lock();
        let values = keys_within(&state.values, path);
        let staged = keys_within(&state.staged_at, path);
        if values.is_empty() && staged.is_empty() {
            return Err(error(ErrorKind::NotFound, path));
        }
        for key in values {
            state.values.remove(&key);
        }
        for key in staged {
            if let Some(id) = state.staged_at.remove(&key) {
                state.ingests.remove(&id);
            }
        }
        Ok(())
    }

    /// Notes that the value at `path` was verified, if it still is the version that `metadata` tells of.
    pub(super) fn mark_verified(&self, path: &DriverPath, metadata: &Metadata) -> Result<()> {
        let mut state = self.lock();
        let value = state
            .values
            .get_mut(&key(path))
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        if value.content.size() == metadata.size_bytes && value.modified == metadata.modified {
            value.verified = true;
        }
        Ok(())
    }

    /// Begins an ingest, open, that can be resumed at `staged`; one that is left there is replaced.
    pub(super) fn begin(&self, staged: Option<&DriverPath>) -> Result<u64> {
        let mut state = self.lock();
        if let Some(path) = staged
            && let Some(&old) = state.staged_at.get(&key(path))
        {
            if state.ingests.get(&old).is_some_and(|held| held.open) {
                return Err(error(ErrorKind::Busy, path));
            }
            state.ingests.remove(&old);
        }
        let id = state.next_id();
        state.ingests.insert(
            id,
            Held {
                open: true,
                ..Held::default()
            },
        );
        if let Some(path) = staged {
            state.staged_at.insert(key(path), id);
        }
        Ok(id)
    }

    /// Opens the ingest that is staged at `path`.
    pub(super) fn reopen(&self, path: &DriverPath) -> Result<u64> {
        let mut state = self.lock();
        let id = *state
            .staged_at
            .get(&key(path))
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        let held = state
            .ingests
            .get_mut(&id)
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        if held.open {
            return Err(error(ErrorKind::Busy, path));
        }
        held.open = true;
        Ok(id)
    }

    /// Runs `work` on the ingest. Fails with `NotFound` once somebody has deleted it.
    pub(super) fn with<T>(
        &self,
        id: u64,
        path: &DriverPath,
        work: impl FnOnce(&mut Held) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lock();
        work(
            state
                .ingests
                .get_mut(&id)
                .ok_or_else(|| error(ErrorKind::NotFound, path))?,
        )
    }

    /// Returns a number that was never given before.
    pub(super) fn fresh_id(&self) -> u64 {
        self.lock().next_id()
    }

    /// Gives the staged ingest another id and forgets what it held, so that no older state finds it.
    pub(super) fn renew(&self, id: u64, path: &DriverPath) -> Result<u64> {
        let mut state = self.lock();
        state
            .ingests
            .remove(&id)
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        let new = state.next_id();
        state.ingests.insert(
            new,
            Held {
                open: true,
                ..Held::default()
            },
        );
        for staged in state.staged_at.values_mut().filter(|staged| **staged == id) {
            *staged = new;
        }
        Ok(new)
    }

    /// Lets another handle open the ingest.
    pub(super) fn release(&self, id: u64) {
        if let Some(held) = self.lock().ingests.get_mut(&id) {
            held.open = false;
        }
    }

    /// Removes the ingest and tells whether it was there.
    pub(super) fn remove(&self, id: u64) -> bool {
        let mut state = self.lock();
        state.staged_at.retain(|_, staged| *staged != id);
        state.ingests.remove(&id).is_some()
    }

    /// Makes a value of the ingest and of `last`, and writes what follows. All parts but the last
    /// have to be `smallest_part` bytes long. The outer result tells whether the value is there; if
    /// not, the ingest is as before. The inner one tells of the writes after it.
    pub(super) fn publish(
        &self,
        id: u64,
        path: &DriverPath,
        last: Option<Bytes>,
        smallest_part: usize,
        commit: &Commit,
    ) -> Result<Result<()>> {
        let mut state = self.lock();
        let held = state
            .ingests
            .get(&id)
            .ok_or_else(|| error(ErrorKind::NotFound, path))?;
        let mut parts = held.parts.clone();
        parts.extend(last);
        if parts
            .iter()
            .rev()
            .skip(1)
            .any(|part| part.len() < smallest_part)
        {
            return Err(error(ErrorKind::Invalid, path));
        }
        state.may_write(&commit.destination, commit.condition)?;
        state.write(
            &commit.destination,
            Content::new(parts),
            commit.verified,
            &*self.clock,
        );
        state.ingests.remove(&id);
        state.staged_at.retain(|_, staged| *staged != id);
        Ok(state.put(&commit.then, &*self.clock))
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn put(&mut self, writes: &[Put], clock: &dyn Clock) -> Result<()> {
        for write in writes {
            self.may_write(&write.path, write.condition)?;
            self.write(
                &write.path,
                Content::copy_of(&write.bytes),
                write.verified,
                clock,
            );
        }
        Ok(())
    }

    fn may_write(&self, path: &DriverPath, condition: Condition) -> Result<()> {
        match condition {
            Condition::IfAbsent if self.values.contains_key(&key(path)) => {
                Err(error(ErrorKind::AlreadyExists, path))
            }
            Condition::IfAbsent | Condition::Replace => Ok(()),
        }
    }

    fn write(&mut self, path: &DriverPath, content: Content, verified: bool, clock: &dyn Clock) {
        let now = clock.now();
        let modified = match self.last_modified {
            // A clock that stands still or goes back must not make two versions look alike.
            Some(last) if now <= last => last + Duration::from_nanos(1),
            _ => now,
        };
        self.last_modified = Some(modified);
        self.values.insert(
            key(path),
            Value {
                content,
                modified,
                verified,
            },
        );
    }
}

impl Value {
    fn metadata(&self) -> Metadata {
        Metadata {
            kind: EntryKind::File,
            size_bytes: self.content.size(),
            modified: self.modified,
            verified: self.verified,
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Storage")
            .field("values", &state.values.len())
            .field("ingests", &state.ingests.len())
            .finish_non_exhaustive()
    }
}
