//! The text of a digest, without the cost of a formatter: every request reads and writes several.

use std::fmt;
use std::ops::Deref;

use super::{Digest, DigestError, MAX_DIGEST_BYTES};

/// `sha512:` and 128 digits.
const MAX_TEXT_BYTES: usize = 7 + 2 * MAX_DIGEST_BYTES;

/// The text of a digest, `ALGORITHM:HEX`, held inline.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::{Algorithm, Digest};
///
/// let digest = Digest::of(Algorithm::Sha256, b"hello");
/// let text = digest.text();
/// assert_eq!(text.strip_prefix("sha256:"), Some(text.hex()));
/// ```
#[derive(Clone, Copy)]
pub struct DigestText {
    bytes: [u8; MAX_TEXT_BYTES],
    length: usize,
    hex_start: usize,
}

impl DigestText {
    pub(super) fn of(digest: &Digest) -> Self {
        let name = digest.algorithm.as_str().as_bytes();
        let mut bytes = [0; MAX_TEXT_BYTES];
        let hex_start = name.len() + 1;
        let (before, hex) = bytes.split_at_mut(hex_start);
        before[..name.len()].copy_from_slice(name);
        before[name.len()] = b':';
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.as_bytes()) {
            pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
        }
        Self {
            bytes,
            length: hex_start + digest.algorithm.hex_len(),
            hex_start,
        }
    }

    /// Returns the lower-case hexadecimal digits, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self[self.hex_start..]
    }
}

impl Deref for DigestText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("names and digits are ASCII")
    }
}

impl fmt::Debug for DigestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Reads as many pairs of lower-case digits as `hex` has.
pub(super) fn read_hex(hex: &[u8]) -> Result<[u8; MAX_DIGEST_BYTES], DigestError> {
    let mut bytes = [0; MAX_DIGEST_BYTES];
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        // One look at the end is cheaper than one a digit.
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    if all == NO_DIGIT {
        Err(DigestError::Malformed)
    } else {
        Ok(bytes)
    }
}

/// All bits, so that it shows among whatever digits.
const NO_DIGIT: u8 = 0xff;

/// The value of every byte as a lower-case hexadecimal digit.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// The two digits of every byte.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";
