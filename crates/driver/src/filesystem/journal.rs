//! A redo journal, so that many small writes share one sync.
//!
//! A small image makes some eight files and ten directories, and syncing each by itself is what
//! makes pushing small images slow. So what a durable write is going to do is appended to one file
//! first, with one `fdatasync` for all who wait at that moment. Then it is done in the tree, without
//! any sync, and then it is answered. When a segment of the journal is full, or some
//! seconds old, the tree is synced as a whole, in the background, and the segment is removed.
//!
//! ```text
//! DIRECTORY/PROCESS.SEQUENCE           a segment, locked by the process that writes it
//! DIRECTORY/PROCESS.SEQUENCE.suspect   one that the next start goes through in any case
//! ```
//!
//! Each process has its own segments. Whoever starts finds those that nobody holds any more
//! ([`replay`]): when only their writer died, everything that was answered is in the tree and has
//! but to be synced; when the machine did, what is missing or torn is done again. Who lives looks
//! after those that die beside it ([`others`]).
//!
//! When the tree cannot be synced, nothing more is promised, and segments stay as *suspect*
//! ([`suspects`]): what they promise may be missing even while the machine runs.
//!
//! Writes to one path take effect in the order of their calls; callers do not race for a path.

mod dead;
mod format;
mod others;
mod repair;
mod replay;
mod retire;
mod segment;
mod stats;
mod suspects;
#[cfg(test)]
mod tests;
mod unwanted;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use wharfinger_runtime::Runtime;

use crate::{DriverPath, Error, ErrorKind, Result};

use super::sync::FileSystems;
use super::tree::{Tree, errno_at};
use super::{Inner, NAME};

use format::Entry;
pub(super) use format::Operation;
pub(super) use others::look_after_others;
pub(super) use replay::settle_the_dead;
use segment::Segment;
pub use stats::JournalStats;
use stats::Work;
pub(super) use suspects::Suspects;

/// 16 MiB: some thousand small images, and a moment to replay.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// 5 s after its first promise a segment ends: until it is removed, a power cut has its promises
/// done again, also where another node has deleted since what they put.
const LONGEST_LIFE: Duration = Duration::from_secs(5);

/// 4 full segments may wait for the tree to be synced; then writers wait, too.
const MOST_FULL: usize = 4;

/// The journal of one process.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tree: Arc<Tree>,
    runtime: Runtime,
    directory: DriverPath,
    /// Tells the segments of this process from those of others.
    name: String,
    /// How long to wait for others before a write.
    gather: Duration,
    /// What the retiring of segments syncs, and nobody else.
    file_systems: Mutex<FileSystems>,
    /// Gone with the driver, whose end frees the locks in there.
    suspects: Weak<Suspects>,
    state: Mutex<State>,
    changed: Condvar,
    work: Work,
}

#[derive(Debug, Default)]
struct State {
    segment: Option<Segment>,
    /// Entries that wait to be written.
    pending: Vec<u8>,
    /// Promises to take back with the next write.
    taken_back: Vec<u64>,
    /// When the first promise of the segment was asked for, on the monotonic clock.
    first_asked: Option<Duration>,
    /// Whether a sync of the tree has failed, so that none after it proves anything. Then every
    /// segment stays, and nothing more is promised.
    suspect: bool,
    /// Whether that is done: nothing is left that could become suspect.
    wound_up: bool,
    /// The number of the last promise that was asked for.
    asked: u64,
    /// The number of the last promise that was written and synced, or failed.
    settled: u64,
    /// Promises that failed and whose askers have not noticed yet.
    failed: BTreeMap<u64, Arc<Error>>,
    /// Whether somebody is writing and syncing for all.
    leading: bool,
    /// Promises since the last segment was full that are not done in the tree yet.
    undone: Arc<Undone>,
    /// Full segments, and what has to be done before the tree is synced for each.
    full: VecDeque<(Segment, Arc<Undone>)>,
    /// Whether a thread works them off.
    retiring: bool,
    /// How many segments this process has begun.
    segments: u64,
}

impl State {
    /// Whether there is something to work off, and nobody does.
    fn waits_for_retiring(&self) -> bool {
        let winds_up = self.suspect && !self.wound_up;
        !self.retiring && (winds_up || !self.full.is_empty())
    }
}

/// Counts promises that still have to be done in the tree.
///
/// A promise that is asked for while a segment is written counts for that segment, and may go into
/// the next. That is all right because segments are retired in their order: before the tree is
/// synced for the next one, everything has been done that counts for those before it.
#[derive(Debug, Default)]
struct Undone {
    count: Mutex<u64>,
    none: Condvar,
}

impl Undone {
    fn add(&self) {
        *lock(&self.count) += 1;
    }

    fn subtract(&self) {
        let mut count = lock(&self.count);
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    fn wait_for_none(&self) {
        let mut count = lock(&self.count);
        while *count > 0 {
            count = self
                .none
                .wait(count)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A durable promise to do something in the tree. Its holder does it now and says so; dropped
/// without, it is taken back.
#[derive(Debug)]
#[must_use = "a promise that is dropped is taken back"]
pub(super) struct Promise<'a> {
    shared: &'a Shared,
    number: u64,
    undone: Arc<Undone>,
    kept: bool,
}

impl Promise<'_> {
    /// Says that it was done.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // It could not be done, and its asker is told so. Without this note a replay would do
            // it some day. Nobody waits for the note; it goes with the next promise.
            lock(&self.shared.state).taken_back.push(self.number);
        }
        self.undone.subtract();
    }
}

impl Journal {
    /// Begins a journal in `directory`.
    pub(super) fn open(
        inner: &Inner,
        directory: DriverPath,
        gather: Duration,
        suspects: &Arc<Suspects>,
    ) -> Result<Self> {
        let file_systems =
            FileSystems::open(&inner.tree).map_err(|errno| errno_at(&directory, errno))?;
        let shared = Arc::new(Shared {
            tree: Arc::clone(&inner.tree),
            runtime: inner.runtime.clone(),
            directory,
            name: inner.process.clone(),
            gather,
            file_systems: Mutex::new(file_systems),
            suspects: Arc::downgrade(suspects),
            state: Mutex::default(),
            changed: Condvar::new(),
            work: Work::default(),
        });
        retire_when_old(&shared)?;
        Ok(Self { shared })
    }

    /// Syncs the tree and removes what is left of the journal: afterwards others may do with the
    /// tree what they like, and no replay undoes it.
    pub(super) fn close(&self) {
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        while state.leading {
            state = wait(&shared.changed, state);
        }
        shared.end_segment(&mut state);
        state = shared.retire_here_if_nobody_does(state);
        while state.retiring {
            state = wait(&shared.changed, state);
        }
    }

    #[cfg(test)]
    fn is_suspect(&self) -> bool {
        lock(&self.shared.state).suspect
    }

    /// Promises `operations`: when this returns they are durable, and the caller does them in the
    /// tree. `path` is what the caller's call is about. `None` when the journal takes nothing any
    /// more, or nothing so long: what the caller does has to be synced by itself.
    pub(super) fn promise(
        &self,
        path: &DriverPath,
        operations: Vec<Operation<'_>>,
    ) -> Result<Option<Promise<'_>>> {
        if format::promise_bytes(&operations) > format::LONGEST_ENTRY {
            // Its reader would take it for damage.
            return Ok(None);
        }
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        while !state.suspect && state.full.len() >= MOST_FULL {
            state = wait(&shared.changed, state);
        }
        if state.suspect {
            return Ok(None);
        }
        state.asked += 1;
        let now = shared.runtime.clock.monotonic();
        state.first_asked.get_or_insert(now);
        let number = state.asked;
        Entry::Promise {
            number,
            // Not before: what somebody writes while this one waits is older than the promise.
            written: shared.runtime.clock.now(),
            operations,
        }
        .append_to(&mut state.pending);
        let undone = Arc::clone(&state.undone);
        undone.add();
        // From here on, leaving takes the count back.
        let promise = Promise {
            shared,
            number,
            undone,
            kept: false,
        };
        while state.settled < number {
            state = if state.leading {
                wait(&shared.changed, state)
            } else {
                shared.lead(state)
            };
        }
        let failed = state.failed.remove(&number);
        drop(state);
        let Some(error) = failed else {
            return Ok(Some(promise));
        };
        // It was cut off its segment again, so there is nothing to take back.
        promise.keep();
        let kind = match error.kind() {
            kind @ (ErrorKind::Full | ErrorKind::Unsynced | ErrorKind::Refused) => kind,
            // It is about the journal: of its own path the caller must not believe it.
            _ => ErrorKind::Unavailable,
        };
        Err(Error::with_source(kind, NAME, path, error))
    }
}

impl Shared {
    /// Writes and syncs everything that waits, for all who do.
    fn lead<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.leading = true;
        if !self.gather.is_zero() {
            drop(state);
            std::thread::sleep(self.gather);
            state = lock(&self.state);
        }
        let mut bytes = std::mem::take(&mut state.pending);
        let taken_back = std::mem::take(&mut state.taken_back);
        for number in &taken_back {
            Entry::TakenBack { number: *number }.append_to(&mut bytes);
        }
        let (settled, asked) = (state.settled, state.asked);
        let segment = state.segment.take();
        let sequence = state.segments;
        drop(state);

        let began = segment.is_none();
        let asked_at = self.runtime.clock.monotonic();
        let (segment, outcome) = self.write(segment, sequence, &bytes);
        let took = self.runtime.clock.monotonic().saturating_sub(asked_at);
        self.work.wrote(bytes.len(), took);

        let mut state = lock(&self.state);
        state.leading = false;
        state.settled = asked;
        state.segments += u64::from(began);
        let failed = outcome.is_err();
        if let Err(error) = outcome {
            let error = Arc::new(error);
            let askers = settled + 1..=asked;
            state.taken_back.extend(taken_back);
            state
                .failed
                .extend(askers.map(|number| (number, Arc::clone(&error))));
        }
        if let Some(segment) = segment {
            let full = segment.bytes() >= SEGMENT_BYTES || self.is_old(&state);
            let ended = failed || state.suspect || full;
            state.segment = Some(segment);
            if ended {
                // After a failure nothing more goes into it; once the tree is synced it is not
                // needed, and a full disk gets its space back.
                self.end_segment(&mut state);
            }
        }
        self.changed.notify_all();
        state
    }

    fn write(
        &self,
        segment: Option<Segment>,
        sequence: u64,
        bytes: &[u8],
    ) -> (Option<Segment>, Result<()>) {
        let segment = segment.map_or_else(|| self.begin_segment(sequence), Ok);
        match segment {
            Ok(mut segment) => {
                let appended = segment.append(bytes);
                (Some(segment), appended)
            }
            Err(error) => (None, Err(error)),
        }
    }

    fn begin_segment(&self, sequence: u64) -> Result<Segment> {
        let name = format!("{}.{sequence:08}", self.name);
        let path = self
            .directory
            .join(&name)
            .expect("hexadecimal digits make a component");
        Segment::create(&self.tree, &path, &format::header(&self.runtime.host))
    }

    fn is_old(&self, state: &State) -> bool {
        let now = self.runtime.clock.monotonic();
        let first = state.first_asked;
        first.is_some_and(|first| now.saturating_sub(first) >= LONGEST_LIFE)
    }

    /// Lets nothing more go into the current segment, and has it worked off by a thread of its own
    /// after those before it.
    fn end_segment(self: &Arc<Self>, state: &mut State) {
        if let Some(segment) = state.segment.take() {
            let undone = std::mem::take(&mut state.undone);
            let waits = !state.pending.is_empty();
            state.first_asked = waits.then(|| self.runtime.clock.monotonic());
            state.full.push_back((segment, undone));
        }
        if !state.waits_for_retiring() {
            return;
        }
        let shared = Arc::clone(self);
        let retiring = std::thread::Builder::new().name("journal".to_owned());
        match retiring.spawn(move || shared.retire_all()) {
            Ok(_) => state.retiring = true,
            // The clock's thread does it.
            Err(error) => tracing::error!(%error, "cannot start a thread to retire the journal"),
        }
    }

    /// Works off what has ended when no thread could be started for it.
    fn retire_here_if_nobody_does<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        if !state.waits_for_retiring() {
            return state;
        }
        state.retiring = true;
        drop(state);
        self.retire_all();
        lock(&self.state)
    }
}

/// Ends a segment in time that nothing is added to any more, and works off what nobody else does.
fn retire_when_old(shared: &Arc<Shared>) -> Result<()> {
    let (weak, directory) = (Arc::downgrade(shared), shared.directory.clone());
    let clock = std::thread::Builder::new()
        .name("journal clock".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(LONGEST_LIFE / 5);
                let Some(shared) = weak.upgrade() else { return };
                let mut state = lock(&shared.state);
                // Whoever leads looks by itself when it is done.
                if !state.leading && shared.is_old(&state) {
                    shared.end_segment(&mut state);
                }
                drop(shared.retire_here_if_nobody_does(state));
            }
        });
    clock
        .map(drop)
        .map_err(|error| Error::from_io(NAME, &directory, error))
}

/// Locks, also when somebody panicked: what is behind these locks is whole between any two lines.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
