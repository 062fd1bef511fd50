//! skopeo: copies between a registry and a directory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wharfinger_testkit::{Image, Scratch};

use super::program::Program;
use super::{Client, Stored};

pub(super) struct Skopeo(Program);

impl Skopeo {
    /// Finds the program; `None` where it is not installed.
    pub(super) fn find(scratch: &Scratch) -> Result<Option<Self>> {
        let program = Program::find(scratch, "skopeo", &["--insecure-policy"])?;
        Ok(program.map(Self))
    }

    /// Copies an image; `options` go before the two places.
    pub(super) fn copy(&self, options: &[&str], from: &str, to: &str) -> Result<String> {
        let mut arguments = vec!["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        arguments.extend(options);
        arguments.extend([from, to]);
        self.0.run(&arguments)
    }
}

impl Client for Skopeo {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn push(&self, image: &Image, name: &str) -> Result<()> {
        let layout = self.0.home().join("pushed");
        image.write_layout(&layout, "pushed")?;
        let from = format!("oci:{}:pushed", layout.display());
        self.copy(&[], &from, &format!("docker://{name}"))?;
        Ok(())
    }

    fn pull(&self, name: &str, image: &Stored) -> Result<()> {
        let pulled = self.0.home().join("pulled");
        if pulled.exists() {
            fs::remove_dir_all(&pulled)?;
        }
        let to = format!("dir:{}", pulled.display());
        self.copy(&[], &format!("docker://{name}"), &to)?;
        same(&pulled.join("manifest.json"), &image.manifest.bytes)?;
        for blob in &image.blobs {
            same(&pulled.join(blob.hex()), &blob.bytes)?;
        }
        Ok(())
    }
}

fn same(file: &Path, bytes: &[u8]) -> Result<()> {
    let pulled = fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(pulled == bytes, "{} differs", file.display());
    Ok(())
}
