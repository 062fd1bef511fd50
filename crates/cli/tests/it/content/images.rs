//! Containerds that have a registry beside them, in one process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use wharfinger_testkit::{Image, RegistryConfig, Scratch, sha256, tell, wait_until};

use super::node::{Node, Version};
use super::{STARTS, registry_with_sockets};
use crate::setup::machine;

/// A layer of several messages, and one of none.
const LAYERS: [usize; 2] = [8 << 20, 70_000];

/// How many bodies of blobs a registry has sent, by its access log.
fn blobs_sent(log: &Path) -> Result<usize> {
    let log = fs::read_to_string(log)?;
    let sent = log
        .lines()
        .filter(|line| line.contains("GET /v2/") && line.contains("/blobs/"));
    Ok(sent.count())
}

#[test]
fn nodes_take_from_the_registry_beside_them_and_collect_only_their_own() {
    let _machine = machine();
    let scratch = Scratch::new("nodes").unwrap();
    let config = RegistryConfig::new(&scratch.join("data"));
    let names = ["one", "two", "three"];
    let (mut server, sockets) = registry_with_sockets(&config, &scratch, &names).unwrap();
    let image = Image::build(4000, &LAYERS);
    let contents = 1 + image.blobs().count();
    let mut registry = server.registry();
    registry.push_image("nodes/app", "v1", &image).unwrap();
    let name = format!("{}/nodes/app:v1", server.host());

    let mut nodes = Vec::new();
    let versions = [Version::One, Version::Two, Version::Two];
    for ((version, socket), name) in versions.into_iter().zip(&sockets).zip(names) {
        if let Some(node) = Node::start(version, &scratch, name, socket).unwrap() {
            nodes.push(node);
        }
    }
    for node in &nodes {
        for _ in 0..2 {
            node.pull(&name).unwrap();
            for blob in image.blobs() {
                node.check(&blob.digest, &blob.bytes).unwrap();
            }
            assert_eq!(node.list().unwrap().len(), contents);
            node.ctr(&["images", "rm", "--sync", &name]).unwrap();
            node.collected().unwrap();
        }
        node.ctr(&["content", "fetch", "--plain-http", &name])
            .unwrap();
        assert_eq!(node.list().unwrap().len(), contents);
    }
    assert_eq!(blobs_sent(server.log()).unwrap(), 0, "bytes were moved");

    // Only what one has itself goes when it collects.
    let Some((first, others)) = nodes.split_first() else {
        return;
    };
    first.ctr(&["images", "rm", "--sync", &name]).unwrap();
    first.collected().unwrap();
    for node in others {
        assert_eq!(node.list().unwrap().len(), contents);
        for blob in image.blobs() {
            node.check(&blob.digest, &blob.bytes).unwrap();
        }
    }
    registry.check_image("nodes/app", "v1", &image).unwrap();
    drop(nodes);
    let status = server.terminate(STARTS).unwrap();
    assert!(status.success(), "{status}");
    assert!(
        sockets.iter().all(|socket| !socket.exists()),
        "sockets stay"
    );
    tell("content: containerds took an image without a byte, and one forgot it alone");
}

#[test]
fn a_containerd_imports_pushes_and_writes_with_us_as_its_store() {
    let _machine = machine();
    for (version, seed) in Version::ALL.into_iter().zip(4010..) {
        let scratch = Scratch::new("node").unwrap();
        let config = RegistryConfig::new(&scratch.join("data"));
        let (server, sockets) = registry_with_sockets(&config, &scratch, &["alone"]).unwrap();
        let node = Node::start(version, &scratch, "alone", &sockets[0]).unwrap();
        let Some(node) = node else { continue };
        let image = Image::build(seed, &LAYERS);
        let name = format!("{}/node/app:v1", server.host());
        let archive = scratch.join("image.tar");
        image.write_archive(&archive, &name).unwrap();
        let file = archive.display().to_string();
        node.ctr(&["images", "import", "--no-unpack", &file])
            .unwrap();
        node.ctr(&["images", "push", "--plain-http", &name])
            .unwrap();
        let mut registry = server.registry();
        registry.check_image("node/app", "v1", &image).unwrap();
        let exported = scratch.join("exported.tar");
        let file = exported.display().to_string();
        node.ctr(&["images", "export", &file, &name]).unwrap();
        let length = fs::metadata(&exported).unwrap().len();
        assert!(length > LAYERS[0] as u64, "{length}");

        let bytes = image.layers[1].bytes.repeat(50);
        let digest = sha256(&bytes);
        node.ingest_and_hold("by-hand", &digest, &bytes).unwrap();
        node.check(&digest, &bytes).unwrap();
        node.ctr(&["content", "label", &digest, "key=value"])
            .unwrap();
        let push = ["content", "push-object", "--plain-http"];
        let object = format!("{}/node/object:v1", server.host());
        let media_type = "application/octet-stream";
        node.ctr(&[&push[..], &[&object, &digest, media_type]].concat())
            .unwrap();
        assert_eq!(registry.blob("node/object", &digest).unwrap(), bytes);
        node.ctr(&["content", "rm", &digest]).unwrap();
        node.ctr(&["images", "rm", "--sync", &name]).unwrap();
        node.collected().unwrap();
        // What was pushed is the registry's by now.
        registry.check_image("node/app", "v1", &image).unwrap();
    }
}

#[test]
fn an_image_of_another_registry_is_pulled_once_for_all_nodes() {
    let _machine = machine();
    let scratch = Scratch::new("far").unwrap();
    let far = RegistryConfig::new(&scratch.join("far"));
    let (far, _) = registry_with_sockets(&far, &scratch, &[]).unwrap();
    let inner = Scratch::new("near").unwrap();
    let near = RegistryConfig::new(&inner.join("data"));
    let (_near, sockets) = registry_with_sockets(&near, &inner, &["one", "two"]).unwrap();
    let image = Image::build(4020, &LAYERS);
    far.registry().push_image("far/app", "v1", &image).unwrap();
    let name = format!("{}/far/app:v1", far.host());
    let mut sent = Vec::new();
    for (version, socket) in Version::ALL.into_iter().zip(&sockets) {
        let Some(node) = Node::start(version, &inner, &format!("{version:?}"), socket).unwrap()
        else {
            return;
        };
        node.pull(&name).unwrap();
        for blob in image.blobs() {
            node.check(&blob.digest, &blob.bytes).unwrap();
        }
        let logged = wait_until(Duration::from_secs(10), || {
            blobs_sent(far.log()).is_ok_and(|sent| sent == image.blobs().count())
        });
        assert!(logged, "{} blobs were sent", blobs_sent(far.log()).unwrap());
        sent.push(blobs_sent(far.log()).unwrap());
    }
    assert_eq!(sent[0], sent[1], "the second node moved bytes");
}
