//! Writing a whole blob: however often somebody was cut off before, and whoever else is at it.

mod source;

pub use self::source::{BlobSource, Forward, ReadAt, ReadingAt, Seeking};

use std::time::Duration;

use tokio::sync::watch;
use wharfinger_oci::Digest;
use wharfinger_runtime::{Clock, Entropy, Runtime};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, ContentStore, ContentWriter, Labels, Open, Status};

/// 16 ms: the first pause is shorter than it takes most to let go of a ref.
const SHORTEST_PAUSE: Duration = Duration::from_millis(16);

/// 2 s: whoever waits longer than a minute wants to hear of it within that.
const LONGEST_PAUSE: Duration = Duration::from_millis(2048);

/// What to write, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobWrite {
    /// The ref to write under.
    pub reference: String,
    /// How many bytes there are; 0 when nobody knows.
    pub total_bytes: u64,
    /// What they are. Without it, whatever the source gives.
    pub expected: Option<Digest>,
    /// What to note about the blob.
    pub labels: Labels,
    /// Whether to forget what somebody has written before.
    pub truncate: bool,
}

impl BlobWrite {
    /// A write under `reference` that goes on where it was left.
    #[must_use]
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            total_bytes: 0,
            expected: None,
            labels: Labels::new(),
            truncate: false,
        }
    }
}

/// Writes the blob that `source` gives, and returns its digest; `None` where nobody has said what that
/// is, and the blob was there.
///
/// A blob that is there already is a success. While somebody else writes under the ref, this waits,
/// with pauses that grow, until they are done or the caller gives up. What was written before is gone
/// on with. `progress` is told where the write stands; others may ask the store.
///
/// # Errors
/// `SourceFailed` when the source fails or ends early, and what was written is kept. Otherwise as the
/// store fails: bytes that are not what was announced are kept, too, unless they were gone on with and
/// the source can begin anew; then it does, once.
///
/// # Cancellation
/// Dropping the future gives up. What was written so far is kept as far as it was saved.
pub async fn write_blob(
    store: &dyn ContentStore,
    write: &BlobWrite,
    source: &mut dyn BlobSource,
    runtime: &Runtime,
    progress: Option<&watch::Sender<Option<Status>>>,
) -> Result<Option<Digest>> {
    let mut truncate = write.truncate;
    loop {
        let Some(writer) = open(store, write, runtime).await? else {
            return Ok(write.expected);
        };
        let copying = Copying {
            write,
            progress,
            truncate,
        };
        match copying.run(writer, source).await? {
            Outcome::Written(digest) => return Ok(Some(digest)),
            Outcome::Exists => return Ok(write.expected),
            Outcome::Wrong { error, resumed } => {
                // What somebody has left may be of other bytes, and would be wrong for ever.
                if !resumed || truncate || !source.seek(0).await.is_ok_and(|done| done) {
                    return Err(error);
                }
                truncate = true;
            }
        }
    }
}

/// Opens the ref, however long that takes; `None` when the blob is there.
async fn open(
    store: &dyn ContentStore,
    write: &BlobWrite,
    runtime: &Runtime,
) -> Result<Option<Box<dyn ContentWriter>>> {
    let mut longest = SHORTEST_PAUSE;
    loop {
        let open = Open {
            reference: write.reference.clone(),
            total_bytes: write.total_bytes,
            expected: write.expected,
        };
        match store.open(open).await {
            Ok(writer) => return Ok(Some(writer)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::debug!(reference = %write.reference, %error, "waiting for a ref");
            }
            Err(error) => return Err(error),
        }
        pause(&*runtime.clock, &*runtime.entropy, longest).await;
        longest = (longest * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for any time up to `longest`: those who wait for one ref do not come back together.
async fn pause(clock: &dyn Clock, entropy: &dyn Entropy, longest: Duration) {
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    clock.sleep(longest.mul_f64(share)).await;
}

/// How one attempt has ended.
enum Outcome {
    Written(Digest),
    Exists,
    /// The bytes are not what was announced; some of them may be those of an earlier attempt.
    Wrong {
        error: Error,
        resumed: bool,
    },
}

struct Copying<'a> {
    write: &'a BlobWrite,
    progress: Option<&'a watch::Sender<Option<Status>>>,
    truncate: bool,
}

impl Copying<'_> {
    fn tell(&self, writer: &dyn ContentWriter) {
        if let Some(progress) = self.progress {
            progress.send_replace(Some(writer.status()));
        }
    }

    async fn run(
        self,
        mut writer: Box<dyn ContentWriter>,
        source: &mut dyn BlobSource,
    ) -> Result<Outcome> {
        let total = self.write.total_bytes;
        let resumed_at = match self.copy(&mut *writer, source).await {
            Ok(at) => at,
            Err(error) => {
                let reference = &self.write.reference;
                if let Err(error) = writer.close().await {
                    tracing::warn!(%reference, %error, "could not save a write that was cut short");
                }
                return Err(error);
            }
        };
        let commit = Commit {
            total_bytes: total,
            expected: self.write.expected,
            labels: self.write.labels.clone(),
        };
        match writer.commit(commit).await {
            Ok(digest) => Ok(Outcome::Written(digest)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Outcome::Exists),
            Err(error) if error.kind() == ErrorKind::FailedPrecondition => Ok(Outcome::Wrong {
                error,
                resumed: resumed_at > 0,
            }),
            Err(error) => Err(error),
        }
    }

    /// Writes all that the source has beyond where the ingest stands, and returns where that was.
    async fn copy(
        &self,
        writer: &mut dyn ContentWriter,
        source: &mut dyn BlobSource,
    ) -> Result<u64> {
        let total = self.write.total_bytes;
        let stands = writer.status().offset;
        if stands > 0 && (self.truncate || (total > 0 && stands > total)) {
            writer.truncate().await?;
        }
        let begin = writer.status().offset;
        self.tell(writer);
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::SourceFailed,
                format!("the source failed: {error}"),
            )
        };
        if total == 0 || begin < total {
            skip_to(source, begin).await?;
            while let Some(piece) = source.next().await.map_err(failed)? {
                writer.write(piece).await?;
                self.tell(writer);
            }
        }
        let offset = writer.status().offset;
        if offset < total {
            let message = format!("the source ended at {offset} of {total} bytes");
            return Err(Error::new(ErrorKind::SourceFailed, message));
        }
        Ok(begin)
    }
}

/// Goes to `offset` of the source: directly, or by reading what lies ahead of it.
async fn skip_to(source: &mut dyn BlobSource, offset: u64) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(
            ErrorKind::SourceFailed,
            format!("the source failed: {error}"),
        )
    };
    if offset == 0 || source.seek(offset).await.map_err(failed)? {
        return Ok(());
    }
    let mut left = offset;
    while left > 0 {
        let Some(mut piece) = source.next().await.map_err(failed)? else {
            let message = format!("the source ends {left} bytes ahead of {offset}");
            return Err(Error::new(ErrorKind::SourceFailed, message));
        };
        let skipped = left.min(piece.len() as u64);
        let rest = piece.split_off(usize::try_from(skipped).unwrap_or(usize::MAX));
        left -= skipped;
        if !rest.is_empty() {
            source.give_back(rest);
        }
    }
    Ok(())
}
