//! A store that passes on to another.

use wharfinger_testkit::{Scratch, sha256};

use super::node::{Node, Version};
use super::{ContentServer, STARTS};
use crate::setup::machine;

#[test]
fn a_store_passes_on_to_another_and_ends_when_it_is_asked() {
    let _machine = machine();
    for version in Version::ALL {
        let scratch = Scratch::new("chain").unwrap();
        let data = scratch.join("data");
        let kept = ContentServer::start(&scratch, &data, "kept", "plugin").unwrap();
        let upstream = kept.socket.display().to_string();
        let passing = ["--upstream", &upstream];
        let mut between = ContentServer::start_with(&scratch, "passed-on", &passing).unwrap();
        let Some(node) = Node::start(version, &scratch, "chain", &between.socket).unwrap() else {
            continue;
        };
        let bytes = vec![7; 5 << 20];
        let digest = sha256(&bytes);
        node.ingest_and_hold("by-hand", &digest, &bytes).unwrap();
        node.check(&digest, &bytes).unwrap();
        drop(node);
        let status = between.process.terminate(STARTS).unwrap();
        assert!(status.success(), "{status}");
        assert!(!between.socket.exists(), "the socket stays");
    }
}
