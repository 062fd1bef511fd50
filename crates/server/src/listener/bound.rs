//! Addresses that are listened on.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use crate::config::{Endpoint, Inherited};
use crate::request::Peer;

use super::socket::Accepted;

/// 0600: whoever else may connect is let in by a socket of systemd, with a mode and a group of its own.
const SOCKET_MODE: u32 = 0o600;

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Bound {
    /// On an address.
    Tcp(TcpListener),
    /// At a path, which is removed with it unless somebody else has made it.
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

impl Bound {
    /// Listens where `endpoint` says. Has to be called within a runtime of tokio.
    pub(crate) async fn new(endpoint: Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp { candidates } => first(&candidates).await.map(Self::Tcp),
            Endpoint::Unix { path } => {
                let (listener, file) = listen_at(path)?;
                let listener = UnixListener::from_std(listener)?;
                Ok(Self::Unix {
                    listener,
                    _file: Some(file),
                })
            }
            Endpoint::Inherited(Inherited::Tcp(listener)) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Endpoint::Inherited(Inherited::Unix(listener)) => {
                listener.set_nonblocking(true)?;
                Ok(Self::Unix {
                    listener: UnixListener::from_std(listener)?,
                    _file: None,
                })
            }
        }
    }

    /// Returns the address, of which a path has none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    /// Returns where it listens, in words.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix { listener, .. } => listener.local_addr().map(|address| {
                let path = address.as_pathname().map(Path::display);
                path.map_or_else(
                    || "a socket without a name".to_owned(),
                    |path| path.to_string(),
                )
            }),
        };
        name.unwrap_or_else(|error| error.to_string())
    }

    /// Accepts the next connection.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let prepared = stream.set_nodelay(true).and_then(|()| stream.into_std());
                Ok((Accepted::Tcp(prepared.map_err(gone)?), Peer::Tcp(peer)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std().map_err(gone)?), Peer::Unix))
            }
        }
    }
}

/// A connection that cannot be used any more says nothing of the listener.
fn gone(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

async fn first(candidates: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
    for address in candidates {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Makes a socket at `path`, in the place of one that nobody listens on any more.
fn listen_at(path: PathBuf) -> io::Result<(StdUnixListener, SocketFile)> {
    remove_stale(&path)?;
    let listener = StdUnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(SOCKET_MODE))?;
    let file = SocketFile::at(path)?;
    Ok((listener, file))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let message = "a file that is no socket is there; it is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let message = "somebody listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
    }
}

/// The file of a socket, removed with this.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let made = fs::symlink_metadata(&path)?;
        Ok(Self {
            path,
            device: made.dev(),
            inode: made.ino(),
        })
    }

    fn remove(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.path)?;
        // Somebody may have put another in its place.
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = self.remove()
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use wharfinger_testkit::Scratch;

    use super::*;

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let scratch = Scratch::new("socket").unwrap();
        let path = scratch.join("s");
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, file) = listen_at(path.clone()).unwrap();
        UnixStream::connect(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_in_use_and_another_file_are_left_alone() {
        let scratch = Scratch::new("socket").unwrap();
        let used = scratch.join("used");
        let (_listener, _file) = listen_at(used.clone()).unwrap();
        let error = listen_at(used).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let file = scratch.join("file");
        fs::write(&file, "precious").unwrap();
        let error = listen_at(file.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_of_somebody_else_is_not_removed() {
        let scratch = Scratch::new("socket").unwrap();
        let path = scratch.join("s");
        let (_listener, file) = listen_at(path.clone()).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = StdUnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }
}
