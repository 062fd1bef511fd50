//! `cargo xtask memory`: what the server needs at most, held against what it may need.

use std::path::Path;

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use super::client::{Connection, Request};
use super::contents::{Content, Pool, printed};
use super::options::{HELP, Options};
use super::peers::{Kind, Peer};
use super::registry::{self, Check};
use super::rows::open_at_once;
use super::scratch::Scratch;
use super::{process, programs};
use crate::report::say;

const MIB: usize = 1024 * 1024;
/// The bound while a blob of 4 GiB is pushed and pulled.
const LARGE_BOUND_BYTES: u64 = 64 * 1024 * 1024;
/// The bound while a thousand uploads are open.
const MANY_BOUND_BYTES: u64 = 128 * 1024 * 1024;
const LARGE_BLOCKS: u64 = 4096;
const UPLOADS: usize = 1000;
const REPOSITORY: &str = "bench/memory";

/// Runs both works, each on a server of its own.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let options = Options::parse(words)?;
    if options.help {
        say(HELP);
        return Ok(());
    }
    process::allow_open_files()?;
    let program = programs::wharfinger(&options)?;
    let scratch = Scratch::new(options.directory.as_deref())?;
    let peak = large(&program, &scratch.path().join("large"))?;
    let large = within(
        "a blob of 4 GiB, pushed and pulled",
        peak,
        LARGE_BOUND_BYTES,
    );
    let peak = many(&program, &scratch.path().join("many"))?;
    let many = within("1,000 uploads open at once", peak, MANY_BOUND_BYTES);
    ensure!(large && many, "the server needed more than it may");
    Ok(())
}

fn within(work: &str, peak: u64, bound: u64) -> bool {
    let mebibytes = |bytes: u64| bytes as f64 / MIB as f64;
    say(&format!(
        "{work}: peak memory {:.1} MiB, bound {:.0} MiB",
        mebibytes(peak),
        mebibytes(bound)
    ));
    peak < bound
}

/// A blob too large to be held: blocks of one MiB, each beginning with its number.
struct Large {
    block: Vec<u8>,
}

impl Large {
    fn new() -> Self {
        Self {
            block: Pool::new(MIB).content("large", MIB).to_vec(),
        }
    }

    fn block(&mut self, index: u64) -> &[u8] {
        self.block[..8].copy_from_slice(&index.to_le_bytes());
        &self.block
    }

    fn digest(&mut self) -> String {
        let mut hasher = Sha256::new();
        for index in 0..LARGE_BLOCKS {
            hasher.update(self.block(index));
        }
        printed(&hasher.finalize())
    }
}

/// Pushes and pulls 4 GiB in one PATCH; returns the server's peak.
fn large(program: &Path, scratch: &Path) -> Result<u64> {
    let mut blob = Large::new();
    let digest = blob.digest();
    let size = LARGE_BLOCKS * MIB as u64;
    let peer = Peer::start(Kind::Wharfinger, program, scratch)?;
    let mut connection = Connection::open(peer.address)?;

    let target = registry::start(&mut connection, REPOSITORY)?;
    connection.send_head(&registry::patch(&target), size)?;
    for index in 0..LARGE_BLOCKS {
        connection.send_bytes(blob.block(index))?;
    }
    connection.flush()?;
    let target = registry::accepted(connection.receive(false, &mut |_| {})?)?;
    registry::finish(&mut connection, &target, &digest, &[])?;

    let mut hasher = Sha256::new();
    let get = Request {
        method: "GET",
        target: &registry::blob_target(REPOSITORY, &digest),
        headers: &[],
        body: &[],
    };
    let answer = connection
        .call_with(&get, &mut |piece| hasher.update(piece))?
        .expect(200)?;
    ensure!(
        answer.received == size && printed(&hasher.finalize()) == digest,
        "what was pulled is not what was pushed"
    );
    process::peak_memory(peer.pid())
}

/// Holds a thousand uploads open, each in the midst of its PATCH; returns the server's peak.
fn many(program: &Path, scratch: &Path) -> Result<u64> {
    const SIZE: usize = 2 * MIB;
    /// Every how many uploads one is pulled and compared.
    const STRIDE: usize = 100;

    let pool = Pool::new(SIZE);
    let contents: Vec<Content> = (0..UPLOADS)
        .map(|index| pool.content(&format!("many/{index}"), SIZE))
        .collect();
    let peer = Peer::start(Kind::Wharfinger, program, scratch)?;
    open_at_once(&peer, REPOSITORY, &contents)?;
    // The first connections have long been idle, and a server may close those.
    let mut connection = Connection::open(peer.address)?;
    for content in contents.iter().step_by(STRIDE) {
        registry::pull(&mut connection, REPOSITORY, content, Check::Whole)?;
    }
    process::peak_memory(peer.pid())
}
