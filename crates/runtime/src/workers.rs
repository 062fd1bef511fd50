//! Threads that each run the tasks they were given, and nobody else's.
//!
//! A task that waits for a socket is woken on the thread that polls this socket. In a pool where
//! threads steal from each other every such wake-up also wakes a second thread, which looks for work
//! and finds none; on two cores it takes them from whoever is at the other end of the connection.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The threads. They end when the last clone is dropped, with the tasks that are left.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    workers: Arc<[Worker]>,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// How many tasks it was given that have not ended.
    tasks: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Workers {
    /// Starts `count` threads, at least one.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let workers = (0..count.max(1))
            .map(Worker::start)
            .collect::<io::Result<_>>();
        Ok(Self { workers: workers? })
    }

    /// Returns the thread with the fewest tasks, and the task to run there: it counts until it ends.
    pub(crate) fn place<F: Future>(
        &self,
        task: F,
    ) -> (&Handle, impl Future<Output = F::Output> + use<F>) {
        let least = self
            .workers
            .iter()
            .min_by_key(|worker| worker.tasks.load(Ordering::Relaxed));
        let worker = least.expect("there is at least one");
        let counted = Counted::new(&worker.tasks);
        let task = async move {
            let _counted = counted;
            task.await
        };
        (&worker.handle, task)
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || runtime.block_on(stopped))?;
        Ok(Self {
            handle,
            tasks: Arc::default(),
            _stop: stop.drop_guard(),
        })
    }
}

/// One task of a worker.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(tasks: &Arc<AtomicUsize>) -> Self {
        tasks.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(tasks))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::{self, ThreadId};

    use super::*;

    async fn thread_of(workers: &Workers, until: CancellationToken) -> ThreadId {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (worker, task) = workers.place(async move {
            tell.send(thread::current().id()).unwrap();
            until.cancelled().await;
        });
        drop(worker.spawn(task));
        told.await.unwrap()
    }

    #[tokio::test]
    async fn tasks_are_spread_over_the_threads_and_stay_there() {
        let workers = Workers::start(3).unwrap();
        let end = CancellationToken::new();
        let mut threads = HashSet::new();
        for _ in 0..3 {
            threads.insert(thread_of(&workers, end.clone()).await);
        }
        assert_eq!(threads.len(), 3);
        assert!(!threads.contains(&thread::current().id()));
    }

    #[tokio::test]
    async fn a_task_that_has_ended_does_not_count() {
        let workers = Workers::start(2).unwrap();
        let (stays, ends) = (CancellationToken::new(), CancellationToken::new());
        let busy = thread_of(&workers, stays.clone()).await;
        let idle = thread_of(&workers, ends.clone()).await;
        ends.cancel();
        while workers
            .workers
            .iter()
            .all(|worker| worker.tasks.load(Ordering::Relaxed) > 0)
        {
            tokio::task::yield_now().await;
        }
        assert_ne!(busy, idle);
        assert_eq!(thread_of(&workers, stays).await, idle);
    }
}
