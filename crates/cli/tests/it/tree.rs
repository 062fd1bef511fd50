//! Looks over a registry's directory while nobody writes: nothing in it may be empty, torn or dangling.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wharfinger_testkit::sha256;

/// What was found below a registry's root directory.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Blobs whose data hashes to their path.
    pub(crate) blobs: usize,
    /// Links that name such a blob.
    pub(crate) links: usize,
    /// Directories of uploads that nobody finished.
    pub(crate) uploads: usize,
    /// Files that were to become others.
    pub(crate) temporary: usize,
    /// What must not be, one line each.
    pub(crate) faults: Vec<String>,
}

impl Tree {
    /// Reads everything below `root`, the `rootdirectory` of the configuration.
    pub(crate) fn scan(root: &Path) -> Result<Self> {
        let top = root.join("docker/registry/v2");
        let mut tree = Self::default();
        if !top.exists() {
            return Ok(tree);
        }
        for path in files(&top)? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let inner = path.strip_prefix(&top)?;
            if name.ends_with(".tmp") {
                tree.temporary += 1;
            } else if name == "data" && inner.starts_with("blobs") {
                tree.blob(&path)?;
            } else if name == "link" {
                tree.link(&path, &top)?;
            }
        }
        let repositories = top.join("repositories");
        if !repositories.exists() {
            return Ok(tree);
        }
        tree.uploads = directories(&repositories)?
            .iter()
            .filter(|path| {
                path.parent()
                    .is_some_and(|parent| parent.ends_with("_uploads"))
            })
            .count();
        Ok(tree)
    }

    /// `blobs/ALG/HH/HEX/data`
    fn blob(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path)?;
        let hex = path
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy();
        if bytes.is_empty() {
            self.faults.push(format!("{} is empty", path.display()));
        } else if sha256(&bytes) != format!("sha256:{hex}") {
            self.faults
                .push(format!("{} holds {}", path.display(), sha256(&bytes)));
        } else {
            self.blobs += 1;
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, top: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let target = text
            .split_once(':')
            .filter(|(_, hex)| hex.len() >= 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map(|(algorithm, hex)| top.join("blobs").join(algorithm).join(&hex[..2]).join(hex));
        match target {
            None => self
                .faults
                .push(format!("{} holds {text:?}", path.display())),
            Some(target) if !target.join("data").is_file() => {
                self.faults
                    .push(format!("{} dangles: {text}", path.display()));
            }
            Some(_) => self.links += 1,
        }
        Ok(())
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(walk(directory)?
        .into_iter()
        .filter(|path| !path.is_dir())
        .collect())
}

fn directories(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(walk(directory)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect())
}

fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use wharfinger_testkit::{Blob, Scratch};

    use super::*;

    #[test]
    fn every_kind_of_fault_is_seen() {
        let scratch = Scratch::new("tree").unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = scratch.join("docker/registry/v2").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let [good, torn, empty] = [1, 2, 3].map(|seed| Blob::random(seed, 100));
        let data = |blob: &Blob| format!("blobs/sha256/{}/{}/data", &blob.hex()[..2], blob.hex());
        let link = |blob: &Blob| format!("repositories/a/_layers/sha256/{}/link", blob.hex());
        write(&data(&good), &good.bytes);
        write(&link(&good), good.digest.as_bytes());
        write("repositories/a/_uploads/some-id/data", b"");
        write("repositories/a/_manifests/tags/x/current/link.1.tmp", b"");
        let clean = Tree::scan(scratch.path()).unwrap();
        assert_eq!(
            (
                clean.blobs,
                clean.links,
                clean.uploads,
                clean.temporary,
                clean.faults.len()
            ),
            (1, 1, 1, 1, 0)
        );

        write(&data(&torn), &torn.bytes[..50]);
        write(&data(&empty), b"");
        write(&link(&torn), b"");
        write(
            "repositories/a/_layers/sha256/dangling/link",
            Blob::random(4, 9).digest.as_bytes(),
        );
        let broken = Tree::scan(scratch.path()).unwrap();
        assert_eq!(broken.faults.len(), 4, "{:?}", broken.faults);
    }
}
