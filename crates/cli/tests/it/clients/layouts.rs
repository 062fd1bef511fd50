//! Clients that copy between a registry and an OCI layout, and keep every byte: crane, regctl, oras.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wharfinger_testkit::{Image, Scratch};

use super::program::Program;
use super::{Client, Stored};

/// What to call for a copy, given the layout's directory and the name of the image.
type Arguments = fn(layout: &str, name: &str) -> Vec<String>;

pub(super) struct Layouts {
    name: &'static str,
    program: Program,
    push: Arguments,
    pull: Arguments,
}

impl Layouts {
    pub(super) fn crane(scratch: &Scratch) -> Result<Option<Self>> {
        Self::find(
            scratch,
            "crane",
            |layout, name| words(&["push", layout, name]),
            |layout, name| words(&["pull", "--format=oci", name, layout]),
        )
    }

    pub(super) fn regctl(scratch: &Scratch) -> Result<Option<Self>> {
        Self::find(
            scratch,
            "regctl",
            |layout, name| {
                let from = format!("ocidir://{layout}:image");
                words(&["--host", &plain(name), "image", "copy", &from, name])
            },
            |layout, name| {
                let to = format!("ocidir://{layout}:image");
                words(&["--host", &plain(name), "image", "copy", name, &to])
            },
        )
    }

    pub(super) fn oras(scratch: &Scratch) -> Result<Option<Self>> {
        Self::find(
            scratch,
            "oras",
            |layout, name| {
                let from = format!("{layout}:image");
                words(&["cp", "--from-oci-layout", &from, "--to-plain-http", name])
            },
            |layout, name| {
                let to = format!("{layout}:image");
                words(&["cp", "--from-plain-http", name, "--to-oci-layout", &to])
            },
        )
    }

    fn find(
        scratch: &Scratch,
        name: &'static str,
        push: Arguments,
        pull: Arguments,
    ) -> Result<Option<Self>> {
        let program = Program::find(scratch, name, &[])?;
        Ok(program.map(|program| Self {
            name,
            program,
            push,
            pull,
        }))
    }

    /// Runs the program on the layout `directory`.
    fn copy(&self, arguments: Arguments, directory: &Path, name: &str) -> Result<()> {
        let arguments = arguments(&directory.display().to_string(), name);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.program.run(&arguments)?;
        Ok(())
    }
}

impl Client for Layouts {
    fn name(&self) -> &'static str {
        self.name
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        let layout = fresh(&self.program, "pushed")?;
        image.write_layout(&layout, "image")?;
        self.copy(self.push, &layout, name)
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        let layout = fresh(&self.program, "pulled")?;
        self.copy(self.pull, &layout, name)?;
        for blob in image.blobs.iter().chain([&image.manifest]) {
            let file = layout.join("blobs/sha256").join(blob.hex());
            let pulled = fs::read(&file).with_context(|| file.display().to_string())?;
            ensure!(pulled == blob.bytes, "{} differs", file.display());
        }
        Ok(())
    }
}

/// A directory that has nothing of an earlier image.
fn fresh(program: &Program, name: &str) -> Result<std::path::PathBuf> {
    let directory = program.home().join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    Ok(directory)
}

/// What tells regctl that the registry of `name` speaks without TLS.
pub(super) fn plain(name: &str) -> String {
    let host = name.split('/').next().unwrap_or(name);
    format!("reg={host},tls=disabled")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
