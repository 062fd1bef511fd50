//! The names in a directory, sorted, in little more memory than they have letters.

use crate::{Entry, EntryKind, Page};

/// Names in byte order, each with what it is.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// All of them, one after the other.
    text: String,
    /// Where each ends in the text, shifted by one; the lowest bit is set for a directory.
    ends: Vec<u32>,
}

/// Names as they come.
#[derive(Debug, Default)]
pub(super) struct Unsorted {
    text: String,
    names: Vec<(u32, u32)>,
}

impl Unsorted {
    /// Adds a name, or returns `None` when more than `most_bytes` would be taken.
    pub(super) fn add(&mut self, name: &str, kind: EntryKind, most_bytes: usize) -> Option<()> {
        let start = self.text.len();
        self.text.push_str(name);
        let end = u32::try_from(self.text.len()).ok()?.checked_mul(2)?;
        let directory = u32::from(kind == EntryKind::Directory);
        self.names
            .push((u32::try_from(start).ok()?, end | directory));
        (self.text.len() + self.names.len() * size_of::<u32>() <= most_bytes).then_some(())
    }

    /// Sorts them.
    pub(super) fn sort(self) -> Names {
        let Self { text, mut names } = self;
        let name = |(start, end): (u32, u32)| &text[start as usize..(end >> 1) as usize];
        names.sort_unstable_by(|one, other| name(*one).cmp(name(*other)));
        let mut sorted = Names {
            text: String::with_capacity(text.len()),
            ends: Vec::with_capacity(names.len()),
        };
        for at in names {
            sorted.text.push_str(name(at));
            let end = u32::try_from(sorted.text.len()).expect("it is as long as the unsorted text");
            sorted.ends.push(end << 1 | at.1 & 1);
        }
        sorted
    }
}

impl Names {
    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Returns up to `limit` names after the name `after`.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> Page {
        let start = after.map_or(0, |after| self.count_up_to(after));
        let end = self.ends.len().min(start.saturating_add(limit));
        Page {
            entries: (start..end).map(|at| self.entry(at)).collect(),
            more: end < self.ends.len(),
        }
    }

    /// How many names are not after `name`.
    fn count_up_to(&self, name: &str) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.name(middle) <= name {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn name(&self, at: usize) -> &str {
        let start = match at {
            0 => 0,
            at => self.ends[at - 1] >> 1,
        };
        &self.text[start as usize..(self.ends[at] >> 1) as usize]
    }

    fn entry(&self, at: usize) -> Entry {
        let kind = if self.ends[at] & 1 == 1 {
            EntryKind::Directory
        } else {
            EntryKind::File
        };
        Entry {
            name: self.name(at).to_owned(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_are_those_of_a_sorted_map(
            names in proptest::collection::btree_map("[a-c.é]{1,4}", any::<bool>(), 0..20),
            after in proptest::option::of("[a-c.é]{0,4}"),
            limit in 0_usize..25,
        ) {
            let kind = |directory| if directory { EntryKind::Directory } else { EntryKind::File };
            let mut unsorted = Unsorted::default();
            for (name, directory) in names.iter().rev() {
                unsorted.add(name, kind(*directory), usize::MAX).unwrap();
            }
            let page = unsorted.sort().page(after.as_deref(), limit);
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let range: BTreeMap<_, _> = names.range((from, Bound::Unbounded)).collect();
            prop_assert_eq!(page.more, range.len() > limit);
            let expected = range.into_iter().take(limit);
            let expected: Vec<_> = expected
                .map(|(name, directory)| Entry { name: name.clone(), kind: kind(*directory) })
                .collect();
            prop_assert_eq!(page.entries, expected);
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is_room() {
        let mut unsorted = Unsorted::default();
        assert!(unsorted.add("abc", EntryKind::File, 14).is_some());
        assert!(unsorted.add("def", EntryKind::File, 14).is_some());
        assert!(unsorted.add("g", EntryKind::File, 14).is_none());
    }
}
