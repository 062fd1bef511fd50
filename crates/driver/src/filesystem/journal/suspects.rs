//! Segments that stay until another process goes through them.
//!
//! What could not be put right when this process started is promised once more in a segment of its
//! own. The locks of all such segments are held until this process ends, so that nobody goes
//! through them while it answers others. What it deletes meanwhile is noted among them: a promise
//! that is left must not bring it back.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use wharfinger_runtime::Runtime;

use crate::{DriverPath, Result};

use super::super::tree::Tree;
use super::super::{Inner, random_name};
use super::dead::Dead;
use super::format::{Entry, Operation, header, parse};
use super::lock;
use super::segment::{SUSPECT, Segment, not_appended};

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
    added: Option<Segment>,
    /// The locks of the segments that stay as they are.
    locks: Vec<File>,
    /// The number of the last promise that was added.
    number: u64,
    /// What the segments promise, and nobody has deleted since.
    promised: BTreeSet<String>,
}

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
        kept.promised.extend(
            promises
                .iter()
                .map(|(_, operation)| operation.path().into()),
        );
        Ok(())
    }

    /// Leaves a segment of a dead process as it is.
    pub(super) fn keep(&self, dead: Dead) {
        let mut kept = lock(&self.kept);
        kept.promised.extend(paths(&dead.bytes));
        kept.locks.push(dead.lock);
    }

    /// Notes that `path` was deleted, if something that is promised lies there or below.
    pub(in crate::filesystem) fn note_deleted(&self, path: &DriverPath) -> Result<()> {
        let mut kept = lock(&self.kept);
        let within: Vec<String> = within(&kept.promised, path.as_str())
            .map(String::clone)
            .collect();
        if within.is_empty() {
            return Ok(());
        }
        let delete = Operation::Delete {
            path: path.as_str(),
        };
        let now = self.runtime.clock.now();
        self.append(&mut kept, &[(now, delete)])?;
        for path in &within {
            kept.promised.remove(path);
        }
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
        segment
            .append(&bytes)
            .map_err(|errno| not_appended(&self.path, errno))
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
    // '0' follows '/'.
    let (below, beyond) = (format!("{path}/"), format!("{path}0"));
    let below = (Bound::Included(below), Bound::Excluded(beyond));
    paths.get(path).into_iter().chain(paths.range(below))
}
