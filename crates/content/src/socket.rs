//! The Unix socket that the service is reached at, and its connections.

mod bind;
mod connection;
mod transport;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wharfinger_runtime::Runtime;

use crate::server::Service;

use self::bind::Identity;
pub use self::bind::SocketError;
pub(crate) use self::connection::OnTasks;
use self::connection::serve;

/// 256 connections: a containerd has one.
const MOST_CONNECTIONS: u32 = 256;

/// 100 ms: how long to wait when no file descriptor is left, until somebody closes one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens and does not yet answer.
///
/// It is removed when this ends.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    identity: Identity,
    service: Service,
    runtime: Runtime,
}

impl Server {
    /// Takes the socket at `path`. From here on clients can connect; they are answered by
    /// [`Server::run`].
    ///
    /// The socket is for its owner alone. What a dead process has left there is replaced.
    ///
    /// # Errors
    /// Fails when somebody else listens there, when something else lies there, and when others may
    /// write to the directory.
    pub fn bind(path: &Path, service: Service, runtime: Runtime) -> Result<Self, SocketError> {
        let failed = |source| SocketError::io(path, source);
        let (listener, identity) = bind::bind(path, &*runtime.entropy)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            listener: UnixListener::from_std(listener).map_err(failed)?,
            path: path.to_owned(),
            identity,
            service,
            runtime,
        })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers calls until `shutdown` completes; then lets those that have begun go on for
    /// `drain_timeout`, and cuts those that are left.
    ///
    /// Writes that are open end when the runtime's tasks are asked to; what they hold is saved.
    ///
    /// # Cancellation
    /// Dropping the future cuts all connections.
    pub async fn run(self, drain_timeout: Duration, shutdown: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
        let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
        let _cut_on_drop = cut.clone().drop_guard();
        tokio::select! {
            () = self.accept(&permits, &draining, &cut) => {}
            () = shutdown => {}
        }
        draining.cancel();
        let all = permits.acquire_many(MOST_CONNECTIONS);
        tokio::select! {
            biased;
            _ended = all => {}
            () = self.runtime.clock.sleep(drain_timeout) => {
                tracing::warn!(?drain_timeout, "cutting calls that go on for too long");
            }
        }
    }

    /// Accepts connections for as long as it is polled.
    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
        draining: &CancellationToken,
        cut: &CancellationToken,
    ) {
        loop {
            let permit = Arc::clone(permits).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    log_peer(&self.path, &stream);
                    // It is waited for where it is served, not where it was accepted.
                    let stream = match stream.into_std() {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(%error, "connection is gone already");
                            continue;
                        }
                    };
                    let served = serve(
                        stream,
                        self.service.clone(),
                        self.runtime.tasks.clone(),
                        draining.clone().cancelled_owned(),
                    );
                    let cut = cut.clone().cancelled_owned();
                    drop(self.runtime.tasks.spawn_apart(async move {
                        tokio::select! {
                            biased;
                            () = cut => {}
                            () = served => {}
                        }
                        drop(permit);
                    }));
                }
                Err(error) => {
                    drop(permit);
                    tracing::error!(%error, "cannot accept connections");
                    self.runtime.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        bind::remove(&self.path, self.identity);
    }
}

fn log_peer(path: &Path, stream: &UnixStream) {
    let socket = path.display();
    match stream.peer_cred() {
        Ok(peer) => {
            tracing::info!(%socket, uid = peer.uid(), gid = peer.gid(), pid = peer.pid(), "connected");
        }
        Err(error) => tracing::info!(%socket, %error, "connected by somebody unknown"),
    }
}

/// Whether nobody answers at a socket any more.
fn is_dead(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
    )
}
