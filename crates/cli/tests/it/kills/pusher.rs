//! One pusher: small images without end, and the memory of what was acknowledged.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wharfinger_testkit::{Image, Registry};

/// A tag that every image of a pusher takes from the one before.
const MOVING: &str = "moving";

/// Pushes small images with content of its own until it is stopped.
#[derive(Debug)]
pub(crate) struct Pusher {
    number: u64,
    address: SocketAddr,
    /// Images whose manifest was answered with 201.
    images: Vec<u64>,
    /// Blobs that were answered with 201, of images that were given up: the image and the blob's place.
    blobs: Vec<(u64, usize)>,
    /// The image whose push of the moving tag was answered last, and those tried since.
    moved: Option<u64>,
    tried: Vec<u64>,
    cut: usize,
}

impl Pusher {
    pub(crate) fn new(number: u64, address: SocketAddr) -> Self {
        Self {
            number,
            address,
            images: Vec::new(),
            blobs: Vec::new(),
            moved: None,
            tried: Vec::new(),
            cut: 0,
        }
    }

    /// Pushes one image after the other until `stop` is set.
    pub(crate) fn push_until(&mut self, stop: &AtomicBool) {
        let mut registry = Registry::new(self.address);
        for count in 0_u64.. {
            let seed = self.number << 32 | count;
            let image = image(seed);
            loop {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut done = Vec::new();
                match self.push(&mut registry, seed, &image, &mut done) {
                    Ok(()) => break,
                    Err(error) => self.note_cut(seed, &done, &error),
                }
                thread::sleep(Duration::from_millis(2));
                // Half of the images are pushed again until they are in, the others given up.
                if count % 2 == 1 {
                    break;
                }
            }
        }
    }

    /// How many images were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.images.len()
    }

    /// How many pushes were cut off by a kill.
    pub(crate) fn cut(&self) -> usize {
        self.cut
    }

    /// Reads everything that was acknowledged, byte for byte.
    pub(crate) fn check(&self) -> Result<()> {
        let mut registry = Registry::new(self.address);
        let repository = self.repository();
        for &seed in &self.images {
            registry.check_image(&repository, &tag(seed), &image(seed))?;
        }
        for &(seed, place) in &self.blobs {
            let image = image(seed);
            let blob = image
                .blobs()
                .nth(place)
                .context("an image with fewer blobs")?;
            registry.blob(&repository, &blob.digest)?;
        }
        let Some(moved) = self.moved else {
            return Ok(());
        };
        let now = registry.manifest(&repository, MOVING)?;
        let mut may_be = std::iter::once(&moved).chain(&self.tried);
        ensure!(
            may_be.any(|&seed| image(seed).manifest == now),
            "the tag names {}, neither the last that was acknowledged nor a later one",
            now.digest
        );
        Ok(())
    }

    fn push(
        &mut self,
        registry: &mut Registry,
        seed: u64,
        image: &Image,
        done: &mut Vec<usize>,
    ) -> Result<()> {
        let repository = self.repository();
        for (place, blob) in image.blobs().enumerate() {
            registry.push_blob(&repository, blob)?;
            done.push(place);
        }
        registry.push_manifest(&repository, &tag(seed), &image.manifest)?;
        self.images.push(seed);
        self.tried.push(seed);
        registry.push_manifest(&repository, MOVING, &image.manifest)?;
        self.moved = Some(seed);
        self.tried.clear();
        Ok(())
    }

    /// A connection may break at any moment, but no answer may be wrong.
    fn note_cut(&mut self, seed: u64, done: &[usize], error: &anyhow::Error) {
        assert!(error.is::<io::Error>(), "image {seed:x}: {error:#}");
        if !done.is_empty() {
            self.cut += 1;
        }
        self.blobs.extend(done.iter().map(|&place| (seed, place)));
    }

    fn repository(&self) -> String {
        format!("kills/pusher-{}", self.number)
    }
}

fn image(seed: u64) -> Image {
    Image::build(seed, &[2048, 20_000])
}

fn tag(seed: u64) -> String {
    format!("image-{seed:x}")
}
