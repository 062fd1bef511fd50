//! Content that was looked at a moment ago and found right, kept in memory.
//!
//! What lies under a digest never changes, so what is kept is right for ever. It may go away, and that is
//! noticed [`KEPT`] late at most; nobody is told of content that could not be had after that. Two things
//! are never asked of this: whether a repository may have the content, for links are looked at each time,
//! and whether what a push refers to is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use wharfinger_oci::{Digest, Manifest};
use wharfinger_runtime::Clock;

/// 1 s: the storage is asked for the most wanted content once in that time and not thousands of times.
pub(super) const KEPT: Duration = Duration::from_secs(1);

/// 16 parts, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// 512 KiB a part, 8 MiB in all. What does not fit is read from the storage, which may remember it as well.
const SHARD_BYTES: usize = 512 * 1024;

/// 256: what an entry takes beside its bytes.
const ENTRY_BYTES: usize = 256;

/// 4: a parsed manifest takes about as many times its bytes.
const PARSED_WEIGHT: usize = 4;

/// What is known of content that was found right.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// Its length.
    Size(u64),
    /// All of it.
    Bytes(Bytes),
    /// All of it, read as a manifest.
    Manifest(Arc<Manifest>),
}

impl Known {
    pub(crate) fn size_bytes(&self) -> u64 {
        match self {
            Self::Size(size_bytes) => *size_bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Manifest(manifest) => manifest.bytes().len() as u64,
        }
    }

    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Size(_) => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::Manifest(manifest) => Some(manifest.bytes()),
        }
    }

    fn weight(&self) -> usize {
        let bytes = self.bytes().map_or(0, Bytes::len);
        match self {
            Self::Size(_) | Self::Bytes(_) => ENTRY_BYTES + bytes,
            Self::Manifest(_) => ENTRY_BYTES + PARSED_WEIGHT * bytes,
        }
    }
}

/// Content that was looked at lately.
#[derive(Debug)]
pub(crate) struct Recent {
    shards: [Mutex<Shard>; SHARDS],
    clock: Arc<dyn Clock>,
}

/// A part of it, all of which is forgotten at once.
#[derive(Debug, Default)]
struct Shard {
    /// No entry is older.
    since: Duration,
    bytes: usize,
    entries: HashMap<Digest, Known>,
}

impl Recent {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            shards: Default::default(),
            clock,
        }
    }

    /// Returns what is known of `digest`.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Known> {
        let mut shard = self.shard(digest);
        shard.age(self.clock.monotonic());
        shard.entries.get(digest).cloned()
    }

    /// Keeps what was found out about `digest`, in a look that began at `begun`.
    pub(crate) fn keep(&self, digest: &Digest, begun: Duration, known: Known) {
        let mut shard = self.shard(digest);
        shard.age(self.clock.monotonic());
        let weight = known.weight();
        // A look that began before the last time that all was forgotten would be kept for too long.
        if begun < shard.since || shard.bytes + weight > SHARD_BYTES {
            return;
        }
        shard.bytes += weight;
        if let Some(before) = shard.entries.insert(*digest, known) {
            shard.bytes -= before.weight();
        }
    }

    /// Forgets `digest`, which was found to be wrong.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut shard = self.shard(digest);
        if let Some(known) = shard.entries.remove(digest) {
            shard.bytes -= known.weight();
        }
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, Shard> {
        let index = digest.as_bytes().first().map_or(0, |byte| *byte);
        let shard = &self.shards[usize::from(index) % SHARDS];
        // Whatever a panic has left there is found right or forgotten.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn age(&mut self, now: Duration) {
        if now.saturating_sub(self.since) >= KEPT {
            self.since = now;
            self.bytes = 0;
            self.entries.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use wharfinger_oci::Algorithm;
    use wharfinger_runtime::ManualClock;

    use super::*;

    fn recent() -> (Recent, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
        clock.advance(KEPT * 10);
        (Recent::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn digest(number: u32) -> Digest {
        Digest::of(Algorithm::Sha256, &number.to_be_bytes())
    }

    #[test]
    fn what_was_found_is_known_for_a_while_and_no_longer() {
        let (recent, clock) = recent();
        let digest = digest(1);
        assert!(recent.get(&digest).is_none());
        recent.keep(&digest, recent.clock.monotonic(), Known::Size(7));
        clock.advance(KEPT - Duration::from_millis(1));
        assert_eq!(recent.get(&digest).unwrap().size_bytes(), 7);
        clock.advance(Duration::from_millis(1));
        assert!(recent.get(&digest).is_none());
    }

    #[test]
    fn a_look_that_began_too_early_is_not_kept() {
        let (recent, clock) = recent();
        let digest = digest(1);
        let begun = recent.clock.monotonic();
        clock.advance(KEPT);
        assert!(recent.get(&digest).is_none());
        recent.keep(&digest, begun, Known::Size(7));
        assert!(recent.get(&digest).is_none());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room() {
        let (recent, _clock) = recent();
        for number in 0..10_000 {
            let bytes = Bytes::from(vec![0; 4096]);
            recent.keep(
                &digest(number),
                recent.clock.monotonic(),
                Known::Bytes(bytes),
            );
        }
        let total = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap();
            let sum: usize = shard.entries.values().map(Known::weight).sum();
            assert_eq!(sum, shard.bytes);
            sum
        };
        for shard in &recent.shards {
            assert!((SHARD_BYTES / 2..=SHARD_BYTES).contains(&total(shard)));
        }
    }

    #[test]
    fn what_was_found_wrong_is_forgotten() {
        let (recent, _clock) = recent();
        recent.keep(
            &digest(1),
            recent.clock.monotonic(),
            Known::Bytes(Bytes::from_static(b"x")),
        );
        recent.forget(&digest(1));
        assert!(recent.get(&digest(1)).is_none());
        assert!(
            recent
                .shards
                .iter()
                .all(|shard| shard.lock().unwrap().bytes == 0)
        );
    }
}
