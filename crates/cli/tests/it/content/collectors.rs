//! Collectors of garbage, ours and Distribution's, on a storage that nodes have claims in.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wharfinger_testkit::{Image, RegistryConfig, Scratch, run, tool};

use super::node::{Node, Version};
use super::{STARTS, registry_with_sockets};
use crate::setup::machine;

#[test]
fn what_a_node_has_outlives_every_collector_of_the_registry() {
    let _machine = machine();
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_wharfinger"));
    let collectors = [tool("docker-registry"), tool("distribution"), Some(ours)];
    for (program, seed) in collectors.into_iter().flatten().zip(4040..) {
        let scratch = Scratch::new("collected").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let (mut server, sockets) = registry_with_sockets(&config, &scratch, &["node"]).unwrap();
        let [kept, gone] = [0, 100].map(|more| Image::build(seed + more, &[200_000, 3000]));
        let mut registry = server.registry();
        registry.push_image("a/kept", "v1", &kept).unwrap();
        registry.push_image("a/gone", "v1", &gone).unwrap();
        let node = Node::start(Version::One, &scratch, "node", &sockets[0]).unwrap();
        let Some(node) = node else { return };
        node.pull(&format!("{}/a/kept:v1", server.host())).unwrap();
        for (repository, image) in [("a/kept", &kept), ("a/gone", &gone)] {
            let digest = &image.manifest.digest;
            registry.delete_manifest(repository, digest).unwrap();
        }
        server.terminate(STARTS).unwrap();
        let file = scratch.join("config.yml");
        let mut command = Command::new(&program);
        run(command.arg("garbage-collect").arg(&file), STARTS).unwrap();
        let blobs = scratch.join("data/docker/registry/v2/blobs/sha256");
        for blob in gone.blobs() {
            let hex = blob.digest.strip_prefix("sha256:").unwrap();
            let data = blobs.join(&hex[..2]).join(hex).join("data");
            assert!(!data.exists(), "{} collected nothing", program.display());
        }

        server.restart().unwrap();
        assert!(fs::exists(&sockets[0]).unwrap());
        node.comes_back().unwrap();
        for blob in kept.blobs() {
            node.check(&blob.digest, &blob.bytes).unwrap();
        }
    }
}
