//! Taking a place in the file system for a socket.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use wharfinger_runtime::Entropy;

use super::is_dead;

/// For its owner alone: whoever can connect can do everything.
const MODE: u32 = 0o600;

/// 128 connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody listens there. Wait for them, or take another place.
    #[error("somebody else listens at {0}")]
    InUse(PathBuf),
    /// Something that is no socket lies there. Take another place, or remove it.
    #[error("{0} is there already, and is no socket")]
    NoSocket(PathBuf),
    /// Others may write to the directory, and could put a socket of their own there.
    #[error("others may write to {}; `chmod go-w` it, or take another place", .0.display())]
    OpenDirectory(PathBuf),
    /// The directory belongs to somebody else.
    #[error("{} belongs to user {owner}", path.display())]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The system refuses.
    #[error("cannot listen at {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SocketError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, source }
    }
}

/// Listens at `path`.
///
/// The socket is made beside it and moved there once it is closed to others and listens: nobody meets
/// it half made, and what a dead process has left is replaced in one step.
pub(super) fn bind(path: &Path, entropy: &dyn Entropy) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::io(path, source);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_directory(directory)?;
    check_free(path)?;
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let beside = directory.join(format!(".{:08x}", u32::from_le_bytes(random)));
    let listener = listen(&beside).map_err(failed)?;
    if let Err(error) = fs::rename(&beside, path) {
        // The first error is the one to tell.
        fs::remove_file(&beside).ok();
        return Err(failed(error));
    }
    Ok(listener)
}

fn check_directory(directory: &Path) -> Result<(), SocketError> {
    let metadata = fs::metadata(directory).map_err(|error| SocketError::io(directory, error))?;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        let path = directory.to_owned();
        return Err(SocketError::ForeignDirectory { path, owner });
    }
    // In a sticky directory nobody can put another socket in the place of ours.
    let mode = metadata.permissions().mode();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(SocketError::OpenDirectory(directory.to_owned()));
    }
    Ok(())
}

fn check_free(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::io(path, error)),
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_) => return Err(SocketError::NoSocket(path.to_owned())),
    }
    match UnixStream::connect(path) {
        Err(error) if is_dead(&error) => Ok(()),
        Err(error) => Err(SocketError::io(path, error)),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Listens at a place that nobody knows of. Nobody can connect before it is closed to others.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let closed = fs::set_permissions(path, fs::Permissions::from_mode(MODE))
        .and_then(|()| Ok(rustix::net::listen(&socket, BACKLOG)?));
    if let Err(error) = closed {
        fs::remove_file(path).ok();
        return Err(error);
    }
    let socket: OwnedFd = socket;
    Ok(socket.into())
}

/// Removes the socket at `path`, unless another one lies there since.
pub(super) fn remove(path: &Path, listener: &tokio::net::UnixListener) {
    // A socket's own descriptor does not tell its file; but nobody else answers for ours.
    let is_ours = UnixStream::connect(path).is_ok();
    let is_listening = listener.local_addr().is_ok();
    if is_ours && is_listening {
        fs::remove_file(path).ok();
    }
}
