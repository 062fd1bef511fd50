//! Doing again what was promised and is not there.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;

use crate::{Durability, EntryKind, Error, ErrorKind, Metadata, Put, Result};

use super::super::{Inner, MOST_JOURNALLED_BYTES, NAME, READ};
use super::format::Operation;
use super::wanted::Wanted;

/// 10 ms: by so much may the time of a file lag behind the clock.
const CLOCK_TICK: Duration = Duration::from_millis(10);

pub(super) fn repair(inner: &Inner, wanted: &Wanted<'_>) -> Result<()> {
    let path = &wanted.path;
    let there = match inner.tree.open_at(path, READ) {
        Ok(file) => Some((inner.metadata(&file, path)?, File::from(file))),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match (wanted.last, there) {
        (Operation::Delete { .. }, None) => Ok(()),
        (Operation::Delete { .. }, Some((there, _)))
            if there.modified > wanted.written + CLOCK_TICK =>
        {
            Ok(())
        }
        (Operation::Delete { .. }, Some(_)) => inner.remove_now(path),
        (
            Operation::Put {
                verified, bytes, ..
            },
            there,
        ) => {
            if let Some((there, file)) = there
                && is_fine(file, &there, wanted, bytes, verified)?
            {
                return Ok(());
            }
            let put = Put {
                verified,
                ..Put::replace(path.clone(), Bytes::copy_from_slice(bytes))
            };
            inner.put_now(&put, Durability::Scratch)
        }
    }
}

/// Whether what lies there is what was promised, or somebody's later write.
fn is_fine(
    file: File,
    there: &Metadata,
    wanted: &Wanted<'_>,
    bytes: &[u8],
    verified: bool,
) -> Result<bool> {
    let surely_younger = there.modified > wanted.written + CLOCK_TICK;
    if there.kind == EntryKind::Directory {
        return Ok(surely_younger);
    }
    let mut found = Vec::new();
    let read = file.take(MOST_JOURNALLED_BYTES + 1).read_to_end(&mut found);
    read.map_err(|error| Error::from_io(NAME, &wanted.path, error))?;
    if found == *bytes || verified {
        // Verified bytes are what their name says, and nobody has others for it.
        return Ok(found == *bytes);
    }
    // A power cut leaves nothing, zeros, the beginning of what was written, or what was there before.
    let torn = found.iter().all(|byte| *byte == 0) || bytes.starts_with(&found);
    let before = !surely_younger && wanted.earlier.iter().any(|earlier| *earlier == found);
    let younger = there.modified + CLOCK_TICK > wanted.written;
    Ok(younger && !torn && !before)
}
