//! What is known of the uploads in the storage.
//!
//! They are not looked for at a scrape: a look goes through every repository. Somebody looks from time to
//! time, and what was seen then is shown, with its time.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::Sources;
use super::exposition::Exposition;
use super::families as family;
use super::histogram::as_f64;
use super::process::seconds_since_1970;

/// What the last look at the uploads has found.
#[derive(Debug, Default)]
pub struct UploadCensus {
    last: Mutex<Option<Look>>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    open: u64,
    oldest_started_at: Option<SystemTime>,
    at: SystemTime,
}

impl UploadCensus {
    /// Starts without a look.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes what was found at `at`: how many there are, and when the oldest was started.
    pub fn note(&self, open: u64, oldest_started_at: Option<SystemTime>, at: SystemTime) {
        let look = Look {
            open,
            oldest_started_at,
            at,
        };
        // It is replaced as a whole.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }

    fn last(&self) -> Option<Look> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    pub(super) fn uploads(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let look = self.uploads.last();
        out.gauge(&family::UPLOADS_OPEN, look.map(|look| as_f64(look.open)))?;
        // The age grows between the looks.
        let oldest = look.map(|look| {
            look.oldest_started_at.map_or(0.0, |started| {
                let age = self.clock.now().duration_since(started);
                age.unwrap_or_default().as_secs_f64()
            })
        });
        out.gauge(&family::UPLOADS_OLDEST, oldest)?;
        let at = look.map(|look| seconds_since_1970(look.at));
        out.gauge(&family::UPLOADS_LOOKED, at)
    }
}
