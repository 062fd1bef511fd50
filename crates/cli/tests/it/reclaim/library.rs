//! A directory of many images that Distribution has written, deleted in part, served and collected by us.
//!
//! 200 images; `WHARFINGER_IMAGES=1000` makes it as many as that.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use wharfinger_testkit::{Blob, Registry, media_types, setting, tell, tool};

use crate::setup::machine;

use super::oracle::{Reading, copy};
use super::*;

/// 200 images: enough of every kind, pushed in a few seconds.
const IMAGES: usize = 200;

/// The repositories that they are in.
const REPOSITORIES: usize = 20;

/// Four at once, as Distribution is slow at syncing.
const PUSHERS: usize = 4;

fn how_many() -> usize {
    setting("WHARFINGER_IMAGES").map_or(IMAGES, |count| count.parse().expect("WHARFINGER_IMAGES"))
}

fn repository(number: usize) -> String {
    format!("team-{}/app-{}", number % 3, number % REPOSITORIES)
}

/// An image of a layer of its own and one that others have, too.
struct Small {
    layers: [Blob; 2],
    config: Blob,
    manifest: Blob,
}

impl Small {
    fn new(number: usize) -> Self {
        let own = Blob::random(1000 + number as u64, 300);
        let shared = Blob::random(number as u64 % 7, 500);
        let config = json!({ "architecture": "amd64", "os": "linux", "number": number });
        let config = Blob::new(media_types::CONFIG, config.to_string().into_bytes());
        let layers = [own, shared].map(|blob| Blob::new(media_types::LAYER, blob.bytes));
        // Every fourth as docker pushes it, for Distribution knows more than one kind.
        let kind = match number % 4 {
            0 => media_types::DOCKER_MANIFEST,
            _ => media_types::MANIFEST,
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = Blob::new(kind, manifest.to_string().into_bytes());
        Self {
            layers,
            config,
            manifest,
        }
    }

    fn check(&self, registry: &mut Registry, repository: &str) -> Result<()> {
        let manifest = registry.manifest(repository, &self.manifest.digest)?;
        anyhow::ensure!(manifest == self.manifest, "{repository}: another manifest");
        for blob in self.layers.iter().chain([&self.config]) {
            anyhow::ensure!(
                registry.blob(repository, &blob.digest)? == blob.bytes,
                "{repository}"
            );
        }
        Ok(())
    }
}

/// Pushes image `number`: most under a tag, some under one that moves, some under none.
fn push(registry: &mut Registry, number: usize) -> Result<()> {
    let image = Small::new(number);
    let repository = repository(number);
    for blob in image.layers.iter().chain([&image.config]) {
        registry.push_blob(&repository, blob)?;
    }
    let reference = match number % 5 {
        0 => "latest".to_owned(),
        1 => image.manifest.digest.clone(),
        _ => format!("v{number}"),
    };
    registry.push_manifest(&repository, &reference, &image.manifest)?;
    // An index of some that have no tag, so that they are led to all the same.
    if number % 10 == 1 {
        let mut child = image.manifest.descriptor();
        child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        let index =
            json!({ "schemaVersion": 2, "mediaType": media_types::INDEX, "manifests": [child] });
        let index = Blob::new(media_types::INDEX, index.to_string().into_bytes());
        registry.push_manifest(&repository, &format!("index-{number}"), &index)?;
    }
    Ok(())
}

/// Fills the registry at `address`.
fn fill(address: SocketAddr, images: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|pusher| {
                scope.spawn(move || {
                    let mut registry = Registry::new(address);
                    // Those of one repository in their order, so that the last of a tag is known.
                    (0..images)
                        .filter(|number| number % REPOSITORIES % PUSHERS == pusher)
                        .try_for_each(|number| push(&mut registry, number))
                })
            })
            .collect();
        pushers
            .into_iter()
            .try_for_each(|pusher| pusher.join().expect("a pusher panicked"))
    })
}

/// Deletes every third image that has a tag of its own, and begins what is never finished.
fn delete_some(registry: &mut Registry, images: usize) -> Result<()> {
    for number in (0..images).filter(|number| number % 3 == 0 && number % 5 > 1) {
        registry.delete_manifest(&repository(number), &Small::new(number).manifest.digest)?;
    }
    for number in 0..REPOSITORIES {
        let location = registry.start_upload(&repository(number))?;
        registry.append(&location, &[7; 1000])?;
        registry.push_blob(
            &repository(number),
            &Blob::random(5_000_000 + number as u64, 100),
        )?;
    }
    Ok(())
}

/// Collects the garbage below a copy of `data`, and holds what remains against what must.
fn collected(data: &Path, scratch: &Scratch, untagged: bool) -> Result<RegistryConfig> {
    let config = RegistryConfig::new(&scratch.join(format!("ours-{untagged}")));
    copy(data, &config.root)?;
    let before = Reading::of(data)?;
    let kept = before.kept_revisions(data, untagged)?;
    let needed = before.needed(data, &kept)?;
    assert!(needed.len() < before.blobs.len(), "nothing is garbage");
    let file = written(&config, scratch, "collect.yml", "")?;
    let flags: &[&str] = if untagged {
        &["garbage-collect", "-m"]
    } else {
        &["garbage-collect"]
    };
    let told = command(flags, &file)?;

    let after = Reading::of(&config.root)?;
    let there: std::collections::BTreeSet<String> = after.blobs.keys().cloned().collect();
    assert_eq!(there, needed, "untagged: {untagged}");
    let lost: u64 = before.blobs.values().sum::<u64>() - after.blobs.values().sum::<u64>();
    assert!(
        told.contains(&format!("freed {lost} bytes")),
        "{lost} in {told}"
    );
    for (name, contents) in &after.repositories {
        assert_eq!(contents.revisions, kept[name], "{name}");
        assert_eq!(contents.tags, before.repositories[name].tags, "{name}");
        let layers = before.repositories[name].layers.intersection(&needed);
        assert_eq!(contents.layers, layers.cloned().collect(), "{name}");
    }
    assert_eq!(after.repositories.len(), before.repositories.len());
    Ok(config)
}

fn library(program: &Path, name: &str) -> Result<()> {
    let _machine = machine();
    let images = how_many();
    let scratch = Scratch::new("library")?;
    let config = RegistryConfig::new(&scratch.join("data"));
    let file = written(&config, &scratch, "theirs.yml", "")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let variables = vec![("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned())];
    let arguments = vec!["serve".into(), file.clone().into()];
    let mut theirs = Server::start(program, arguments, variables, address, &scratch.join("log"))?;
    fill(address, images)?;
    delete_some(&mut theirs.registry(), images)?;
    theirs.kill()?;

    // Their own collection of a copy leaves the same blobs.
    let copied = RegistryConfig::new(&scratch.join("theirs"));
    copy(&config.root, &copied.root)?;
    let file = written(&copied, &scratch, "their-copy.yml", "")?;
    run(Command::new(program).arg("garbage-collect").arg(file), LONG)?;
    let ours = collected(&config.root, &scratch, false)?;
    let (theirs, collected_by_us) = (Reading::of(&copied.root)?, Reading::of(&ours.root)?);
    assert_eq!(collected_by_us.blobs, theirs.blobs, "{name}");

    for served in [ours, collected(&config.root, &scratch, true)?] {
        let kept = Reading::of(&served.root)?;
        let server = wharfinger(&served, &scratch)?;
        let mut registry = server.registry();
        let names: std::collections::BTreeSet<String> = registry.catalog()?.into_iter().collect();
        assert_eq!(names, kept.repositories.keys().cloned().collect());
        for (name, contents) in &kept.repositories {
            let tags: Vec<&String> = contents.tags.keys().collect();
            assert_eq!(
                registry.tags(name)?.iter().collect::<Vec<_>>(),
                tags,
                "{name}"
            );
        }
        for number in 0..images {
            let (image, repository) = (Small::new(number), repository(number));
            let revisions = &kept.repositories[&repository].revisions;
            if revisions.contains(&image.manifest.digest) {
                image
                    .check(&mut registry, &repository)
                    .with_context(|| format!("image {number}"))?;
            } else {
                let path = format!("/v2/{repository}/manifests/{}", image.manifest.digest);
                assert_eq!(registry.status("HEAD", &path)?, 404, "image {number}");
            }
        }
        let faults = Tree::scan(&served.root)?.faults;
        assert_eq!(faults, [""; 0], "{name}");
    }
    tell(&format!("{name}: {images} images collected"));
    Ok(())
}

#[test]
fn what_remains_of_a_directory_of_docker_registry_is_what_must() {
    if let Some(program) = tool("docker-registry") {
        library(&program, "docker-registry").unwrap();
    }
}

#[test]
fn what_remains_of_a_directory_of_distribution_3_is_what_must() {
    if let Some(program) = tool("distribution") {
        library(&program, "distribution").unwrap();
    }
}
