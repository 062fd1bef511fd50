//! One bounded pool for calls that block: syncs, directory walks, reads that miss the page cache.
//!
//! To hand a call over wakes a thread, and to answer wakes another; for a short call that is most of
//! its cost. Work that is mostly such calls is handed over whole ([`BlockingPool::host`]) and makes
//! them right there: a push of a small image is handed over 7 times in place of 25.

use std::cell::Cell;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

thread_local! {
    /// Whether this thread of a pool runs work that makes its calls by itself.
    static HOSTS: Cell<bool> = const { Cell::new(false) };
}

/// 4: of fewer threads none is kept for work that is handed over whole.
const FEW: usize = 4;

/// A bounded pool of threads for blocking calls.
///
/// At most the given number of calls run at once; the rest wait in order. A call carries the
/// span of whoever asked for it.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    permits: Arc<Semaphore>,
    /// For work that is handed over whole. Nobody waits for one of these: what such work waits for
    /// may be done by somebody who waits.
    hosts: Arc<Semaphore>,
    /// Whose threads to use; by default the caller's.
    home: Option<Handle>,
}

impl BlockingPool {
    /// Makes a pool that runs at most `limit` calls at once.
    ///
    /// Half of its threads are for [`BlockingPool::host`], unless there are too few to share.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let hosts = if limit < FEW { 0 } else { limit / 2 };
        Self {
            permits: Arc::new(Semaphore::new((limit - hosts).max(1))),
            hosts: Arc::new(Semaphore::new(hosts)),
            home: None,
        }
    }

    /// Has every call run on the threads of `home`.
    pub(crate) fn at(self, home: Handle) -> Self {
        Self {
            home: Some(home),
            ..self
        }
    }

    /// Makes a pool of its own beside this one, on threads from the same place: what waits here keeps
    /// nobody waiting there. Whoever limits the threads counts those of both.
    #[must_use]
    pub fn apart(&self, limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit.max(1))),
            hosts: Arc::new(Semaphore::new(0)),
            home: self.home.clone(),
        }
    }

    /// Runs `call` on a thread of the pool, or on this one if it is such a thread, and returns what it
    /// returned.
    ///
    /// # Panics
    /// Panics when `call` does: a panic there is a bug here, not a condition to handle.
    ///
    /// When the tokio runtime shuts down before `call` has started it never returns: whoever awaits
    /// it is shut down, too.
    ///
    /// # Cancellation
    /// Dropping the future before the call has started takes it back; a call that has started
    /// runs to its end, and its result is dropped.
    pub async fn run<T, F>(&self, call: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if HOSTS.get() {
            return call();
        }
        let permit = self.permit().await;
        let span = Span::current();
        let call = move || {
            let result = span.in_scope(call);
            drop(permit);
            result
        };
        returned(self.start(call)).await
    }

    /// Runs `work` on a thread of the pool, where the calls that it makes of any pool run one after the
    /// other. What it spawns runs where it would have without this. When no thread is free it runs here,
    /// and hands its calls over one by one.
    ///
    /// For work that is mostly calls; while it waits for something else, it keeps a thread.
    ///
    /// # Panics
    /// Panics when `work` does.
    ///
    /// # Cancellation
    /// Work that has been handed over runs to its end, and its result is dropped.
    pub async fn host<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.hosts).try_acquire_owned() else {
            return work.await;
        };
        self.host_with(permit, work).await
    }

    /// Does the same where work shall wait for a thread: in a pool that is there for such work alone, or
    /// nobody could say what waits for what.
    ///
    /// # Panics
    /// Panics when `work` does.
    ///
    /// # Cancellation
    /// As for [`BlockingPool::host`].
    pub async fn host_in_turn<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let permit = self.permit().await;
        self.host_with(permit, work).await
    }

    async fn host_with<F>(&self, permit: OwnedSemaphorePermit, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (here, work) = (Handle::current(), work.instrument(Span::current()));
        returned(self.start(move || {
            let _hosting = Hosting::begin();
            let result = here.block_on(work);
            drop(permit);
            result
        }))
        .await
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permits = Arc::clone(&self.permits);
        permits
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }

    fn start<T, F>(&self, call: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match &self.home {
            Some(home) => home.spawn_blocking(call),
            None => Handle::current().spawn_blocking(call),
        }
    }
}

/// Returns what a call has returned.
async fn returned<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The threads are being shut down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// While this is there, the thread makes its calls by itself.
struct Hosting;

impl Hosting {
    fn begin() -> Self {
        HOSTS.set(true);
        Self
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        HOSTS.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::Tasks;

    #[test]
    fn a_call_for_a_runtime_that_has_shut_down_never_returns() {
        let home = tokio::runtime::Runtime::new().unwrap();
        let pool = BlockingPool::new(1).at(home.handle().clone());
        home.shutdown_background();
        let caller = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        caller.block_on(async {
            let mut call = std::pin::pin!(pool.run(|| 1));
            for _ in 0..10 {
                assert!(futures_util::poll!(call.as_mut()).is_pending());
                tokio::task::yield_now().await;
            }
        });
    }

    #[tokio::test]
    async fn work_that_is_hosted_makes_its_calls_on_one_thread() {
        let pool = BlockingPool::new(FEW);
        let thread = || std::thread::current().id();
        let asked = pool.clone();
        let work = async move {
            // What it waits for may come from here.
            let spawned = Tasks::new().spawn(async move { thread() }).await.unwrap();
            (
                asked.run(thread).await,
                asked.run(thread).await,
                thread(),
                spawned,
            )
        };
        let (first, second, own, spawned) = pool.host(work).await;
        assert_eq!((first, second), (own, own));
        assert_ne!(own, thread());
        assert_eq!(spawned, thread());
        assert!(!pool.run(|| HOSTS.get()).await);
    }

    #[tokio::test]
    async fn work_that_finds_no_thread_runs_all_the_same() {
        let pool = BlockingPool::new(FEW);
        let ((end, ended), mut waiting) = (tokio::sync::watch::channel(false), Vec::new());
        for _ in 0..2 * FEW {
            let (pool, mut ended) = (pool.clone(), ended.clone());
            waiting.push(Tasks::new().spawn(async move {
                let calls = pool.clone();
                let work = async move {
                    ended.wait_for(|ended| *ended).await.unwrap();
                    calls.run(|| 1).await
                };
                pool.host(work).await
            }));
        }
        // Calls do not wait for it either.
        assert_eq!(pool.run(|| 2).await, 2);
        end.send(true).unwrap();
        for work in waiting {
            assert_eq!(work.await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn no_more_than_the_limit_run_at_once() {
        let pool = BlockingPool::new(2);
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let calls = (0..8).map(|_| {
            let (pool, running, most) = (pool.clone(), Arc::clone(&running), Arc::clone(&most));
            async move {
                pool.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(1, Ordering::SeqCst);
                })
                .await;
            }
        });
        futures_util::future::join_all(calls).await;
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
