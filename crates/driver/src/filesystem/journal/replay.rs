//! What a dead process has left in its journal.
//!
//! When the machine runs since before it died, all that was answered is in the tree, in memory if
//! not on disk: a sync, and the segment can go. Otherwise the promises are gone through in their
//! order, and what the tree lacks of them is done again:
//!
//! - a value that is missing, empty, zeros, or a part of what was promised is put;
//! - another value stays when it is younger than the promise: somebody has written it since;
//! - what was deleted, and is there in a version from before, is deleted again.

use std::sync::Arc;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::super::{Inner, NAME};
use super::dead::{Dead, lock_directory, read_unless_held, remove_temporaries, segments};
use super::repair::repair;
use super::segment::remove_segment;
use super::suspects::Suspects;
use super::wanted::wanted;

/// Deals with every segment that nobody holds. Who starts at the same moment waits until it is done,
/// and so does not answer before; and what several dead processes have promised is gone through by
/// one, in its order.
pub(in crate::filesystem) fn settle_the_dead(
    inner: &Inner,
    directory: &DriverPath,
    suspects: &Suspects,
) -> Result<()> {
    let Some(_one_at_a_time) = lock_directory(&inner.tree, directory)? else {
        return Ok(());
    };
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
        replay(inner, directory, to_replay, suspects)?;
    }
    if !to_sync.is_empty() {
        sync_in_background(inner, to_sync);
    }
    Ok(())
}

/// Goes through what was promised. What cannot be put right stops nothing else: it is told, and
/// promised once more to the next process. The rest of the promises goes, so that none of them
/// undoes what is written from now on.
fn replay(
    inner: &Inner,
    directory: &DriverPath,
    dead: Vec<Dead>,
    suspects: &Suspects,
) -> Result<()> {
    let wanted = wanted(&dead);
    tracing::info!(
        segments = dead.len(),
        paths = wanted.len(),
        "replaying the journal"
    );
    let mut left = Vec::new();
    for wanted in &wanted {
        if let Err(error) = repair(inner, wanted) {
            tracing::error!(
                path = %wanted.path,
                error = &error as &dyn std::error::Error,
                "cannot put right what the journal promises; it is left to the next start"
            );
            left.extend(wanted.promises());
        }
    }
    let synced = inner.tree.sync_all();
    synced.map_err(|errno| Error::with_source(ErrorKind::Unsynced, NAME, directory, errno))?;
    if !left.is_empty()
        && let Err(error) = suspects.add(&left)
    {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "the journal is left to the next start as it is");
        dead.into_iter().for_each(|dead| suspects.keep(dead));
        return Ok(());
    }
    for dead in &dead {
        remove_temporaries(&inner.tree, dead);
        remove_segment(&inner.tree, &dead.path)?;
    }
    Ok(())
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
