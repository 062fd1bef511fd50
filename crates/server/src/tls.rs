//! TLS: the certificate from files, read anew when they change.

mod clients;
mod load;
mod suites;

pub use self::suites::{CipherSuite, SuiteError};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio_rustls::rustls::ServerConfig;
use wharfinger_runtime::Runtime;

pub(crate) use self::load::Error;
use self::load::load;

/// 10 s: how often the files are looked at. A new certificate is put there days before the old one ends.
pub const DEFAULT_TLS_LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// What TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The file of the certificate, with those between it and a root behind it.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// What is asked of clients; `None` is nothing.
    pub clients: Option<Clients>,
    /// The lowest version that is spoken.
    pub minimum: TlsVersion,
    /// The cipher suites that may be used. `None` is all; so it is for a version of which none is named,
    /// except that TLS 1.2 is not spoken then.
    pub cipher_suites: Option<Vec<CipherSuite>>,
    /// How often the files are looked at for a change.
    pub look_interval: Duration,
}

/// What is asked of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// The files of the authorities that may have signed a client's certificate.
    pub authorities: Vec<PathBuf>,
    /// What is asked.
    pub mode: ClientAuth,
}

/// Whether a client has to show a certificate, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is asked for one, may have none, and may have it of anybody.
    Request,
    /// It has to have one, of whomever.
    RequireAny,
    /// It may have none; if it has one, an authority has signed it.
    VerifyIfGiven,
    /// It has to have one that an authority has signed.
    RequireAndVerify,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    V12,
    /// 1.3.
    V13,
}

/// The certificate that counts now, and the files that it came from.
#[derive(Debug)]
pub(crate) struct Certificates {
    tls: Tls,
    http2: bool,
    current: RwLock<Arc<ServerConfig>>,
}

/// What the files looked like: enough to see that one was written or replaced.
type Look = Vec<Option<(SystemTime, u64, u64)>>;

impl Certificates {
    /// Reads the files. With `http2` clients are offered HTTP/2 before HTTP/1.1.
    pub(crate) async fn read(tls: Tls, http2: bool, runtime: &Runtime) -> Result<Self, Error> {
        let (tls, loaded) = runtime
            .blocking
            .run(move || {
                let loaded = load(&tls, http2);
                (tls, loaded)
            })
            .await;
        Ok(Self {
            tls,
            http2,
            current: RwLock::new(Arc::new(loaded?)),
        })
    }

    /// Returns what the next handshake goes by.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again when they have changed, and when it is `asked` to, for as long as it is polled.
    /// Files that do not fit together leave everything as it was.
    pub(crate) async fn follow(self: Arc<Self>, asked: Arc<Notify>, runtime: Runtime) {
        let mut read = self.look(&runtime).await;
        let mut failed: Option<String> = None;
        loop {
            let was_asked = tokio::select! {
                () = asked.notified() => true,
                () = runtime.clock.sleep(self.tls.look_interval) => false,
            };
            let look = self.look(&runtime).await;
            // One file of a pair may have been written a moment before the other.
            if look == read && failed.is_none() && !was_asked {
                continue;
            }
            read = look;
            let this = Arc::clone(&self);
            let loaded = runtime
                .blocking
                .run(move || load(&this.tls, this.http2))
                .await;
            match loaded {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(config);
                    failed = None;
                    let certificate = self.tls.certificate.display();
                    tracing::info!(%certificate, "the certificate was read again");
                }
                Err(error) => {
                    let message = error.describe();
                    // Once, not at each look.
                    if was_asked || failed.as_ref() != Some(&message) {
                        tracing::error!(error = message, "the certificate stays as it was");
                    }
                    failed = Some(message);
                }
            }
        }
    }

    async fn look(&self, runtime: &Runtime) -> Look {
        let authorities = self
            .tls
            .clients
            .iter()
            .flat_map(|clients| &clients.authorities);
        let files = [&self.tls.certificate, &self.tls.key]
            .into_iter()
            .chain(authorities);
        let files: Vec<_> = files.cloned().collect();
        let look = move || files.iter().map(|file| state_of(file)).collect();
        runtime.blocking.run(look).await
    }
}

/// A file that cannot be looked at differs from every other.
fn state_of(file: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(file).ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}
