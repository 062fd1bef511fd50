//! Images that are the same each time they are made, as blobs in memory and as OCI layouts.

mod layout;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::{gzip, tar};
use crate::random::Random;

/// The media types of what is made here.
pub mod media_types {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A manifest as docker pushes it.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A list of these, one a platform.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// Bytes, with what a descriptor says about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their sha256 digest, with its prefix.
    pub digest: String,
    /// What they are.
    pub media_type: String,
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image configuration.
    pub config: Blob,
    /// The layers, gzipped tar archives.
    pub layers: Vec<Blob>,
    /// The manifest that names them.
    pub manifest: Blob,
    /// The digests of the layers before they were packed, as the configuration lists them.
    pub diff_ids: Vec<String>,
}

/// Several images under one name.
#[derive(Debug, Clone)]
pub struct Index {
    /// The images, one a platform.
    pub images: Vec<Image>,
    /// The index that names their manifests.
    pub index: Blob,
}

/// Returns the sha256 digest of `bytes`, with its prefix.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::from("sha256:"), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
}

impl Blob {
    /// Describes `bytes`.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            digest: sha256(&bytes),
            bytes,
            media_type: media_type.to_owned(),
        }
    }

    /// Makes `length` bytes from `seed`.
    pub fn random(seed: u64, length: usize) -> Self {
        Self::new("application/octet-stream", Random::new(seed).bytes(length))
    }

    /// Returns the digest without its prefix.
    pub fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }

    /// Returns the descriptor.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

impl Image {
    /// Makes an image with one layer for each of `layer_sizes`, all content from `seed`.
    ///
    /// A layer is a tar archive of that many bytes, but at least 2 KiB and a multiple of 512, packed as gzip
    /// (which adds 5 bytes for every 64 KiB, and 18).
    pub fn build(seed: u64, layer_sizes: &[usize]) -> Self {
        Self::for_platform(seed, layer_sizes, "amd64")
    }

    /// Makes an image whose configuration names another architecture.
    pub fn for_platform(seed: u64, layer_sizes: &[usize], architecture: &str) -> Self {
        let mut random = Random::new(seed);
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for (place, &size) in layer_sizes.iter().enumerate() {
            let content = random.bytes(size.max(2048).next_multiple_of(512) - 1536);
            let unpacked = tar(&[(&format!("layer-{seed}-{place}"), &content)]);
            diff_ids.push(sha256(&unpacked));
            layers.push(Blob::new(media_types::LAYER, gzip(&unpacked)));
        }
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": "2020-01-01T00:00:00Z",
            "config": { "Cmd": ["/none"], "Labels": { "seed": seed.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": diff_ids.iter().map(|_| json!({ "created_by": "testkit" })).collect::<Vec<_>>(),
        });
        let config = Blob::new(media_types::CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_types::MANIFEST,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = Blob::new(media_types::MANIFEST, manifest.to_string().into_bytes());
        Self {
            config,
            layers,
            manifest,
            diff_ids,
        }
    }

    /// Returns the configuration and the layers: all that must be there before the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl Index {
    /// Makes an index of one image for each of `architectures`, each with layers of `layer_sizes`.
    pub fn build(seed: u64, layer_sizes: &[usize], architectures: &[&str]) -> Self {
        let images: Vec<Image> = (seed..)
            .zip(architectures)
            .map(|(seed, architecture)| Image::for_platform(seed, layer_sizes, architecture))
            .collect();
        let manifests: Vec<Value> = images
            .iter()
            .zip(architectures)
            .map(|(image, architecture)| {
                let mut descriptor = image.manifest.descriptor();
                descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
                descriptor
            })
            .collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_types::INDEX,
            "manifests": manifests,
        });
        Self {
            images,
            index: Blob::new(media_types::INDEX, index.to_string().into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc() {
        let digest = sha256(b"abc");
        assert_eq!(
            digest,
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_image_names_its_parts() {
        let image = Image::build(1, &[0, 5000]);
        let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(manifest["config"]["digest"], image.config.digest);
        assert_eq!(manifest["layers"][1]["digest"], image.layers[1].digest);
        assert_eq!(manifest["layers"][0]["size"], 2048 + 5 + 18);
        assert_eq!(image.blobs().count(), 3);
    }

    #[test]
    fn another_seed_shares_no_blob() {
        let (one, two) = (Image::build(1, &[2048]), Image::build(2, &[2048]));
        assert!(
            one.blobs()
                .zip(two.blobs())
                .all(|(one, two)| one.digest != two.digest)
        );
    }

    #[test]
    fn an_index_names_each_platform() {
        let index = Index::build(1, &[2048], &["amd64", "arm64"]);
        let parsed: Value = serde_json::from_slice(&index.index.bytes).unwrap();
        assert_eq!(
            parsed["manifests"][1]["digest"],
            index.images[1].manifest.digest
        );
        assert_eq!(parsed["manifests"][1]["platform"]["architecture"], "arm64");
    }
}
