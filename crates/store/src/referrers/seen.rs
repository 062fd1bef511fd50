//! Which manifests of a repository were looked at.
//!
//! ```text
//! "wharfinger seen 1\n"      18 bytes
//! sha256 of what follows     32 bytes
//! the first 16 bytes of each digest, in order
//! ```
//!
//! Sixteen bytes tell digests apart as well as nobody can make two that share them. A file that does
//! not look like this counts as none, and every manifest is looked at once more.

use wharfinger_oci::{Algorithm, Digest};

const MAGIC: &[u8] = b"wharfinger seen 1\n";
const CHECK_BYTES: usize = 32;
const ITEM_BYTES: usize = 16;

type Item = [u8; ITEM_BYTES];

/// A set of digests of one algorithm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen(Vec<Item>);

impl Seen {
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.0.binary_search(&item(digest)).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.0.len() * ITEM_BYTES
    }

    /// Adds a digest that comes after all that are there.
    pub(super) fn push(&mut self, digest: &Digest) {
        self.0.push(item(digest));
    }

    /// Both sets in one.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = [self.0.as_slice(), other.0.as_slice()].concat();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    pub(super) fn print(&self) -> Vec<u8> {
        let items = self.0.as_flattened();
        let check = Digest::of(Algorithm::Sha256, items);
        [MAGIC, check.as_bytes(), items].concat()
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (check, items) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECK_BYTES)?;
        if Digest::of(Algorithm::Sha256, items).as_bytes() != check {
            return None;
        }
        let (items, rest) = items.as_chunks::<ITEM_BYTES>();
        (rest.is_empty() && items.is_sorted()).then(|| Self(items.to_vec()))
    }
}

fn item(digest: &Digest) -> Item {
    let mut item = [0; ITEM_BYTES];
    item.copy_from_slice(&digest.as_bytes()[..ITEM_BYTES]);
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(contents: &[&str]) -> (Seen, Vec<Digest>) {
        let of = |content: &&str| Digest::of(Algorithm::Sha256, content.as_bytes());
        let mut digests: Vec<_> = contents.iter().map(of).collect();
        digests.sort_by_key(Digest::hex);
        let mut seen = Seen::default();
        digests.iter().for_each(|digest| seen.push(digest));
        (seen, digests)
    }

    #[test]
    fn a_set_comes_back_whole_or_not_at_all() {
        let (set, digests) = seen(&["a", "b", "c"]);
        let bytes = set.print();
        assert_eq!(Seen::parse(&bytes), Some(set.clone()));
        assert!(digests.iter().all(|digest| set.holds(digest)));
        assert!(!set.holds(&Digest::of(Algorithm::Sha256, b"d")));
        for at in 0..bytes.len() {
            assert_eq!(Seen::parse(&bytes[..at]), None, "{at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Seen::parse(&changed), None, "{at}");
        }
        assert_eq!(Seen::parse(&Seen::default().print()), Some(Seen::default()));
    }

    #[test]
    fn a_union_holds_each_once() {
        let ((left, _), (right, _), (both, _)) =
            (seen(&["a", "b"]), seen(&["b", "c"]), seen(&["a", "b", "c"]));
        assert_eq!(left.union(&right), both);
    }
}
