//! The lines of an htpasswd file.
//!
//! ```text
//! # a comment, and nothing in the next line
//!
//! alice:$2y$05$OQYuEhjPAk73G9zriuHnkORYKr7jLVAgZKCJTgbtiV7gAPJNtCNki
//! bob:$2y$10$m7dc/PIv5k6wXRvszppvpOtFnlA4SSe3kJOF2MYPrZ60YBUkYu5c6
//! ```
//!
//! Lines may end with CR LF, and spaces around them do not count. A line that is anything else makes the
//! whole file unusable: a user who can never log in, or whose second line counts, is found out too late.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::hash::{Hash, HashFault};
use crate::{Error, ErrorKind, UserName};

/// 16 MiB: two hundred thousand users.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 20;

/// 255 bytes, as Apache's program allows.
const MAX_NAME_BYTES: usize = 255;

/// So many faults are told at once.
const MAX_FAULTS: usize = 5;

/// 20 ms: two ticks of a file system's clock. A file that was written so lately may be written again
/// without its times telling.
const TICKS: Duration = Duration::from_millis(20);

/// A user and the hash of the password.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: UserName,
    pub(super) hash: Hash,
}

/// The users of a file by their names.
pub(super) type Users = HashMap<Box<[u8]>, User>;

/// What tells one version of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Returns the version of the file at `path`.
pub(super) fn stat(path: &Path) -> Result<Version, Error> {
    let metadata = fs::metadata(path).map_err(|error| Error::of_io(path, error))?;
    version(path, &metadata)
}

fn version(path: &Path, metadata: &Metadata) -> Result<Version, Error> {
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::NotAFile, path));
    }
    Ok(Version {
        device: metadata.dev(),
        inode: metadata.ino(),
        size_bytes: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

impl Version {
    /// Tells whether what was read when this was seen at `now` is all that this version ever holds.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed.max(self.modified);
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return false;
        };
        let written = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(written).is_ok_and(|age| age > TICKS)
    }
}

/// Reads the whole file, and which version it is.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, Version), Error> {
    // Before it is opened: opening a pipe would wait for somebody to write.
    stat(path)?;
    let failed = |error| Error::of_io(path, error);
    let file = File::open(path).map_err(failed)?;
    let version = version(path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::new(ErrorKind::TooLong, path));
    }
    Ok((bytes, version))
}

/// Reads the lines.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Users, Error> {
    let mut users = Users::new();
    let mut lines = HashMap::new();
    let mut faults = LineFaults::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match user(line) {
            Ok((name, _)) if lines.contains_key(name) => {
                faults.push(number, LineFault::Again(lines[name]));
            }
            Ok((name, user)) => {
                lines.insert(name, number);
                users.insert(name.into(), user);
            }
            Err(fault) => faults.push(number, fault),
        }
    }
    if faults.first.is_empty() {
        Ok(users)
    } else {
        Err(Error::of_lines(path, faults))
    }
}

fn user(line: &[u8]) -> Result<(&[u8], User), LineFault> {
    if line.starts_with(b"\xef\xbb\xbf") {
        return Err(LineFault::ByteOrderMark);
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, hash) = line.split_at(colon.ok_or(LineFault::NoColon)?);
    let text = str::from_utf8(name).map_err(|_| LineFault::NameNotText)?;
    if text.is_empty() {
        return Err(LineFault::NoName);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(LineFault::NameTooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(LineFault::NameNotText);
    }
    let user = User {
        name: UserName::new(text),
        hash: Hash::parse(&hash[1..])?,
    };
    Ok((name, user))
}

/// What is wrong with one line. It repeats nothing of it: where a line is not what it seems, its parts
/// are not either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum LineFault {
    #[error("begins with a byte order mark; save the file without one")]
    ByteOrderMark,
    #[error("has no colon after a name")]
    NoColon,
    #[error("has no name before its colon")]
    NoName,
    #[error("has a name of more than {MAX_NAME_BYTES} bytes")]
    NameTooLong,
    #[error("has a name that is not UTF-8, or has control characters")]
    NameNotText,
    #[error("is for the same user as line {0}")]
    Again(usize),
    #[error("cannot be used: {0}")]
    Hash(#[from] HashFault),
}

/// What is wrong with the lines of a file, the first few of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineFaults {
    first: Vec<(usize, LineFault)>,
    more: usize,
}

impl LineFaults {
    fn push(&mut self, line: usize, fault: LineFault) {
        if self.first.len() < MAX_FAULTS {
            self.first.push((line, fault));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for LineFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, fault)) in self.first.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}line {line} {fault}")?;
        }
        if self.more > 0 {
            write!(f, "; and {} more lines", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$OQYuEhjPAk73G9zriuHnkORYKr7jLVAgZKCJTgbtiV7gAPJNtCNki";

    fn names(text: &[u8]) -> Vec<String> {
        let users = parse(Path::new("f"), text).unwrap();
        let mut names: Vec<_> = users.values().map(|it| it.name.to_string()).collect();
        names.sort();
        names
    }

    fn fault(text: impl AsRef<[u8]>) -> String {
        let error = parse(Path::new("f"), text.as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        error.to_string()
    }

    #[test]
    fn comments_empty_lines_and_the_ends_of_other_systems_are_read_over() {
        let text = format!("# users\r\n\r\n  alice:{HASH} \r\n\n\tbü b:{HASH}");
        assert_eq!(names(text.as_bytes()), ["alice", "bü b"]);
        assert_eq!(names(b""), [""; 0]);
    }

    #[test]
    fn every_line_that_is_no_users_is_named() {
        let line = |name: &[u8]| [name, b":", HASH.as_bytes(), b"\n"].concat();
        for (text, expected) in [
            (line(b""), "line 1 has no name before its colon"),
            (b"\n\nalice\n".to_vec(), "line 3 has no colon after a name"),
            (
                line(&[b'a'; 256]),
                "line 1 has a name of more than 255 bytes",
            ),
            (
                line(b"a\0"),
                "line 1 has a name that is not UTF-8, or has control characters",
            ),
            (
                line(b"\xff"),
                "line 1 has a name that is not UTF-8, or has control characters",
            ),
            (
                line(b"\xef\xbb\xbfalice"),
                "line 1 begins with a byte order mark; save the file without one",
            ),
            (
                [line(b"a"), line(b"b"), line(b"a")].concat(),
                "line 3 is for the same user as line 1",
            ),
            (
                b"alice:secret".to_vec(),
                "line 1 cannot be used: the password is not hashed with bcrypt",
            ),
        ] {
            assert_eq!(fault(text), format!("htpasswd file f, {expected}"));
        }
    }

    #[test]
    fn the_first_faults_are_told_at_once() {
        let told = fault("x\n".repeat(7));
        assert_eq!(told.matches("has no colon").count(), 5);
        assert!(told.ends_with("line 5 has no colon after a name; and 2 more lines"));
    }

    #[test]
    fn no_fault_repeats_what_the_line_holds() {
        let told = fault("c4nary\nc4nary:c4nary\nc4nary:$2y$c4nary\nc4nary:$apr1$c4nary");
        assert!(!told.contains("c4nary"), "{told}");
    }

    #[test]
    fn what_was_written_a_moment_ago_is_not_settled() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        let version = stat(scratch.path()).unwrap();
        let written = scratch.as_file().metadata().unwrap().modified().unwrap();
        assert!(!version.is_settled(written));
        assert!(!version.is_settled(written + TICKS));
        assert!(version.is_settled(written + Duration::from_secs(1)));
        assert!(!version.is_settled(written - Duration::from_secs(1)));
    }
}
