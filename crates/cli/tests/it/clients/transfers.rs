//! How layers travel: mounted, in chunks, packed by zstd.

use serde_json::Value;
use wharfinger_testkit::Image;

use super::containerd::Containerd;
use super::dock::Dock;
use super::layouts::{Layouts, plain};
use super::program::Program;
use super::skopeo::Skopeo;
use super::storage::Storage;
use super::{boxed, pull};
use crate::setup::machine;

#[test]
fn a_copy_between_repositories_mounts_and_sends_no_layer() {
    let mut dock = Dock::open("mounts").unwrap();
    let programs = ["crane", "regctl", "oras"];
    let programs = programs.map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(crane), Some(regctl), Some(oras)] = programs else {
        return;
    };
    let _machine = machine();
    let image = dock.has_image("mount/source", "v1", 1800).unwrap();
    let source = dock.name("mount/source:v1");
    let [by_crane, by_regctl, by_oras] =
        ["crane", "regctl", "oras"].map(|who| dock.name(&format!("mount/{who}:v1")));

    crane.run(&["copy", &source, &by_crane]).unwrap();
    let copy = [
        "--host",
        &plain(&source),
        "image",
        "copy",
        &source,
        &by_regctl,
    ];
    regctl.run(&copy).unwrap();
    let copy = [
        "cp",
        "--from-plain-http",
        "--to-plain-http",
        &source,
        &by_oras,
    ];
    oras.run(&copy).unwrap();
    for who in ["crane", "regctl", "oras"] {
        let repository = format!("mount/{who}");
        dock.registry
            .check_image(&repository, "v1", &image)
            .unwrap();
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        dock.expect_answer("POST", &uploads, 201);
        assert_eq!(dock.answers("PATCH", &uploads, 202).unwrap(), 0, "{who}");
        assert_eq!(dock.answers("PUT", &uploads, 201).unwrap(), 0, "{who}");
    }
}

#[test]
fn regctl_pushes_in_small_chunks() {
    let mut dock = Dock::open("chunks").unwrap();
    let Some(regctl) = Program::find(&dock.scratch, "regctl", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let image = Image::build(1810, &[2 << 10, 1 << 20]);
    image
        .write_layout(&regctl.home().join("layout"), "v1")
        .unwrap();
    let name = dock.name("in/chunks:v1");
    let set = [
        "registry",
        "set",
        &dock.host(),
        "--tls",
        "disabled",
        "--skip-check",
    ];
    let chunks = ["--blob-chunk", "65536", "--blob-max", "65536"];
    regctl.run(&[&set[..], &chunks].concat()).unwrap();
    regctl
        .run(&["image", "copy", "ocidir://layout:v1", &name])
        .unwrap();
    dock.registry
        .check_image("in/chunks", "v1", &image)
        .unwrap();
    let patches = dock
        .answers("PATCH", "/v2/in/chunks/blobs/uploads/", 202)
        .unwrap();
    assert!(patches >= 16, "{patches} chunks");
}

#[test]
fn layers_of_zstd_are_pushed_and_pulled() {
    let mut dock = Dock::open("zstd").unwrap();
    let tools = (
        Skopeo::find(&dock.scratch).unwrap(),
        Storage::program(&dock.scratch, "buildah").unwrap(),
    );
    let (Some(skopeo), Some(buildah)) = tools else {
        return;
    };
    let _machine = machine();
    // From the disk: what the registry has packed already would be mounted as it is.
    let image = Image::build(1820, &[2 << 10, 300_000]);

    let by_skopeo = dock.name("zstd/skopeo:v1");
    image
        .write_layout(&dock.scratch.join("packed"), "v1")
        .unwrap();
    let packed = format!("oci:{}:v1", dock.scratch.join("packed").display());
    let target = format!("docker://{by_skopeo}");
    // Unpacked on its way: a layer that is packed is left as it is.
    skopeo
        .copy(&["--dest-decompress"], &packed, "dir:unpacked")
        .unwrap();
    let zstd = ["--dest-compress-format=zstd"];
    skopeo.copy(&zstd, "dir:unpacked", &target).unwrap();

    let by_buildah = dock.name("zstd/buildah:v1");
    let archive = dock.scratch.join("packed.tar");
    image.write_archive(&archive, &by_buildah).unwrap();
    let packed = format!("oci-archive:{}", archive.display());
    buildah.run(&["pull", "--quiet", &packed]).unwrap();
    let push = ["push", "--quiet", "--tls-verify=false"];
    let options = ["--compression-format=zstd", "--format=oci"];
    let target = format!("docker://{by_buildah}");
    let names = [image.config.hex(), target.as_str()];
    buildah
        .run(&[&push[..], &options, &names].concat())
        .unwrap();

    let pullers = [
        Containerd::start(&dock.scratch).unwrap().map(boxed),
        Storage::find(&dock.scratch, "podman").unwrap().map(boxed),
        Layouts::crane(&dock.scratch).unwrap().map(boxed),
    ];
    for (who, name) in [("skopeo", &by_skopeo), ("buildah", &by_buildah)] {
        let stored = dock.stored(&format!("zstd/{who}"), "v1").unwrap();
        assert_eq!(stored.diff_ids, image.diff_ids, "{who}");
        let manifest: Value = serde_json::from_slice(&stored.manifest.bytes).unwrap();
        let kind = manifest["layers"][1]["mediaType"].as_str().unwrap();
        assert!(kind.ends_with("tar+zstd"), "{who}: {kind}");
        for puller in pullers.iter().flatten() {
            pull(puller.as_ref(), who, name, &stored).unwrap();
        }
    }
}
