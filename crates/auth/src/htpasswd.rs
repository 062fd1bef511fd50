//! Names and passwords from a file that Apache's `htpasswd -B` writes.
//!
//! ```text
//! Authorization ──▶ name, password ──▶ right within the last minute? ──▶ known
//!                                              │ no
//!                                              ▼
//!                    hash of the name, or one that nobody has ──▶ bcrypt ──▶ known, or refused
//! ```
//!
//! **Nobody learns who exists.** A name that is not in the file costs a hash as well, of a cost that
//! one of its users has; which one depends on the name alone, so that asking again tells no more.
//!
//! **Changes count at once.** The file is looked at before credentials are, once a second at most. A
//! version that can be used takes the place of the one before, with an empty memory of logins; one
//! that cannot be used is told in the log, and the one before stays.

mod file;
mod hash;
mod hashing;
mod recent;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wharfinger_oci::Challenge;
use wharfinger_runtime::{BlockingPool, Clock, Runtime, Secret};

pub(crate) use self::file::{LineFaults, MAX_FILE_BYTES};
use self::file::{Users, Version};
use self::hash::Hash;
use self::hashing::Hashing;
use self::recent::{Key, Recent};
use crate::{Access, Authenticator, Credentials, Error, Login, Principal, Refusal};

/// 1 s: how long a change of the file may go unseen, and how often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// 60 s: how often the log tells again of a file that cannot be used.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// The cost of names that are not in a file without users.
const USUAL_COST: u32 = 10;

/// Checks whether the file at `path` can be used, and changes nothing.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path) -> Result<(), Error> {
    let (bytes, _) = file::read(path)?;
    file::parse(path, &bytes).map(drop)
}

/// Takes the names and passwords of a file.
#[derive(Debug)]
pub struct Htpasswd {
    realm: String,
    watched: Arc<Watched>,
    hashing: Hashing,
    /// For the file: whoever looks at it waits for no hash.
    files: BlockingPool,
    clock: Arc<dyn Clock>,
    /// When the file was last looked at, in milliseconds of the monotonic clock.
    looked: AtomicU64,
}

impl Htpasswd {
    /// So many threads read the file, beside those that hash.
    pub const FILE_THREADS: usize = 1;

    /// Reads the file at `path`. Passwords are hashed on `threads` threads, beside those of
    /// `runtime.blocking`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(
        realm: impl Into<String>,
        path: impl Into<PathBuf>,
        threads: usize,
        runtime: &Runtime,
    ) -> Result<Self, Error> {
        let mut key = [0; 32];
        runtime.entropy.fill(&mut key);
        let now = runtime.clock.monotonic();
        let watched = Watched::open(path.into(), key, Arc::clone(&runtime.clock))?;
        Ok(Self {
            realm: realm.into(),
            watched: Arc::new(watched),
            hashing: Hashing::new(runtime.blocking.apart(threads)),
            files: runtime.blocking.apart(Self::FILE_THREADS),
            clock: Arc::clone(&runtime.clock),
            looked: AtomicU64::new(milliseconds(now)),
        })
    }

    /// Returns the users that count now.
    async fn users(&self) -> Arc<Snapshot> {
        let now = milliseconds(self.clock.monotonic());
        let looked = self.looked.load(Ordering::Acquire);
        let due = now.saturating_sub(looked) >= milliseconds(LOOK_INTERVAL);
        // One looks, and all others go on with what is known.
        let claim = || {
            self.looked
                .compare_exchange(looked, now, Ordering::AcqRel, Ordering::Relaxed)
        };
        if due && claim().is_ok() {
            let watched = Arc::clone(&self.watched);
            self.files.run(move || watched.look()).await;
        }
        self.watched.known()
    }

    async fn login(&self, login: &Login, peer: IpAddr) -> Result<Principal, Refusal> {
        let known = self.users().await;
        let user = known.users.get(login.name());
        let hash = match user {
            Some(user) => &user.hash,
            None => &known.nobodys_hash(login.name()),
        };
        let key = known.key(login, hash);
        if let Some(user) = user
            && known.recent.contains(&key, self.clock.monotonic())
        {
            return Ok(Principal::User(user.name.clone()));
        }
        let is_right = self
            .hashing
            .check(key, hash, login.password(), peer)
            .await?;
        match user {
            Some(user) if is_right => {
                known.recent.insert(key, self.clock.monotonic());
                Ok(Principal::User(user.name.clone()))
            }
            _ => Err(Refusal::Unknown),
        }
    }
}

#[async_trait]
impl Authenticator for Htpasswd {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        match credentials {
            Credentials::Basic(login) => self.login(login, peer).await,
            Credentials::None | Credentials::Other => Err(Refusal::Unknown),
        }
    }

    fn challenge(&self, _accesses: &[Access]) -> Challenge {
        Challenge::basic(&self.realm)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One version of the file.
struct Snapshot {
    users: Users,
    /// The cost of each user's hash.
    costs: Vec<u32>,
    /// Keys the MACs of this process.
    secret: Secret<[u8; 32]>,
    recent: Recent,
}

impl Snapshot {
    fn new(users: Users, secret: [u8; 32]) -> Self {
        let mut costs: Vec<_> = users.values().map(|user| user.hash.cost()).collect();
        // In an order that is the same for every version with the same costs.
        costs.sort_unstable();
        Self {
            users,
            costs,
            secret: Secret::new(secret),
            recent: Recent::default(),
        }
    }

    /// Returns the hash for a name that is not in the file.
    fn nobodys_hash(&self, name: &[u8]) -> Hash {
        let random = self.mac(&[b"nobody", name]);
        let (chosen, _) = random.split_at(8);
        let chosen = chosen
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let cost = match self.costs.len() {
            0 => USUAL_COST,
            count => self.costs[chosen % count],
        };
        Hash::unmatched(cost, &random)
    }

    /// Returns what stands for a login and the hash that it is held against.
    fn key(&self, login: &Login, hash: &Hash) -> Key {
        let [salt, digest] = hash.identity();
        self.mac(&[
            b"login",
            login.name(),
            login.password().expose(),
            salt,
            digest,
        ])
    }

    fn mac(&self, parts: &[&[u8]]) -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose())
            .expect("an HMAC takes a key of any length");
        for part in parts {
            // With its length, so that no two lists of parts are the same bytes.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users, {:?}", self.users.len(), self.recent)
    }
}

/// The file, and what counts of it.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    secret: Secret<[u8; 32]>,
    clock: Arc<dyn Clock>,
    known: RwLock<Arc<Snapshot>>,
    seen: Mutex<Seen>,
}

/// What was seen of the file.
#[derive(Debug, Default)]
struct Seen {
    /// The version that counts; none, if it may have changed since without its times telling.
    version: Option<Version>,
    /// Its bytes, as a digest.
    digest: [u8; 32],
    /// What the log was last told of, and when.
    told: Option<(String, Duration)>,
}

impl Watched {
    fn open(path: PathBuf, secret: [u8; 32], clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (bytes, version) = file::read(&path)?;
        let users = file::parse(&path, &bytes)?;
        let settled = version.is_settled(clock.now());
        let seen = Seen {
            version: settled.then_some(version),
            digest: Sha256::digest(&bytes).into(),
            told: None,
        };
        tell(&path, &users);
        Ok(Self {
            path,
            known: RwLock::new(Arc::new(Snapshot::new(users, secret))),
            secret: Secret::new(secret),
            clock,
            seen: Mutex::new(seen),
        })
    }

    fn known(&self) -> Arc<Snapshot> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// Looks at the file. The lock is held for the whole look, so that of two the later one counts.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.renew(&mut seen) {
            Ok(()) => seen.told = None,
            Err(error) => self.complain(&mut seen, &error),
        }
    }

    fn renew(&self, seen: &mut Seen) -> Result<(), Error> {
        if seen.version.is_some() && seen.version == Some(file::stat(&self.path)?) {
            return Ok(());
        }
        let (bytes, version) = file::read(&self.path)?;
        let digest = Sha256::digest(&bytes).into();
        if digest != seen.digest {
            let users = file::parse(&self.path, &bytes)?;
            tell(&self.path, &users);
            let known = Arc::new(Snapshot::new(users, *self.secret.expose()));
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
            seen.digest = digest;
        }
        seen.version = version.is_settled(self.clock.now()).then_some(version);
        Ok(())
    }

    fn complain(&self, seen: &mut Seen, error: &Error) {
        let now = self.clock.monotonic();
        let text = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        // Whatever the file becomes, it is read anew.
        seen.version = None;
        if let Some((told, at)) = &seen.told
            && *told == text
            && now.saturating_sub(*at) < TELL_INTERVAL
        {
            return;
        }
        tracing::error!(
            error = text,
            "the changed htpasswd file cannot be used; the users stay as they were"
        );
        seen.told = Some((text, now));
    }
}

fn tell(path: &Path, users: &Users) {
    let (path, users) = (path.display(), users.len());
    if users == 0 {
        tracing::warn!(%path, "the htpasswd file has no users: nobody can log in");
    } else {
        tracing::info!(%path, users, "read the htpasswd file");
    }
}

#[cfg(test)]
mod tests;
