//! Digests of content, and the hasher that makes them.
//!
//! A digest is written `ALGORITHM:HEX`, for example `sha256:` and 64 lower-case hexadecimal digits
//! (OCI image specification, *Descriptors*, section *Digests*). Only the three registered SHA-2
//! algorithms are known; anything else is refused when it is parsed, so that a [`Digest`] may
//! become part of a path or a URL without a further look.

mod algorithm;
mod hasher;
mod state;
mod text;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::algorithm::Algorithm;
pub use self::hasher::Hasher;
pub use self::state::{HashState, HashStateError};
pub use self::text::DigestText;
use crate::text::excerpt;

/// Bytes of the longest digest, that of sha512.
const MAX_DIGEST_BYTES: usize = 64;

/// Longest algorithm name that an error repeats; longer ones are malformed.
const MAX_ALGORITHM_CHARS: usize = 64;

/// The digest of some content: an algorithm and its result, held inline.
///
/// Digests order as their texts do.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::{Algorithm, Digest};
///
/// let digest = Digest::of(Algorithm::Sha256, b"hello");
/// assert!(digest.to_string().starts_with("sha256:2cf24dba"));
/// assert!("sha256:../../etc/passwd".parse::<Digest>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    /// The result, with zeros after its end: the derived comparisons rely on them.
    bytes: [u8; MAX_DIGEST_BYTES],
}

impl Digest {
    /// Computes the digest of `content`, held whole in memory.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// Returns the digest of no bytes at all.
    pub fn empty(algorithm: Algorithm) -> Self {
        Hasher::new(algorithm).finish()
    }

    /// Wraps the result of a hasher, which is as long as the algorithm says.
    pub(crate) fn from_output(algorithm: Algorithm, output: &[u8]) -> Self {
        let mut bytes = [0; MAX_DIGEST_BYTES];
        for (to, from) in bytes.iter_mut().zip(output) {
            *to = *from;
        }
        Self { algorithm, bytes }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the raw bytes, half as many as there are hexadecimal digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.hex_len() / 2]
    }

    /// Returns the text, `ALGORITHM:HEX`.
    pub fn text(&self) -> DigestText {
        DigestText::of(self)
    }

    /// Returns the lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        self.text().hex().to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let algorithm: Algorithm = name.parse().map_err(|unknown| refusal(name, unknown))?;
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Malformed);
        }
        let bytes = text::read_hex(hex.as_bytes())?;
        Ok(Self { algorithm, bytes })
    }
}

/// Why a digest is refused whose algorithm is not known.
fn refusal(name: &str, unknown: DigestError) -> DigestError {
    if !is_algorithm_name(name) {
        DigestError::Malformed
    } else if name.starts_with("tarsum") {
        DigestError::Tarsum
    } else {
        unknown
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

/// Why a text is no [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It is not `ALGORITHM:HEX` with the right number of lower-case digits.
    #[error("malformed digest")]
    Malformed,
    /// It may be a digest, but of an algorithm that is not accepted; weak ones are among these.
    #[error("unsupported digest algorithm `{}`", excerpt(.algorithm))]
    Unsupported {
        /// The algorithm's name, which is well-formed.
        algorithm: String,
    },
    /// It is one of the tarsum digests that registries before schema 2 knew.
    #[error("tarsum digests are not supported")]
    Tarsum,
}

/// `component [+._-] component …`, each component of lower-case letters and digits (image
/// specification, *Digests*).
fn is_algorithm_name(name: &str) -> bool {
    name.len() <= MAX_ALGORITHM_CHARS
        && name.split(['+', '.', '_', '-']).all(|component| {
            !component.is_empty()
                && component
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}
