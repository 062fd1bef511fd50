//! Clients that speak to us as if we were their containerd.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::Command;

use wharfinger_testkit::{Image, Scratch, run, wait_until};

use super::node::{Node, Version};
use super::{ContentServer, STARTS};
use crate::setup::machine;

/// More than a checkpoint covers, and less than two do.
const BEGUN: usize = 20 << 20;

#[test]
fn labels_and_what_was_begun_outlive_a_kill() {
    let _machine = machine();
    for version in Version::ALL {
        let scratch = Scratch::new("direct").unwrap();
        let data = scratch.join("data");
        let mut store = ContentServer::start(&scratch, &data, "direct", "direct").unwrap();
        let client = Node::client(version, &scratch, "client", &store.socket).unwrap();
        let Some(client) = client else { continue };
        let image = Image::build(4050, &[2 * BEGUN]);
        let layer = &image.layers[0];
        let config = &image.config;
        client
            .ingest("whole", &config.digest, &config.bytes)
            .unwrap();
        client
            .ctr(&["content", "label", &config.digest, "key=value"])
            .unwrap();
        let is_labelled = || {
            let list = client.ctr(&["content", "ls"]).unwrap();
            let mut rows = list.lines();
            rows.any(|row| row.contains(&config.digest) && row.contains("key=value"))
        };
        assert!(is_labelled());

        let pipe = scratch.join("pipe");
        run(Command::new("mkfifo").arg(&pipe), STARTS).unwrap();
        let mut ingest = client.start_ingest("begun", &pipe).unwrap();
        let mut sender = OpenOptions::new().write(true).open(&pipe).unwrap();
        sender.write_all(&layer.bytes[..BEGUN]).unwrap();
        let active = || client.ctr(&["content", "active"]).unwrap();
        let is_begun = |size: &str| {
            let active = active();
            let mut rows = active.lines().filter(|row| row.starts_with("begun"));
            rows.any(|row| row.contains(size))
        };
        assert!(wait_until(STARTS, || is_begun("20.97MB")), "{}", active());
        // Its checkpoint is written in the background.
        let ingests = data.join("docker/registry/v2/_wharfinger/tenants/direct");
        let marked = || {
            run(
                Command::new("grep").args(["-rlq", "synced"]).arg(&ingests),
                STARTS,
            )
        };
        assert!(wait_until(STARTS, || marked().is_ok()), "no checkpoint");
        ingest.kill().unwrap();
        drop(sender);
        store.kill_and_restart().unwrap();

        assert!(is_labelled(), "the label is gone");
        // What the last checkpoint covered.
        assert!(is_begun("16.78MB") || is_begun("20.97MB"), "{}", active());
        client.ingest("begun", &layer.digest, &layer.bytes).unwrap();
        client.check(&layer.digest, &layer.bytes).unwrap();
        client.check(&config.digest, &config.bytes).unwrap();
        fs::remove_file(&pipe).unwrap();
    }
}
