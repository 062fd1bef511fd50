//! Large trees in Distribution's layout, made straight on the file system.
//!
//! What takes most of the room is left out: all but one repository of a thousand have nothing but
//! the directory that makes them one, and the links of tags are hard links to each other.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustix::fs::{AtFlags, Mode, linkat, mkdirat};

use crate::bench::contents::{Content, Pool, digest_of};
use crate::bench::rows::pages::{Pages, write_repository, write_tag};
use crate::bench::rows::small_manifest;
use crate::report::say;

const TAGGED: &str = "bench/tagged";
/// How many repositories lie in one directory.
const TEAM: usize = 1000;
/// ext4 allows 65,000 names of one file.
const NAMES_OF_ONE_FILE: usize = 50_000;
/// How many threads make directories: each waits most of its time for the file system.
const THREADS: usize = 4;

/// A tree, whether it is there already or not.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    directory: PathBuf,
    data: PathBuf,
    items: Items,
    count: usize,
}

#[derive(Debug, Clone, Copy)]
enum Items {
    Tags,
    Repositories,
}

impl Tree {
    /// One repository with `count` tags.
    pub(super) fn tags(place: &Path, count: usize) -> Self {
        Self::new(place.join(format!("tags-{count}")), Items::Tags, count)
    }

    /// `count` repositories; a multiple of a thousand.
    pub(super) fn repositories(place: &Path, count: usize) -> Self {
        let directory = place.join(format!("repositories-{count}"));
        Self::new(directory, Items::Repositories, count)
    }

    fn new(directory: PathBuf, items: Items, count: usize) -> Self {
        Self {
            data: directory.join("data"),
            directory,
            items,
            count,
        }
    }

    /// Returns the directory that servers keep their content in.
    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Returns the list that it is there for.
    pub(super) fn pages(&self) -> Pages {
        match self.items {
            Items::Tags => Pages::of_tags(TAGGED, tag, self.count),
            Items::Repositories => Pages::of_repositories(repository, self.count),
        }
    }

    /// Returns where a manifest is to be had from the midst of the repositories, and the manifest.
    pub(super) fn manifest(&self) -> (String, Vec<u8>) {
        let middle = repository(self.count / TEAM / 2 * TEAM);
        (
            format!("/v2/{middle}/manifests/latest"),
            small_manifest(&small()),
        )
    }

    /// Makes it unless it is there; half of one is made anew.
    pub(super) fn lay_out(&self) -> Result<()> {
        let complete = self.directory.join("complete");
        if complete.exists() {
            return Ok(());
        }
        say(&format!("laying out {}", self.directory.display()));
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory)
                .with_context(|| self.directory.display().to_string())?;
        }
        let root = self.data.join("docker/registry/v2");
        let small = small();
        let manifest = small_manifest(&small);
        let digest = digest_of(&manifest);
        write_blob(&root, small.digest(), &small.to_vec())?;
        write_blob(&root, &digest, &manifest)?;
        let repositories = root.join("repositories");
        match self.items {
            Items::Tags => {
                let tagged = repositories.join(TAGGED);
                write_repository(&tagged, &digest)?;
                write_tag(&tagged, "latest", &digest)?;
                let tags = tagged.join("_manifests/tags");
                in_parts(self.count, NAMES_OF_ONE_FILE, |part| {
                    make_tags(&tags, part, &digest)
                })?;
                fs::remove_dir_all(tags.join("latest"))?;
            }
            Items::Repositories => in_parts(self.count, TEAM, |part| {
                make_repositories(&repositories, part, &digest)
            })?,
        }
        // All of it is on the disk before it is called complete.
        rustix::fs::sync();
        fs::write(&complete, "").with_context(|| complete.display().to_string())
    }
}

/// The only blob beside the manifest.
fn small() -> Content {
    Pool::new(4096).content("small", 4096)
}

fn tag(index: usize) -> String {
    format!("v1.0.{index:07}")
}

fn repository(index: usize) -> String {
    format!("team{:04}/r{:04}", index / TEAM, index % TEAM)
}

fn write_blob(root: &Path, digest: &str, bytes: &[u8]) -> Result<()> {
    let hex = digest.strip_prefix("sha256:").context("a sha256 digest")?;
    let directory = root.join("blobs/sha256").join(&hex[..2]).join(hex);
    fs::create_dir_all(&directory)?;
    Ok(fs::write(directory.join("data"), bytes)?)
}

/// Calls `make` for each part of `0..count`, on some threads.
fn in_parts(
    count: usize,
    size: usize,
    make: impl Fn(Range<usize>) -> Result<()> + Sync,
) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let make = &make;
                scope.spawn(move || {
                    (first * size..count)
                        .step_by(THREADS * size)
                        .try_for_each(|start| make(start..count.min(start + size)))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

/// Makes the repositories of a team.
fn make_repositories(repositories: &Path, part: Range<usize>, digest: &str) -> Result<()> {
    let first = repositories.join(repository(part.start));
    write_repository(&first, digest)?;
    write_tag(&first, "latest", digest)?;
    let team = first.parent().context("a team")?;
    let directory = File::open(team)?;
    for index in part.skip(1) {
        let name = format!("r{:04}", index % TEAM);
        mkdirat(&directory, &name, Mode::RWXU)?;
        mkdirat(&directory, format!("{name}/_manifests"), Mode::RWXU)?;
    }
    Ok(())
}

/// Makes tags whose links are one file.
fn make_tags(tags: &Path, part: Range<usize>, digest: &str) -> Result<()> {
    let directory = File::open(tags)?;
    let link = format!("{}/current/link", tag(part.start));
    for index in part {
        let name = tag(index);
        mkdirat(&directory, &name, Mode::RWXU)?;
        mkdirat(&directory, format!("{name}/current"), Mode::RWXU)?;
        let path = format!("{name}/current/link");
        if path == link {
            fs::write(tags.join(&path), digest)?;
        } else {
            linkat(&directory, &link, &directory, &path, AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_as_many_items_as_it_should_and_is_made_once() {
        let place = std::env::temp_dir().join(format!("wharfinger-tree-{}", std::process::id()));
        let repositories = Tree::repositories(&place, 3000);
        repositories.lay_out().unwrap();
        let root = repositories.path().join("docker/registry/v2/repositories");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 3);
        assert_eq!(fs::read_dir(root.join("team0002")).unwrap().count(), 1000);
        assert!(root.join(repository(2999)).join("_manifests").is_dir());
        let (target, _) = repositories.manifest();
        assert_eq!(target, "/v2/team0001/r0000/manifests/latest");
        let link = root.join("team0001/r0000/_manifests/tags/latest/current/link");
        assert!(link.is_file());
        fs::remove_dir_all(&root).unwrap();
        repositories.lay_out().unwrap();
        assert!(!root.exists());

        let tags = Tree::tags(&place, 100);
        tags.lay_out().unwrap();
        let tags = tags
            .path()
            .join("docker/registry/v2/repositories/bench/tagged/_manifests/tags");
        assert_eq!(fs::read_dir(&tags).unwrap().count(), 100);
        let link = fs::read(tags.join(tag(99)).join("current/link")).unwrap();
        assert!(link.starts_with(b"sha256:"));
        fs::remove_dir_all(&place).unwrap();
    }
}
