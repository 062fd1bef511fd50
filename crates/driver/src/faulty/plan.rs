//! Which calls fail and how.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wharfinger_runtime::Clock;

use crate::{DriverPath, Error, ErrorKind, Method, Result};

use super::DEAD;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails and is not made.
    Before(ErrorKind),
    /// It is made and fails all the same, as when the answer is lost. An append to a driver that
    /// cannot resume anywhere is not made: what is in no checkpoint is lost there anyway.
    After(ErrorKind),
    /// It never ends; only dropping it does.
    Hang,
    /// It is made after a while.
    Delay(Duration),
    /// It is made in part and then fails.
    Cut {
        /// How much is done: bytes of an append or of a stream, writes of a put, or writes that
        /// follow in a commit. Other calls are not made, as with [`Fault::Before`].
        after: u64,
        /// How it fails.
        kind: ErrorKind,
    },
}

/// Which calls meet which fault. All counts begin at 0.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    by_number: HashMap<usize, Fault>,
    by_method: HashMap<(Method, usize), Fault>,
    always: HashMap<Method, Fault>,
    dead_from: Option<usize>,
}

impl FaultPlan {
    /// Makes a plan without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` call of `method` fail with `kind`, without being made.
    #[must_use]
    pub fn fail(self, method: Method, nth: usize, kind: ErrorKind) -> Self {
        self.at(method, nth, Fault::Before(kind))
    }

    /// Lets the `nth` call of `method` meet `fault`.
    #[must_use]
    pub fn at(mut self, method: Method, nth: usize, fault: Fault) -> Self {
        self.by_method.insert((method, nth), fault);
        self
    }

    /// Lets every call of `method` meet `fault`, unless something more special is planned for it.
    #[must_use]
    pub fn always(mut self, method: Method, fault: Fault) -> Self {
        self.always.insert(method, fault);
        self
    }

    /// Lets the call with this number, counted over all methods, meet `fault`.
    #[must_use]
    pub fn at_call(mut self, number: usize, fault: Fault) -> Self {
        self.by_number.insert(number, fault);
        self
    }

    /// Lets the process die before the call with this number, counted over all methods: it and
    /// every later one fail and are not made.
    #[must_use]
    pub fn crash_from(mut self, number: usize) -> Self {
        self.dead_from = Some(number);
        self
    }
}

/// A call that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCall {
    /// Its number, counted from 0 over all methods.
    pub number: usize,
    /// What was called.
    pub method: Method,
    /// What it was about: for a put its first path, for an ingest the path it was opened at, for
    /// a commit its destination.
    pub path: DriverPath,
}

/// What a call has to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    Pass,
    Before(ErrorKind),
    After(ErrorKind),
    Cut(u64, ErrorKind),
}

/// A plan that is being carried out.
#[derive(Debug)]
pub(super) struct Script {
    driver: &'static str,
    plan: FaultPlan,
    clock: Arc<dyn Clock>,
    log: Mutex<Vec<LoggedCall>>,
}

#[derive(Debug, thiserror::Error)]
#[error("a failure as planned")]
struct Planned;

impl Script {
    pub(super) fn new(driver: &'static str, plan: FaultPlan, clock: Arc<dyn Clock>) -> Self {
        Self {
            driver,
            plan,
            clock,
            log: Mutex::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Vec<LoggedCall>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calls(&self) -> Vec<LoggedCall> {
        self.log().clone()
    }

    /// Numbers the call, and returns the fault that is planned for it.
    fn number(&self, method: Method, path: &DriverPath) -> Option<Fault> {
        let mut log = self.log();
        let number = log.len();
        let nth = log.iter().filter(|call| call.method == method).count();
        log.push(LoggedCall {
            number,
            method,
            path: path.clone(),
        });
        if self.plan.dead_from.is_some_and(|from| number >= from) {
            return Some(Fault::Before(DEAD));
        }
        let special = self.plan.by_number.get(&number);
        let special = special.or_else(|| self.plan.by_method.get(&(method, nth)));
        special.or_else(|| self.plan.always.get(&method)).copied()
    }

    /// Numbers the call and waits if it has to.
    pub(super) async fn begin(&self, method: Method, path: &DriverPath) -> Verdict {
        let fault = self.number(method, path);
        self.wait(fault).await
    }

    /// Numbers the call at once; the future waits if it has to.
    pub(super) fn begin_now(
        self: &Arc<Self>,
        method: Method,
        path: &DriverPath,
    ) -> impl Future<Output = Verdict> + Send + use<> {
        let fault = self.number(method, path);
        let script = Arc::clone(self);
        async move { script.wait(fault).await }
    }

    async fn wait(&self, fault: Option<Fault>) -> Verdict {
        match fault {
            None => Verdict::Pass,
            Some(Fault::Before(kind)) => Verdict::Before(kind),
            Some(Fault::After(kind)) => Verdict::After(kind),
            Some(Fault::Cut { after, kind }) => Verdict::Cut(after, kind),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Delay(duration)) => {
                self.clock.sleep(duration).await;
                Verdict::Pass
            }
        }
    }

    /// Makes `call` under `verdict`; a cut makes none of it.
    pub(super) async fn run<T>(
        &self,
        verdict: Verdict,
        path: &DriverPath,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match verdict {
            Verdict::Pass => call.await,
            Verdict::Before(kind) | Verdict::Cut(_, kind) => Err(self.injected(kind, path)),
            Verdict::After(kind) => {
                drop(call.await?);
                Err(self.injected(kind, path))
            }
        }
    }

    /// Numbers `call` and makes it.
    pub(super) async fn around<T>(
        &self,
        method: Method,
        path: &DriverPath,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let verdict = self.begin(method, path).await;
        self.run(verdict, path, call).await
    }

    /// Makes the error of a call that was made to fail.
    pub(super) fn injected(&self, kind: ErrorKind, path: &DriverPath) -> Error {
        Error::with_source(kind, self.driver, path, Planned)
    }
}
