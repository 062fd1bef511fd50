//! Beside Distribution, once 2.8 as Debian's `docker-registry` and once 3: on the same directory and secret, its
//! descriptor cache off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use wharfinger_testkit::{
    Blob, Distribution, DockerRegistry, Image, Index, Registry, RegistryConfig, Scratch, Server,
    eventually, tool,
};

use crate::setup::{machine, wharfinger};

/// The catalog is read anew once a second while that is cheap; everything else is exact at once.
const CATALOG: Duration = Duration::from_secs(3);

/// Starts a registry that is not ours.
type Start = fn(PathBuf, &RegistryConfig, &Path) -> Result<Server>;

/// Each of Distribution's generations: its program, and how it is started.
const PEERS: [(&str, Start); 2] = [
    ("docker-registry", |program, config, directory| {
        DockerRegistry::start(program, config, directory)
    }),
    ("distribution", |program, config, directory| {
        Distribution::start(program, config, directory)
    }),
];

/// Both registries on one directory.
struct Pair {
    /// Who the other is.
    peer: &'static str,
    // Servers before the directory: fields are dropped in this order.
    ours: Server,
    theirs: Server,
    _scratch: Scratch,
}

/// Starts a pair with each peer that is installed.
fn pairs(purpose: &str) -> Result<Vec<Pair>> {
    PEERS
        .into_iter()
        .filter_map(|(peer, start)| Some((peer, tool(peer)?, start)))
        .map(|(peer, program, start)| Pair::start(purpose, peer, program, start))
        .collect()
}

impl Pair {
    fn start(purpose: &str, peer: &'static str, program: PathBuf, start: Start) -> Result<Self> {
        let scratch = Scratch::new(purpose)?;
        let config = RegistryConfig::new(&scratch.join("data"));
        let ours = wharfinger(&config, &scratch)?;
        let theirs = start(program, &config.beside(), scratch.path())?;
        Ok(Self {
            peer,
            ours,
            theirs,
            _scratch: scratch,
        })
    }

    /// The one that writes and the other that looks, both ways round.
    fn both_ways(&self) -> [(&'static str, Registry, Registry); 2] {
        [
            ("ours", self.ours.registry(), self.theirs.registry()),
            (self.peer, self.theirs.registry(), self.ours.registry()),
        ]
    }
}

/// Who takes which step of an upload, a bit each: 0 for ours, 1 for theirs.
fn sixteen_orders() -> impl Iterator<Item = [usize; 4]> {
    (0..16).map(|order| [order & 1, order >> 1 & 1, order >> 2 & 1, order >> 3 & 1])
}

/// Takes one upload through `order` and returns the blob that it became.
fn upload(pair: &Pair, order: [usize; 4], last: usize) -> Result<Blob> {
    let mut registries = [pair.ours.registry(), pair.theirs.registry()];
    // Odd lengths leave the hasher within a block at each change of hands.
    let [first, second] = [70_001, 131_073];
    let seed = order
        .iter()
        .fold(last as u64, |seed, &who| seed * 2 + who as u64);
    let blob = Blob::random(seed, first + second + last);
    let (start, rest) = blob.bytes.split_at(first);
    let (middle, end) = rest.split_at(second);

    let [starter, patcher, second_patcher, finisher] = order;
    let location = registries[starter].start_upload("hand/over")?;
    let location = registries[patcher]
        .append(&location, start)
        .context("first PATCH")?;
    let location = registries[second_patcher]
        .append(&location, middle)
        .context("second PATCH")?;
    registries[finisher].finish_upload(&location, &blob.digest, end)?;
    Ok(blob)
}

#[test]
fn an_upload_survives_every_order_of_hands() {
    let _machine = machine();
    for pair in pairs("orders").unwrap() {
        for order in sixteen_orders() {
            // The last request may bring the last bytes, or none.
            for last in [0, 999] {
                let blob = upload(&pair, order, last)
                    .with_context(|| format!("{}: {order:?}, {last} bytes with the PUT", pair.peer))
                    .unwrap();
                for mut registry in [pair.ours.registry(), pair.theirs.registry()] {
                    let bytes = registry.blob("hand/over", &blob.digest);
                    assert_eq!(bytes.unwrap(), blob.bytes, "{order:?}");
                }
            }
        }
    }
}

#[test]
fn an_upload_that_the_other_took_over_is_known_where_it_began() {
    let _machine = machine();
    for pair in pairs("status").unwrap() {
        for (who, mut here, mut there) in pair.both_ways() {
            let location = here.start_upload("hand/over").unwrap();
            let location = there.append(&location, &[7; 5000]).unwrap();
            let request = wharfinger_testkit::Request::new("GET", location);
            let status = here.send(&request).unwrap().expect(204).unwrap();
            assert_eq!(status.header("range"), Some("0-4999"), "begun by {who}");
        }
    }
}

#[test]
fn each_reads_and_lists_what_the_other_wrote_at_once() {
    let _machine = machine();
    for pair in pairs("reads").unwrap() {
        for (seed, (who, mut writer, mut reader)) in (10..).zip(pair.both_ways()) {
            let repository = format!("written/by-{who}");
            let image = Image::build(seed, &[2048, 50_000]);
            for tag in ["one", "two", "three"] {
                writer.push_image(&repository, tag, &image).unwrap();
                reader.check_image(&repository, tag, &image).unwrap();
                assert!(
                    reader.tags(&repository).unwrap().contains(&tag.to_owned()),
                    "{who}: {tag}"
                );
            }
            reader
                .check_image(&repository, &image.manifest.digest, &image)
                .unwrap();
            eventually!(CATALOG, reader.catalog().unwrap().contains(&repository));
        }
    }
}

#[test]
fn each_reads_an_index_that_the_other_wrote() {
    let _machine = machine();
    for pair in pairs("indexes").unwrap() {
        for (seed, (who, mut writer, mut reader)) in (20..).step_by(10).zip(pair.both_ways()) {
            let repository = format!("index/by-{who}");
            let index = Index::build(seed, &[2048], &["amd64", "arm64"]);
            for image in &index.images {
                let digest = image.manifest.digest.clone();
                writer.push_image(&repository, &digest, image).unwrap();
            }
            writer
                .push_manifest(&repository, "all", &index.index)
                .unwrap();
            assert_eq!(reader.manifest(&repository, "all").unwrap(), index.index);
            for image in &index.images {
                reader
                    .check_image(&repository, &image.manifest.digest, image)
                    .unwrap();
            }
        }
    }
}

#[test]
fn a_tag_that_the_other_moves_is_followed_at_once() {
    let _machine = machine();
    for pair in pairs("tags").unwrap() {
        for (first, (who, mut writer, mut reader)) in (100..).step_by(100).zip(pair.both_ways()) {
            let repository = format!("moved/by-{who}");
            for seed in first..first + 20 {
                let image = Image::build(seed, &[2048]);
                writer.push_image(&repository, "latest", &image).unwrap();
                // Asked twice: the second answer may come from a cache, and must be as new.
                for _ in 0..2 {
                    assert_eq!(
                        reader.manifest(&repository, "latest").unwrap(),
                        image.manifest,
                        "{who}"
                    );
                }
            }
        }
    }
}

#[test]
fn each_deletes_what_the_other_wrote_and_it_is_gone_at_once() {
    let _machine = machine();
    for pair in pairs("deletes").unwrap() {
        for (seed, (who, mut writer, mut other)) in (40..).step_by(2).zip(pair.both_ways()) {
            let repository = format!("deleted/from-{who}");
            let (kept, deleted) = (Image::build(seed, &[2048]), Image::build(seed + 1, &[2048]));
            writer.push_image(&repository, "kept", &kept).unwrap();
            writer.push_image(&repository, "deleted", &deleted).unwrap();
            // Whoever caches has it in the cache now.
            writer
                .check_image(&repository, "deleted", &deleted)
                .unwrap();
            other.check_image(&repository, "deleted", &deleted).unwrap();

            other
                .delete_manifest(&repository, &deleted.manifest.digest)
                .unwrap();
            for registry in [&mut writer, &mut other] {
                for reference in [deleted.manifest.digest.as_str(), "deleted"] {
                    let target = format!("/v2/{repository}/manifests/{reference}");
                    for method in ["GET", "HEAD"] {
                        assert_eq!(
                            registry.status(method, &target).unwrap(),
                            404,
                            "{who}: {target}"
                        );
                    }
                }
                assert_eq!(
                    registry.tags(&repository).unwrap(),
                    ["kept"],
                    "written by {who}"
                );
                registry.check_image(&repository, "kept", &kept).unwrap();
            }
        }
    }
}
