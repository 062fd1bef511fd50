//! An ingest that behaves as a multipart upload to S3 does.
//!
//! Bytes gather in the handle until they make a part; a part that was written takes nothing more.
//! A checkpoint covers the parts. A close also keeps the rest, too short for a part in the middle,
//! as a tail beside the upload; whoever resumes begins its next part with it. The tail stays until
//! the next close, so that a state is good until a later one was given.
//!
//! The state is one line: the upload, the tail and its length, and the length of each part.
//!
//! ```text
//! 1 UPLOAD TAIL:LENGTH PART,PART,…
//! ```
//!
//! An object store cannot read the parts of an upload that is not complete. To read back, an
//! adapter completes the upload to a hidden key and begins another one with copies of its parts,
//! as Distribution does; here the parts are read as they are. Such an adapter also has to copy on
//! the commit of a staged upload, while one with a final target is complete by one call.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::future::{self, BoxFuture, FutureExt as _};

use crate::{Checkpoint, Commit, ErrorKind, Ingest, ReadRange, ReadStream, Result, Resume};

use super::content::{Content, length_of};
use super::error;
use super::handle::Handle;
use super::plain::staged_metadata;
use super::storage::{Held, Tail};

/// An ingest made of parts.
#[derive(Debug)]
pub(super) struct MultipartIngest {
    handle: Handle,
    part_bytes: usize,
    /// The lengths of the parts that were written.
    parts: Vec<usize>,
    /// What is not in a part yet; always shorter than one.
    rest: BytesMut,
    /// How many bytes were appended by calls that succeeded.
    offset: u64,
    /// What the handle was opened with. A checkpoint before the next part is no worse than this.
    resumed: Option<State>,
}

impl MultipartIngest {
    pub(super) fn new(handle: Handle, part_bytes: usize) -> Self {
        Self {
            handle,
            part_bytes: part_bytes.max(1),
            parts: Vec::new(),
            rest: BytesMut::new(),
            offset: 0,
            resumed: None,
        }
    }

    pub(super) fn resume(handle: Handle, resume: &Resume, part_bytes: usize) -> Result<Self> {
        let mut ingest = Self::new(handle, part_bytes);
        ingest.go_to(resume.at, resume.state.as_deref())?;
        Ok(ingest)
    }

    /// Goes on from where `state` tells of. Parts that were written since are no longer part of it,
    /// and stay until others take their place.
    fn go_to(&mut self, at: Option<u64>, state: Option<&[u8]>) -> Result<()> {
        let handle = &self.handle;
        let invalid = || error(ErrorKind::Invalid, &handle.path);
        let state = state.and_then(State::parse).ok_or_else(invalid)?;
        if state.upload != handle.id {
            return Err(error(ErrorKind::NotFound, &handle.path));
        }
        if at.is_some_and(|at| at != state.covered()) {
            return Err(invalid());
        }
        let rest = handle.storage.with(handle.id, &handle.path, |held| {
            state.find_in(held).ok_or_else(invalid)
        })?;
        self.parts.clone_from(&state.parts);
        self.rest = BytesMut::from(&rest[..]);
        self.offset = state.covered();
        self.resumed = Some(state);
        Ok(())
    }

    /// Writes the first `part_bytes` of what has gathered as a part.
    fn write_part(&mut self) -> Result<()> {
        let part = self.rest.split_to(self.part_bytes).freeze();
        let length = part.len();
        let (handle, before) = (&self.handle, self.parts.len());
        handle.storage.with(handle.id, &handle.path, |held| {
            held.parts.truncate(before);
            held.parts.push(part);
            Ok(())
        })?;
        self.parts.push(length);
        Ok(())
    }

    fn forget_parts_beyond_offset(&mut self) {
        let mut end = 0;
        let within = self.parts.iter().take_while(|&&length| {
            end += length as u64;
            end <= self.offset
        });
        let count = within.count();
        self.parts.truncate(count);
    }

    fn state(&self, tail: Option<&Tail>) -> State {
        State {
            upload: self.handle.id,
            tail: tail.map(|tail| (tail.id, tail.bytes.len())),
            parts: self.parts.clone(),
        }
    }

    fn append_now(&mut self, chunks: &[Bytes]) -> Result<()> {
        for chunk in chunks {
            let mut left = &chunk[..];
            while !left.is_empty() {
                let (taken, later) =
                    left.split_at(left.len().min(self.part_bytes - self.rest.len()));
                self.rest.extend_from_slice(taken);
                left = later;
                if self.rest.len() == self.part_bytes {
                    self.write_part()?;
                }
            }
        }
        // The ingest may have been deleted meanwhile, also when no part came to be written.
        self.handle
            .storage
            .with(self.handle.id, &self.handle.path, |_| Ok(()))
    }
}

#[async_trait]
impl Ingest for MultipartIngest {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn append(&mut self, chunks: Vec<Bytes>) -> Result<()> {
        self.handle.check_open()?;
        let appended = self.append_now(&chunks);
        self.handle.broken_by(appended)?;
        self.offset += length_of(&chunks);
        Ok(())
    }

    fn checkpoint(&mut self) -> BoxFuture<'static, Result<Checkpoint>> {
        let state = match &self.resumed {
            Some(resumed) if resumed.parts.len() == self.parts.len() => resumed.clone(),
            _ => self.state(None),
        };
        let checkpoint = state.into_checkpoint();
        future::ready(self.handle.check_open().map(|()| checkpoint)).boxed()
    }

    async fn rewind(&mut self, point: &Checkpoint) -> Result<()> {
        self.handle.check_there()?;
        if *point != Checkpoint::START {
            let gone = self.go_to(Some(point.offset), point.state.as_deref());
            return self.handle.mended_by(gone);
        }
        let renewed = self.handle.storage.renew(self.handle.id, &self.handle.path);
        self.handle.id = self.handle.mended_by(renewed)?;
        self.parts.clear();
        self.rest.clear();
        self.offset = 0;
        self.resumed = None;
        Ok(())
    }

    async fn read_back(&mut self, range: ReadRange) -> Result<ReadStream> {
        self.handle.check_readable()?;
        let handle = &self.handle;
        let count = self.parts.len();
        let mut pieces = handle.storage.with(handle.id, &handle.path, |held| {
            Ok(held.parts[..count].to_vec())
        })?;
        pieces.push(Bytes::copy_from_slice(&self.rest));
        let metadata = staged_metadata(length_of(&pieces));
        Content::new(pieces).read(&handle.path, metadata, range)
    }

    async fn commit(&mut self, commit: Commit) -> Result<()> {
        self.handle.check_open()?;
        let last = (!self.rest.is_empty()).then(|| Bytes::copy_from_slice(&self.rest));
        let (handle, count) = (&self.handle, self.parts.len());
        let cut = handle.storage.with(handle.id, &handle.path, |held| {
            held.parts.truncate(count);
            Ok(())
        });
        self.handle.broken_by(cut)?;
        self.handle.commit(last, self.part_bytes, &commit)
    }

    async fn close(&mut self) -> Result<Checkpoint> {
        self.handle.check_closable()?;
        let tail = if self.handle.is_broken() {
            // Some of what failed may be in parts already, and nothing else was acknowledged.
            self.forget_parts_beyond_offset();
            None
        } else {
            (!self.rest.is_empty()).then(|| Tail {
                id: self.handle.storage.fresh_id(),
                after: self.parts.len(),
                bytes: Bytes::copy_from_slice(&self.rest),
            })
        };
        let checkpoint = self.state(tail.as_ref()).into_checkpoint();
        let handle = &mut self.handle;
        let kept = handle.storage.with(handle.id, &handle.path, |held| {
            held.tail = tail;
            Ok(())
        });
        handle.end();
        kept.map(|()| checkpoint)
    }

    async fn abort(&mut self) -> Result<()> {
        self.handle.abort()
    }
}

/// What is needed to go on with an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    upload: u64,
    /// The tail's id and length.
    tail: Option<(u64, usize)>,
    parts: Vec<usize>,
}

impl State {
    fn covered(&self) -> u64 {
        let tail = self.tail.map_or(0, |(_, length)| length);
        self.parts
            .iter()
            .chain([&tail])
            .map(|&length| length as u64)
            .sum()
    }

    /// Returns the tail, if the parts and the tail that the state tells of are still there.
    fn find_in(&self, held: &Held) -> Option<Bytes> {
        let parts = held.parts.get(..self.parts.len())?;
        if !parts.iter().map(Bytes::len).eq(self.parts.iter().copied()) {
            return None;
        }
        let Some((id, length)) = self.tail else {
            return Some(Bytes::new());
        };
        let tail = held.tail.as_ref()?;
        let same = (tail.id, tail.bytes.len(), tail.after) == (id, length, self.parts.len());
        same.then(|| tail.bytes.clone())
    }

    fn into_checkpoint(self) -> Checkpoint {
        let (tail, length) = self.tail.unwrap_or_default();
        let parts: Vec<String> = self.parts.iter().map(usize::to_string).collect();
        let text = format!("1 {} {tail}:{length} {}", self.upload, parts.join(","));
        Checkpoint {
            offset: self.covered(),
            state: Some(text.into()),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(bytes).ok()?.split(' ');
        let (version, upload, tail, parts) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        if version != "1" || words.next().is_some() {
            return None;
        }
        let (tail, length) = tail.split_once(':')?;
        let (tail, length): (u64, usize) = (tail.parse().ok()?, length.parse().ok()?);
        let parts = parts.split(',').filter(|part| !part.is_empty());
        Some(Self {
            upload: upload.parse().ok()?,
            tail: (tail != 0).then_some((tail, length)),
            parts: parts.map(str::parse).collect::<Result<_, _>>().ok()?,
        })
    }
}
