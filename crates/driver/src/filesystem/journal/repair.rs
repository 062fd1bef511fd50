//! Doing again what was promised and is not there.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use crate::{DriverPath, Durability, EntryKind, Error, ErrorKind, Metadata, Put, Result};

use super::super::{Inner, MOST_JOURNALLED_BYTES, NAME, READ};
use super::wanted::Wanted;

/// 10 ms: by so much may the time of a file lag behind the clock.
const CLOCK_TICK: Duration = Duration::from_millis(10);

pub(super) fn repair(inner: &Inner, path: &DriverPath, wanted: &Wanted) -> Result<()> {
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
