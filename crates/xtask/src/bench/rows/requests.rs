//! Small requests, repeated over sixteen connections for some seconds.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{BASE, Bench, Peer, Sample, Turn};
use crate::bench::client::{self, Answer, Connection, Request};
use crate::bench::contents::digest_of;
use crate::bench::peers::now;
use crate::bench::registry::{self, MANIFEST_TYPE};

/// How many requests are under way at any time.
const CONNECTIONS: usize = 16;
/// A server that answers none of its connections for this long has failed.
const PATIENCE: Timespec = Timespec {
    tv_sec: 300,
    tv_nsec: 0,
};
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
pub(super) type Right<'a> = &'a dyn Fn(usize, &Answer, &[u8]) -> bool;

/// Asks `asked`, one after the other and again from the start, until the time is over.
pub(super) fn repeat(
    bench: &Bench,
    peer: &Peer,
    asked: &[Asked],
    right: Right<'_>,
) -> Result<Sample> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(peer.address)?);
    }
    let duration = Duration::from_secs_f64(bench.sizes.seconds);
    let (answered, cost) = peer.measure(|| drive(&mut connections, asked, duration, right))?;
    Ok(Sample {
        work: f64::from(answered),
        cost,
    })
}

/// Keeps one request under way on each connection until the time is over; returns how many were
/// answered.
///
/// One thread does it all, since a second would mostly take time from the server. Whichever
/// connection has an answer is served next: waiting for them in turn would couple the threads or
/// processes of a server, of which each has some of the connections.
fn drive(
    connections: &mut [Connection],
    asked: &[Asked],
    duration: Duration,
    right: Right<'_>,
) -> Result<u32> {
    let ready = epoll::create(CreateFlags::CLOEXEC)?;
    let started = now();
    let mut numbers = (0..asked.len()).cycle();
    let mut following = || numbers.next().unwrap_or_default();
    let mut pending = Vec::new();
    for (index, connection) in connections.iter_mut().enumerate() {
        let data = EventData::new_u64(index as u64);
        epoll::add(&ready, connection.socket(), data, EventFlags::IN)?;
        pending.push(following());
        connection.send_rendered(&asked[pending[index]].bytes)?;
    }
    let mut body = Vec::new();
    let mut events = Vec::with_capacity(connections.len());
    let (mut answered, mut open) = (0, connections.len());
    while open > 0 {
        events.clear();
        epoll::wait(&ready, spare_capacity(&mut events), Some(&PATIENCE))?;
        ensure!(!events.is_empty(), "no answer within {PATIENCE:?}");
        let over = started.elapsed() >= duration;
        for event in &events {
            let index = usize::try_from(event.data.u64())?;
            let connection = &mut connections[index];
            let question = &asked[pending[index]];
            body.clear();
            let answer =
                connection.receive(question.head, &mut |piece| body.extend_from_slice(piece))?;
            let asked_before = std::mem::replace(&mut pending[index], following());
            if over {
                open -= 1;
            } else {
                connection.send_rendered(&asked[pending[index]].bytes)?;
            }
            ensure!(
                right(asked_before, &answer, &body),
                "a wrong answer, status {}, {} bytes, to {}",
                answer.status,
                body.len(),
                String::from_utf8_lossy(&question.bytes).trim_end()
            );
            answered += 1;
        }
    }
    Ok(answered)
}
