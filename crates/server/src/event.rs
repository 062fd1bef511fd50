//! The one point that everything passes that happens to content.
//!
//! An event is told after what it tells of is committed; for a pull, when the answer begins.

mod counters;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use wharfinger_auth::Principal;
use wharfinger_oci::{Digest, Manifest, RepositoryName, Tag};

pub use self::counters::EventCounters;
use crate::request::RequestInfo;

/// Something happened to content.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub action: EventAction,
    /// To what.
    pub target: Target<'a>,
    /// In which repository.
    pub repository: &'a RepositoryName,
    /// By which request.
    pub request: &'a RequestInfo,
    /// At whose wish.
    pub actor: &'a Principal,
    /// When.
    pub at: SystemTime,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventAction {
    /// It was stored.
    Push,
    /// It was read, or asked for: the request's method tells.
    Pull,
    /// It was linked from another repository.
    Mount,
    /// It was removed.
    Delete,
}

/// What it happened to.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Target<'a> {
    /// A blob.
    Blob {
        /// Its digest.
        digest: Digest,
        /// Its size, which is not known of one that was removed.
        size_bytes: Option<u64>,
        /// The repository that it was mounted from.
        from: Option<&'a RepositoryName>,
    },
    /// A manifest.
    Manifest {
        /// Its digest.
        digest: Digest,
        /// The tag by which it was named.
        tag: Option<&'a Tag>,
        /// The manifest, which is not known of one that was removed.
        manifest: Option<&'a Manifest>,
    },
    /// A tag.
    Tag {
        /// The tag.
        tag: &'a Tag,
        /// What it pointed to.
        digest: Digest,
    },
}

impl Target<'_> {
    /// Returns the digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Blob { digest, .. }
            | Self::Manifest { digest, .. }
            | Self::Tag { digest, .. } => *digest,
        }
    }

    /// Returns the size, where it is known.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::Blob { size_bytes, .. } => *size_bytes,
            Self::Manifest { manifest, .. } => manifest.map(|it| it.bytes().len() as u64),
            Self::Tag { .. } => None,
        }
    }

    /// Returns the media type, where it is known.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Blob { size_bytes, .. } => {
                size_bytes.map(|_| wharfinger_oci::media::OCTET_STREAM)
            }
            Self::Manifest { manifest, .. } => manifest.map(Manifest::media_type),
            Self::Tag { .. } => None,
        }
    }

    /// Returns the tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Blob { .. } => None,
            Self::Manifest { tag, .. } => *tag,
            Self::Tag { tag, .. } => Some(tag),
        }
    }
}

/// Somebody who wants to hear of events.
///
/// # Contract
/// `accept` neither blocks nor fails: the request waits for it. A sink that does more than count
/// takes what it needs and returns.
pub trait EventSink: Debug + Send + Sync + 'static {
    /// Hears of an event.
    fn accept(&self, event: &Event<'_>);
}

/// Everybody who wants to hear of events.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    sinks: Arc<[Arc<dyn EventSink>]>,
}

impl Events {
    /// Tells `sinks`, in this order.
    pub(crate) fn new(sinks: Vec<Arc<dyn EventSink>>) -> Self {
        Self {
            sinks: sinks.into(),
        }
    }

    /// Tells of an event.
    pub(crate) fn emit(&self, event: &Event<'_>) {
        for sink in &*self.sinks {
            sink.accept(event);
        }
    }
}
