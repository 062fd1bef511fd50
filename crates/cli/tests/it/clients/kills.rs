//! Clients that are killed in the middle of a transfer, and come again.

use wharfinger_testkit::{Image, Process, Stopwatch, eventually, tell};

use super::containerd::Containerd;
use super::dock::Dock;
use super::layouts::plain;
use super::program::Program;
use super::sluice::Sluice;
use crate::setup::machine;

/// What a client pushes or pulls, and where in it the client is killed.
const LAYER: usize = 24 << 20;
const KILLED_AT: usize = 9 << 20;

#[test]
fn a_push_that_was_killed_is_pushed_again() {
    let mut dock = Dock::open("killed-push").unwrap();
    let sluice = Sluice::before(dock.address()).unwrap();
    let _machine = machine();
    for (seed, who) in (1900..).zip(["skopeo", "crane", "regctl", "oras"]) {
        let Some(program) = Program::find(&dock.scratch, who, &[]).unwrap() else {
            continue;
        };
        let image = Image::build(seed, &[LAYER]);
        image
            .write_layout(&program.home().join("layout"), "v1")
            .unwrap();
        let repository = format!("killed/{who}");
        let name = format!("{}/{repository}:v1", sluice.host());
        let (host, target) = (plain(&name), format!("docker://{name}"));
        let arguments = match who {
            "skopeo" => vec![
                "--insecure-policy",
                "copy",
                "--dest-tls-verify=false",
                "oci:layout:v1",
                &target,
            ],
            "crane" => vec!["push", "layout", &name],
            "regctl" => vec![
                "--host",
                &host,
                "image",
                "copy",
                "ocidir://layout:v1",
                &name,
            ],
            _ => vec![
                "cp",
                "--from-oci-layout",
                "layout:v1",
                "--to-plain-http",
                &name,
            ],
        };

        sluice.hold_after(KILLED_AT);
        let log = dock.scratch.join(format!("{who}.log"));
        let mut push = Process::spawn(&mut program.command(&arguments), &log).unwrap();
        eventually!(sluice.holds());
        push.kill().unwrap();
        sluice.open();
        let target = format!("/v2/{repository}/manifests/v1");
        assert_eq!(dock.registry.status("GET", &target).unwrap(), 404, "{who}");

        let watch = Stopwatch::start();
        program.run(&arguments).unwrap();
        dock.registry
            .check_image(&repository, "v1", &image)
            .unwrap();
        tell(&format!(
            "clients: {who} was killed at {KILLED_AT} of {LAYER} bytes, and pushed again in {:?}",
            watch.elapsed()
        ));
    }
}

#[test]
fn containerd_goes_on_where_a_pull_was_killed() {
    let mut dock = Dock::open("killed-pull").unwrap();
    let Some(containerd) = Containerd::start(&dock.scratch).unwrap() else {
        return;
    };
    let _machine = machine();
    let sluice = Sluice::before(dock.address()).unwrap();
    let image = Image::build(1910, &[LAYER]);
    dock.registry
        .push_image("killed/pull", "v1", &image)
        .unwrap();
    let stored = dock.stored("killed/pull", "v1").unwrap();
    let name = format!("{}/killed/pull:v1", sluice.host());

    sluice.hold_after(KILLED_AT);
    let log = dock.scratch.join("ctr.log");
    let mut pull = Process::spawn(&mut containerd.pull_command("killed", &name), &log).unwrap();
    eventually!(sluice.holds());
    pull.kill().unwrap();
    sluice.open();

    containerd.pull_into("killed", &name, &stored).unwrap();
    // It asked for the rest of the layer alone.
    let layer = format!("/v2/killed/pull/blobs/{}", image.layers[0].digest);
    dock.expect_answer("GET", &layer, 206);
}
