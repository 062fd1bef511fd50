//! Doing again what was promised and is not there.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;

use crate::{Durability, EntryKind, Error, ErrorKind, Metadata, Put, Result};

use super::super::{Inner, MOST_JOURNALLED_BYTES, NAME, READ};
use super::format::Operation;
use super::unwanted::remove_again;
use super::wanted::Wanted;

/// 10 ms: by so much may the time of a file lag behind the clock.
pub(super) const CLOCK_TICK: Duration = Duration::from_millis(10);

pub(super) fn repair(inner: &Inner, wanted: &Wanted<'_>) -> Result<()> {
    let path = &wanted.path;
    if let Operation::Delete { .. } = wanted.last {
        inner.durable.forget(path);
        return remove_again(&inner.tree, wanted);
    }
    let file = match inner.tree.open_at(path, READ) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return put_again(inner, wanted),
        Err(error) => return Err(error),
    };
    let there = inner.metadata(&file, path)?;
    match compare(file.into(), &there, wanted)? {
        Found::Later => Ok(()),
        Found::Promised if !wanted.suspect => Ok(()),
        Found::Promised | Found::Wrong => put_again(inner, wanted),
    }
}

fn put_again(inner: &Inner, wanted: &Wanted<'_>) -> Result<()> {
    let Operation::Put {
        bytes, verified, ..
    } = wanted.last
    else {
        return Ok(());
    };
    let put = Put {
        verified,
        ..Put::replace(wanted.path.clone(), Bytes::copy_from_slice(bytes))
    };
    let durability = if wanted.suspect {
        // A failure of its own sync is told; one of the whole tree's may have been told before.
        Durability::Apart
    } else {
        Durability::Scratch
    };
    inner.put_now(&put, durability)
}

/// What lies where a value was promised.
enum Found {
    /// The value.
    Promised,
    /// Somebody's later write.
    Later,
    /// What a power cut has left, or what was there before.
    Wrong,
}

fn compare(file: File, there: &Metadata, wanted: &Wanted<'_>) -> Result<Found> {
    let Operation::Put {
        bytes, verified, ..
    } = wanted.last
    else {
        return Ok(Found::Wrong);
    };
    let surely_younger = there.modified > wanted.written + CLOCK_TICK;
    let later_if = |later| if later { Found::Later } else { Found::Wrong };
    if there.kind == EntryKind::Directory {
        return Ok(later_if(surely_younger));
    }
    let mut found = Vec::new();
    let read = file.take(MOST_JOURNALLED_BYTES + 1).read_to_end(&mut found);
    read.map_err(|error| Error::from_io(NAME, &wanted.path, error))?;
    if found == *bytes {
        return Ok(Found::Promised);
    }
    // A power cut leaves nothing, zeros, the beginning of what was written, or what was there before.
    let torn = found.iter().all(|byte| *byte == 0) || bytes.starts_with(&found);
    let before = !surely_younger && wanted.earlier.iter().any(|earlier| *earlier == found);
    let younger = there.modified + CLOCK_TICK > wanted.written;
    // Verified bytes are what their name says, and nobody has others for it.
    Ok(later_if(younger && !torn && !before && !verified))
}
