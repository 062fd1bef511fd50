//! Deletes, as each client asks for them: of a tag, and of a manifest with every tag that points at it.

use anyhow::Result;
use wharfinger_testkit::Image;

use super::dock::Dock;
use super::layouts::plain;
use super::program::Program;
use crate::setup::machine;

/// A repository with one image under two tags, and another beside it that nobody deletes.
fn two_tags(dock: &mut Dock, repository: &str, seed: u64) -> Result<(Image, Image)> {
    let kept = dock.has_image(repository, "kept", seed)?;
    let image = dock.has_image(repository, "one", seed + 1)?;
    dock.registry
        .push_manifest(repository, "two", &image.manifest)?;
    Ok((image, kept))
}

/// Only the tag `one` went; the image is still there by its other tag and its digest.
fn only_the_tag_went(dock: &mut Dock, repository: &str, image: &Image) -> Result<()> {
    assert_eq!(dock.tags(repository)?, ["kept", "two"]);
    for reference in ["two", &image.manifest.digest] {
        dock.registry.check_image(repository, reference, image)?;
    }
    Ok(())
}

/// The image went with both its tags; the other is whole.
fn the_image_went(dock: &mut Dock, repository: &str, image: &Image, kept: &Image) -> Result<()> {
    assert_eq!(dock.tags(repository)?, ["kept"]);
    for reference in ["one", "two", &image.manifest.digest] {
        let target = format!("/v2/{repository}/manifests/{reference}");
        assert_eq!(dock.registry.status("GET", &target)?, 404, "{target}");
    }
    dock.registry.check_image(repository, "kept", kept)?;
    Ok(())
}

#[test]
fn crane_deletes_a_tag_and_an_image() {
    let mut dock = Dock::open("crane-deletes").unwrap();
    let Some(crane) = Program::find(&dock.scratch, "crane", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let (image, kept) = two_tags(&mut dock, "by/crane", 1600).unwrap();
    crane.run(&["delete", &dock.name("by/crane:one")]).unwrap();
    only_the_tag_went(&mut dock, "by/crane", &image).unwrap();
    let digest = dock.name(&format!("by/crane@{}", image.manifest.digest));
    crane.run(&["delete", &digest]).unwrap();
    the_image_went(&mut dock, "by/crane", &image, &kept).unwrap();
}

#[test]
fn regctl_deletes_a_tag_and_an_image() {
    let mut dock = Dock::open("regctl-deletes").unwrap();
    let Some(regctl) = Program::find(&dock.scratch, "regctl", &[]).unwrap() else {
        return;
    };
    let _machine = machine();
    let (image, kept) = two_tags(&mut dock, "by/regctl", 1610).unwrap();
    let tag = dock.name("by/regctl:one");
    let host = ["--host", &plain(&tag)];
    regctl
        .run(&[&host[..], &["tag", "delete", &tag]].concat())
        .unwrap();
    only_the_tag_went(&mut dock, "by/regctl", &image).unwrap();
    // Where a registry has no delete of tags, regctl pushes a manifest over it and deletes that.
    assert_eq!(
        dock.answers("PUT", "/v2/by/regctl/manifests/one", 201)
            .unwrap(),
        1,
        "ours"
    );
    let digest = dock.name(&format!("by/regctl@{}", image.manifest.digest));
    let delete = ["manifest", "delete", &digest];
    regctl.run(&[&host[..], &delete].concat()).unwrap();
    the_image_went(&mut dock, "by/regctl", &image, &kept).unwrap();
}

#[test]
fn skopeo_and_oras_delete_the_image_of_a_tag() {
    let mut dock = Dock::open("image-deletes").unwrap();
    let programs = ["skopeo", "oras"].map(|name| Program::find(&dock.scratch, name, &[]).unwrap());
    let [Some(skopeo), Some(oras)] = programs else {
        return;
    };
    let _machine = machine();
    let (image, kept) = two_tags(&mut dock, "by/skopeo", 1620).unwrap();
    let name = format!("docker://{}", dock.name("by/skopeo:one"));
    skopeo
        .run(&["delete", "--tls-verify=false", &name])
        .unwrap();
    the_image_went(&mut dock, "by/skopeo", &image, &kept).unwrap();

    let (image, kept) = two_tags(&mut dock, "by/oras", 1630).unwrap();
    let name = dock.name("by/oras:one");
    oras.run(&["manifest", "delete", "--force", "--plain-http", &name])
        .unwrap();
    the_image_went(&mut dock, "by/oras", &image, &kept).unwrap();
}
