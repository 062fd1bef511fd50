//! Tasks that shutdown waits for.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::workers::Workers;

/// The set of tasks of a process: each is tracked until it ends, and all are asked to end by one token.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    workers: Option<Workers>,
}

impl Tasks {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty set with threads for [`Tasks::spawn_apart`].
    pub(crate) fn over(workers: Workers) -> Self {
        Self {
            workers: Some(workers),
            ..Self::default()
        }
    }

    /// Starts `task` in the caller's span and on the caller's thread or pool. It goes on when the
    /// handle is dropped.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task.in_current_span())
    }

    /// Starts `task`, such as the service of a connection, on the thread that has the fewest of
    /// these; all that it spawns stays there. Where the set has no threads of its own it is as
    /// [`Tasks::spawn`].
    pub fn spawn_apart<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.workers {
            Some(workers) => {
                let (worker, task) = workers.place(task);
                self.tracker.spawn_on(task.in_current_span(), worker)
            }
            None => self.spawn(task),
        }
    }

    /// Completes once [`Tasks::shut_down`] was called; long-running tasks select on it.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shutdown.clone().cancelled_owned()
    }

    /// Returns how many tasks have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Tells whether [`Tasks::shut_down`] was called.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Asks every task to end.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until every task has ended. Call [`Tasks::shut_down`] first.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
