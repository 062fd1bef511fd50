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
pub(super) fn bind(
    path: &Path,
    entropy: &dyn Entropy,
) -> Result<(UnixListener, Identity), SocketError> {
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
    let placed = Identity::of(&beside).and_then(|identity| {
        fs::rename(&beside, path)?;
        Ok(identity)
    });
    match placed {
        Ok(identity) => Ok((listener, identity)),
        Err(error) => {
            // The first error is the one to tell.
            fs::remove_file(&beside).ok();
            Err(failed(error))
        }
    }
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
pub(super) fn remove(path: &Path, ours: Identity) {
    if Identity::of(path).is_ok_and(|there| there == ours) {
        // Whoever comes next replaces one that stays.
        fs::remove_file(path).ok();
    }
}

/// Which file a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharfinger_runtime::OsEntropy;

    #[test]
    fn a_socket_is_its_owners_and_replaces_only_a_dead_one() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("socket");
        let (listener, ours) = bind(&path, &OsEntropy).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            bind(&path, &OsEntropy),
            Err(SocketError::InUse(_))
        ));
        drop(listener);
        let (_listener, theirs) = bind(&path, &OsEntropy).unwrap();
        remove(&path, ours);
        assert!(path.exists(), "it is another one by now");
        remove(&path, theirs);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_socket_and_an_open_directory_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, "x").unwrap();
        assert!(matches!(
            bind(&path, &OsEntropy),
            Err(SocketError::NoSocket(_))
        ));
        let open = scratch.path().join("open");
        fs::create_dir(&open).unwrap();
        for (mode, is_refused) in [
            (0o777, true),
            (0o775, true),
            (0o1777, false),
            (0o755, false),
        ] {
            fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
            let bound = bind(&open.join("socket"), &OsEntropy);
            assert_eq!(
                matches!(bound, Err(SocketError::OpenDirectory(_))),
                is_refused,
                "{mode:o}"
            );
        }
        let nowhere = scratch.path().join("nowhere/socket");
        assert!(matches!(
            bind(&nowhere, &OsEntropy),
            Err(SocketError::Io { .. })
        ));
    }
}
