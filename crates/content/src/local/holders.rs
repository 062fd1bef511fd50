//! Who is writing under which ref, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use wharfinger_runtime::Clock;
use wharfinger_store::{IngestWriter, Tenant, TenantIngest};

use crate::error::{Error, ErrorKind, Result};
use crate::store::Status;

/// The tenant or namespace, and the ref.
type Key = (String, String);

/// The refs that are held.
#[derive(Debug)]
pub(super) struct Holders {
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// The writer of a held ref, unless an abort has taken it.
#[derive(Debug)]
struct Slot {
    /// Locked while something is done with the writer, and while it is opened.
    writer: Arc<AsyncMutex<Option<IngestWriter>>>,
    /// What it has come to; nothing while it is opened.
    status: Mutex<Option<Status>>,
    since: SystemTime,
    /// The same on the monotonic clock.
    held_from: Duration,
}

/// A ref that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    holders: Arc<Holders>,
    key: Key,
    slot: Arc<Slot>,
}

/// Where the writer of a held ref is.
pub(super) type Room = OwnedMutexGuard<Option<IngestWriter>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(tenant: &Tenant, reference: &str) -> Key {
    (tenant.key().to_owned(), reference.to_owned())
}

impl Holders {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let held = Mutex::default();
        Self { clock, held }
    }

    /// Holds a ref, and gives the room that its writer belongs in.
    ///
    /// Fails with `Unavailable` when somebody holds it, and says for how long.
    pub(super) fn hold(self: &Arc<Self>, tenant: &Tenant, reference: &str) -> Result<(Held, Room)> {
        let key = key(tenant, reference);
        let mut held = lock(&self.held);
        if let Some(slot) = held.get(&key) {
            let now = self.clock.monotonic();
            let held_for = now.saturating_sub(slot.held_from);
            let since = crate::wire::rfc3339(slot.since);
            let message =
                format!("ref {reference} locked for {held_for:?} (since {since}): unavailable");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let writer = Arc::new(AsyncMutex::new(None));
        let room = Arc::clone(&writer).try_lock_owned();
        let room = room.expect("nobody else knows of it yet");
        let slot = Arc::new(Slot {
            writer,
            status: Mutex::default(),
            since: self.clock.now(),
            held_from: self.clock.monotonic(),
        });
        held.insert(key.clone(), Arc::clone(&slot));
        drop(held);
        let holders = Arc::clone(self);
        Ok((Held { holders, key, slot }, room))
    }

    fn slot(&self, key: &Key) -> Option<Arc<Slot>> {
        lock(&self.held).get(key).cloned()
    }

    /// Lets go of a ref, unless it is held anew.
    fn release(&self, key: &Key, slot: &Arc<Slot>) {
        let mut held = lock(&self.held);
        if held.get(key).is_some_and(|there| Arc::ptr_eq(there, slot)) {
            held.remove(key);
        }
    }

    /// Returns where an ingest stands that is open.
    pub(super) fn status(&self, tenant: &Tenant, reference: &str) -> Option<Status> {
        let slot = self.slot(&key(tenant, reference))?;
        lock(&slot.status).clone()
    }

    /// Returns where all open ingests of a tenant stand.
    pub(super) fn statuses(&self, tenant: &Tenant) -> impl Iterator<Item = Status> + use<> {
        let held = lock(&self.held);
        let ours = held.iter().filter(|((there, _), _)| there == tenant.key());
        let statuses = ours.filter_map(|(_, slot)| lock(&slot.status).clone());
        statuses.collect::<Vec<_>>().into_iter()
    }

    /// Takes the writer of a ref away from whoever holds it, and removes its ingest. Tells whether
    /// there was one.
    pub(super) async fn abort(&self, tenant: &Tenant, reference: &str) -> Result<bool> {
        let key = key(tenant, reference);
        let Some(slot) = self.slot(&key) else {
            return Ok(false);
        };
        // What is being done with it is done first.
        let mut room = slot.writer.lock().await;
        let Some(writer) = room.take() else {
            return Ok(false);
        };
        let aborted = writer.abort().await;
        self.release(&key, &slot);
        aborted?;
        Ok(true)
    }
}

impl Held {
    /// Says what the ingest has come to.
    pub(super) fn tell(&self, ingest: &TenantIngest) {
        *lock(&self.slot.status) = Some(ingest.clone().into());
    }

    /// Waits until nothing is done with the writer.
    pub(super) async fn room(&self) -> Room {
        Arc::clone(&self.slot.writer).lock_owned().await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holders.release(&self.key, &self.slot);
    }
}
