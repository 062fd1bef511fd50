//! The range headers of downloads and uploads.
//!
//! ```text
//! Range: bytes=0-99                download, request      RequestedRange
//! Content-Range: bytes 0-99/1000   download, answer       ContentRange
//! Content-Range: 0-1023            upload, request        ChunkRange
//! Range: 0-1023                    upload, answer         UploadedRange
//! ```

use std::fmt;
use std::str::FromStr;

/// Bytes from `start` to `end_inclusive`; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    start: u64,
    end_inclusive: u64,
}

impl ByteRange {
    /// Creates a range, or `None` if it would end before it starts or hold 2⁶⁴ bytes.
    pub fn new(start: u64, end_inclusive: u64) -> Option<Self> {
        let length = end_inclusive.checked_sub(start)?.checked_add(1);
        length.map(|_| Self {
            start,
            end_inclusive,
        })
    }

    /// Returns the offset of the first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// Returns the offset of the last byte.
    pub fn end_inclusive(self) -> u64 {
        self.end_inclusive
    }

    /// Returns how many bytes there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u64 {
        self.end_inclusive - self.start + 1
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end_inclusive)
    }
}

/// The one range that a `Range` header asks for (RFC 9110, section 14.1).
///
/// Numbers beyond 64 bits are taken for the largest one: they lie behind the end of everything.
///
/// # Examples
///
/// ```
/// use wharfinger_oci::{ByteRange, RequestedRange};
///
/// let range = RequestedRange::parse("bytes=-100")?;
/// assert_eq!(range.resolve(1000).ok(), ByteRange::new(900, 999));
/// # Ok::<(), wharfinger_oci::RangeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestedRange {
    /// `bytes=a-`: everything from an offset.
    From(u64),
    /// `bytes=a-b`: from an offset to another, both included.
    FromTo(u64, u64),
    /// `bytes=-n`: the last bytes.
    Last(u64),
}

impl RequestedRange {
    /// Parses the value of a `Range` header.
    ///
    /// # Errors
    ///
    /// [`RangeError::Unsupported`] for several ranges and for other units than bytes: the right
    /// answer is the whole content. [`RangeError::Malformed`] for anything else.
    pub fn parse(header: &str) -> Result<Self, RangeError> {
        let (unit, ranges) = header.split_once('=').ok_or(RangeError::Malformed)?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
            return Err(RangeError::Unsupported);
        }
        let (start, end) = ranges.trim().split_once('-').ok_or(RangeError::Malformed)?;
        match (start, end) {
            ("", n) => Ok(Self::Last(saturating_number(n)?)),
            (start, "") => Ok(Self::From(saturating_number(start)?)),
            (start, end) => {
                let (start, end) = (saturating_number(start)?, saturating_number(end)?);
                if end < start {
                    return Err(RangeError::Malformed);
                }
                Ok(Self::FromTo(start, end))
            }
        }
    }

    /// Fits the range to content of a size.
    ///
    /// # Errors
    ///
    /// [`RangeError::Unsatisfiable`] if no byte of the content is in the range.
    pub fn resolve(self, size: u64) -> Result<ByteRange, RangeError> {
        let unsatisfiable = RangeError::Unsatisfiable { size };
        let Some(last) = size.checked_sub(1) else {
            return Err(unsatisfiable);
        };
        let range = match self {
            Self::From(start) => ByteRange::new(start, last),
            Self::FromTo(start, end) => ByteRange::new(start, end.min(last)),
            Self::Last(n) => ByteRange::new(size.saturating_sub(n), last),
        };
        range.ok_or(unsatisfiable)
    }
}

/// The `Content-Range` of a download (RFC 9110, section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentRange {
    /// `bytes a-b/size`: what the answer holds.
    Part {
        /// The bytes.
        range: ByteRange,
        /// The size of the whole content.
        size: u64,
    },
    /// `bytes */size`: with status 416, the size that the asked range did not fit.
    Unsatisfied {
        /// The size of the whole content.
        size: u64,
    },
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part { range, size } => write!(f, "bytes {range}/{size}"),
            Self::Unsatisfied { size } => write!(f, "bytes */{size}"),
        }
    }
}

impl FromStr for ContentRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let rest = text.strip_prefix("bytes ").ok_or(RangeError::Malformed)?;
        let (range, size) = rest.split_once('/').ok_or(RangeError::Malformed)?;
        let size = number(size)?;
        if range == "*" {
            return Ok(Self::Unsatisfied { size });
        }
        let range = byte_range(range)?;
        if range.end_inclusive >= size {
            return Err(RangeError::Malformed);
        }
        Ok(Self::Part { range, size })
    }
}

/// The `Content-Range` of a chunk that is uploaded.
///
/// The specification has the bare `a-b`; clients that follow RFC 9110 send `bytes a-b/*` or
/// `bytes a-b/size`, where the size does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRange(pub ByteRange);

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ChunkRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let Some(rest) = text.strip_prefix("bytes ") else {
            return byte_range(text).map(Self);
        };
        let (range, size) = rest.split_once('/').ok_or(RangeError::Malformed)?;
        if size != "*" {
            number(size)?;
        }
        byte_range(range).map(Self)
    }
}

/// The `Range` of an upload's status: the bytes that were received.
///
/// An empty upload prints as `0-0`, as Distribution has it, although that also stands for one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadedRange {
    /// How many bytes were received.
    pub size_bytes: u64,
}

impl fmt::Display for UploadedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0-{}", self.size_bytes.saturating_sub(1))
    }
}

/// Why a range cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It is not written as a range, or ends before it starts.
    #[error("malformed range")]
    Malformed,
    /// It has another unit than bytes, or several parts; answer with the whole content.
    #[error("unsupported kind of range")]
    Unsupported,
    /// It lies outside of the content; answer with 416.
    #[error("range lies outside of {size} bytes")]
    Unsatisfiable {
        /// The size of the content.
        size: u64,
    },
}

fn byte_range(text: &str) -> Result<ByteRange, RangeError> {
    let (start, end) = text.split_once('-').ok_or(RangeError::Malformed)?;
    ByteRange::new(number(start)?, number(end)?).ok_or(RangeError::Malformed)
}

/// Parses digits and nothing else; `parse` alone would take a sign.
fn number(text: &str) -> Result<u64, RangeError> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RangeError::Malformed);
    }
    text.parse().map_err(|_| RangeError::Malformed)
}

fn saturating_number(text: &str) -> Result<u64, RangeError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RangeError::Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}
