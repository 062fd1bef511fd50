//! Whole small images: two blobs and a manifest, each image unlike all others.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use super::{Bench, Content, Peer, Sample, Turn};
use crate::bench::client::{Connection, Request};
use crate::bench::registry::{self, Check, MANIFEST_TYPE, Way};

/// How many clients push at once, each over its own connection into its own repository.
const CLIENTS: usize = 16;

/// An image that is ready to be pushed.
#[derive(Debug)]
struct Image {
    tag: String,
    config: Content,
    layer: Content,
    manifest: Vec<u8>,
}

/// Pushes images from all clients, then pulls the last of each.
pub(super) fn run(bench: &Bench, peer: &Peer, turn: Turn) -> Result<Sample> {
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let images: Vec<Image> = (0..bench.sizes.images)
            .map(|index| image(bench, turn, client, index))
            .collect();
        let repository = format!("bench/images-{client}");
        clients.push((Connection::open(peer.address)?, repository, images));
    }
    let ((), cost) = peer.measure(|| {
        thread::scope(|scope| {
            let pushes: Vec<_> = clients
                .iter_mut()
                .map(|(connection, repository, images)| {
                    scope.spawn(move || {
                        images
                            .iter()
                            .try_for_each(|image| push(connection, repository, image))
                    })
                })
                .collect();
            pushes
                .into_iter()
                .try_for_each(|push| push.join().map_err(|_| anyhow!("a client panicked"))?)
        })
    })?;
    for (connection, repository, images) in &mut clients {
        let image = images.last().expect("every client has images");
        pull(connection, repository, image)?;
    }
    Ok(Sample {
        work: (CLIENTS * bench.sizes.images) as f64,
        cost,
    })
}

fn push(connection: &mut Connection, repository: &str, image: &Image) -> Result<()> {
    registry::push(connection, repository, &image.config, Way::Put)?;
    registry::push(connection, repository, &image.layer, Way::Put)?;
    registry::put_manifest(connection, repository, &image.tag, &image.manifest)
}

fn pull(connection: &mut Connection, repository: &str, image: &Image) -> Result<()> {
    let mut body = Vec::new();
    let request = Request {
        method: "GET",
        target: &format!("/v2/{repository}/manifests/{}", image.tag),
        headers: &[("Accept", MANIFEST_TYPE)],
        body: &[],
    };
    connection
        .call_with(&request, &mut |piece| body.extend_from_slice(piece))?
        .expect(200)?;
    ensure!(
        body == image.manifest,
        "another manifest under {}",
        image.tag
    );
    registry::pull(connection, repository, &image.config, Check::Whole)?;
    registry::pull(connection, repository, &image.layer, Check::Whole)
}

fn image(bench: &Bench, turn: Turn, client: usize, index: usize) -> Image {
    let label = format!("{}/{client}/{index}", turn.round);
    let config = bench.pool.content(&format!("config/{label}"), 1024);
    let layer = bench
        .pool
        .content(&format!("layer/{label}"), bench.sizes.small);
    Image {
        tag: format!("r{}-{index}", turn.round),
        manifest: manifest(&config, &layer),
        config,
        layer,
    }
}

/// Writes the manifest of an image with one layer, padded by an annotation to about a KiB.
pub(super) fn manifest(config: &Content, layer: &Content) -> Vec<u8> {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.digest(),
            "size": config.size(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer.digest(),
            "size": layer.size(),
        }],
        "annotations": { "org.opencontainers.image.description": "x".repeat(400) },
    })
    .to_string()
    .into_bytes()
}
