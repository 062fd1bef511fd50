//! Many uploads open at once, each in the midst of its PATCH: what the server holds for them shows
//! in its peak memory.

use anyhow::Result;

use super::{Bench, Content, MIB, Peer, Sample, Turn};
use crate::bench::client::Connection;
use crate::bench::registry::{self, Check};

const REPOSITORY: &str = "bench/uploads";
/// Every how many uploads one is pulled and compared.
const STRIDE: usize = 100;

/// Opens all uploads, sends a part of each, then the rest of each, and finishes them.
pub(super) fn run(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    let size = bench.sizes.upload;
    let contents: Vec<Content> = (0..bench.sizes.uploads)
        .map(|index| {
            bench
                .pool
                .content(&format!("uploads/{}/{index}", turn.round), size)
        })
        .collect();
    let ((), cost) = peer.measure(|| open_at_once(peer, REPOSITORY, &contents))?;
    // The first connections have long been idle, and a server may close those.
    let mut connection = Connection::open(peer.address)?;
    for (index, content) in contents.iter().enumerate() {
        if index % STRIDE == 0 {
            registry::pull(&mut connection, REPOSITORY, content, Check::Whole)?;
        }
        peer.discard(REPOSITORY, content.digest())?;
    }
    Ok(Sample {
        work: (contents.len() * size) as f64 / MIB as f64,
        cost,
    })
}

/// Pushes all contents, with every upload open before the first is finished.
pub(crate) fn open_at_once(peer: &Peer, repository: &str, contents: &[Content]) -> Result<()> {
    let mut uploads = Vec::new();
    for content in contents {
        let mut connection = Connection::open(peer.address)?;
        let target = registry::start(&mut connection, repository)?;
        connection.send_head(&registry::patch(&target), content.size() as u64)?;
        for part in content.parts(0, sent_first(content)) {
            connection.send_bytes(part)?;
        }
        connection.flush()?;
        uploads.push((connection, content));
    }
    for (connection, content) in &mut uploads {
        for part in content.parts(sent_first(content), content.size()) {
            connection.send_bytes(part)?;
        }
        connection.flush()?;
        let target = registry::accepted(connection.receive(false, &mut |_| {})?)?;
        registry::finish(connection, &target, content.digest(), &[])?;
    }
    Ok(())
}

/// Not quite a half, so that buffers of a round size are in the midst of being filled.
fn sent_first(content: &Content) -> usize {
    content.size() * 9 / 20
}
