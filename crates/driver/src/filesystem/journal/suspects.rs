//! Segments that stay until another process goes through them.
//!
//! What could not be put right when this process started is promised once more in a segment of its
//! own. The locks of all such segments are held until this process ends, so that nobody goes
//! through them while it answers others. What it deletes meanwhile is noted among them: a promise
//! that is left must not bring it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use wharfinger_runtime::Runtime;

use crate::{DriverPath, Result};

use super::super::durable::below;
use super::super::tree::Tree;
use super::super::{Inner, random_name};
use super::format::{Entry, Operation, header, parse};
use super::lock;
use super::repair::CLOCK_TICK;
use super::segment::{SUSPECT, Segment};

/// 30 ms: a file's time lags behind the clock by up to one tick, and counts as younger than a note
/// when it is more than one tick beyond it.
const TICK_OF_A_NOTE: Duration = CLOCK_TICK.saturating_mul(3);

/// The segments that this process leaves to the next.
#[derive(Debug)]
pub(in crate::filesystem) struct Suspects {
    tree: Arc<Tree>,
    runtime: Runtime,
    /// Where this process adds to them. Its name is that of no process, so that going through it
    /// does not mean going through what the process has promised.
    path: DriverPath,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What this process has added.
    added: Option<Segment>,
    /// The number of the last promise that was added.
    number: u64,
    /// The locks of segments that stay as they are.
    locks: Vec<File>,
    /// What segments promise that nobody has deleted since, by who keeps them.
    promised: BTreeMap<u64, BTreeSet<String>>,
    /// How many have kept segments here.
    keepers: u64,
    /// How many times it is not known what is promised, so that every delete has to be noted.
    noting_all: u32,
}

/// Who keeps segments for a while; see [`Suspects::keep`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeper(u64);

impl Suspects {
    pub(in crate::filesystem) fn new(inner: &Inner, directory: &DriverPath) -> Self {
        let name = format!("{}.{:08}{SUSPECT}", random_name(&inner.runtime), 0);
        let path = directory.join(&name);
        Self {
            tree: Arc::clone(&inner.tree),
            runtime: inner.runtime.clone(),
            path: path.expect("hexadecimal digits make a component"),
            kept: Mutex::default(),
        }
    }

    /// Promises these operations, each of its time, to whoever comes next.
    pub(super) fn add(&self, promises: &[(SystemTime, Operation<'_>)]) -> Result<()> {
        let mut kept = lock(&self.kept);
        self.append(&mut kept, promises)?;
        kept.keep(
            promises
                .iter()
                .map(|(_, operation)| operation.path().into()),
        );
        Ok(())
    }

    /// Has deletes noted of what `segments` promise, until it is released.
    pub(super) fn keep<'a>(&self, segments: impl IntoIterator<Item = &'a [u8]>) -> Keeper {
        lock(&self.kept).keep(segments.into_iter().flat_map(paths))
    }

    /// Forgets what was kept: its promises are durable in the tree, and its segments are gone.
    pub(super) fn release(&self, Keeper(keeper): Keeper) {
        let mut kept = lock(&self.kept);
        kept.promised.remove(&keeper);
        if kept.promised.is_empty() && kept.noting_all == 0 {
            // Only notes are left, and nothing that they are about.
            let removed = kept.added.take().map_or(Ok(()), |added| added.remove());
            if let Err(error) = removed {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "notes are left in the journal that nobody needs");
            }
        }
    }

    /// Holds the lock of a segment until this process ends.
    pub(super) fn hold(&self, lock_of: File) {
        lock(&self.kept).locks.push(lock_of);
    }

    /// Notes every delete until [`Suspects::knows_all`]: there are segments of which it is not
    /// known what they promise.
    pub(super) fn note_all(&self) {
        lock(&self.kept).noting_all += 1;
    }

    /// Ends what one call of [`Suspects::note_all`] has begun.
    pub(super) fn knows_all(&self) {
        lock(&self.kept).noting_all -= 1;
    }

    /// Notes that `path` was deleted, if a segment promises something there or below. Returns only
    /// when whatever is written there from now on looks younger than the note: the journal may know
    /// nothing of it, and the same value would be taken for the one that was deleted.
    pub(in crate::filesystem) fn note_deleted(&self, path: &DriverPath) -> Result<()> {
        let mut kept = lock(&self.kept);
        let mut promised = kept.promised.values();
        if kept.noting_all == 0
            && !promised.any(|paths| within(paths, path.as_str()).next().is_some())
        {
            return Ok(());
        }
        let delete = Operation::Delete {
            path: path.as_str(),
        };
        self.append(&mut kept, &[(self.runtime.clock.now(), delete)])?;
        for promised in kept.promised.values_mut() {
            let deleted: Vec<String> = within(promised, path.as_str()).cloned().collect();
            for path in &deleted {
                promised.remove(path);
            }
        }
        drop(kept);
        std::thread::sleep(TICK_OF_A_NOTE);
        Ok(())
    }

    fn append(&self, kept: &mut Kept, promises: &[(SystemTime, Operation<'_>)]) -> Result<()> {
        let mut bytes = Vec::new();
        for (written, operation) in promises {
            kept.number += 1;
            Entry::Promise {
                number: kept.number,
                written: *written,
                operations: vec![*operation],
            }
            .append_to(&mut bytes);
        }
        let segment = match &mut kept.added {
            Some(segment) => segment,
            added => added.insert(Segment::create(
                &self.tree,
                &self.path,
                &header(&self.runtime.host),
            )?),
        };
        segment.append(&bytes)
    }
}

impl Kept {
    fn keep(&mut self, paths: impl Iterator<Item = String>) -> Keeper {
        self.keepers += 1;
        self.promised.insert(self.keepers, paths.collect());
        Keeper(self.keepers)
    }
}

/// The paths that a segment promises something for.
fn paths(segment: &[u8]) -> impl Iterator<Item = String> {
    let entries = parse(segment).map(|parsed| parsed.entries);
    let operations = entries.into_iter().flatten().flat_map(|entry| match entry {
        Entry::Promise { operations, .. } => operations,
        Entry::TakenBack { .. } => Vec::new(),
    });
    operations.map(|operation| operation.path().to_owned())
}

/// The paths that are `path` or lie below it.
fn within<'a>(paths: &'a BTreeSet<String>, path: &str) -> impl Iterator<Item = &'a String> {
    paths.get(path).into_iter().chain(paths.range(below(path)))
}
