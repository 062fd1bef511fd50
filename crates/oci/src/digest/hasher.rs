//! A hasher that can be stopped, saved, and resumed elsewhere.

use std::fmt;

use sha2::Digest as _;
use sha2::{Sha256, Sha384, Sha512};

use super::state::{self, HashState, HashStateError};
use super::{Algorithm, Digest};

/// Computes a [`Digest`] over bytes that arrive in pieces.
///
/// The bytes may be cut anywhere, and between any two the hasher may be saved with
/// [`state`](Self::state) and resumed with [`restore`](Self::restore), in another process or by
/// another implementation: the result is the same.
#[derive(Clone)]
pub struct Hasher {
    inner: Inner,
    bytes_hashed: u64,
}

#[derive(Clone)]
enum Inner {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Creates a hasher that has seen nothing.
    pub fn new(algorithm: Algorithm) -> Self {
        let inner = match algorithm {
            Algorithm::Sha256 => Inner::Sha256(Sha256::new()),
            Algorithm::Sha384 => Inner::Sha384(Sha384::new()),
            Algorithm::Sha512 => Inner::Sha512(Sha512::new()),
        };
        Self {
            inner,
            bytes_hashed: 0,
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.inner {
            Inner::Sha256(_) => Algorithm::Sha256,
            Inner::Sha384(_) => Algorithm::Sha384,
            Inner::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.inner {
            Inner::Sha256(hasher) => hasher.update(bytes),
            Inner::Sha384(hasher) => hasher.update(bytes),
            Inner::Sha512(hasher) => hasher.update(bytes),
        }
        self.bytes_hashed += bytes.len() as u64;
    }

    /// Returns how many bytes were added, those before a [`restore`](Self::restore) included.
    pub fn bytes_hashed(&self) -> u64 {
        self.bytes_hashed
    }

    /// Returns the digest of all bytes so far; more may still be added.
    pub fn finish(&self) -> Digest {
        let algorithm = self.algorithm();
        match self.inner.clone() {
            Inner::Sha256(hasher) => Digest::from_output(algorithm, &hasher.finalize()),
            Inner::Sha384(hasher) => Digest::from_output(algorithm, &hasher.finalize()),
            Inner::Sha512(hasher) => Digest::from_output(algorithm, &hasher.finalize()),
        }
    }

    /// Saves the state between two bytes.
    pub fn state(&self) -> HashState {
        match &self.inner {
            Inner::Sha256(hasher) => state::export(Algorithm::Sha256, hasher),
            Inner::Sha384(hasher) => state::export(Algorithm::Sha384, hasher),
            Inner::Sha512(hasher) => state::export(Algorithm::Sha512, hasher),
        }
    }

    /// Resumes from a saved state.
    ///
    /// # Errors
    ///
    /// [`HashStateError::Refused`] if the hash implementation does not take the state, which no
    /// state that [`HashState::from_bytes`] lets through should cause.
    pub fn restore(state: &HashState) -> Result<Self, HashStateError> {
        let inner = match state.algorithm() {
            Algorithm::Sha256 => Inner::Sha256(state::import(state)?),
            Algorithm::Sha384 => Inner::Sha384(state::import(state)?),
            Algorithm::Sha512 => Inner::Sha512(state::import(state)?),
        };
        Ok(Self {
            inner,
            bytes_hashed: state.bytes_hashed(),
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm())
            .field("bytes_hashed", &self.bytes_hashed)
            .finish_non_exhaustive()
    }
}
