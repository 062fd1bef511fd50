//! Real clients: each pushes an image of its own, each pulls what every other pushed, byte for byte.

mod artifacts;
mod containerd;
mod cosign;
mod deletes;
mod dock;
pub(crate) mod docker;
mod helm;
mod indexes;
mod kills;
mod layouts;
mod lists;
mod program;
mod skopeo;
mod sluice;
mod storage;
mod transfers;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharfinger_testkit::{Blob, Image, Registry, RegistryConfig, Scratch, Stopwatch, tell};

use self::containerd::Containerd;
use self::docker::Docker;
use self::layouts::Layouts;
use self::skopeo::Skopeo;
use self::storage::Storage;
use crate::setup::{machine, wharfinger};

/// From the smallest layer there is to one that no client sends in a single buffer.
const LAYERS: [usize; 4] = [2 << 10, 70_000, 1 << 20, 3 << 20];

/// Large enough for several buffers, connections and checkpoints of any client and of ours.
const LARGE_LAYER: usize = 64 << 20;

/// No single command of a client takes longer, even on a busy machine.
pub(crate) const COMMAND: Duration = Duration::from_secs(180);

/// A client as its users have it: a program that takes the full names of images.
trait Client {
    /// What the client is called.
    fn name(&self) -> &'static str;

    /// Whether it unpacks what it is given and packs it anew, to other bytes, when it pushes.
    fn repacks(&self) -> bool {
        false
    }

    /// Makes the client hold `image` as `name`, and pushes it.
    fn push(&self, image: &Image, name: &str) -> Result<()>;

    /// Pulls `name` into a place that has nothing of it yet, and holds what the client has then against `image`.
    fn pull(&self, name: &str, image: &Stored) -> Result<()>;
}

/// An image as the registry gives it out: every byte has been held against its digest.
struct Stored {
    manifest: Blob,
    /// The configuration, then the layers.
    blobs: Vec<Blob>,
    /// The digests of the unpacked layers; none where this is no image.
    diff_ids: Vec<String>,
}

impl Stored {
    fn read(registry: &mut Registry, repository: &str, tag: &str) -> Result<Self> {
        let manifest = registry.manifest(repository, tag)?;
        let parsed: Value = serde_json::from_slice(&manifest.bytes)?;
        let layers = parsed["layers"]
            .as_array()
            .context("a manifest without layers")?;
        let blobs = std::iter::once(&parsed["config"])
            .chain(layers)
            .map(|descriptor| {
                let digest = descriptor["digest"]
                    .as_str()
                    .context("a descriptor without digest")?;
                let bytes = registry.blob(repository, digest)?;
                ensure!(
                    descriptor["size"] == bytes.len(),
                    "{descriptor} has {} bytes",
                    bytes.len()
                );
                Ok(Blob::new(
                    descriptor["mediaType"].as_str().unwrap_or_default(),
                    bytes,
                ))
            })
            .collect::<Result<Vec<Blob>>>()?;
        let config: Value = serde_json::from_slice(&blobs[0].bytes).unwrap_or_default();
        let diff_ids = config["rootfs"]["diff_ids"].clone();
        let diff_ids = serde_json::from_value(diff_ids).unwrap_or_default();
        Ok(Self {
            manifest,
            blobs,
            diff_ids,
        })
    }

    /// The configuration.
    fn config(&self) -> &Blob {
        &self.blobs[0]
    }
}

/// Every client that is installed.
fn all(scratch: &Scratch) -> Result<Vec<Box<dyn Client>>> {
    let clients = [
        Skopeo::find(scratch)?.map(boxed),
        Storage::find(scratch, "podman")?.map(boxed),
        Storage::find(scratch, "buildah")?.map(boxed),
        Docker::start(scratch)?.map(boxed),
        Containerd::start(scratch)?.map(boxed),
        Layouts::crane(scratch)?.map(boxed),
        Layouts::regctl(scratch)?.map(boxed),
        Layouts::oras(scratch)?.map(boxed),
    ];
    Ok(clients.into_iter().flatten().collect())
}

fn boxed(client: impl Client + 'static) -> Box<dyn Client> {
    Box::new(client)
}

#[test]
fn every_client_pulls_what_every_other_pushed() {
    let _machine = machine();
    let scratch = Scratch::new("clients").unwrap();
    let clients = all(&scratch).unwrap();
    let server = wharfinger(&RegistryConfig::new(&scratch.join("data")), &scratch).unwrap();
    let mut registry = server.registry();

    for (seed, pusher) in (1000..).zip(&clients) {
        let watch = Stopwatch::start();
        let repository = format!("clients/{}", pusher.name());
        let name = format!("{}/{repository}:pushed", server.host());
        let stored = push(
            pusher.as_ref(),
            &Image::build(seed, &LAYERS),
            &name,
            &mut registry,
        )
        .unwrap();
        for puller in &clients {
            pull(puller.as_ref(), pusher.name(), &name, &stored).unwrap();
        }
        tell(&format!(
            "clients: what {} pushed was pulled by {} clients, every byte, in {:?}",
            pusher.name(),
            clients.len(),
            watch.elapsed(),
        ));
    }
}

#[test]
fn every_client_moves_a_large_layer() {
    let _machine = machine();
    let scratch = Scratch::new("large").unwrap();
    let clients = all(&scratch).unwrap();
    let server = wharfinger(&RegistryConfig::new(&scratch.join("data")), &scratch).unwrap();
    let mut registry = server.registry();

    // In a ring, so that each pushes once and pulls once.
    let pullers = clients.iter().cycle().skip(1);
    for ((seed, pusher), puller) in (1100..).zip(&clients).zip(pullers) {
        let watch = Stopwatch::start();
        let name = format!("{}/large/{}:pushed", server.host(), pusher.name());
        let image = Image::build(seed, &[LARGE_LAYER]);
        let stored = push(pusher.as_ref(), &image, &name, &mut registry).unwrap();
        pull(puller.as_ref(), pusher.name(), &name, &stored).unwrap();
        tell(&format!(
            "clients: {LARGE_LAYER} bytes that {} pushed were pulled by {} in {:?}",
            pusher.name(),
            puller.name(),
            watch.elapsed(),
        ));
    }
}

/// Pushes `image` as `name`, and returns what the registry has then.
fn push(pusher: &dyn Client, image: &Image, name: &str, registry: &mut Registry) -> Result<Stored> {
    let who = pusher.name();
    pusher
        .push(image, name)
        .with_context(|| format!("{who} pushes"))?;
    let (_, path) = name.split_once('/').context("a name without a host")?;
    let (repository, tag) = path.split_once(':').context("a name without a tag")?;
    let stored = Stored::read(registry, repository, tag)?;
    check_pushed(pusher, image, &stored);
    Ok(stored)
}

fn pull(puller: &dyn Client, pusher: &str, name: &str, stored: &Stored) -> Result<()> {
    puller
        .pull(name, stored)
        .with_context(|| format!("{} pulls what {pusher} pushed", puller.name()))
}

/// What arrived is what was pushed: to the byte, but for those who pack the layers anew.
fn check_pushed(pusher: &dyn Client, image: &Image, stored: &Stored) {
    let who = pusher.name();
    assert_eq!(
        stored.config().digest,
        image.config.digest,
        "the configuration that {who} pushed"
    );
    assert_eq!(
        stored.diff_ids, image.diff_ids,
        "the layers that {who} pushed"
    );
    assert_eq!(stored.blobs.len(), 1 + image.layers.len());
    if !pusher.repacks() {
        assert_eq!(
            stored.manifest, image.manifest,
            "the manifest that {who} pushed"
        );
    }
}
