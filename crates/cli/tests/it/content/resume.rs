//! A store that is killed in the middle of a pull.

use std::fs;

use wharfinger_testkit::{Image, RegistryConfig, Scratch, tell, wait_until};

use super::node::{Node, Version};
use super::{ContentServer, STARTS};
use crate::setup::{machine, wharfinger};

#[test]
fn a_pull_goes_on_where_it_was_when_the_store_was_killed() {
    let _machine = machine();
    for (version, seed) in Version::ALL.into_iter().zip(4030..) {
        let scratch = Scratch::new("killed-node").unwrap();
        let registry = RegistryConfig::new(&scratch.join("registry"));
        let server = wharfinger(&registry, &scratch).unwrap();
        let image = Image::build(seed, &[112 << 20]);
        let mut registry = server.registry();
        registry.push_image("node/app", "v1", &image).unwrap();
        let name = format!("{}/node/app:v1", server.host());
        let data = scratch.join("data");
        let mut store = ContentServer::start(&scratch, &data, "killed", "plugin").unwrap();
        let node = Node::start(version, &scratch, "killed", &store.socket).unwrap();
        let Some(node) = node else { continue };
        let mut pull = node.start_pull(&name).unwrap();
        let ingests = data.join("docker/registry/v2/_wharfinger/tenants/killed/ingests");
        let has_checkpoint = || {
            let entries = fs::read_dir(&ingests).into_iter().flatten().flatten();
            let markers = entries.map(|entry| entry.path().join("wharfinger"));
            // A manifest has none, but is marked as well when it is committed.
            let mut saved = markers.filter_map(|marker| fs::read_to_string(marker).ok());
            saved.any(|marker| marker.contains("\"synced\""))
        };
        assert!(wait_until(STARTS, has_checkpoint), "nothing was saved");
        // containerd's own client gives up its lease when a pull fails, and then what it had is
        // aborted; one that is killed does not.
        pull.kill().unwrap();
        store.kill_and_restart().unwrap();
        // A pull that fails before would abort what is there.
        node.comes_back().unwrap();
        node.pull_by_client(&name).unwrap();
        node.check(&image.layers[0].digest, &image.layers[0].bytes)
            .unwrap();
        let log = fs::read_to_string(server.log()).unwrap();
        let resumed = log
            .lines()
            .filter(|line| line.contains("/blobs/") && line.contains("\" 206 "));
        assert_eq!(resumed.count(), 1, "{version:?}: the pull began anew");
        tell(&format!(
            "content: a pull of {version:?} went on after a kill"
        ));
    }
}
