//! Buffers that go round: read into, sent, and read into again.
//!
//! A piece of a file is sent as it was read, without a copy, and its buffer comes back when the last
//! reference to it goes. So a large pull allocates nothing, and nothing has to be zeroed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// 128 KiB: a client's socket buffer takes no more at once, and it stays in the processor's cache
/// between the copy from the page cache and the copy to the socket.
pub(super) const PIECE_BYTES: usize = 128 * 1024;
/// 16 KiB: smaller pieces are allocated to measure, and hold no large buffer while they are sent.
const SMALL_BYTES: usize = 16 * 1024;
/// 64 buffers, 8 MiB, are kept for the next reader.
const MOST_KEPT: usize = 64;

/// The buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Returns a buffer with space for `length` bytes, at most [`PIECE_BYTES`].
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        if length <= SMALL_BYTES {
            return Buffer {
                bytes: vec![0; length],
                space: length,
                filled: 0,
                home: None,
            };
        }
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; PIECE_BYTES]),
            space: length.min(PIECE_BYTES),
            filled: 0,
            home: Some(Arc::clone(self)),
        }
    }
}

/// One buffer, on its way.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    space: usize,
    filled: usize,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    /// Where to read to. What stands there is of no meaning.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.space]
    }

    /// Says how much was read.
    pub(super) fn fill(mut self, filled: usize) -> Self {
        self.filled = filled;
        self
    }

    /// Returns how much was read.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Returns what was read; the buffer goes home when that is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let mut kept = home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_home_when_what_was_read_is_dropped() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take(PIECE_BYTES);
        first.space()[..3].copy_from_slice(b"abc");
        let bytes = first.fill(3).into_bytes();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(
            buffers.0.lock().unwrap().len(),
            0,
            "a part of it is still in use"
        );
        assert_eq!(&part[..], b"bc");
        drop(part);
        assert_eq!(buffers.0.lock().unwrap().len(), 1);
        // What an earlier reader left is not shown to the next.
        assert_eq!(buffers.take(20_000).fill(0).into_bytes().len(), 0);
    }

    #[test]
    fn no_more_are_kept_than_the_bound() {
        let buffers = Arc::new(Buffers::default());
        let all: Vec<_> = (0..MOST_KEPT + 10)
            .map(|_| buffers.take(PIECE_BYTES))
            .collect();
        drop(all);
        assert_eq!(buffers.0.lock().unwrap().len(), MOST_KEPT);
    }
}
