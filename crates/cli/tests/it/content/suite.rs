//! containerd's own suite for content stores, in `tests/content`: at our socket in both modes, and through
//! each containerd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wharfinger_testkit::{Scratch, run, tell, tool};

use super::ContentServer;
use super::node::{Node, Version};
use crate::setup::machine;

/// A run takes some seconds, on a busy machine a minute.
const SUITE: Duration = Duration::from_secs(300);

/// How many times in a row it has to pass.
const RUNS: usize = 3;

/// How many cases the suite has by itself, with namespaces that are kept apart, and with those that share.
const CASES: usize = 12;
const APART: usize = 13;
const SHARING: usize = 14;

#[test]
fn containerds_own_suite_passes_in_both_modes_and_through_each_containerd() {
    let _machine = machine();
    let Some(suite) = tool("content-suite") else {
        return;
    };
    let scratch = Scratch::new("content-suite").unwrap();
    for number in 0..RUNS {
        // The suite writes the same bytes each time, so each time they must be new to the store.
        let start = |name: &str, mode| {
            let root = scratch.join(format!("data-{name}-{number}"));
            ContentServer::start(&scratch, &root, &format!("{name}-{number}"), mode).unwrap()
        };
        let cases = |test: &str, variable: &str, socket: &Path| {
            let mut command = Command::new(&suite);
            command
                .args(["-test.v", "-test.run", test])
                .env(variable, socket);
            let told = run(&mut command, SUITE).unwrap();
            (told.matches("    --- PASS").count(), told)
        };
        for (mode, test, variable, wanted) in [
            ("plugin", "^TestPlugin$", "CONTENT_PLUGIN", CASES),
            ("direct", "^TestDirect$", "CONTENT_DIRECT", APART),
        ] {
            let server = start(mode, mode);
            let (passed, told) = cases(test, variable, &server.socket);
            assert_eq!(passed, wanted, "{told}");
        }
        for version in Version::ALL {
            let name = format!("behind-{version:?}");
            let behind = start(&name, "plugin");
            let node = Node::start(
                version,
                &scratch,
                &format!("{name}-{number}"),
                &behind.socket,
            );
            let Some(node) = node.unwrap() else { continue };
            let (test, variable) = ("^TestThroughContainerd$", "CONTENT_CONTAINERD");
            let (passed, told) = cases(test, variable, node.socket());
            assert_eq!(passed, SHARING, "{version:?}: {told}");
        }
        tell(&format!(
            "content: run {number} of containerd's suite passed"
        ));
    }
}
