//! Sets of digests that hold millions.

use std::collections::HashSet;

use wharfinger_oci::{Algorithm, Digest};

/// A set of digests: 38 to 75 bytes for each of sha256, which nearly all are, so at most 75 MB for a
/// million.
#[derive(Debug, Default)]
pub(super) struct DigestSet {
    sha256: HashSet<[u8; 32]>,
    others: HashSet<Digest>,
}

impl DigestSet {
    /// Adds a digest, and tells whether it is new.
    pub(super) fn insert(&mut self, digest: &Digest) -> bool {
        match short(digest) {
            Some(bytes) => self.sha256.insert(bytes),
            None => self.others.insert(*digest),
        }
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        match short(digest) {
            Some(bytes) => self.sha256.contains(&bytes),
            None => self.others.contains(digest),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sha256.len() + self.others.len()
    }
}

fn short(digest: &Digest) -> Option<[u8; 32]> {
    match digest.algorithm() {
        Algorithm::Sha256 => digest.as_bytes().try_into().ok(),
        Algorithm::Sha384 | Algorithm::Sha512 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_every_algorithm_are_kept_apart() {
        let mut set = DigestSet::default();
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"x");
            assert!(!set.contains(&digest));
            assert!(set.insert(&digest) && !set.insert(&digest));
            assert!(set.contains(&digest));
            assert!(!set.contains(&Digest::of(algorithm, b"y")));
        }
        assert_eq!(set.len(), 3);
    }
}
