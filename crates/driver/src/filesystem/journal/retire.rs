//! What becomes of the segments of this process: they are removed once the tree is synced, or stay
//! when that fails.

use std::sync::Arc;

use crate::Result;

use super::super::sync::unsynced;
use super::format::Entry;
use super::segment::Segment;
use super::{Shared, lock, wait};

impl Shared {
    /// Works off the segments that have ended, in their order.
    pub(super) fn retire_all(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        loop {
            if let Some((segment, undone)) = state.full.pop_front() {
                let suspect = state.suspect;
                drop(state);
                undone.wait_for_none();
                if suspect {
                    self.leave(segment);
                } else {
                    self.retire(segment);
                }
                state = lock(&self.state);
                self.changed.notify_all();
            } else if state.suspect && state.settled < state.asked {
                // They were asked for before, and may make one more segment.
                state = wait(&self.changed, state);
            } else {
                break;
            }
        }
        if state.suspect && !state.wound_up {
            state.wound_up = true;
            self.suspects
                .upgrade()
                .inspect(|suspects| suspects.knows_all());
        }
        state.retiring = false;
        self.changed.notify_all();
    }

    fn retire(self: &Arc<Self>, segment: Segment) {
        let synced = lock(&self.file_systems).sync();
        match synced {
            Ok(()) => {
                if let Err(error) = segment.remove() {
                    // Others would stay as well, each with its descriptor and what it promises.
                    tell(Err(error));
                    self.distrust();
                    self.leave(segment);
                }
            }
            Err(errno) => {
                tell(Err(unsynced(&self.directory, errno)));
                self.distrust();
                self.leave(segment);
            }
        }
    }

    /// Leaves a segment to the next process. What it promises and is deleted from now on is noted.
    fn leave(&self, mut segment: Segment) {
        let mut taken_back = Vec::new();
        for number in std::mem::take(&mut lock(&self.state).taken_back) {
            Entry::TakenBack { number }.append_to(&mut taken_back);
        }
        if !taken_back.is_empty() {
            // Without these notes the next process may do what was answered with an error.
            tell(segment.append(&taken_back));
        }
        let promised = segment.read_back();
        let (file, called) = segment.leave();
        tell(called);
        let Some(suspects) = self.suspects.upgrade() else {
            return;
        };
        match promised {
            Ok(bytes) => drop(suspects.keep([&bytes[..]])),
            Err(error) => {
                suspects.note_all();
                tell(Err(error));
            }
        }
        suspects.hold(file);
    }

    /// Ends the journal: no sync proves anything any more, or segments cannot be removed. So every
    /// segment stays, and each write is synced by itself.
    pub(super) fn distrust(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.suspect {
            return;
        }
        tracing::error!(
            "the journal is suspect: until the next start each write is synced by itself"
        );
        state.suspect = true;
        self.suspects
            .upgrade()
            .inspect(|suspects| suspects.note_all());
        self.end_segment(&mut state);
        self.changed.notify_all();
    }
}

fn tell(outcome: Result<()>) {
    if let Err(error) = outcome {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "a segment of the journal is not as it should be");
    }
}
