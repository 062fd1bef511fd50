//! Pushes of layers. Every push has a content of its own, made and digested before the clock
//! starts; after the clock has stopped it is pulled and compared byte by byte.

use std::thread;

use anyhow::{Result, anyhow};

use super::{Bench, Content, MIB, Peer, Sample, Turn};
use crate::bench::client::Connection;
use crate::bench::registry::{self, Check, Way};

const REPOSITORY: &str = "bench/push";
/// How large each PATCH of a chunked push is.
const CHUNK_BYTES: usize = 16 * MIB;

/// POST and PUT.
pub(super) fn put(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    alone(bench, peer, turn, Way::Put)
}

/// POST, PATCH and PUT.
pub(super) fn patch(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    alone(bench, peer, turn, Way::Patch)
}

/// POST, PATCHes and PUT.
pub(super) fn chunks(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    alone(bench, peer, turn, Way::Chunks(CHUNK_BYTES))
}

/// Eight pushes over eight connections.
pub(super) fn eight(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    let size = bench.sizes.parallel_layer;
    pushed(peer, &contents(bench, turn, size, 8), Way::Put)
}

fn alone(bench: &Bench, peer: &Peer, turn: Turn, way: Way) -> Result<Sample> {
    pushed(peer, &contents(bench, turn, bench.sizes.layer, 1), way)
}

fn contents(bench: &Bench, Turn { row, round }: Turn, size: usize, count: usize) -> Vec<Content> {
    (0..count)
        .map(|index| bench.pool.content(&format!("{row}/{round}/{index}"), size))
        .collect()
}

/// Pushes each content over its own connection, all at once.
fn pushed(peer: &Peer, contents: &[Content], way: Way) -> Result<Sample> {
    let mut connections = Vec::new();
    for _ in contents {
        connections.push(Connection::open(peer.address)?);
    }
    let push =
        |connection: &mut Connection, content| registry::push(connection, REPOSITORY, content, way);
    let ((), cost) = peer.measure(|| {
        thread::scope(|scope| {
            let pushes: Vec<_> = connections
                .iter_mut()
                .zip(contents)
                .map(|(connection, content)| scope.spawn(move || push(connection, content)))
                .collect();
            pushes
                .into_iter()
                .try_for_each(|push| push.join().map_err(|_| anyhow!("a pusher panicked"))?)
        })
    })?;
    let mut bytes = 0;
    for content in contents {
        bytes += content.size();
        registry::pull(&mut connections[0], REPOSITORY, content, Check::Whole)?;
        peer.discard(REPOSITORY, content.digest())?;
    }
    Ok(Sample {
        work: bytes as f64 / MIB as f64,
        cost,
    })
}
