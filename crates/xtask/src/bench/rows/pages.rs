//! Pages of long lists. The tags and repositories are written into the peer's directory in
//! Distribution's layout: pushing them would take longer than all the rest.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::requests::{self, Asked};
use super::{Bench, Peer, Sample, Turn};
use crate::bench::client::Connection;
use crate::bench::contents::digest_of;
use crate::bench::peers::now;

const TAGGED: &str = "bench/tagged";
const PAGE: usize = 100;
/// A catalog may be as old as the server says; none is older than this, were it of a million.
const FRESH: Duration = Duration::from_secs(300);

/// Writes the tags.
pub(super) fn prepare_tags(bench: &Bench, peer: &Peer) -> Result<()> {
    requests::prepare_manifest(bench, peer)?;
    let digest = digest_of(&bench.manifest);
    let repository = peer.layout().join("repositories").join(TAGGED);
    write_repository(&repository, &digest)?;
    for index in 0..bench.sizes.tags {
        write_tag(&repository, &tag(index), &digest)?;
    }
    Ok(())
}

/// Writes the repositories.
pub(super) fn prepare_repositories(bench: &Bench, peer: &Peer) -> Result<()> {
    requests::prepare_manifest(bench, peer)?;
    let digest = digest_of(&bench.manifest);
    for index in 0..bench.sizes.repositories {
        let repository = peer.layout().join("repositories").join(repository(index));
        write_repository(&repository, &digest)?;
        write_tag(&repository, "latest", &digest)?;
    }
    Ok(())
}

/// Pages of tags, from all over the list.
pub(super) fn tags(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    Pages::of_tags(TAGGED, tag, bench.sizes.tags).repeat(bench, peer)
}

/// The first page of repositories, which costs a server least that walks its directories.
pub(super) fn first_of_repositories(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    let pages = Pages::of_repositories(repository, bench.sizes.repositories);
    pages.repeat_first(bench, peer)
}

/// Pages of repositories, from all over the list.
pub(super) fn repositories(bench: &Bench, peer: &Peer, _: Turn) -> Result<Sample> {
    Pages::of_repositories(repository, bench.sizes.repositories).repeat(bench, peer)
}

fn tag(index: usize) -> String {
    format!("v1.0.{index:07}")
}

fn repository(index: usize) -> String {
    format!("many/r{index:07}")
}

/// A long list of which pages are asked.
#[derive(Debug)]
pub(crate) struct Pages {
    target: String,
    /// What the item of this number is called; in the order of the list.
    name: fn(usize) -> String,
    items: usize,
}

impl Pages {
    /// The tags of `repository`.
    pub(crate) fn of_tags(repository: &str, name: fn(usize) -> String, items: usize) -> Self {
        Self {
            target: format!("/v2/{repository}/tags/list"),
            name,
            items,
        }
    }

    /// All repositories.
    pub(crate) fn of_repositories(name: fn(usize) -> String, items: usize) -> Self {
        Self {
            target: "/v2/_catalog".to_owned(),
            name,
            items,
        }
    }

    /// Asks for pages from all over the list.
    pub(crate) fn repeat(&self, bench: &Bench, peer: &Peer) -> Result<Sample> {
        // Each page starts behind an item that exists; a stride keeps neighbours apart.
        let count = self.items / PAGE - 1;
        let starts: Vec<usize> = (0..count).map(|page| (page * 7 % count) * PAGE).collect();
        let targets: Vec<String> = starts
            .iter()
            .map(|start| format!("{}?n={PAGE}&last={}", self.target, (self.name)(*start)))
            .collect();
        let firsts: Vec<String> = starts
            .iter()
            .map(|start| format!("[\"{}\"", (self.name)(start + 1)))
            .collect();
        let items = self.probe(peer, &targets[0])?;
        let asked: Vec<Asked> = targets.iter().map(|target| Asked::get(target)).collect();
        requests::repeat(bench, peer, &asked, &|index, answer, body| {
            answer.status == 200
                && elements(body) == items
                && (items > PAGE || holds(body, firsts[index].as_bytes()))
        })
    }

    /// Asks once for every page that [`Pages::repeat`] asks for, from the first to the last.
    pub(crate) fn walk(&self, peer: &Peer) -> Result<Sample> {
        let ((), cost) = peer.measure(|| {
            let mut connection = Connection::open(peer.address)?;
            for start in (0..self.items - PAGE).step_by(PAGE) {
                let target = format!("{}&last={}", self.first(), (self.name)(start));
                let body = connection.get(&target)?;
                let last = format!("\"{}\"", (self.name)(start + PAGE));
                ensure!(
                    holds(&body, last.as_bytes()),
                    "{target}: a page without {last}"
                );
            }
            Ok(())
        })?;
        Ok(Sample { work: 1.0, cost })
    }

    /// Asks for the first page only.
    fn repeat_first(&self, bench: &Bench, peer: &Peer) -> Result<Sample> {
        // Other repositories stand before these, so that only the number is known.
        let target = self.first();
        let items = self.probe(peer, &target)?;
        requests::repeat(bench, peer, &[Asked::get(&target)], &|_, answer, body| {
            answer.status == 200 && elements(body) == items
        })
    }

    /// Returns the target of the first page.
    pub(crate) fn first(&self) -> String {
        format!("{}?n={PAGE}", self.target)
    }

    /// Asks one page, again and again while the server does not yet know all that was written
    /// beside it, and returns how many items it has: docker-registry 2.8 answers a request for a
    /// page of tags with all of them.
    pub(crate) fn probe(&self, peer: &Peer, target: &str) -> Result<usize> {
        let started = now();
        loop {
            let body = Connection::open(peer.address)?.get(target)?;
            let items = elements(&body);
            if items == PAGE || items == self.items {
                return Ok(items);
            }
            ensure!(started.elapsed() < FRESH, "{target}: {items} items");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// How many elements the only array in `body` has, without parsing it.
fn elements(body: &[u8]) -> usize {
    body.iter()
        .skip_while(|byte| **byte != b'[')
        .take_while(|byte| **byte != b']')
        .filter(|byte| **byte == b',')
        .count()
        + 1
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// Writes a repository that holds one manifest.
pub(crate) fn write_repository(repository: &Path, digest: &str) -> Result<()> {
    let revisions = repository.join("_manifests/revisions");
    write_link(&revisions.join(digest.replace(':', "/")), digest)?;
    // By this directory Distribution knows a repository.
    fs::create_dir_all(repository.join("_layers/sha256"))?;
    Ok(())
}

pub(crate) fn write_tag(repository: &Path, tag: &str, digest: &str) -> Result<()> {
    // Its history, `index/`, is left out: no listing reads it, and it is most of the files.
    write_link(
        &repository.join("_manifests/tags").join(tag).join("current"),
        digest,
    )
}

fn write_link(directory: &Path, digest: &str) -> Result<()> {
    let path = directory.join("link");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, digest))
        .with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted_in_the_array_only() {
        assert_eq!(elements(br#"{"name":"a","tags":["b","c","d"]}"#), 3);
        assert_eq!(elements(br#"{"repositories":["b"]}"#), 1);
    }
}
