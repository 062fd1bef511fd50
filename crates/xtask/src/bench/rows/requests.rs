//! Small requests, repeated over sixteen connections for some seconds.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::{BASE, Bench, Peer, Sample, Turn};
use crate::bench::client::{self, Answer, Connection, Request};
use crate::bench::contents::digest_of;
use crate::bench::peers::now;
use crate::bench::registry::{self, MANIFEST_TYPE};

/// How many requests are under way at any time.
const CONNECTIONS: usize = 16;
/// Each thread serves its connections in turn: sixteen threads would mostly switch between
/// each other, and take the time for it from the server.
const THREADS: usize = 2;
/// What the manifest is tagged with.
const TAG: &str = "latest";

/// Brings the small blob into the peer.
pub(super) fn prepare_blob(bench: &Bench, peer: &Peer) -> Result<()> {
    super::bring(peer, &bench.small)
}

/// Brings the small blob and the manifest into the peer.
pub(super) fn prepare_manifest(bench: &Bench, peer: &Peer) -> Result<()> {
    super::bring(peer, &bench.small)?;
    let mut connection = Connection::open(peer.address)?;
    registry::put_manifest(&mut connection, BASE, TAG, &bench.manifest)
}

/// GET of a small blob.
pub(super) fn get_blob(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    let target = registry::blob_target(BASE, bench.small.digest());
    let content = &bench.small;
    repeat(bench, peer, &[Asked::get(&target)], &|_, answer, body| {
        answer.status == 200 && body.len() == content.size() && content.holds(0, body)
    })
}

/// HEAD of a small blob.
pub(super) fn head_blob(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    let target = registry::blob_target(BASE, bench.small.digest());
    let length = bench.small.size() as u64;
    repeat(bench, peer, &[Asked::head(&target)], &|_, answer, _| {
        answer.status == 200 && answer.length == Some(length)
    })
}

/// GET of a manifest by its tag.
pub(super) fn get_by_tag(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    get_manifest(bench, peer, TAG)
}

/// GET of a manifest by its digest.
pub(super) fn get_by_digest(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    get_manifest(bench, peer, &digest_of(&bench.manifest))
}

fn get_manifest(bench: &Bench, peer: &Peer, reference: &str) -> Result<Sample> {
    let target = format!("/v2/{BASE}/manifests/{reference}");
    repeat(bench, peer, &[Asked::get(&target)], &|_, answer, body| {
        answer.status == 200 && body == bench.manifest
    })
}

/// A request, made ready to be sent.
#[derive(Debug)]
pub(super) struct Asked {
    bytes: Vec<u8>,
    head: bool,
}

impl Asked {
    /// A GET of `target`.
    pub(super) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    fn new(method: &str, target: &str) -> Self {
        let request = Request {
            method,
            target,
            headers: &[("Accept", MANIFEST_TYPE)],
            body: &[],
        };
        let mut bytes = Vec::new();
        client::render(&mut bytes, &request, 0);
        Self {
            bytes,
            head: method == "HEAD",
        }
    }
}

/// Says whether the answer to the request of this number is right.
pub(super) type Right<'a> = &'a (dyn Fn(usize, &Answer, &[u8]) -> bool + Sync);

/// Asks `asked`, one after the other and again from the start, until the time is over.
pub(super) fn repeat(
    bench: &Bench,
    peer: &Peer,
    asked: &[Asked],
    right: Right<'_>,
) -> Result<Sample> {
    let mut groups = Vec::new();
    for _ in 0..THREADS {
        let mut group = Vec::new();
        for _ in 0..CONNECTIONS / THREADS {
            group.push(Connection::open(peer.address)?);
        }
        groups.push(group);
    }
    let duration = Duration::from_secs_f64(bench.sizes.seconds);
    let (answered, cost) = peer.measure(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = groups
                .iter_mut()
                .enumerate()
                .map(|(index, group)| {
                    let first = index * asked.len() / THREADS;
                    scope.spawn(move || drive(group, asked, first, duration, right))
                })
                .collect();
            threads.into_iter().try_fold(0, |sum, thread| {
                let answered = thread.join().map_err(|_| anyhow!("a client panicked"))??;
                Ok(sum + answered)
            })
        })
    })?;
    Ok(Sample {
        work: f64::from(answered),
        cost,
    })
}

/// Keeps one request under way on each connection until the time is over; returns how many were
/// answered.
fn drive(
    connections: &mut [Connection],
    asked: &[Asked],
    first: usize,
    duration: Duration,
    right: Right<'_>,
) -> Result<u32> {
    let started = now();
    let mut next = first;
    let mut pending = Vec::new();
    for connection in connections.iter_mut() {
        connection.send_rendered(&asked[next % asked.len()].bytes)?;
        pending.push(next % asked.len());
        next += 1;
    }
    let mut body = Vec::new();
    let mut answered = 0;
    let mut over = false;
    while !over {
        over = started.elapsed() >= duration;
        for (connection, pending) in connections.iter_mut().zip(&mut pending) {
            body.clear();
            let head = asked[*pending].head;
            let answer = connection.receive(head, &mut |piece| body.extend_from_slice(piece))?;
            let wrong = *pending;
            if !over {
                *pending = next % asked.len();
                next += 1;
                connection.send_rendered(&asked[*pending].bytes)?;
            }
            ensure!(
                right(wrong, &answer, &body),
                "a wrong answer, status {}, {} bytes, to {}",
                answer.status,
                body.len(),
                String::from_utf8_lossy(&asked[wrong].bytes).trim_end()
            );
            answered += 1;
        }
    }
    Ok(answered)
}
