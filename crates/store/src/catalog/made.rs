//! Repositories that this process has pushed to, which an index may lack.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use wharfinger_oci::RepositoryName;

/// 100,000 names, some 15 MB: as many first pushes as come in the longest scan.
const MOST: usize = 100_000;

/// The names, each with the number of the scan that was the last to begin before its last push.
#[derive(Debug, Default)]
pub(super) struct Made {
    names: BTreeMap<Placed, u64>,
}

/// There are more than are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl Made {
    /// Adds a name that was pushed to after the scan number `scan` had begun.
    pub(super) fn add(&mut self, name: &RepositoryName, scan: u64) -> Result<(), TooMany> {
        self.names.insert(Placed(name.as_str().into()), scan);
        if self.names.len() > MOST {
            return Err(TooMany);
        }
        Ok(())
    }

    /// Forgets what was pushed to before the scan number `scan` began: that has seen it.
    pub(super) fn forget_before(&mut self, scan: u64) {
        self.names.retain(|_, pushed| *pushed >= scan);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Tells whether `name` is among them, as one that was pushed to after the scan number `scan` had begun.
    pub(super) fn has(&self, name: &RepositoryName, scan: u64) -> bool {
        let pushed = self.names.get(&Placed(name.as_str().into()));
        pushed.is_some_and(|pushed| *pushed >= scan)
    }

    /// Returns the names after `after`, in order.
    pub(super) fn after(&self, after: Option<&str>) -> impl Iterator<Item = &str> {
        let start = after.map(|after| Placed(after.into()));
        let start = start.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range((start, Bound::Unbounded));
        names.map(|(name, _)| &*name.0)
    }
}

/// A name, or what a client takes for one, that orders as names do.
#[derive(Debug)]
struct Placed(Box<str>);

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        RepositoryName::compare(&self.0, &other.0)
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn names_come_in_order_until_a_scan_has_seen_them() {
        let mut made = Made::default();
        for (text, scan) in [("a-b", 0), ("a", 0), ("a/b", 1), ("c", 1)] {
            made.add(&name(text), scan).unwrap();
        }
        assert!(made.after(None).eq(["a", "a/b", "a-b", "c"]));
        assert!(made.after(Some("a/b")).eq(["a-b", "c"]));
        assert!(made.has(&name("a"), 0));
        assert!(!made.has(&name("a"), 1));
        made.add(&name("a"), 1).unwrap();
        made.forget_before(1);
        assert!(made.after(None).eq(["a", "a/b", "c"]));
        assert!(!made.has(&name("a-b"), 0));
    }

    #[test]
    fn there_is_a_bound() {
        let mut made = Made::default();
        for number in 0..MOST {
            made.add(&name(&format!("r{number}")), 0).unwrap();
        }
        assert_eq!(made.add(&name("r0"), 0), Ok(()));
        assert_eq!(made.add(&name("s"), 0), Err(TooMany));
    }
}
