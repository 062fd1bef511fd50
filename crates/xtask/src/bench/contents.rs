//! What is pushed: distinct contents whose digests are known before any clock starts.
//!
//! All contents share one pool of bytes that do not compress; each begins with a stamp of its
//! own. So a thousand distinct contents cost a thousand stamps, not a thousand buffers.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// How long the part is in which contents differ.
const STAMP_BYTES: usize = 64;

/// The bytes that every content is cut from.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Vec<u8>>);

/// One content: a stamp, then the pool's bytes.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    stamp: [u8; STAMP_BYTES],
    pool: Pool,
    size: usize,
    digest: String,
}

impl Pool {
    /// Makes a pool for contents of at most `size` bytes, the same bytes every time.
    pub(crate) fn new(size: usize) -> Self {
        let mut bytes = Vec::with_capacity(size + 8);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        while bytes.len() < size {
            // Xorshift: quick, and nothing that a file system could compress.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size);
        Self(Arc::new(bytes))
    }

    /// Makes the content of `size` bytes that `label` names: another label, another content.
    pub(crate) fn content(&self, label: &str, size: usize) -> Content {
        assert!(
            (STAMP_BYTES..=self.0.len()).contains(&size),
            "a content has room for its stamp and fits the pool"
        );
        let mut stamp = [0; STAMP_BYTES];
        stamp[..32].copy_from_slice(&Sha256::digest(label.as_bytes()));
        let mut hasher = Sha256::new();
        hasher.update(stamp);
        hasher.update(&self.0[STAMP_BYTES..size]);
        Content {
            stamp,
            pool: self.clone(),
            size,
            digest: printed(&hasher.finalize()),
        }
    }
}

impl Content {
    /// Returns its size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Returns its digest, `sha256:HEX`.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the bytes `from..to`, in two parts.
    pub(crate) fn parts(&self, from: usize, to: usize) -> [&[u8]; 2] {
        let in_stamp = |offset: usize| offset.min(STAMP_BYTES);
        let in_pool = |offset: usize| offset.max(STAMP_BYTES);
        [
            &self.stamp[in_stamp(from)..in_stamp(to)],
            &self.pool.0[in_pool(from)..in_pool(to)],
        ]
    }

    /// Whether `bytes` are what lies at `offset`.
    pub(crate) fn holds(&self, offset: usize, bytes: &[u8]) -> bool {
        let end = offset.saturating_add(bytes.len());
        if end > self.size {
            return false;
        }
        let [stamp, rest] = self.parts(offset, end);
        let (head, tail) = bytes.split_at(stamp.len());
        head == stamp && tail == rest
    }

    /// Returns all bytes in one piece; for small contents.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.parts(0, self.size).concat()
    }
}

/// Returns the digest of `bytes`, `sha256:HEX`.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    printed(&Sha256::digest(bytes))
}

/// Prints a digest, `sha256:HEX`.
pub(crate) fn printed(digest: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in digest {
        write!(text, "{byte:02x}").expect("a String takes all that is written");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_make_distinct_contents_whose_digest_is_that_of_their_bytes() {
        let pool = Pool::new(1000);
        let (a, b) = (pool.content("a", 1000), pool.content("b", 1000));
        assert_ne!(a.digest(), b.digest());
        assert_eq!(a.digest(), digest_of(&a.to_vec()));
        assert_eq!(a.digest(), pool.content("a", 1000).digest());
    }

    #[test]
    fn parts_are_the_bytes_wherever_they_are_cut() {
        let content = Pool::new(200).content("a", 200);
        let whole = content.to_vec();
        for from in [0, 1, 63, 64, 65, 150, 200] {
            for to in [from, 64.max(from), 65.max(from), 200] {
                assert_eq!(content.parts(from, to).concat(), whole[from..to]);
                assert!(content.holds(from, &whole[from..to]));
            }
        }
        assert!(!content.holds(1, &whole[..10]));
        assert!(!content.holds(195, &whole[..10]));
    }
}
