//! Who has logged in lately, so that not every request costs a hash.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// 60 s: a client in use costs a hash a minute, and what is kept in memory is soon gone.
const KEPT: Duration = Duration::from_secs(60);

/// 10,000: about a megabyte. Whoever is pushed out costs a hash.
const MOST: usize = 10_000;

/// A name and a password, as a MAC with a key of this process: it tells nothing to whoever reads it.
pub(super) type Key = [u8; 32];

/// The logins that were found right within the last while.
#[derive(Default)]
pub(super) struct Recent(Mutex<Logins>);

#[derive(Default)]
struct Logins {
    keys: HashSet<Key>,
    /// Until when each counts; since all are kept equally long, the first is the first to go.
    ends: VecDeque<(Duration, Key)>,
}

impl Recent {
    /// Tells whether this login was found right lately.
    pub(super) fn contains(&self, key: &Key, now: Duration) -> bool {
        let mut logins = self.lock();
        logins.forget(|end, _| end <= now);
        logins.keys.contains(key)
    }

    /// Notes that this login is right.
    pub(super) fn insert(&self, key: Key, now: Duration) {
        let mut logins = self.lock();
        logins.forget(|end, count| end <= now || count >= MOST);
        if logins.keys.insert(key) {
            logins.ends.push_back((now + KEPT, key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Logins> {
        // Every step leaves a key in both or in none, but for a moment in which nothing can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Logins {
    /// Forgets from the front, as long as the end and the count of what is there ask for it.
    fn forget(&mut self, due: impl Fn(Duration, usize) -> bool) {
        while let Some((end, key)) = self.ends.front()
            && due(*end, self.ends.len())
        {
            self.keys.remove(key);
            self.ends.pop_front();
        }
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} logins", self.lock().keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_login_counts_for_its_time_and_no_longer() {
        let recent = Recent::default();
        let start = Duration::from_secs(1000);
        recent.insert(key(1), start);
        recent.insert(key(1), start + Duration::from_secs(30));
        assert!(recent.contains(&key(1), start + Duration::from_secs(59)));
        assert!(!recent.contains(&key(2), start));
        assert!(!recent.contains(&key(1), start + KEPT));
        assert_eq!(format!("{recent:?}"), "0 logins");
    }

    #[test]
    fn no_more_than_the_most_are_kept_and_the_oldest_go() {
        let recent = Recent::default();
        for number in 0..MOST + 3 {
            recent.insert(key(number), Duration::ZERO);
        }
        assert_eq!(format!("{recent:?}"), format!("{MOST} logins"));
        assert!(!recent.contains(&key(2), Duration::ZERO));
        assert!(recent.contains(&key(3), Duration::ZERO));
    }
}
