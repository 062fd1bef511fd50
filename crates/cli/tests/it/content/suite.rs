//! containerd's own suite for content stores, in `tests/content`: at our socket in both modes, and through
//! a containerd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wharfinger_testkit::{Scratch, run, tell, tool};

use super::ContentServer;
use super::node::Node;
use crate::setup::machine;

/// The first run fetches and builds some modules.
const SUITE: Duration = Duration::from_secs(900);

/// How many times in a row it has to pass.
const RUNS: usize = 3;

#[test]
fn containerds_own_suite_passes_in_both_modes_and_through_a_containerd() {
    let _machine = machine();
    let Some(go) = tool("go") else { return };
    let scratch = Scratch::new("content-suite").unwrap();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/content");
    for number in 0..RUNS {
        // The suite writes the same bytes each time, so each time they must be new to the store.
        let start = |name: &str, mode| {
            let root = scratch.join(format!("data-{name}-{number}"));
            ContentServer::start(&scratch, &root, &format!("{name}-{number}"), mode).unwrap()
        };
        let (plugin, direct) = (start("plugin", "plugin"), start("direct", "direct"));
        let behind = start("behind", "plugin");
        let node = Node::start(&scratch, &format!("suite-{number}"), &behind.socket).unwrap();
        let mut command = Command::new(&go);
        command
            .args(["test", "-count=1", "-v", "./..."])
            .current_dir(&suite)
            .env("CONTENT_PLUGIN", &plugin.socket)
            .env("CONTENT_DIRECT", &direct.socket);
        if let Some(node) = &node {
            command.env("CONTENT_CONTAINERD", node.socket());
        }
        let told = run(&mut command, SUITE).unwrap();
        let passed = told.matches("    --- PASS").count();
        // 12 for each, 1 more where namespaces are kept apart, 2 more where they share.
        let wanted = 12 + 13 + node.map_or(0, |_| 14);
        assert_eq!(passed, wanted, "{told}");
        tell(&format!(
            "content: run {number} of containerd's suite: {passed} passed"
        ));
    }
}
