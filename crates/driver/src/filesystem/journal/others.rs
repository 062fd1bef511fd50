//! What becomes of the segments of a process that dies while this one lives.

use std::sync::Arc;

use crate::{DriverPath, Error, Result};

use super::super::{Inner, NAME};
use super::replay::settle_who_died_beside;
use super::{LONGEST_LIFE, lock};

/// Looks after those that die beside this process, until its driver is dropped.
pub(in crate::filesystem) fn look_after_others(
    inner: &Arc<Inner>,
    directory: DriverPath,
) -> Result<()> {
    let (weak, about) = (Arc::downgrade(inner), directory.clone());
    let looking = std::thread::Builder::new().name("journal others".to_owned());
    let started = looking.spawn(move || {
        loop {
            std::thread::sleep(LONGEST_LIFE);
            let Some(inner) = weak.upgrade() else { return };
            look_once(&inner, &directory);
        }
    });
    started
        .map(drop)
        .map_err(|error| Error::from_io(NAME, &about, error))
}

pub(super) fn look_once(inner: &Inner, directory: &DriverPath) {
    let (Some(journal), Some(suspects)) = (&inner.journal, &inner.suspects) else {
        return;
    };
    if lock(&journal.shared.state).suspect {
        // No sync proves anything any more.
        return;
    }
    if let Err(error) = settle_who_died_beside(inner, directory, suspects) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot look after the segments of other processes");
    }
}
