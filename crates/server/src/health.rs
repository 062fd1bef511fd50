//! Whether the registry is fit to answer, and whether it should be asked.
//!
//! - **Health** is what the operator's own checks say. While one fails, every request is answered with
//!   503, as in Distribution: a registry that is taken out of service says so to everybody.
//! - **Readiness** is what a load balancer asks for: whether a write to the storage would succeed now, and
//!   whether the process is ending.
//! - **Liveness** is that the process answers at all. It never asks the storage: a process is not made
//!   better by being killed because its disk is slow.

mod checks;
mod disk;
mod probe;
mod web;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharfinger_runtime::Runtime;

pub use self::checks::{Check, CheckKind};
pub use self::disk::{Disk, Space};
pub use self::probe::Readiness;
pub use self::web::{Web, WebError};

/// What the checks have found.
#[derive(Debug, Default)]
pub struct Health {
    /// How many checks fail: what every request looks at.
    failing: AtomicUsize,
    /// Why each of them fails.
    reasons: Mutex<BTreeMap<String, String>>,
    /// No further connections are taken.
    draining: AtomicBool,
}

impl Health {
    /// Starts well: a check fails only once it has been made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `checks`, each in its own rhythm, until the runtime's tasks are asked to end.
    pub fn watch(self: &Arc<Self>, checks: Vec<Check>, runtime: &Runtime) {
        for check in checks {
            let (health, clock) = (Arc::clone(self), Arc::clone(&runtime.clock));
            let ended = runtime.tasks.cancelled();
            runtime.tasks.spawn(async move {
                tokio::select! {
                    () = ended => {}
                    () = check.repeat(&health, &*clock) => {}
                }
            });
        }
    }

    /// Returns how many checks fail, if any does.
    pub(crate) fn failing(&self) -> Option<usize> {
        let failing = self.failing.load(Ordering::Relaxed);
        (failing > 0).then_some(failing)
    }

    /// Returns the name and the reason of each check that fails.
    pub(crate) fn reasons(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// Notes what a check has found.
    fn note(&self, name: &str, reason: Option<String>) {
        let mut reasons = self.lock();
        match reason {
            Some(reason) => {
                if reasons.insert(name.to_owned(), reason.clone()).is_none() {
                    tracing::error!(check = name, reason, "a health check fails");
                }
            }
            None => {
                if reasons.remove(name).is_some() {
                    tracing::info!(check = name, "a health check succeeds again");
                }
            }
        }
        self.failing.store(reasons.len(), Ordering::Relaxed);
    }

    /// Notes that the end has begun, so that nobody is sent here any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Tells whether the end has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // The map is whole after every step.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
