//! The names of all repositories at once: the same bytes in memory and in the saved file.
//!
//! ```text
//! "wharfinger catalog 1\n"       21 bytes
//! CRC-32 of all that follows      4 bytes; these numbers are little-endian
//! when the scan began             8 bytes: seconds since 1970
//! how long it took                8 bytes: milliseconds
//! the names in their order, each with a newline behind it
//! ```
//!
//! A file that does not look like this counts as none. A million names of 20 letters take 21 MB.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use wharfinger_oci::RepositoryName;

use crate::names::{END, Names};

const MAGIC: &[u8] = b"wharfinger catalog 1\n";
const CHECK: Range<usize> = MAGIC.len()..MAGIC.len() + 4;
const BEGAN: Range<usize> = CHECK.end..CHECK.end + 8;
const TOOK: Range<usize> = BEGAN.end..BEGAN.end + 8;
const NAMES: usize = TOOK.end;

/// 64 MiB: three million names of 20 letters. While a scan runs there may be two of them.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;

/// The names of all repositories, as a scan has found them.
#[derive(Clone)]
pub(super) struct Index {
    file: Bytes,
}

impl Index {
    /// Takes a saved file, if it is one and not damaged.
    pub(super) fn parse(file: Bytes) -> Option<Self> {
        let names = file.get(NAMES..)?;
        let check = crc32fast::hash(&file[CHECK.end..]).to_le_bytes();
        let is_whole = file.starts_with(MAGIC) && file[CHECK] == check;
        let are_names = names.iter().copied().all(is_of_names);
        (is_whole && are_names && names.last().is_none_or(|last| *last == END))
            .then_some(Self { file })
    }

    /// Returns the file to save.
    pub(super) fn file(&self) -> &Bytes {
        &self.file
    }

    /// Returns when its scan began.
    pub(super) fn began(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.number(BEGAN))
    }

    /// Returns how long its scan took.
    pub(super) fn took(&self) -> Duration {
        Duration::from_millis(self.number(TOOK))
    }

    fn number(&self, place: Range<usize>) -> u64 {
        let bytes = self.file[place].try_into();
        u64::from_le_bytes(bytes.expect("the place of a number has eight bytes"))
    }

    fn names(&self) -> &[u8] {
        &self.file[NAMES..]
    }

    /// Returns how many bytes the names take.
    pub(super) fn size_bytes(&self) -> usize {
        self.names().len()
    }

    /// Tells whether both have the same names.
    pub(super) fn has_names_of(&self, other: &Self) -> bool {
        self.names() == other.names()
    }

    /// Tells whether it has `name`.
    pub(super) fn has(&self, name: &RepositoryName) -> bool {
        let before = &self.names()[..self.place_after(name.as_str())];
        let rest = before.strip_suffix(&[END]);
        let rest = rest.and_then(|rest| rest.strip_suffix(name.as_str().as_bytes()));
        rest.is_some_and(|rest| rest.last().is_none_or(|last| *last == END))
    }

    /// Returns the names after `after`, in order.
    pub(super) fn after(&self, after: Option<&str>) -> impl Iterator<Item = &str> {
        let place = after.map_or(0, |after| self.place_after(after));
        let names = self.names()[place..].split(|byte| *byte == END);
        // Behind the last newline nothing follows.
        names.map(text).filter(|name| !name.is_empty())
    }

    /// Returns up to `limit` names after `after`, and whether more follow.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> (Names, bool) {
        let names = &self.names()[after.map_or(0, |after| self.place_after(after))..];
        let mut ends = memchr::memchr_iter(END, names);
        let end = match limit.checked_sub(1) {
            None => 0,
            Some(others) => ends.nth(others).map_or(names.len(), |end| end + 1),
        };
        let page = Names::of_lines(text(&names[..end]).to_owned());
        (page, end < names.len())
    }

    /// Returns where the first name begins that comes after `after`.
    fn place_after(&self, after: &str) -> usize {
        let names = self.names();
        // Both stand where a name begins: those ahead of `low` do not come after, those from `high` on do.
        let (mut low, mut high) = (0, names.len());
        while low < high {
            let middle = low.midpoint(high);
            let before = memchr::memrchr(END, &names[low..middle]);
            let start = before.map_or(low, |end| low + end + 1);
            let length = memchr::memchr(END, &names[start..]);
            let end = start + length.expect("a newline follows each name");
            if RepositoryName::compare(text(&names[start..end]), after).is_gt() {
                high = start;
            } else {
                low = end + 1;
            }
        }
        low
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("bytes", &self.file.len())
            .finish_non_exhaustive()
    }
}

/// An index that is being put together.
pub(super) struct Builder {
    file: Vec<u8>,
}

/// There are more names than an index may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl Builder {
    /// Makes room for as many names as `like` has, and some more.
    pub(super) fn like(like: Option<&Index>) -> Self {
        let names = like.map_or(0, Index::size_bytes);
        let mut file = Vec::with_capacity(NAMES + names + names / 64);
        file.extend_from_slice(MAGIC);
        file.resize(NAMES, 0);
        Self { file }
    }

    /// Adds a name behind the others.
    pub(super) fn push(&mut self, name: &str) -> Result<(), TooMany> {
        if self.file.len() + name.len() >= MOST_BYTES {
            return Err(TooMany);
        }
        self.file.extend_from_slice(name.as_bytes());
        self.file.push(END);
        Ok(())
    }

    /// Ends it: a scan that began at `began` has taken this long.
    pub(super) fn finish(mut self, began: SystemTime, took: Duration) -> Index {
        let began = began.duration_since(SystemTime::UNIX_EPOCH);
        let began = began.map_or(0, |began| began.as_secs());
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.file[BEGAN].copy_from_slice(&began.to_le_bytes());
        self.file[TOOK].copy_from_slice(&took.to_le_bytes());
        let check = crc32fast::hash(&self.file[CHECK.end..]);
        self.file[CHECK].copy_from_slice(&check.to_le_bytes());
        self.file.shrink_to_fit();
        let file = self.file.into();
        Index { file }
    }
}

/// Tells whether a byte may stand among names. They are sent as they are.
fn is_of_names(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | END)
}

fn text(names: &[u8]) -> &str {
    std::str::from_utf8(names).expect("names are ASCII")
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const BEGAN: SystemTime = SystemTime::UNIX_EPOCH;

    pub(in super::super) fn index<'a>(names: impl IntoIterator<Item = &'a str>) -> Index {
        let mut builder = Builder::like(None);
        for name in names {
            builder.push(name).unwrap();
        }
        builder.finish(BEGAN + Duration::from_secs(7), Duration::from_millis(8))
    }

    proptest! {
        #[test]
        fn pages_are_those_of_a_sorted_set(
            names in proptest::collection::btree_set("[ab]{1,2}([-./][ab]){0,2}", 0..20),
            after in proptest::option::of("[-_/.ab]{0,6}"),
            limit in 0_usize..25,
        ) {
            let all: BTreeSet<RepositoryName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let index = index(all.iter().map(RepositoryName::as_str));
            let after = after.as_deref();
            let follows = |name: &&RepositoryName| {
                after.is_none_or(|after| RepositoryName::compare(name.as_str(), after).is_gt())
            };
            let follow: Vec<&str> = all.iter().filter(follows).map(RepositoryName::as_str).collect();
            let (page, more) = index.page(after, limit);
            let expected = follow.iter().copied().take(limit);
            prop_assert!(page.iter().eq(expected));
            prop_assert_eq!(more, follow.len() > limit);
            prop_assert!(index.after(after).eq(follow));
            for name in ["a", "b", "a/b", "a-b", "ab", "b/a"] {
                let name: RepositoryName = name.parse().unwrap();
                prop_assert_eq!(index.has(&name), all.contains(&name));
            }
        }
    }

    #[test]
    fn a_file_comes_back_as_it_was_saved() {
        for names in [vec![], vec!["a", "a/b", "a-b"]] {
            let saved = index(names);
            let read = Index::parse(saved.file().clone()).unwrap();
            assert!(read.has_names_of(&saved));
            assert_eq!(read.began(), BEGAN + Duration::from_secs(7));
            assert_eq!(read.took(), Duration::from_millis(8));
        }
    }

    #[test]
    fn a_file_that_is_damaged_cut_or_foreign_counts_as_none() {
        let good = index(["a/b", "c"]).file().to_vec();
        for length in 0..good.len() {
            assert!(Index::parse(Bytes::copy_from_slice(&good[..length])).is_none());
            let mut bad = good.clone();
            bad[length] ^= 1;
            assert!(Index::parse(bad.into()).is_none(), "byte {length}");
        }
        let longer = [&good[..], b"d\n"].concat();
        assert!(Index::parse(longer.into()).is_none());
        for name in ["a\"b", "A", "a b"] {
            assert!(Index::parse(index([name]).file().clone()).is_none());
        }
    }

    #[test]
    fn the_form_of_a_file_stays() {
        let file = index(["a/b", "c"]).file().clone();
        assert_eq!(
            file.escape_ascii().to_string(),
            concat!(
                r"wharfinger catalog 1\n\x98\x9e-L",
                r"\x07\x00\x00\x00\x00\x00\x00\x00",
                r"\x08\x00\x00\x00\x00\x00\x00\x00a/b\nc\n"
            )
        );
    }

    #[test]
    fn no_more_is_taken_than_there_is_room() {
        let mut builder = Builder::like(None);
        let name = "a".repeat(1023);
        let most = (MOST_BYTES - NAMES) / 1024;
        for _ in 0..most {
            builder.push(&name).unwrap();
        }
        assert_eq!(builder.push(&name), Err(TooMany));
    }
}
