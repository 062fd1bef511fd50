//! An independent reading of a registry's directory: what must be there after a collection.
//!
//! Plain files and JSON, and nothing of the code under test. It knows the layout and that manifests name
//! digests in `config`, `layers`, `manifests` and `subject`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// What is where, by digest.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The blobs whose bytes are there, with their length.
    pub(crate) blobs: BTreeMap<String, u64>,
    /// Each repository.
    pub(crate) repositories: BTreeMap<String, Contents>,
}

/// What a repository links.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) layers: BTreeSet<String>,
    pub(crate) revisions: BTreeSet<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Reading {
    /// Reads the directory below `root`.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let top = root.join("docker/registry/v2");
        let mut reading = Self::default();
        for path in files(&top)? {
            let inner = path.strip_prefix(&top)?.to_string_lossy().into_owned();
            let parts: Vec<&str> = inner.split('/').collect();
            let link = || fs::read_to_string(&path).map(|text| text.trim().to_owned());
            match parts[..] {
                ["blobs", algorithm, _, hex, "data"] => {
                    let length = fs::metadata(&path)?.len();
                    reading.blobs.insert(format!("{algorithm}:{hex}"), length);
                }
                ["repositories", ref name @ .., "_layers", _, _, "link"] => {
                    reading.at(name).layers.insert(link()?);
                }
                [
                    "repositories",
                    ref name @ ..,
                    "_manifests",
                    "revisions",
                    _,
                    _,
                    "link",
                ] => {
                    reading.at(name).revisions.insert(link()?);
                }
                [
                    "repositories",
                    ref name @ ..,
                    "_manifests",
                    "tags",
                    tag,
                    "current",
                    "link",
                ] => {
                    reading.at(name).tags.insert(tag.to_owned(), link()?);
                }
                _ => {}
            }
        }
        Ok(reading)
    }

    fn at(&mut self, name: &[&str]) -> &mut Contents {
        self.repositories.entry(name.join("/")).or_default()
    }

    /// What a manifest names, and its subject.
    fn named(root: &Path, digest: &str) -> Result<(Vec<String>, Option<String>)> {
        let (algorithm, hex) = digest.split_once(':').context("a digest")?;
        let path = format!(
            "docker/registry/v2/blobs/{algorithm}/{}/{hex}/data",
            &hex[..2]
        );
        let manifest: Value = serde_json::from_slice(&fs::read(root.join(path))?)?;
        let digest_of = |value: &Value| value["digest"].as_str().map(str::to_owned);
        let lists = ["layers", "manifests"].map(|list| manifest[list].as_array().cloned());
        let mut named: Vec<String> = lists
            .iter()
            .flatten()
            .flatten()
            .filter_map(digest_of)
            .collect();
        named.extend(digest_of(&manifest["config"]));
        Ok((named, digest_of(&manifest["subject"])))
    }

    /// The revisions that stay in each repository.
    pub(crate) fn kept_revisions(
        &self,
        root: &Path,
        delete_untagged: bool,
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut kept = BTreeMap::new();
        for (name, contents) in &self.repositories {
            if !delete_untagged {
                kept.insert(name.clone(), contents.revisions.clone());
                continue;
            }
            // Again and again until nothing is added: slow, and hard to get wrong.
            let mut stay: BTreeSet<String> = contents.tags.values().cloned().collect();
            loop {
                let before = stay.len();
                for digest in &contents.revisions {
                    let (named, subject) = Self::named(root, digest)?;
                    if stay.contains(digest) {
                        stay.extend(named);
                        stay.extend(subject);
                    } else if subject.is_some_and(|subject| stay.contains(&subject)) {
                        stay.insert(digest.clone());
                    }
                }
                if stay.len() == before {
                    break;
                }
            }
            kept.insert(
                name.clone(),
                contents.revisions.intersection(&stay).cloned().collect(),
            );
        }
        Ok(kept)
    }

    /// The blobs that must stay: what the kept manifests are and what they name.
    pub(crate) fn needed(
        &self,
        root: &Path,
        kept: &BTreeMap<String, BTreeSet<String>>,
    ) -> Result<BTreeSet<String>> {
        let mut needed = BTreeSet::new();
        for digest in kept.values().flatten() {
            needed.insert(digest.clone());
            needed.extend(Self::named(root, digest)?.0);
        }
        needed.retain(|digest| self.blobs.contains_key(digest));
        Ok(needed)
    }
}

/// Every file below a directory.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Copies a directory, empty ones included.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
