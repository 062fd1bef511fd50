//! The saved state of a hasher, in the form that Go's `crypto` packages write.
//!
//! ```text
//!            sha256        sha384        sha512
//! magic      "sha\x03"     "sha\x04"     "sha\x07"     4 bytes
//! chain      8 × u32       8 × u64       8 × u64       big-endian
//! block      64 bytes      128 bytes     128 bytes     the first (length mod block) bytes count
//! length     u64           u64           u64           big-endian, bytes hashed so far
//! total      108 bytes     204 bytes     204 bytes
//! ```
//!
//! Distribution keeps exactly these bytes beside an upload, so that either registry can go on where
//! the other stopped. The bytes of the block behind the used part are ignored when read, for older
//! Go releases left stale ones there, and written as zeros.
//!
//! The form that the hash implementation itself saves never leaves this module: it is promised to
//! be stable for one minor release line only.
//!
//! ```text
//! chain      the same words, little-endian
//! blocks     u64 (sha256) or u128 (the others), little-endian: whole blocks hashed
//! position   u8: bytes of the block in use
//! block      63 or 127 bytes, zeros after the position
//! ```

use std::fmt;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};

use super::Algorithm;

/// Bytes of the longest state, that of sha384 and sha512.
const MAX_STATE_BYTES: usize = 204;

const MAGIC_BYTES: usize = 4;
const CHAIN_WORDS: usize = 8;
const LENGTH_BYTES: usize = 8;

/// 1 EiB: longest content that a state may claim to cover.
///
/// SHA-256 counts bits in 64 bits, so that content near 2 EiB makes the counter wrap; no state of
/// real content comes near.
const MAX_CONTENT_BYTES: u64 = 1 << 60;

/// The state of a [`Hasher`](super::Hasher) between two bytes, ready to be kept.
///
/// A state decides what digest comes out in the end: whoever can change it can have other content
/// accepted, so it needs the protection that the content itself has.
#[derive(Clone, PartialEq, Eq)]
pub struct HashState {
    algorithm: Algorithm,
    /// The whole state, with zeros after its end.
    bytes: [u8; MAX_STATE_BYTES],
}

impl HashState {
    /// Reads a state.
    ///
    /// # Errors
    ///
    /// Fails if the magic belongs to no known algorithm, the size is not that of the algorithm, or
    /// the length is beyond anything that can have been hashed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HashStateError> {
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| bytes.starts_with(&Layout::of(*algorithm).magic))
            .ok_or(HashStateError::UnknownMagic)?;
        let layout = Layout::of(algorithm);
        if bytes.len() != layout.total() {
            return Err(HashStateError::WrongSize {
                algorithm,
                expected: layout.total(),
                found: bytes.len(),
            });
        }
        let mut state = Self {
            algorithm,
            bytes: [0; MAX_STATE_BYTES],
        };
        state.bytes[..bytes.len()].copy_from_slice(bytes);
        if state.bytes_hashed() > MAX_CONTENT_BYTES {
            return Err(HashStateError::TooLong {
                bytes_hashed: state.bytes_hashed(),
            });
        }
        let used = layout.position(state.bytes_hashed());
        state.bytes[layout.block_start() + used..layout.length_start()].fill(0);
        Ok(state)
    }

    /// Returns the bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..Layout::of(self.algorithm).total()]
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns how many bytes of content the state covers.
    pub fn bytes_hashed(&self) -> u64 {
        let start = Layout::of(self.algorithm).length_start();
        let mut length = [0; LENGTH_BYTES];
        length.copy_from_slice(&self.bytes[start..start + LENGTH_BYTES]);
        u64::from_be_bytes(length)
    }
}

impl fmt::Debug for HashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashState")
            .field("algorithm", &self.algorithm)
            .field("bytes_hashed", &self.bytes_hashed())
            .finish_non_exhaustive()
    }
}

/// Why bytes are no [`HashState`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashStateError {
    /// The first bytes name no known algorithm.
    #[error("hash state of an unknown kind")]
    UnknownMagic,
    /// The state is cut or has bytes to spare.
    #[error("hash state for {algorithm} has {found} bytes instead of {expected}")]
    WrongSize {
        /// The algorithm that the magic names.
        algorithm: Algorithm,
        /// The size of each of its states.
        expected: usize,
        /// The size that was found.
        found: usize,
    },
    /// The state claims more content than can exist.
    #[error("hash state claims {bytes_hashed} bytes of content")]
    TooLong {
        /// The claimed length.
        bytes_hashed: u64,
    },
    /// The hash implementation did not take the state.
    #[error("hash state was refused")]
    Refused,
}

/// The sizes of one algorithm's state; see the drawings at the top of the module.
#[derive(Clone, Copy)]
struct Layout {
    magic: [u8; MAGIC_BYTES],
    word_bytes: usize,
    block_bytes: usize,
    /// Size of the block counter in the form of the hash implementation.
    counter_bytes: usize,
}

impl Layout {
    const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self {
                magic: *b"sha\x03",
                word_bytes: 4,
                block_bytes: 64,
                counter_bytes: 8,
            },
            Algorithm::Sha384 => Self {
                magic: *b"sha\x04",
                word_bytes: 8,
                block_bytes: 128,
                counter_bytes: 16,
            },
            Algorithm::Sha512 => Self {
                magic: *b"sha\x07",
                word_bytes: 8,
                block_bytes: 128,
                counter_bytes: 16,
            },
        }
    }

    const fn chain_bytes(self) -> usize {
        CHAIN_WORDS * self.word_bytes
    }

    const fn block_start(self) -> usize {
        MAGIC_BYTES + self.chain_bytes()
    }

    const fn length_start(self) -> usize {
        self.block_start() + self.block_bytes
    }

    const fn total(self) -> usize {
        self.length_start() + LENGTH_BYTES
    }

    /// Returns how many bytes of the block are in use after `length` bytes of content.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the remainder is below 128"
    )]
    const fn position(self, length: u64) -> usize {
        (length % self.block_bytes as u64) as usize
    }
}

/// Saves a hasher of the implementation.
pub(super) fn export<H: SerializableState>(algorithm: Algorithm, hasher: &H) -> HashState {
    let layout = Layout::of(algorithm);
    let own = hasher.serialize();
    let (chain, rest) = own.split_at(layout.chain_bytes());
    let (counter, rest) = rest.split_at(layout.counter_bytes);
    let (position, block) = rest.split_at(1);

    let mut bytes = [0; MAX_STATE_BYTES];
    bytes[..MAGIC_BYTES].copy_from_slice(&layout.magic);
    swap_words(
        chain,
        &mut bytes[MAGIC_BYTES..layout.block_start()],
        layout.word_bytes,
    );
    // The slot for the position takes one byte of the block away, which is no loss: a full block
    // is never kept.
    let block_start = layout.block_start();
    bytes[block_start..block_start + block.len()].copy_from_slice(block);
    // Content is counted in u64 all over, so the upper half of a wide counter is zero.
    let mut blocks = [0; 8];
    blocks.copy_from_slice(&counter[..8]);
    let length = u64::from_le_bytes(blocks)
        .wrapping_mul(layout.block_bytes as u64)
        .wrapping_add(u64::from(position[0]));
    bytes[layout.length_start()..layout.total()].copy_from_slice(&length.to_be_bytes());
    HashState { algorithm, bytes }
}

/// Makes a hasher of the implementation from a state; `H` is the state's algorithm.
pub(super) fn import<H: SerializableState>(state: &HashState) -> Result<H, HashStateError> {
    let layout = Layout::of(state.algorithm);
    let length = state.bytes_hashed();
    let position = layout.position(length);

    let mut own = SerializedState::<H>::default();
    let (chain, rest) = own.split_at_mut(layout.chain_bytes());
    let (counter, rest) = rest.split_at_mut(layout.counter_bytes);
    let (position_slot, block) = rest.split_at_mut(1);
    swap_words(
        &state.bytes[MAGIC_BYTES..layout.block_start()],
        chain,
        layout.word_bytes,
    );
    counter[..8].copy_from_slice(&(length / layout.block_bytes as u64).to_le_bytes());
    position_slot[0] = u8::try_from(position).map_err(|_| HashStateError::Refused)?;
    let block_start = layout.block_start();
    block[..position].copy_from_slice(&state.bytes[block_start..block_start + position]);
    H::deserialize(&own).map_err(|_| HashStateError::Refused)
}

/// Copies words of `word_bytes` bytes and turns each around.
fn swap_words(from: &[u8], to: &mut [u8], word_bytes: usize) {
    for (to, from) in to
        .chunks_exact_mut(word_bytes)
        .zip(from.chunks_exact(word_bytes))
    {
        for (to, from) in to.iter_mut().zip(from.iter().rev()) {
            *to = *from;
        }
    }
}
