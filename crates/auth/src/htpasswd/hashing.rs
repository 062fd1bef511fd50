//! The work of holding passwords against hashes: few at once, few that wait, and each only once.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use wharfinger_runtime::{BlockingPool, Secret};

use super::hash::Hash;
use super::recent::Key;
use crate::Refusal;

/// 64 wait at most: with one thread and the usual cost of 10 that is five seconds, after which most
/// clients have given up.
const MOST: usize = 64;

/// A fourth of the places for one address, so that whoever guesses passwords from there does not keep
/// out everybody else.
const MOST_OF_ONE: usize = MOST / 4;

type Check = Shared<BoxFuture<'static, bool>>;

/// Holds passwords against hashes.
pub(super) struct Hashing {
    pool: BlockingPool,
    waiting: Arc<Mutex<Waiting>>,
}

/// The checks that wait or run.
#[derive(Default)]
struct Waiting {
    /// By what they check: whoever asks the same waits for the same.
    checks: HashMap<Key, WeakShared<BoxFuture<'static, bool>>>,
    /// How many there are for each address.
    of_peers: HashMap<IpAddr, usize>,
    count: usize,
}

impl Hashing {
    /// Uses the threads of `pool`.
    pub(super) fn new(pool: BlockingPool) -> Self {
        Self {
            pool,
            waiting: Arc::default(),
        }
    }

    /// Tells whether `password` has `hash`; the two are what `key` stands for.
    ///
    /// # Errors
    /// Fails with [`Refusal::Busy`] if too many wait already, in all or from the same address.
    ///
    /// # Cancellation
    /// Once nobody waits for a check that has not begun, it is taken back.
    pub(super) async fn check(
        &self,
        key: Key,
        hash: &Hash,
        password: &Secret<Vec<u8>>,
        peer: IpAddr,
    ) -> Result<bool, Refusal> {
        let under_way = lock(&self.waiting)
            .checks
            .get(&key)
            .and_then(WeakShared::upgrade);
        let check = match under_way {
            Some(check) => check,
            None => self.begin(key, hash.clone(), password.clone(), peer)?,
        };
        Ok(check.await)
    }

    fn begin(
        &self,
        key: Key,
        hash: Hash,
        password: Secret<Vec<u8>>,
        peer: IpAddr,
    ) -> Result<Check, Refusal> {
        let place = Place::take(&self.waiting, key, peer).ok_or(Refusal::Busy)?;
        let pool = self.pool.clone();
        let check = async move {
            let _place = place;
            pool.run(move || matches(&hash, &password)).await
        };
        let check = check.boxed().shared();
        // It was not polled yet, and so is not complete.
        if let Some(weak) = check.downgrade() {
            lock(&self.waiting).checks.insert(key, weak);
        }
        Ok(check)
    }
}

/// A panic is a fault of ours and lets nobody in; nor may it poison whoever waits for the same.
fn matches(hash: &Hash, password: &Secret<Vec<u8>>) -> bool {
    catch_unwind(AssertUnwindSafe(|| hash.matches(password.expose()))).unwrap_or_else(|_| {
        tracing::error!("holding a password against a hash panicked");
        false
    })
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // Counts and checks are changed in single steps.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of one check among those that wait. Nothing that holds one is dropped under the lock.
struct Place {
    waiting: Arc<Mutex<Waiting>>,
    key: Key,
    peer: IpAddr,
}

impl Place {
    fn take(waiting: &Arc<Mutex<Waiting>>, key: Key, peer: IpAddr) -> Option<Self> {
        let peer = network(peer);
        let mut counts = lock(waiting);
        if counts.count >= MOST {
            return None;
        }
        let of_peer = counts.of_peers.entry(peer).or_default();
        if *of_peer >= MOST_OF_ONE {
            return None;
        }
        *of_peer += 1;
        counts.count += 1;
        drop(counts);
        Some(Self {
            waiting: Arc::clone(waiting),
            key,
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.waiting);
        counts.count -= 1;
        if let Some(of_peer) = counts.of_peers.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                counts.of_peers.remove(&self.peer);
            }
        }
        // Perhaps of the next check for the same, which then merely is not shared.
        counts.checks.remove(&self.key);
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let upper = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(upper).into()
        }
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks under way", lock(&self.waiting).count)
    }
}

#[cfg(test)]
impl Hashing {
    /// Keeps the one thread of the pool busy until the sender is dropped.
    pub(super) async fn stall(&self) -> std::sync::mpsc::Sender<()> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (began, begun) = tokio::sync::oneshot::channel();
        let pool = self.pool.clone();
        let stall = async move {
            let call = move || {
                began.send(()).unwrap();
                assert!(receiver.recv().is_err());
            };
            pool.run(call).await;
        };
        drop(wharfinger_runtime::Tasks::new().spawn(stall));
        begun.await.unwrap();
        sender
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use futures_util::poll;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    fn hash() -> Hash {
        let text = bcrypt::hash_with_salt("secret", 4, [1; 16]).unwrap();
        Hash::parse(text.to_string().as_bytes()).unwrap()
    }

    fn secret(text: &str) -> Secret<Vec<u8>> {
        Secret::new(text.as_bytes().to_vec())
    }

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[tokio::test]
    async fn the_right_password_is_right() {
        let hashing = Hashing::new(BlockingPool::new(1));
        let (right, wrong) = (secret("secret"), secret("Secret"));
        assert_eq!(
            hashing.check(key(1), &hash(), &right, peer(1)).await,
            Ok(true)
        );
        assert_eq!(
            hashing.check(key(2), &hash(), &wrong, peer(1)).await,
            Ok(false)
        );
        assert_eq!(format!("{hashing:?}"), "0 checks under way");
        assert!(lock(&hashing.waiting).checks.is_empty());
        assert!(lock(&hashing.waiting).of_peers.is_empty());
    }

    #[tokio::test]
    async fn those_who_ask_the_same_wait_for_the_same() {
        let hashing = Hashing::new(BlockingPool::new(1));
        let (hash, secret) = (hash(), secret("secret"));
        let stalled = hashing.stall().await;
        let mut same: Vec<_> = (0..3 * MOST)
            .map(|_| Box::pin(hashing.check(key(1), &hash, &secret, peer(1))))
            .collect();
        for check in &mut same {
            assert!(poll!(check.as_mut()).is_pending());
        }
        assert_eq!(format!("{hashing:?}"), "1 checks under way");
        // Whoever came first need not stay.
        drop(same.remove(0));
        drop(stalled);
        assert!(join_all(same).await.iter().all(|it| *it == Ok(true)));
    }

    #[tokio::test]
    async fn too_many_are_refused_and_those_of_one_address_before() {
        let hashing = Hashing::new(BlockingPool::new(1));
        let (hash, secret) = (hash(), secret("secret"));
        let stalled = hashing.stall().await;
        let mut waiting = Vec::new();
        for number in 0..MOST + 10 {
            let from = peer(u8::try_from(number / MOST_OF_ONE).unwrap());
            let mut check = Box::pin(hashing.check(key(number), &hash, &secret, from));
            let polled = poll!(check.as_mut());
            assert_eq!(polled.is_ready(), number >= MOST, "{number}");
            if polled.is_pending() {
                waiting.push(check);
            }
            if number + 1 == MOST_OF_ONE {
                let more = hashing.check(key(1000), &hash, &secret, from).await;
                assert_eq!(more, Err(Refusal::Busy));
            }
        }
        drop(waiting);
        drop(stalled);
        assert_eq!(format!("{hashing:?}"), "0 checks under way");
        assert_eq!(
            hashing.check(key(1), &hash, &secret, peer(1)).await,
            Ok(true)
        );
    }

    #[test]
    fn one_client_is_one_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
