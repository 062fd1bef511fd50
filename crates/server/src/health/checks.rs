//! The checks of an operator: of the storage, of a file, of an address and of a URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use wharfinger_driver::{Driver, DriverPath, ErrorKind};
use wharfinger_runtime::{BlockingPool, Clock};

use super::Health;
use super::web::Web;

/// A check that is made again and again.
#[derive(Debug)]
pub struct Check {
    /// What it is called where its failure is told; no two have the same name.
    pub name: String,
    /// What is looked at.
    pub kind: CheckKind,
    /// How long to wait before each time, also before the first.
    pub interval: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// How many times in a row it has to fail before it counts; 0 is as 1.
    pub threshold: u64,
}

/// What a check looks at.
#[derive(Debug)]
pub enum CheckKind {
    /// The storage answers; that something is not there is an answer.
    Storage {
        /// The storage.
        driver: Arc<dyn Driver>,
        /// What to ask for.
        path: DriverPath,
    },
    /// The file is not there.
    File {
        /// The file.
        path: PathBuf,
        /// Where to look, since a file system may be slow.
        blocking: BlockingPool,
    },
    /// Somebody takes connections at `HOST:PORT`.
    Tcp(String),
    /// A page answers as it should.
    Web(Web),
}

impl Check {
    /// Makes the check for ever.
    pub(super) async fn repeat(&self, health: &Health, clock: &dyn Clock) {
        let mut failures = 0_u64;
        loop {
            clock.sleep(self.interval).await;
            match self.once(clock).await {
                Ok(()) => {
                    failures = 0;
                    health.note(&self.name, None);
                }
                Err(reason) => {
                    failures = failures.saturating_add(1);
                    if failures >= self.threshold {
                        health.note(&self.name, Some(reason));
                    }
                }
            }
        }
    }

    async fn once(&self, clock: &dyn Clock) -> Result<(), String> {
        tokio::select! {
            found = self.kind.look() => found,
            () = clock.sleep(self.timeout) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }
}

impl CheckKind {
    async fn look(&self) -> Result<(), String> {
        match self {
            Self::Storage { driver, path } => match driver.stat(path).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.to_string()),
                Ok(_) | Err(_) => Ok(()),
            },
            Self::File { path, blocking } => {
                let looked = path.clone();
                match blocking.run(move || looked.symlink_metadata()).await {
                    Ok(_) => Err("file exists".to_owned()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Self::Tcp(address) => match TcpStream::connect(address).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("connection to {address} failed: {error}")),
            },
            Self::Web(web) => web.look().await.map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::SystemTime;

    use wharfinger_driver::{Fault, FaultPlan, Faulty, Memory, Method};
    use wharfinger_runtime::{ManualClock, Runtime};

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio.block_on(test)
    }

    fn storage(plan: FaultPlan) -> CheckKind {
        CheckKind::Storage {
            driver: Arc::new(Faulty::new(Arc::new(Memory::new()), plan)),
            path: "docker".parse().unwrap(),
        }
    }

    #[test]
    fn a_storage_that_answers_is_well_also_when_nothing_is_there() {
        run(async {
            assert_eq!(storage(FaultPlan::new()).look().await, Ok(()));
            let fault = Fault::Before(ErrorKind::Unavailable);
            let broken = storage(FaultPlan::new().always(Method::Stat, fault));
            assert!(broken.look().await.is_err());
        });
    }

    #[test]
    fn a_file_that_is_there_and_an_address_without_listener_fail() {
        let directory = std::env::temp_dir();
        let blocking = Runtime::new(1).blocking;
        let file = |path: PathBuf| CheckKind::File {
            path,
            blocking: blocking.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        run(async {
            assert_eq!(
                file(directory.clone()).look().await,
                Err("file exists".to_owned())
            );
            assert_eq!(file(directory.join("no such file")).look().await, Ok(()));
            assert_eq!(CheckKind::Tcp(address.clone()).look().await, Ok(()));
            drop(listener);
            assert!(CheckKind::Tcp(address).look().await.is_err());
        });
    }

    #[test]
    fn a_check_fails_once_it_has_failed_often_enough_and_heals_at_once() {
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
        let health = Health::new();
        let kind = ErrorKind::Unavailable;
        let plan = FaultPlan::new()
            .fail(Method::Stat, 0, kind)
            .fail(Method::Stat, 1, kind);
        let check = Check {
            name: "storage".to_owned(),
            kind: storage(plan),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            threshold: 2,
        };
        run(async {
            let mut found = Vec::new();
            let rounds = async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                    clock.advance(Duration::from_secs(10));
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                    found.push(health.failing());
                }
            };
            tokio::select! {
                // It has to sleep before the clock moves.
                biased;
                () = check.repeat(&health, &clock) => {}
                () = rounds => {}
            }
            assert_eq!(found, [None, Some(1), None]);
        });
    }
}
