//! Pulls of one layer, alone and eight at once.

use std::thread;

use anyhow::{Result, anyhow};

use super::{BASE, Bench, MIB, Peer, Sample, Turn};
use crate::bench::client::Connection;
use crate::bench::registry::{self, Check};

/// How often a connection pulls: once is over before the server's CPU ticks say much.
const TIMES: usize = 4;

/// Brings the layer into the peer and reads it once, whole.
pub(super) fn prepare(bench: &Bench, peer: &Peer) -> Result<()> {
    super::bring(peer, &bench.layer)
}

/// Pulls over one connection, one after the other.
pub(super) fn alone(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    pulled(bench, peer, 1, TIMES)
}

/// Ranges over one connection, from all over the layer.
pub(super) fn ranges(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    let layer = &bench.layer;
    let size = bench.sizes.range;
    let count = layer.size() / size;
    let mut connection = Connection::open(peer.address)?;
    let ((), cost) = peer.measure(|| {
        // A stride that shares no factor with the count visits every range, none after its neighbour.
        (0..count * TIMES).try_for_each(|index| {
            let from = index * 7 % count * size;
            registry::pull_range(&mut connection, BASE, layer, (from, from + size))
        })
    })?;
    Ok(Sample {
        work: (count * TIMES * size) as f64 / MIB as f64,
        cost,
    })
}

/// Eight pulls over eight connections.
pub(super) fn eight(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    pulled(bench, peer, 8, 1)
}

fn pulled(bench: &Bench, peer: &Peer, count: usize, times: usize) -> Result<Sample> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Connection::open(peer.address)?);
    }
    let layer = &bench.layer;
    let ((), cost) = peer.measure(|| {
        thread::scope(|scope| {
            let pulls: Vec<_> = connections
                .iter_mut()
                .map(|connection| {
                    scope.spawn(move || {
                        (0..times).try_for_each(|_| {
                            registry::pull(connection, BASE, layer, Check::Samples)
                        })
                    })
                })
                .collect();
            pulls
                .into_iter()
                .try_for_each(|pull| pull.join().map_err(|_| anyhow!("a puller panicked"))?)
        })
    })?;
    Ok(Sample {
        work: (count * times * layer.size()) as f64 / MIB as f64,
        cost,
    })
}
