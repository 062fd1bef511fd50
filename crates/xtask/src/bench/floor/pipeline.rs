//! One upload of the floor: the thread of its connection reads, two more hash and write.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::bench::contents::printed;

/// How much is read, hashed and written at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// How many buffers go round: one for each thread, and one to hand over.
const BUFFERS: usize = 4;

/// What goes from the reader over the hasher to the writer.
enum Piece {
    /// Bytes of the content.
    Bytes(Vec<u8>),
    /// Says that all before it was written.
    Mark(SyncSender<()>),
    /// The end: the answer is the digest of what is then durable.
    End(SyncSender<Result<String>>),
}

/// What goes from the hasher to the writer.
enum Hashed {
    Bytes(Vec<u8>),
    Mark(SyncSender<()>),
    End(String, SyncSender<Result<String>>),
}

/// An upload whose threads run.
#[derive(Debug)]
pub(super) struct Upload {
    pieces: Sender<Piece>,
    empty: Receiver<Vec<u8>>,
}

impl Upload {
    /// Makes the file and starts the threads; they end with the upload.
    pub(super) fn start(directory: &Path, number: u64) -> Result<Self> {
        let path = directory.join(format!("upload-{number}"));
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let (pieces, to_hash) = channel();
        let (hashed, to_write) = channel();
        let (give_back, empty) = channel();
        for _ in 0..BUFFERS {
            give_back.send(Vec::with_capacity(BUFFER_BYTES))?;
        }
        thread::spawn(move || hash(&to_hash, &hashed));
        let directory = directory.to_owned();
        thread::spawn(move || {
            let writer = Writer {
                file,
                path,
                directory,
            };
            if let Err(error) = writer.write(&to_write, &give_back) {
                // Whoever waits for the upload finds its channel closed.
                eprintln!("floor: {error:#}");
            }
        });
        Ok(Self { pieces, empty })
    }

    /// Takes `length` bytes: those that `held` has, then from the connection.
    pub(super) fn receive(
        &mut self,
        held: &mut Vec<u8>,
        stream: &mut impl Read,
        mut length: usize,
    ) -> Result<()> {
        while length > 0 {
            let mut buffer = self.empty.recv().context("the writer has ended")?;
            let size = length.min(BUFFER_BYTES);
            let first = held.len().min(size);
            buffer.clear();
            buffer.extend(held.drain(..first));
            stream
                .take((size - first) as u64)
                .read_to_end(&mut buffer)?;
            anyhow::ensure!(buffer.len() == size, "a body that is cut");
            length -= size;
            self.send(Piece::Bytes(buffer))?;
        }
        Ok(())
    }

    /// Waits until all that was received is hashed and written, though not synced.
    pub(super) fn wait_until_written(&self) -> Result<()> {
        let (mark, written) = sync_channel(1);
        self.send(Piece::Mark(mark))?;
        written.recv().context("the writer has ended")
    }

    /// Makes it durable and returns its digest.
    pub(super) fn finish(self) -> Result<String> {
        let (end, digest) = sync_channel(1);
        self.send(Piece::End(end))?;
        digest.recv().context("the writer has ended")?
    }

    fn send(&self, piece: Piece) -> Result<()> {
        self.pieces.send(piece).ok().context("the hasher has ended")
    }
}

/// Hashes what comes and passes it on, until either side has ended.
fn hash(pieces: &Receiver<Piece>, hashed: &Sender<Hashed>) {
    let mut hasher = Sha256::new();
    while let Ok(piece) = pieces.recv() {
        let passed = match piece {
            Piece::Bytes(bytes) => {
                hasher.update(&bytes);
                Hashed::Bytes(bytes)
            }
            Piece::Mark(mark) => Hashed::Mark(mark),
            Piece::End(end) => Hashed::End(printed(&hasher.finalize_reset()), end),
        };
        if hashed.send(passed).is_err() {
            return;
        }
    }
}

/// The file that is written, and where it goes.
struct Writer {
    file: File,
    path: PathBuf,
    directory: PathBuf,
}

impl Writer {
    fn write(mut self, hashed: &Receiver<Hashed>, give_back: &Sender<Vec<u8>>) -> Result<()> {
        while let Ok(piece) = hashed.recv() {
            match piece {
                Hashed::Bytes(bytes) => {
                    self.file.write_all(&bytes)?;
                    // The reader may have ended: nothing more is then to come.
                    give_back.send(bytes).ok();
                }
                Hashed::Mark(mark) => mark.send(())?,
                Hashed::End(digest, end) => {
                    let durable = self.make_durable(&digest);
                    end.send(durable.map(|()| digest))?;
                }
            }
        }
        Ok(())
    }

    fn make_durable(&self, digest: &str) -> Result<()> {
        let (_, hex) = digest.split_once(':').context("a digest")?;
        self.file.sync_data()?;
        fs::rename(&self.path, self.directory.join(hex))?;
        Ok(File::open(&self.directory)?.sync_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contents::digest_of;

    #[test]
    fn what_comes_in_parts_is_one_file_under_its_digest() {
        let directory = std::env::temp_dir().join(format!("floor-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let bytes: Vec<u8> = (0_u32..3 * 1024 * 1024 + 17)
            .map(|index| (index % 251).to_le_bytes()[0])
            .collect();
        let mut upload = Upload::start(&directory, 0).unwrap();
        let mut held = bytes[..100].to_vec();
        let mut rest = &bytes[100..];
        upload.receive(&mut held, &mut rest, 1_500_000).unwrap();
        upload.wait_until_written().unwrap();
        let left = bytes.len() - 1_500_000;
        upload.receive(&mut held, &mut rest, left).unwrap();
        let digest = upload.finish().unwrap();
        assert_eq!(digest, digest_of(&bytes));
        let (_, hex) = digest.split_once(':').unwrap();
        assert_eq!(fs::read(directory.join(hex)).unwrap(), bytes);
        fs::remove_dir_all(&directory).unwrap();
    }
}
