//! What a dead process has left in its journal.
//!
//! When the machine runs since before it died, all that was answered is in the tree, in memory if
//! not on disk: a sync, and the segment can go. Otherwise the promises are gone through in their
//! order, and what the tree lacks of them is done again:
//!
//! - a value that is missing, empty, zeros, or a part of what was promised is put;
//! - another value stays when it is younger than the promise: somebody has written it since;
//! - what was deleted, and is there in a version from before, is deleted again.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Durability, EntryKind, Error, ErrorKind, Metadata, Put, Result};

use super::super::tree::Tree;
use super::super::write::is_temporary_of;
use super::super::{DIRECTORY, Inner, MOST_JOURNALLED_BYTES, NAME, READ};
use super::format::{Entry, Operation, parse};
use super::segment::{call_suspect, is_suspect, remove_segment};

/// 1,000 segments are asked for at once; each process has a few.
const LIST_PAGE: usize = 1000;

/// 60 s: nobody takes longer to write the header of a segment.
const BEGINNING: Duration = Duration::from_secs(60);

/// 10 ms: by so much may the time of a file lag behind the clock.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// The last thing that was promised for a path.
#[derive(Debug)]
enum Wanted {
    Value {
        bytes: Bytes,
        verified: bool,
        written: SystemTime,
        /// What was promised for the same path before.
        earlier: Vec<Bytes>,
    },
    Nothing {
        since: SystemTime,
    },
}

/// Deals with every segment that nobody holds.
pub(in crate::filesystem) fn settle_the_dead(inner: &Inner, directory: &DriverPath) -> Result<()> {
    let (mut to_sync, mut to_replay) = (Vec::new(), Vec::new());
    for path in segments(inner, directory)? {
        let Some((lock, bytes)) = read_unless_held(inner, &path)? else {
            continue;
        };
        let dead = Dead { path, lock, bytes };
        if dead.needs_a_look(inner) {
            to_replay.push(dead)
        } else {
            to_sync.push(dead)
        }
    }
    if !to_replay.is_empty() {
        replay(inner, directory, &to_replay)?;
    }
    if !to_sync.is_empty() {
        sync_in_background(inner, to_sync);
    }
    Ok(())
}

fn segments(inner: &Inner, directory: &DriverPath) -> Result<Vec<DriverPath>> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = match inner.list_page(directory, names.last().map(String::as_str), LIST_PAGE) {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        names.extend(page.entries.into_iter().map(|entry| entry.name));
        if !page.more {
            break;
        }
    }
    Ok(names
        .iter()
        .filter_map(|name| directory.join(name).ok())
        .collect())
}

/// Goes through what was promised. What cannot be put right stops nothing else: it is told, and
/// tried again by the next process.
fn replay(inner: &Inner, directory: &DriverPath, dead: &[Dead]) -> Result<()> {
    let wanted = wanted(dead);
    tracing::info!(
        segments = dead.len(),
        paths = wanted.len(),
        "replaying the journal"
    );
    let mut left = 0;
    for (path, wanted) in &wanted {
        if let Err(error) = repair(inner, path, wanted) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot put right what the journal promises");
            left += 1;
        }
    }
    let synced = inner.tree.sync_all();
    synced.map_err(|errno| Error::with_source(ErrorKind::Unsynced, NAME, directory, errno))?;
    for dead in dead {
        remove_temporaries(&inner.tree, dead);
        if left == 0 {
            remove_segment(&inner.tree, &dead.path)?;
        } else {
            call_suspect(&inner.tree, &dead.path)?;
        }
    }
    Ok(())
}

/// A segment that nobody writes any more.
struct Dead {
    path: DriverPath,
    /// Held so that no other process that starts meanwhile does the same.
    lock: File,
    bytes: Vec<u8>,
}

impl Dead {
    /// Whether what it promises has to be compared with the tree: the machine has booted since, or
    /// may have lost it in another way. Boots have names that no two share. A segment without a
    /// header was never promised in.
    fn needs_a_look(&self, inner: &Inner) -> bool {
        let boot = inner.runtime.host.boot();
        is_suspect(&self.path)
            || parse(&self.bytes).is_some_and(|parsed| parsed.boot != boot || boot.is_empty())
    }

    /// The process that wrote it.
    fn process(&self) -> &str {
        self.path.name().split('.').next().unwrap_or_default()
    }
}

/// Nobody has to wait for what is only a matter of writing back.
fn sync_in_background(inner: &Inner, segments: Vec<Dead>) {
    let tree = Arc::clone(&inner.tree);
    std::thread::spawn(move || {
        let synced = tree.sync_all();
        for dead in segments {
            remove_temporaries(&tree, &dead);
            let removed = match synced {
                Ok(()) => remove_segment(&tree, &dead.path),
                Err(errno) => Err(Error::with_source(
                    ErrorKind::Unsynced,
                    NAME,
                    &dead.path,
                    errno,
                )),
            };
            if let Err(error) = removed {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a segment of the journal is left to the next process"
                );
            }
            drop(dead.lock);
        }
    });
}

/// Removes the temporary files that a dead process has left beside what it promised. They carry
/// its name, and nobody else writes them.
fn remove_temporaries(tree: &Tree, dead: &Dead) {
    let entries = parse(&dead.bytes)
        .map(|parsed| parsed.entries)
        .unwrap_or_default();
    let operations = entries.iter().flat_map(|entry| match entry {
        Entry::Promise { operations, .. } => &operations[..],
        Entry::TakenBack { .. } => &[],
    });
    let mut directories = BTreeSet::new();
    for operation in operations {
        if let Operation::Put { path, .. } = operation
            && let Some((directory, _)) = path.rsplit_once('/')
        {
            directories.insert(directory);
        }
    }
    for directory in directories {
        let Ok(path) = directory.parse::<DriverPath>() else {
            continue;
        };
        // What has gone since needs no tidying.
        let Ok(directory) = tree.open_at(&path, DIRECTORY) else {
            continue;
        };
        let Ok(entries) = Dir::read_from(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy();
            if is_temporary_of(dead.process(), &name) {
                // Found again by nobody but a walker of the tree, who passes it over.
                rustix::fs::unlinkat(&directory, entry.file_name(), AtFlags::empty()).ok();
            }
        }
    }
}

/// Reads a segment and takes its lock; `None` when a living process has it, or it is gone.
fn read_unless_held(inner: &Inner, path: &DriverPath) -> Result<Option<(File, Vec<u8>)>> {
    let file = match inner.tree.open_at(path, OFlags::RDWR) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(Error::from_io(NAME, path, errno.into())),
    }
    let mut file = File::from(file);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| Error::from_io(NAME, path, error))?;
    if parse(&bytes).is_none() && is_young(inner, &file, path)? {
        // Somebody is just beginning it.
        return Ok(None);
    }
    Ok(Some((file, bytes)))
}

fn is_young(inner: &Inner, file: &File, path: &DriverPath) -> Result<bool> {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|error| Error::from_io(NAME, path, error))?;
    let age = inner
        .runtime
        .clock
        .now()
        .duration_since(modified)
        .unwrap_or_default();
    Ok(age < BEGINNING)
}

/// Goes through all promises in their order: those of one process as it numbered them, those of
/// several by their time.
fn wanted(segments: &[Dead]) -> BTreeMap<DriverPath, Wanted> {
    let mut taken_back = HashSet::new();
    let mut promised: BTreeMap<&str, VecDeque<Promised<'_>>> = BTreeMap::new();
    // Segments come in the order of their names, those of one process in the order of its writing.
    for dead in segments {
        let entries = parse(&dead.bytes)
            .map(|parsed| parsed.entries)
            .unwrap_or_default();
        for entry in entries {
            match entry {
                Entry::TakenBack { number } => drop(taken_back.insert((dead.process(), number))),
                Entry::Promise {
                    number,
                    written,
                    operations,
                } => promised
                    .entry(dead.process())
                    .or_default()
                    .push_back(Promised {
                        number,
                        written,
                        operations,
                    }),
            }
        }
    }
    let mut wanted = BTreeMap::new();
    while let Some((process, first)) = promised
        .iter()
        .filter_map(|(process, promised)| Some((*process, promised.front()?.written)))
        .min_by_key(|(_, written)| *written)
        .and_then(|(process, _)| Some((process, promised.get_mut(process)?.pop_front()?)))
    {
        if !taken_back.contains(&(process, first.number)) {
            first
                .operations
                .iter()
                .for_each(|operation| want(&mut wanted, operation, first.written));
        }
    }
    wanted
}

struct Promised<'a> {
    number: u64,
    written: SystemTime,
    operations: Vec<Operation<'a>>,
}

fn want(wanted: &mut BTreeMap<DriverPath, Wanted>, operation: &Operation<'_>, written: SystemTime) {
    // A path that cannot be one was never promised by this code.
    match operation {
        Operation::Put {
            path,
            bytes,
            verified,
        } => {
            let Ok(path) = path.parse() else { return };
            let bytes = Bytes::copy_from_slice(bytes);
            let mut earlier = match wanted.remove(&path) {
                Some(Wanted::Value {
                    bytes, mut earlier, ..
                }) => {
                    earlier.push(bytes);
                    earlier
                }
                Some(Wanted::Nothing { .. }) | None => Vec::new(),
            };
            earlier.retain(|earlier| *earlier != bytes);
            wanted.insert(
                path,
                Wanted::Value {
                    bytes,
                    verified: *verified,
                    written,
                    earlier,
                },
            );
        }
        Operation::Delete { path } => {
            let Ok(path) = path.parse::<DriverPath>() else {
                return;
            };
            wanted.retain(|other, _| !other.is_within(&path));
            wanted.insert(path, Wanted::Nothing { since: written });
        }
    }
}

fn repair(inner: &Inner, path: &DriverPath, wanted: &Wanted) -> Result<()> {
    let there = match inner.tree.open_at(path, READ) {
        Ok(file) => Some((inner.metadata(&file, path)?, File::from(file))),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (wanted, there) {
        (Wanted::Nothing { .. }, None) => Ok(()),
        (Wanted::Nothing { since }, Some((there, _))) if there.modified > *since + CLOCK_TICK => {
            Ok(())
        }
        (Wanted::Nothing { .. }, Some(_)) => inner.remove_now(path),
        (
            Wanted::Value {
                bytes, verified, ..
            },
            there,
        ) => {
            if let Some((there, file)) = there
                && is_fine(path, file, &there, wanted)?
            {
                return Ok(());
            }
            let put = Put {
                verified: *verified,
                ..Put::replace(path.clone(), bytes.clone())
            };
            inner.put_now(&put, Durability::Scratch)
        }
    }
}

/// Whether what lies there is what was promised, or somebody's later write.
fn is_fine(path: &DriverPath, file: File, there: &Metadata, wanted: &Wanted) -> Result<bool> {
    let Wanted::Value {
        bytes,
        verified,
        written,
        earlier,
    } = wanted
    else {
        return Ok(false);
    };
    let surely_younger = there.modified > *written + CLOCK_TICK;
    if there.kind == EntryKind::Directory {
        return Ok(surely_younger);
    }
    let mut found = Vec::new();
    let read = file.take(MOST_JOURNALLED_BYTES + 1).read_to_end(&mut found);
    read.map_err(|error| Error::from_io(NAME, path, error))?;
    if found == *bytes || *verified {
        // Verified bytes are what their name says, and nobody has others for it.
        return Ok(found == *bytes);
    }
    // A power cut leaves nothing, zeros, the beginning of what was written, or what was there before.
    let torn = found.iter().all(|byte| *byte == 0) || bytes.starts_with(&found);
    let before = !surely_younger && earlier.iter().any(|earlier| *earlier == found);
    let younger = there.modified + CLOCK_TICK > *written;
    Ok(younger && !torn && !before)
}
