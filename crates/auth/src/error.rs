//! What is wrong with a file of passwords.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::htpasswd::LineFaults;

/// A file of passwords cannot be used. Nothing of what it holds is in the message.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    path: PathBuf,
    faults: Option<LineFaults>,
    source: Option<io::Error>,
}

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file. Make it.
    Missing,
    /// It is a directory, or another thing that has no lines. Name a file.
    NotAFile,
    /// The file cannot be read. Give this process the right to it, or try again.
    Unreadable,
    /// The file is longer than any that is read. Name another.
    TooLong,
    /// A line is not what it must be. Correct it.
    Malformed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, path: &Path) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            faults: None,
            source: None,
        }
    }

    pub(crate) fn of_lines(path: &Path, faults: LineFaults) -> Self {
        Self {
            faults: Some(faults),
            ..Self::new(ErrorKind::Malformed, path)
        }
    }

    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        let kind = match source.kind() {
            // More is not to be said of these.
            io::ErrorKind::NotFound => return Self::new(ErrorKind::Missing, path),
            io::ErrorKind::IsADirectory => return Self::new(ErrorKind::NotAFile, path),
            _ => ErrorKind::Unreadable,
        };
        Self {
            source: Some(source),
            ..Self::new(kind, path)
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.kind {
            ErrorKind::Missing => write!(
                f,
                "htpasswd file {path} is missing; make it with `htpasswd -Bbn USER PASSWORD > {path}`"
            ),
            ErrorKind::NotAFile => write!(
                f,
                "{path} is no htpasswd file but a directory or the like; name a file with a line for \
                 each user, as `htpasswd -Bbn USER PASSWORD` prints it"
            ),
            ErrorKind::Unreadable => write!(f, "htpasswd file {path} cannot be read"),
            ErrorKind::TooLong => write!(
                f,
                "htpasswd file {path} is longer than {} MiB",
                crate::htpasswd::MAX_FILE_BYTES >> 20
            ),
            ErrorKind::Malformed => {
                write!(f, "htpasswd file {path}")?;
                self.faults
                    .iter()
                    .try_for_each(|faults| write!(f, ", {faults}"))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
