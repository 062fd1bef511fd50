//! A start over a large tree of which nothing is in memory.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::Tree;
use crate::bench::client::Connection;
use crate::bench::peers::{Cost, Kind, Peer, now};
use crate::bench::process;
use crate::bench::rows::Sample;
use crate::bench::scratch::Scratch;

/// How many things are asked of a server that has just started.
pub(super) const STEPS: usize = 3;

/// Starts a server and returns how long it took until it had answered at `/v2/`, a manifest, and
/// the first page of repositories.
pub(super) fn start(kind: Kind, program: &Path, tree: &Tree) -> Result<[Sample; STEPS]> {
    let scratch = Scratch::new(None)?;
    forget_files()?;
    let started = now();
    let mut peer = Peer::spawn(kind, program, scratch.path(), tree.path())?;
    peer.wait_until_it_listens()?;
    let mut connection = Connection::open(peer.address)?;
    connection.get("/v2/")?;
    let first = sample(&peer, started)?;
    let (target, manifest) = tree.manifest();
    let body = connection.get(&target)?;
    ensure!(body == manifest, "another manifest");
    let second = sample(&peer, started)?;
    let pages = tree.pages();
    pages.probe(&peer, &pages.first())?;
    Ok([first, second, sample(&peer, started)?])
}

fn sample(peer: &Peer, started: Instant) -> Result<Sample> {
    Ok(Sample {
        work: 1.0,
        cost: Cost {
            seconds: started.elapsed().as_secs_f64(),
            cpu_seconds: process::cpu_time(peer.pid())?.as_secs_f64(),
            client_cpu_seconds: 0.0,
            peak_bytes: process::peak_memory(peer.pid())?,
        },
    })
}

/// Has the kernel forget what it knows of all files; only root may ask for it.
fn forget_files() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("a cold start needs root")
}
