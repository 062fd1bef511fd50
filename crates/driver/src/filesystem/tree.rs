//! From paths to descriptors: never through a symbolic link, except at the few places where people
//! put one on purpose.
//!
//! Every operation names its file by the descriptor of its directory and one last component. The
//! directory is opened with `openat2` and `RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH`; where the
//! kernel has no such call, component by component with `O_NOFOLLOW`. Only below one of
//! [`Tree::followed`] does the way go through whatever lies there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::NAME;
use super::sync::{Kernel, WriteBack};

/// 100 times the kernel is asked again; then somebody renames all the time.
#[cfg(target_os = "linux")]
const MOST_RETRIES: usize = 100;

/// The root of a filesystem driver, and how to find one's way in it.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// Paths at which a symbolic link is followed.
    followed: Vec<DriverPath>,
    /// Mode of new directories, before the umask.
    pub(super) directory_mode: Mode,
    /// Mode of new files, before the umask.
    pub(super) file_mode: Mode,
    /// How what was written to it becomes durable.
    pub(super) write_back: Arc<dyn WriteBack>,
}

impl Tree {
    /// Opens the tree at `root`, and makes it, private to its owner, when it is not there.
    ///
    /// A tree that others may enter keeps Distribution's modes (0777 and 0666 less the umask), so
    /// that another user's registry can go on with it; a private one stays private.
    pub(super) fn open(root: &Path, followed: Vec<DriverPath>) -> io::Result<Self> {
        if !root.exists() {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root)?;
            // With the root gone, all that it holds is gone.
            for parent in std::path::absolute(root)?.ancestors().skip(1) {
                // What may not be opened was not made here.
                std::fs::File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .ok();
            }
        }
        let root = rustix::fs::open(
            root,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let private = rustix::fs::fstat(&root)?.st_mode & 0o077 == 0;
        let (directory_mode, file_mode) = if private {
            (0o700, 0o600)
        } else {
            (0o777, 0o666)
        };
        Ok(Self {
            root,
            followed,
            directory_mode: Mode::from_raw_mode(directory_mode),
            file_mode: Mode::from_raw_mode(file_mode),
            write_back: Arc::new(Kernel),
        })
    }

    /// Opens what lies at `path`.
    pub(super) fn open_at(&self, path: &DriverPath, flags: OFlags) -> Result<OwnedFd> {
        self.open_raw(path, flags)
            .map_err(|errno| errno_at(path, errno))
    }

    fn open_raw(&self, path: &DriverPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = beneath(self.root.as_fd(), path.as_str(), flags);
        match opened.map_err(|errno| self.loop_if_link(path, errno)) {
            // The way leads through a link: all right only at one of the places that are followed.
            Err(errno @ (Errno::LOOP | Errno::XDEV)) => match self.open_followed(path, flags) {
                Some(opened) => opened,
                None => Err(errno),
            },
            other => other,
        }
    }

    /// A link where a directory is wanted is told as "no directory", and only one on the way there as
    /// a link.
    fn loop_if_link(&self, path: &DriverPath, errno: Errno) -> Errno {
        if errno != Errno::NOTDIR {
            return errno;
        }
        let (parent, name) = path
            .as_str()
            .rsplit_once('/')
            .unwrap_or((".", path.as_str()));
        match beneath(self.root.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(parent) if is_link(parent.as_fd(), name) => Errno::LOOP,
            _ => errno,
        }
    }

    /// Opens what lies below one of the followed places; `None` when it lies below none of them.
    fn open_followed(&self, path: &DriverPath, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        let mut place: Option<(OwnedFd, &DriverPath)> = None;
        for followed in self
            .followed
            .iter()
            .filter(|followed| path.is_within(followed))
        {
            let (base, rest) = match &place {
                Some((fd, above)) => (fd.as_fd(), followed.strip(above).unwrap_or_default()),
                None => (self.root.as_fd(), followed.as_str()),
            };
            match open_place(base, rest) {
                Ok(opened) => place = Some((opened, followed)),
                Err(errno) => return Some(Err(errno)),
            }
        }
        let (fd, followed) = place?;
        Some(match path.strip(followed) {
            Some("") | None => beneath(fd.as_fd(), ".", flags),
            Some(rest) => beneath(fd.as_fd(), rest, flags),
        })
    }

    /// Opens the directory that holds `path`.
    pub(super) fn parent_of(&self, path: &DriverPath) -> Result<OwnedFd> {
        match path.parent() {
            Some(parent) => self.open_at(&parent, OFlags::RDONLY | OFlags::DIRECTORY),
            None => self.root_fd().map_err(|errno| errno_at(path, errno)),
        }
    }

    /// Opens the directory that holds `path` and makes it where it is missing.
    pub(super) fn make_parent_of(&self, path: &DriverPath) -> Result<OwnedFd> {
        match self.parent_of(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
                Some(parent) => self.make_directory(&parent),
                None => Err(error),
            },
            other => other,
        }
    }

    /// Opens the directory `path` and makes it, and what lies above it, where it is missing.
    fn make_directory(&self, path: &DriverPath) -> Result<OwnedFd> {
        let mut missing = vec![path.clone()];
        let mut directory = loop {
            let highest = missing
                .last()
                .expect("it starts with one and is only pushed to");
            match (self.parent_of(highest), highest.parent()) {
                (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
                    missing.push(parent)
                }
                (opened, _) => break opened?,
            }
        };
        while let Some(path) = missing.pop() {
            match rustix::fs::mkdirat(&directory, path.name(), self.directory_mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno_at(&path, errno)),
            }
            let flags = super::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            directory = match rustix::fs::openat(&directory, path.name(), flags, Mode::empty()) {
                Ok(opened) => opened,
                // Somebody's link, perhaps at a place where one is followed.
                Err(Errno::LOOP | Errno::NOTDIR) => self.open_directory_in_the_way(&path)?,
                Err(errno) => return Err(errno_at(&path, errno)),
            };
        }
        Ok(directory)
    }

    /// Opens what lies where a directory was to be made.
    fn open_directory_in_the_way(&self, path: &DriverPath) -> Result<OwnedFd> {
        self.open_raw(path, super::DIRECTORY)
            .map_err(|errno| match errno {
                Errno::NOTDIR => {
                    let why = "a value lies where a directory is needed";
                    Error::with_source(ErrorKind::Invalid, NAME, path, why)
                }
                errno => errno_at(path, errno),
            })
    }

    /// The paths at which a symbolic link is followed.
    pub(super) fn followed(&self) -> &[DriverPath] {
        &self.followed
    }

    /// Opens one of these, through whatever lies there.
    pub(super) fn open_followed_place(&self, path: &DriverPath) -> Result<OwnedFd, Errno> {
        let flags = super::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, path.as_str(), flags, Mode::empty())
    }

    /// The root, for a look at what lies below it.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the root itself.
    pub(super) fn root_fd(&self) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(
            &self.root,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }
}

/// Opens a followed place: its parents are plain, and only its own last component may be a link.
fn open_place(base: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = match parents {
        "" => None,
        parents => Some(beneath(base, parents, OFlags::PATH | OFlags::DIRECTORY)?),
    };
    let at = parent.as_ref().map_or(base, AsFd::as_fd);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Makes an error of what the kernel said about `path`.
pub(super) fn errno_at(path: &DriverPath, errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::XDEV => Error::with_source(
            ErrorKind::Refused,
            NAME,
            path,
            "the path is, or leads through, a symbolic link, which is not followed here",
        ),
        Errno::NOTEMPTY => Error::with_source(ErrorKind::AlreadyExists, NAME, path, errno),
        Errno::NOTDIR => Error::with_source(ErrorKind::NotFound, NAME, path, errno),
        _ => Error::from_io(NAME, path, errno.into()),
    }
}

#[cfg(target_os = "linux")]
fn beneath(base: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..MOST_RETRIES {
        match rustix::fs::openat2(base, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel could not rule out a rename under its feet.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return step_by_step(base, path, flags),
            other => return other,
        }
    }
    step_by_step(base, path, flags)
}

#[cfg(not(target_os = "linux"))]
fn beneath(base: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    step_by_step(base, path, flags)
}

/// Opens component by component. A link on the way is `ELOOP`, as with `openat2`.
fn step_by_step(base: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let on_the_way = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    let mut directory: Option<OwnedFd> = None;
    for component in parents.split('/').filter(|component| !component.is_empty()) {
        let at = directory.as_ref().map_or(base, AsFd::as_fd);
        let opened = rustix::fs::openat(at, component, on_the_way, Mode::empty());
        directory = Some(opened.map_err(|errno| {
            if is_link(at, component) {
                Errno::LOOP
            } else {
                errno
            }
        })?);
    }
    let at = directory.as_ref().map_or(base, AsFd::as_fd);
    let opened = rustix::fs::openat(
        at,
        last,
        flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    opened.map_err(|errno| {
        if is_link(at, last) {
            Errno::LOOP
        } else {
            errno
        }
    })
}

fn is_link(directory: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_opening_agree() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(scratch.path().join("a/b")).unwrap();
        std::fs::write(scratch.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("a", scratch.path().join("link")).unwrap();
        std::os::unix::fs::symlink("file", scratch.path().join("a/b/last")).unwrap();
        let root = std::fs::File::open(scratch.path()).unwrap();
        for path in [
            "a",
            "a/b/file",
            "link",
            "link/b/file",
            "a/b/last",
            "a/b/file/x",
            "missing",
            "a/missing/x",
        ] {
            let [quick, slow] =
                [beneath, step_by_step].map(|open| open(root.as_fd(), path, OFlags::RDONLY).err());
            assert_eq!(quick, slow, "{path}");
        }
    }
}
