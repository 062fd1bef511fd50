//! The body of a request, as a stream of pieces.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::header::EXPECT;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharfinger_runtime::Clock;

use crate::app::App;
use crate::config::Limits;
use crate::quotas::{NoRoom, Place, Room};
use crate::request::RequestInfo;

/// 64 KiB: most of a refused body that is read only to keep the connection. A client that has more
/// to send loses the connection, which costs less than the bytes.
const MAX_DRAINED_BYTES: usize = 64 * 1024;

/// 32 KiB: what costs less to copy than to leave in the buffer that it came in.
const MIN_SHARED_BYTES: usize = 32 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    app: Arc<App>,
    /// The client waits to be asked for the body, and was not yet.
    withheld: bool,
    end: BodyEnd,
    pace: Pace,
    client: Option<IpAddr>,
    /// Taken until everything that the body is for has ended, also without the client.
    place: Option<Place>,
}

/// Tells how a body has ended, also after the body itself is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyEnd(Arc<EndFlags>);

#[derive(Debug, Default)]
struct EndFlags {
    reached: AtomicBool,
    gone: AtomicBool,
    /// How much has come so far.
    received_bytes: AtomicU64,
}

impl BodyEnd {
    /// Tells whether nothing is left to read.
    pub(crate) fn reached(&self) -> bool {
        self.0.reached.load(Ordering::Acquire)
    }

    /// Tells whether the client left within the body, and so waits for no answer.
    pub(crate) fn client_gone(&self) -> bool {
        self.0.gone.load(Ordering::Acquire)
    }

    /// Returns how much of the body was read.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.0.received_bytes.load(Ordering::Relaxed)
    }

    fn reach(&self) {
        self.0.reached.store(true, Ordering::Release);
    }

    fn note(&self, error: &hyper::Error) {
        let io = std::error::Error::source(error).and_then(|source| source.downcast_ref());
        let kind = io.map(io::Error::kind);
        // Chunks that are none come from somebody who is there.
        if !matches!(
            kind,
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        ) {
            self.0.gone.store(true, Ordering::Release);
        }
    }
}

/// A body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    /// The connection is gone.
    #[error("the connection ended within the body")]
    Connection(#[source] hyper::Error),
    /// Nothing came for too long.
    #[error("nothing of the body came for {0:?}")]
    Idle(Duration),
    /// It came, but by drops.
    #[error("the body came at less than {0} bytes a second")]
    Slow(u64),
    /// It holds memory, and took too long for that.
    #[error("the body has not come within {0:?}")]
    Late(Duration),
}

/// Why a body was not taken whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// It ended too early.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// There is more than is taken.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLong {
        /// How much is taken.
        limit_bytes: usize,
    },
    /// All bodies together have more than is held in memory.
    #[error("too many bodies are held in memory")]
    NoMemory,
    /// The bodies of this client have more than its share.
    #[error("too many bodies of one client are held in memory")]
    NoShare,
}

impl From<NoRoom> for CollectError {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::All => Self::NoMemory,
            NoRoom::Client => Self::NoShare,
        }
    }
}

/// A whole body. While it is there, its bytes count among those that are held in memory.
#[derive(Debug)]
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    pub(crate) memory: Room,
    /// Taken while what the body is for goes on.
    pub(crate) place: Option<Place>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, request: &RequestInfo, app: Arc<App>) -> Self {
        let end = BodyEnd::default();
        if incoming.is_end_stream() {
            end.reach();
        }
        let withheld = !end.reached() && request.headers().contains_key(EXPECT);
        Self {
            incoming,
            app,
            withheld,
            end,
            pace: Pace::default(),
            client: request.peer().client(),
            place: None,
        }
    }

    /// Keeps a place for as long as somebody has the body.
    pub(crate) fn hold(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Returns what goes on telling how the body has ended.
    pub(crate) fn end(&self) -> BodyEnd {
        self.end.clone()
    }

    /// Returns the clock that the body is held against.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.app.runtime.clock)
    }

    /// Returns the next piece, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// Fails if the body is cut, and must not be called again then.
    ///
    /// # Cancellation
    /// No piece is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        self.withheld = false;
        while let Some(frame) = self.frame().await? {
            // Anything but data is a trailer, which nobody asked for.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.pace.received_bytes += data.len() as u64;
                let received = &self.end.0.received_bytes;
                received.store(self.pace.received_bytes, Ordering::Relaxed);
                return Ok(Some(unpinned(data)));
            }
        }
        self.end.reach();
        Ok(None)
    }

    async fn frame(&mut self) -> Result<Option<Frame<Bytes>>, Cut> {
        // Mostly the next piece is there already, and needs no timer.
        let frame = match self.incoming.frame().now_or_never() {
            Some(frame) => frame,
            None => self.wait().await?,
        };
        frame
            .transpose()
            .inspect_err(|error| self.end.note(error))
            .map_err(Cut::Connection)
    }

    async fn wait(&mut self) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Cut> {
        let (clock, limits) = (&self.app.runtime.clock, &self.app.limits);
        let (patience, cut) = self.pace.patience(limits);
        let from = clock.monotonic();
        match select(self.incoming.frame(), clock.sleep(patience)).await {
            Either::Left((frame, _)) => {
                self.pace.waited += clock.monotonic().saturating_sub(from);
                Ok(frame)
            }
            Either::Right(((), _)) => Err(cut),
        }
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// Fails if the body is cut, has more than `limit_bytes`, or finds no room beside all others;
    /// then no more than a piece beyond what there is room for was read.
    pub(crate) async fn collect(&mut self, limit_bytes: usize) -> Result<WholeBody, CollectError> {
        self.pace.most = Some(self.app.limits.whole_body_timeout);
        let mut memory = self.app.quotas.room(self.client, 0)?;
        let mut all = Pieces::default();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > limit_bytes {
                return Err(CollectError::TooLong { limit_bytes });
            }
            memory.grow(piece.len())?;
            all.push(piece);
        }
        Ok(WholeBody {
            bytes: all.join(),
            memory,
            place: self.place.take(),
        })
    }

    /// Passes a result on; of a refusal once a short rest of the body was read.
    pub(crate) async fn drained_if_refused<T, E>(&mut self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.drain().await;
        }
        result
    }

    /// Reads the rest if it is short and comes soon, so that the connection can be kept after a
    /// refusal.
    pub(crate) async fn drain(&mut self) {
        let longer = self.incoming.size_hint().lower() > MAX_DRAINED_BYTES as u64;
        if self.end.reached() || self.withheld || longer {
            return;
        }
        let enough = self
            .app
            .runtime
            .clock
            .sleep(self.app.limits.refused_body_timeout);
        let rest = pin!(async {
            let mut left = MAX_DRAINED_BYTES;
            while let Ok(Some(piece)) = self.next().await {
                match left.checked_sub(piece.len()) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        });
        // What has not come by then costs the connection.
        select(rest, enough).await;
    }
}

/// Pieces that become one; a single one stays where it is.
#[derive(Debug, Default)]
struct Pieces {
    first: Bytes,
    more: BytesMut,
}

impl Pieces {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        self.more
            .extend_from_slice(&std::mem::take(&mut self.first));
        self.more.extend_from_slice(&piece);
    }

    fn join(self) -> Bytes {
        if self.more.is_empty() {
            self.first
        } else {
            self.more.freeze()
        }
    }
}

/// How a body has come so far.
#[derive(Debug, Default)]
struct Pace {
    received_bytes: u64,
    /// How long it was waited for. What the storage takes is not the client's time.
    waited: Duration,
    /// How long it may be waited for in all, whatever has come.
    most: Option<Duration>,
}

impl Pace {
    /// Returns how long the next piece may be waited for, and what is the matter if it has not come
    /// by then.
    fn patience(&self, limits: &Limits) -> (Duration, Cut) {
        let (patience, cut) = self.at_rate(limits);
        let left = self
            .most
            .map(|most| (most.saturating_sub(self.waited), most));
        match left {
            Some((left, most)) if left < patience => (left, Cut::Late(most)),
            _ => (patience, cut),
        }
    }

    fn at_rate(&self, limits: &Limits) -> (Duration, Cut) {
        let (idle, rate) = (limits.body_idle_timeout, limits.min_body_rate);
        let allowed = match self.received_bytes.checked_div(rate) {
            Some(seconds) => limits.body_grace.max(Duration::from_secs(seconds)),
            None => return (idle, Cut::Idle(idle)),
        };
        let left = allowed.saturating_sub(self.waited);
        if idle <= left {
            (idle, Cut::Idle(idle))
        } else {
            (left, Cut::Slow(rate))
        }
    }
}

/// Returns short pieces in memory of their own. As part of the connection's buffer they would hold
/// all of it for as long as they wait to be written, and a thousand slow uploads as many buffers.
fn unpinned(data: Bytes) -> Bytes {
    if data.len() < MIN_SHARED_BYTES {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// How long is waited, and whether it is the rate that ends it.
    fn patience(received_bytes: u64, waited: Duration) -> (Duration, bool) {
        let pace = Pace {
            received_bytes,
            waited,
            most: None,
        };
        let (patience, cut) = pace.patience(&Limits::default());
        (patience, matches!(cut, Cut::Slow(1024)))
    }

    #[test]
    fn a_body_has_to_come_at_a_rate_once_its_grace_is_over() {
        assert_eq!(patience(0, secs(0)), (secs(30), true));
        assert_eq!(patience(1, secs(29)), (secs(1), true));
        assert_eq!(patience(30 * 1024, secs(30)), (secs(0), true));
        assert_eq!(patience(100 * 1024, secs(30)), (secs(70), true));
        // Whoever was fast may rest for as long as anybody.
        assert_eq!(patience(1 << 30, secs(1000)), (secs(120), false));
        // Unless it holds memory.
        let held = Pace {
            received_bytes: 1 << 22,
            waited: secs(50),
            most: Some(secs(60)),
        };
        let (patience, cut) = held.patience(&Limits::default());
        assert_eq!(patience, secs(10));
        assert!(matches!(cut, Cut::Late(_)));
        let unlimited = Limits {
            min_body_rate: 0,
            ..Limits::default()
        };
        let (patience, _) = Pace::default().patience(&unlimited);
        assert_eq!(patience, secs(120));
    }
}
