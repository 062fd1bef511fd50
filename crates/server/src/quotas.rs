//! What clients may have at once: together, and each of them.
//!
//! A client is an address; of IPv6 the first half, since whoever has one address there mostly has all
//! that begin with the same half. Behind a proxy all clients are one; over a Unix socket there are none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// 4: one client that fills its share leaves three quarters to others.
const BODY_MEMORY_SHARES: usize = 4;

/// What clients have, and how much of it they may have.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Requests under way.
    pub(crate) requests: Places,
    /// Requests under way that bring content.
    pub(crate) uploads: Places,
    /// A permit for each byte of a body that is held whole in memory.
    body_memory: Arc<Semaphore>,
    max_body_bytes: usize,
    max_connections: usize,
    /// Only those that have something, so that there are no more than connections.
    clients: Mutex<HashMap<IpAddr, Client>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Client {
    connections: usize,
    body_bytes: usize,
}

/// Why there is no room for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All clients together have too much.
    All,
    /// This client has too much.
    Client,
}

impl Quotas {
    pub(crate) fn new(limits: &Limits) -> Self {
        let memory = limits.manifest_memory_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            requests: Places::new(limits.max_requests),
            uploads: Places::new(limits.max_uploads),
            body_memory: Arc::new(Semaphore::new(memory)),
            // The largest manifest fits into the share of anybody.
            max_body_bytes: (memory / BODY_MEMORY_SHARES)
                .max(wharfinger_oci::MAX_MANIFEST_BYTES)
                .min(memory),
            max_connections: limits.max_address_connections,
            clients: Mutex::default(),
        }
    }

    /// Notes a connection of a client. One without an address is bound by what all have together.
    pub(crate) fn connect(self: &Arc<Self>, address: Option<IpAddr>) -> Connected {
        let client = address.map(client_of);
        let within = client.is_none_or(|client| {
            let mut clients = self.lock();
            let entry = clients.entry(client).or_default();
            entry.connections += 1;
            entry.connections <= self.max_connections
        });
        Connected {
            quotas: Arc::clone(self),
            client,
            within,
        }
    }

    /// Takes room for `bytes` of a body. Nobody waits for it: whoever waits holds some already.
    pub(crate) fn room(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        bytes: usize,
    ) -> Result<Room, NoRoom> {
        let client = address.map(client_of);
        Ok(Room {
            memory: self.take_room(client, bytes)?,
            quotas: Arc::clone(self),
            client,
        })
    }

    fn take_room(
        &self,
        client: Option<IpAddr>,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, NoRoom> {
        let permits = u32::try_from(bytes).map_err(|_| NoRoom::All)?;
        let memory = Arc::clone(&self.body_memory);
        let memory = memory
            .try_acquire_many_owned(permits)
            .map_err(|_| NoRoom::All)?;
        let Some(client) = client.filter(|_| bytes > 0) else {
            return Ok(memory);
        };
        let mut clients = self.lock();
        let entry = clients.entry(client).or_default();
        if entry.body_bytes + bytes > self.max_body_bytes {
            return Err(NoRoom::Client);
        }
        entry.body_bytes += bytes;
        Ok(memory)
    }

    fn change(&self, client: Option<IpAddr>, change: impl FnOnce(&mut Client)) {
        let Some(client) = client else { return };
        let mut clients = self.lock();
        if let Some(entry) = clients.get_mut(&client) {
            change(entry);
            if *entry == Client::default() {
                clients.remove(&client);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
        // The counts are right after every step.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what an address is counted under.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(prefix).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection of a client, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    quotas: Arc<Quotas>,
    client: Option<IpAddr>,
    within: bool,
}

impl Connected {
    /// Tells whether the client may have it.
    pub(crate) fn is_within_quota(&self) -> bool {
        self.within
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.quotas.change(self.client, |entry| {
            entry.connections = entry.connections.saturating_sub(1);
        });
    }
}

/// Room in memory for a part of a body, taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    quotas: Arc<Quotas>,
    client: Option<IpAddr>,
    memory: OwnedSemaphorePermit,
}

impl Room {
    /// Takes room for more, of the same client.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.memory
            .merge(self.quotas.take_room(self.client, bytes)?);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let bytes = self.memory.num_permits();
        self.quotas.change(self.client, |entry| {
            entry.body_bytes = entry.body_bytes.saturating_sub(bytes);
        });
    }
}

/// A number of places.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    fn new(max: usize) -> Self {
        Self {
            taken: Arc::default(),
            max,
        }
    }

    /// Takes a place, if one is left.
    pub(crate) fn take(&self) -> Option<Place> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Dropping it gives the place back.
        let place = Place(Arc::clone(&self.taken));
        (before < self.max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(configure: impl FnOnce(&mut Limits)) -> Arc<Quotas> {
        let mut limits = Limits::default();
        configure(&mut limits);
        Arc::new(Quotas::new(&limits))
    }

    #[test]
    fn a_client_has_as_many_connections_as_it_may() {
        let quotas = quotas(|limits| limits.max_address_connections = 1);
        let (a, b) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        let first = quotas.connect(a);
        assert!(first.is_within_quota());
        assert!(!quotas.connect(a).is_within_quota());
        assert!(quotas.connect(b).is_within_quota());
        let local: Vec<_> = (0..3).map(|_| quotas.connect(None)).collect();
        assert!(local.iter().all(Connected::is_within_quota));
        drop(first);
        assert!(quotas.connect(a).is_within_quota());
        assert!(quotas.lock().is_empty(), "nobody is remembered");
    }

    #[test]
    fn all_addresses_of_one_network_of_ipv6_are_one_client() {
        let address = |text: &str| text.parse().unwrap();
        let client = |text| client_of(address(text));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), address("10.0.0.1"));
    }

    #[test]
    fn a_client_has_a_share_of_the_memory_and_gives_it_back() {
        let quotas = quotas(|limits| limits.manifest_memory_bytes = 64 << 20);
        let client = |last| Some([10, 0, 0, last].into());
        let (a, b) = (client(1), client(2));
        let mut room = quotas.room(a, 0).unwrap();
        room.grow(15 << 20).unwrap();
        room.grow(1 << 20).unwrap();
        assert_eq!(room.grow(1), Err(NoRoom::Client));
        assert_eq!(quotas.room(a, 1).unwrap_err(), NoRoom::Client);
        let others: Vec<_> = [b, client(3)]
            .map(|other| quotas.room(other, 16 << 20).unwrap())
            .into();
        // Over a Unix socket there is no share, but no more than there is.
        let mut local = quotas.room(None, 0).unwrap();
        local.grow(16 << 20).unwrap();
        assert_eq!(quotas.room(client(5), 1).unwrap_err(), NoRoom::All);
        assert_eq!(local.grow(1), Err(NoRoom::All));
        drop((room, others, local));
        assert_eq!(quotas.body_memory.available_permits(), 64 << 20);
        assert!(quotas.lock().is_empty());
    }

    #[test]
    fn a_place_is_given_back() {
        let places = Places::new(1);
        let place = places.take();
        assert!(place.is_some() && places.take().is_none());
        assert_eq!(places.taken.load(Ordering::Relaxed), 1);
        drop(place);
        assert!(places.take().is_some());
    }
}
