//! Content that is no image, alone and attached to an image: oras and regctl.

use std::fs;

use super::dock::Dock;
use super::layouts::plain;
use super::program::Program;
use crate::setup::machine;

#[test]
fn oras_pulls_the_files_that_it_pushed() {
    let mut dock = Dock::open("files").unwrap();
    let Some(oras) = Program::find(&dock.scratch, "oras", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let files = [
        ("empty", vec![]),
        ("small", vec![1; 7]),
        ("large", vec![2; 9 << 20]),
    ];
    for (name, bytes) in &files {
        fs::write(oras.home().join(name), bytes).unwrap();
    }
    let name = dock.name("files:v1");
    let push = [
        "push",
        "--plain-http",
        "--artifact-type",
        "application/x-files",
        &name,
    ];
    oras.run(&[&push[..], &["empty", "small:text/plain", "large"]].concat())
        .unwrap();
    dock.stored("files", "v1").unwrap();
    oras.run(&["pull", "--plain-http", "--output", "pulled", &name])
        .unwrap();
    for (name, bytes) in &files {
        let pulled = fs::read(oras.home().join("pulled").join(name)).unwrap();
        assert!(pulled == *bytes, "{name} differs");
    }
}

#[test]
fn what_oras_and_regctl_attach_both_discover() {
    let mut dock = Dock::open("attach").unwrap();
    let programs = ["oras", "regctl"].map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(oras), Some(regctl)] = programs else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("subject", "v1", 1520).unwrap();
    let name = dock.name("subject:v1");
    let host = plain(&name);
    for program in [&oras, &regctl] {
        fs::write(
            program.home().join("note"),
            program.home().display().to_string(),
        )
        .unwrap();
    }

    let attach = [
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/x-oras",
    ];
    oras.run(&[&attach[..], &[&name, "note"]].concat()).unwrap();
    let put = [
        "--host",
        &host,
        "artifact",
        "put",
        "--subject",
        &name,
        "--file",
        "note",
    ];
    regctl
        .run(&[&put[..], &["--artifact-type", "application/x-regctl"]].concat())
        .unwrap();

    let discover = ["discover", "--plain-http", "--format", "json", &name];
    let list = [
        "--host",
        &host,
        "artifact",
        "list",
        "--format",
        "{{json .Descriptors}}",
    ];
    for found in [
        oras.run(&discover).unwrap(),
        regctl.run(&[&list[..], &[&name]].concat()).unwrap(),
    ] {
        for kind in ["application/x-oras", "application/x-regctl"] {
            assert_eq!(found.matches(kind).count(), 1, "{kind} in {found}");
        }
    }

    // The registry lists them: no tag stands in for that.
    assert_eq!(dock.tags("subject").unwrap(), ["v1"]);

    // With its referrers the image travels on.
    let copy = ["--host", &host, "image", "copy", "--referrers", &name];
    let copied = dock.name("copied:v1");
    regctl.run(&[&copy[..], &[&copied]].concat()).unwrap();
    dock.registry.check_image("copied", "v1", &image).unwrap();
    let found = oras
        .run(&["discover", "--plain-http", "--format", "json", &copied])
        .unwrap();
    assert!(found.contains("application/x-oras"), "{found}");
}

#[test]
fn oras_attaches_under_a_tag_as_older_clients_do() {
    let mut dock = Dock::open("fallback").unwrap();
    let Some(oras) = Program::find(&dock.scratch, "oras", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("subject", "v1", 1525).unwrap();
    let name = dock.name("subject:v1");
    fs::write(oras.home().join("note"), "under a tag").unwrap();
    let plain = ["--plain-http", "--distribution-spec=v1.1-referrers-tag"];
    let attach = [
        "attach",
        "--artifact-type=application/x-oras",
        &name,
        "note",
    ];
    oras.run(&[&attach[..], &plain].concat()).unwrap();
    let discover = ["discover", "--format=json", &name];
    let found = oras.run(&[&discover[..], &plain].concat()).unwrap();
    assert_eq!(found.matches("application/x-oras").count(), 1, "{found}");
    let under = image.manifest.digest.replace(':', "-");
    assert_eq!(dock.tags("subject").unwrap(), [under, "v1".into()]);
}
