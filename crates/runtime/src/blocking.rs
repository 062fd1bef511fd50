//! One bounded pool for calls that block: syncs, directory walks, reads that miss the page cache.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Span;

/// A bounded pool of threads for blocking calls.
///
/// At most the given number of calls run at once; the rest wait in order. A call carries the
/// span of whoever asked for it.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    permits: Arc<Semaphore>,
    /// Whose threads to use; by default the caller's.
    home: Option<Handle>,
}

impl BlockingPool {
    /// Makes a pool that runs at most `limit` calls at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit.max(1))),
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
            home: self.home.clone(),
            ..Self::new(limit)
        }
    }

    /// Runs `call` on a thread of the pool and returns what it returned.
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
        let permits = Arc::clone(&self.permits);
        let permit = permits
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let span = Span::current();
        let call = move || {
            let result = span.in_scope(call);
            drop(permit);
            result
        };
        let task = match &self.home {
            Some(home) => home.spawn_blocking(call),
            None => Handle::current().spawn_blocking(call),
        };
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The threads are being shut down.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

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
