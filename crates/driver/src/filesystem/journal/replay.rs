//! What a dead process has left in its journal.
//!
//! When the machine runs since before it died, all that was answered is in the tree, in memory if
//! not on disk: a sync, and the segments can go. Otherwise the promises are gone through in their
//! order, and what the tree lacks of them is done again:
//!
//! - a value that is missing, empty, zeros, or a part of what was promised is put;
//! - another value stays when it is younger than the promise: somebody has written it since;
//! - what was deleted, and is there in a version from before, is deleted again.
//!
//! A segment is suspect when a sync has failed after which it could have been removed. Then what
//! the page cache shows need not be on the disk, and no later sync tells: values are written anew.

use std::sync::Arc;

use crate::{DriverPath, Error, Result};

use super::super::durable::sync_directory;
use super::super::sync::{FileSystems, unsynced};
use super::super::tree::{Tree, errno_at};
use super::super::{Inner, NAME};
use super::Shared;
use super::dead::{Busy, Dead, dead_segments, lock_directory, remove_temporaries};
use super::repair::repair;
use super::segment::{call_suspect, remove_segment};
use super::suspects::{Keeper, Suspects};
use super::wanted::wanted;

/// Deals with every segment that nobody holds. Who starts at the same moment waits until it is done,
/// and so does not answer before; and what several dead processes have promised is gone through by
/// one, in its order.
pub(in crate::filesystem) fn settle_the_dead(
    inner: &Inner,
    directory: &DriverPath,
    suspects: &Arc<Suspects>,
) -> Result<()> {
    let Some(_one_at_a_time) = lock_directory(&inner.tree, directory, Busy::Wait)? else {
        return Ok(());
    };
    let settling = Settling::begin(inner, directory, suspects)?;
    if settling.dead.is_empty() {
        Ok(())
    } else if settling.dead.iter().any(|dead| dead.needs_a_look(inner)) {
        settling.replay(inner)
    } else {
        settling.sync_in_background()
    }
}

/// Syncs and removes the segments of those that have died beside this process, as long as nothing
/// has to be looked at: the next start may be far away, and what this process deletes meanwhile
/// would be done again then.
pub(super) fn settle_who_died_beside(
    inner: &Inner,
    directory: &DriverPath,
    suspects: &Arc<Suspects>,
) -> Result<()> {
    let locked = lock_directory(&inner.tree, directory, Busy::GiveUp)?;
    if locked.is_none() {
        // Who starts just now does it.
        return Ok(());
    }
    let settling = Settling::begin(inner, directory, suspects)?;
    if settling.dead.is_empty() || settling.dead.iter().any(|dead| dead.needs_a_look(inner)) {
        return Ok(());
    }
    let keeper = settling.keep();
    drop(locked);
    settling.sync(keeper);
    Ok(())
}

/// The segments of all dead processes, and who has to know of them.
struct Settling {
    tree: Arc<Tree>,
    suspects: Arc<Suspects>,
    journal: Option<Arc<Shared>>,
    directory: DriverPath,
    file_systems: FileSystems,
    dead: Vec<Dead>,
}

impl Settling {
    fn begin(inner: &Inner, directory: &DriverPath, suspects: &Arc<Suspects>) -> Result<Self> {
        // Before anything is written that they vouch for.
        let file_systems =
            FileSystems::open(&inner.tree).map_err(|errno| errno_at(directory, errno))?;
        let journal = inner.journal.as_ref();
        Ok(Self {
            tree: Arc::clone(&inner.tree),
            suspects: Arc::clone(suspects),
            journal: journal.map(|journal| Arc::clone(&journal.shared)),
            directory: directory.clone(),
            file_systems,
            dead: dead_segments(inner, directory)?,
        })
    }

    /// Goes through what was promised. What cannot be put right stops nothing else: it is told, and
    /// promised once more to the next process. The rest of the promises goes, so that none of them
    /// undoes what is written from now on.
    fn replay(mut self, inner: &Inner) -> Result<()> {
        let wanted = wanted(&self.dead);
        tracing::info!(
            segments = self.dead.len(),
            paths = wanted.len(),
            "replaying the journal"
        );
        self.dead.iter().for_each(Dead::tell);
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
        // Their reader takes the promises of one process to be in the order of their times.
        left.sort_by_key(|(written, _)| *written);
        if let Err(errno) = self.file_systems.sync() {
            // What was just written may be lost as well, and would be believed next time.
            self.call_suspect();
            return Err(unsynced(&self.directory, errno));
        }
        if !left.is_empty()
            && let Err(error) = self.suspects.add(&left)
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the journal is left to the next start as it is");
            // Never released: they stay until this process ends.
            self.suspects
                .keep(self.dead.iter().map(|dead| &dead.bytes[..]));
            self.hold();
            return Ok(());
        }
        self.remove()
    }

    /// Nobody has to wait for what is only a matter of writing back.
    fn sync_in_background(self) -> Result<()> {
        let directory = self.directory.clone();
        let keeper = self.keep();
        let thread = std::thread::Builder::new().name("journal settle".to_owned());
        let started = thread.spawn(move || self.sync(keeper));
        started
            .map(drop)
            .map_err(|error| Error::from_io(NAME, &directory, error))
    }

    /// Has deletes noted from now on of what is promised.
    fn keep(&self) -> Keeper {
        let bytes = self.dead.iter().map(|dead| &dead.bytes[..]);
        self.suspects.keep(bytes)
    }

    fn sync(mut self, keeper: Keeper) {
        let Err(errno) = self.file_systems.sync() else {
            match self.remove() {
                Ok(()) => self.suspects.release(keeper),
                // Held, and not released: nobody tries again and again, and deletes are noted.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "cannot remove a segment of the journal");
                    self.hold();
                }
            }
            return;
        };
        tracing::error!(
            error = &unsynced(&self.directory, errno) as &dyn std::error::Error,
            "the segments of a dead process are left to the next start"
        );
        self.call_suspect();
        if let Some(journal) = &self.journal {
            journal.distrust();
        }
        self.hold();
    }

    /// Keeps the locks until this process ends.
    fn hold(self) {
        self.dead
            .into_iter()
            .for_each(|dead| self.suspects.hold(dead.lock));
    }

    fn call_suspect(&self) {
        for dead in &self.dead {
            if let Err(error) = call_suspect(&self.tree, &dead.path) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a segment of the journal cannot be called suspect");
            }
        }
    }

    /// Removes the segments so that they are not found again even after a power cut: others may
    /// have deleted by then what they promise.
    fn remove(&self) -> Result<()> {
        for dead in &self.dead {
            remove_temporaries(&self.tree, dead);
            remove_segment(&self.tree, &dead.path)?;
        }
        let directory = self
            .tree
            .open_at(&self.directory, super::super::DIRECTORY)?;
        sync_directory(std::os::fd::AsFd::as_fd(&directory), &self.directory)
    }
}
