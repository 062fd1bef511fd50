//! Images for several platforms under one name, as OCI's index and as docker's manifest list.

use anyhow::Result;
use serde_json::Value;
use wharfinger_testkit::{Index, media_types};

use super::containerd::Containerd;
use super::dock::Dock;
use super::docker::Docker;
use super::layouts::{Layouts, plain};
use super::program::Program;
use super::skopeo::Skopeo;
use super::storage::Storage;
use super::{Client, boxed, pull};
use crate::setup::machine;

const PLATFORMS: [&str; 3] = ["amd64", "arm64", "s390x"];

/// Has an index, not pushed by any client.
fn has_index(dock: &mut Dock, repository: &str, seed: u64) -> Result<Index> {
    let index = Index::build(seed, &[2 << 10, 100_000], &PLATFORMS);
    for image in &index.images {
        let digest = &image.manifest.digest;
        dock.registry.push_image(repository, digest, image)?;
    }
    dock.registry
        .push_manifest(repository, "all", &index.index)?;
    Ok(index)
}

/// Holds every byte of every image against what it was.
fn check(dock: &mut Dock, repository: &str, index: &Index) -> Result<()> {
    let stored = dock.registry.manifest(repository, "all")?;
    assert_eq!(stored, index.index, "{repository}");
    for image in &index.images {
        dock.registry
            .check_image(repository, &image.manifest.digest, image)?;
    }
    Ok(())
}

#[test]
fn an_index_goes_to_disk_and_back_with_all_its_images() {
    let mut dock = Dock::open("indexes").unwrap();
    let programs = ["skopeo", "crane", "regctl", "oras"];
    let programs = programs.map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(skopeo), Some(crane), Some(regctl), Some(oras)] = programs else {
        return;
    };
    let _machine = machine();
    let index = has_index(&mut dock, "index/source", 1700).unwrap();
    let source = dock.name("index/source:all");

    let name = dock.name("index/skopeo:all");
    let copy = ["--insecure-policy", "copy", "--all"];
    let from = format!("docker://{source}");
    let pull = ["--src-tls-verify=false", &from, "oci:layout:all"];
    skopeo.run(&[&copy[..], &pull].concat()).unwrap();
    let to = format!("docker://{name}");
    let push = ["--dest-tls-verify=false", "oci:layout:all", &to];
    skopeo.run(&[&copy[..], &push].concat()).unwrap();
    check(&mut dock, "index/skopeo", &index).unwrap();

    let name = dock.name("index/crane:all");
    crane
        .run(&["pull", "--format=oci", &source, "layout"])
        .unwrap();
    crane.run(&["push", "layout", &name]).unwrap();
    check(&mut dock, "index/crane", &index).unwrap();

    let host = ["--host", &plain(&source), "image", "copy"];

    let name = dock.name("index/regctl:all");
    let layout = "ocidir://layout:all";
    regctl
        .run(&[&host[..], &[&source, layout]].concat())
        .unwrap();
    regctl.run(&[&host[..], &[layout, &name]].concat()).unwrap();
    check(&mut dock, "index/regctl", &index).unwrap();

    let name = dock.name("index/oras:all");
    let pull = [
        "cp",
        "--from-plain-http",
        &source,
        "--to-oci-layout",
        "layout:all",
    ];
    oras.run(&pull).unwrap();
    let push = [
        "cp",
        "--from-oci-layout",
        "layout:all",
        "--to-plain-http",
        &name,
    ];
    oras.run(&push).unwrap();
    check(&mut dock, "index/oras", &index).unwrap();
}

#[test]
fn docker_images_and_lists_are_pulled_by_all_that_know_them() {
    let mut dock = Dock::open("conversions").unwrap();
    let Some(skopeo) = Skopeo::find(&dock.scratch).unwrap() else {
        return;
    };
    let pullers: Vec<Option<Box<dyn Client>>> = vec![
        Docker::start(&dock.scratch).unwrap().map(boxed),
        Containerd::start(&dock.scratch).unwrap().map(boxed),
        Storage::find(&dock.scratch, "podman").unwrap().map(boxed),
        Layouts::crane(&dock.scratch).unwrap().map(boxed),
        Layouts::regctl(&dock.scratch).unwrap().map(boxed),
    ];
    let _machine = machine();
    let index = has_index(&mut dock, "index/oci", 1710).unwrap();
    let source = format!("docker://{}", dock.name("index/oci:all"));

    // The conversion changes every manifest and no layer.
    let options = ["--all", "--format=v2s2"];
    let target = format!("docker://{}", dock.name("index/docker:all"));
    skopeo.copy(&options, &source, &target).unwrap();
    let list = dock.registry.manifest("index/docker", "all").unwrap();
    assert_eq!(list.media_type, media_types::DOCKER_LIST);
    let list: Value = serde_json::from_slice(&list.bytes).unwrap();
    let manifests = list["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), PLATFORMS.len());
    for (manifest, image) in manifests.iter().zip(&index.images) {
        assert_eq!(manifest["mediaType"], media_types::DOCKER_MANIFEST);
        let digest = manifest["digest"].as_str().unwrap();
        let stored = dock.stored("index/docker", digest).unwrap();
        assert_eq!(stored.blobs[0].digest, image.config.digest);
        assert_eq!(stored.blobs[1].bytes, image.layers[0].bytes);
    }

    // Each takes the image of one platform by its digest.
    let digest = manifests[0]["digest"].as_str().unwrap();
    let stored = dock.stored("index/docker", digest).unwrap();
    dock.registry
        .push_manifest("index/docker", "amd64", &stored.manifest)
        .unwrap();
    let name = dock.name("index/docker:amd64");
    for puller in pullers.into_iter().flatten() {
        pull(puller.as_ref(), "skopeo", &name, &stored).unwrap();
    }
}
