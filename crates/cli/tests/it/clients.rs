//! Real clients: each pushes an image of its own, each pulls what every other pushed, byte for byte.

mod containerd;
pub(crate) mod docker;
mod skopeo;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wharfinger_testkit::{Blob, Image, Registry, RegistryConfig, Scratch, tell};

use self::containerd::Containerd;
use self::docker::Docker;
use self::skopeo::Skopeo;
use crate::setup::{machine, wharfinger};

/// From the smallest layer there is to one that no client sends in a single buffer.
const LAYERS: [usize; 4] = [2 << 10, 70_000, 1 << 20, 12 << 20];

/// No single command of a client takes longer, even on a busy machine.
pub(crate) const COMMAND: Duration = Duration::from_secs(180);

/// A client as its users have it: a program that takes the full names of images.
trait Client {
    /// What the client is called.
    fn name(&self) -> &'static str;

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
    /// The digests of the unpacked layers.
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
        let config: Value = serde_json::from_slice(&blobs[0].bytes)?;
        let diff_ids = serde_json::from_value(config["rootfs"]["diff_ids"].clone())?;
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

#[test]
fn every_client_pulls_what_every_other_pushed() {
    let _machine = machine();
    let scratch = Scratch::new("clients").unwrap();
    let clients: Vec<Box<dyn Client>> = [
        Skopeo::find(&scratch)
            .unwrap()
            .map(|it| Box::new(it) as Box<dyn Client>),
        Docker::start(&scratch)
            .unwrap()
            .map(|it| Box::new(it) as Box<dyn Client>),
        Containerd::start(&scratch)
            .unwrap()
            .map(|it| Box::new(it) as Box<dyn Client>),
    ]
    .into_iter()
    .flatten()
    .collect();
    let server = wharfinger(&RegistryConfig::new(&scratch.join("data")), &scratch).unwrap();
    let mut registry = server.registry();

    for (seed, pusher) in (1000..).zip(&clients) {
        let who = pusher.name();
        let repository = format!("clients/{who}");
        let name = format!("{}/{repository}:pushed", server.host());
        let image = Image::build(seed, &LAYERS);
        pusher
            .push(&image, &name)
            .with_context(|| format!("{who} pushes"))
            .unwrap();
        let stored = Stored::read(&mut registry, &repository, "pushed").unwrap();
        check_pushed(who, &image, &stored);
        for puller in &clients {
            let story = || format!("{} pulls what {who} pushed", puller.name());
            puller.pull(&name, &stored).with_context(story).unwrap();
            tell(&format!(
                "clients: {}: every byte of {} blobs",
                story(),
                stored.blobs.len()
            ));
        }
    }
}

/// What arrived is what was pushed: to the byte, but for docker, which packs the layers anew.
fn check_pushed(who: &str, image: &Image, stored: &Stored) {
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
    if who != "docker" {
        assert_eq!(
            stored.manifest, image.manifest,
            "the manifest that {who} pushed"
        );
    }
}
